"""Sphinx extension of the book: mathematics, outputs of notebooks, and freshness, each in a module of its own."""

from sphinx.application import Sphinx

from twinfilters.sphinx_extension import freshness, mathematics, outputs


def setup(app: Sphinx) -> dict:
    """Register everything with Sphinx."""
    mathematics.setup(app)
    outputs.setup(app)
    freshness.setup(app)
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": False}
