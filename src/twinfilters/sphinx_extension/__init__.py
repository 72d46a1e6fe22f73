"""Sphinx extension of the book. Each concern has a module of its own, which registers itself."""

from pathlib import Path

from sphinx.application import Sphinx

from twinfilters.sphinx_extension import (
    address,
    bundle,
    claims,
    folds,
    freshness,
    hosting,
    launch,
    mathematics,
    metadata,
    outputs,
    previews,
    questions,
    search,
    single_page,
    trimming,
)

TEMPLATES = Path(__file__).with_name("templates")


def setup(app: Sphinx) -> dict:
    """Register everything with Sphinx."""
    app.connect("config-inited", lambda app, config: config.templates_path.append(str(TEMPLATES)))
    address.setup(app)
    mathematics.setup(app)
    outputs.setup(app)
    previews.setup(app)
    questions.setup(app)
    single_page.setup(app)
    claims.setup(app)
    folds.setup(app)
    bundle.setup(app)
    trimming.setup(app)
    freshness.setup(app)
    metadata.setup(app)
    search.setup(app)
    launch.setup(app)
    hosting.setup(app)
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": False}
