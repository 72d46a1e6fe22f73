"""One style sheet and one script for all pages, put together from files that hold one concern each."""

from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config

from twinfilters.sphinx_extension.outputs import static_folder

BUNDLES = {"twinfilters.css": "twinfilters_styles", "twinfilters.js": "twinfilters_scripts"}


def setup(app: Sphinx) -> None:
    """Register the bundles."""
    app.add_config_value("twinfilters_styles", "book/styles", "html")
    app.add_config_value("twinfilters_scripts", "book/scripts", "html")
    app.connect("config-inited", write_bundles)


def write_bundles(app: Sphinx, config: Config) -> None:
    """Write the bundles, and have every page load them."""
    folder = static_folder(app)
    folder.mkdir(parents=True, exist_ok=True)
    for name, setting in BUNDLES.items():
        content = joined(Path(app.srcdir, config[setting]), Path(name).suffix)
        (folder / name).write_text(content, encoding="utf-8")
    app.add_css_file("twinfilters.css")
    app.add_js_file("twinfilters.js", loading_method="defer")


def joined(folder: Path, suffix: str) -> str:
    """Join the files of a folder in the order of their names; scripts keep their names to themselves."""
    parts = [path.read_text(encoding="utf-8") for path in sorted(folder.glob(f"*{suffix}"))]
    if suffix == ".js":
        parts = [f"(() => {{\n{part}}})();\n" for part in parts]
    return "\n".join(parts)
