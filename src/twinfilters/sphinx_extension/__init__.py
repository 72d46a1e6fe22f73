"""Sphinx extension of the book. Each concern has a module of its own, which registers itself."""

from sphinx.application import Sphinx

from twinfilters.sphinx_extension import (
    bundle,
    claims,
    freshness,
    mathematics,
    outputs,
    questions,
    single_page,
)


def setup(app: Sphinx) -> dict:
    """Register everything with Sphinx."""
    mathematics.setup(app)
    outputs.setup(app)
    questions.setup(app)
    single_page.setup(app)
    claims.setup(app)
    bundle.setup(app)
    freshness.setup(app)
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": False}
