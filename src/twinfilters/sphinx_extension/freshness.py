"""Freshness: what has to be done again, although no page's source changed.

=============================================  ==========================================
Python in the package, a library it draws with notebooks are executed again
scripts and styles in the package              pages are read again
the last build warned or failed                pages are read again, so the warning stays
style sheets, scripts, fonts of the book       pages are written again
=============================================  ==========================================
"""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path

from jupyter_cache import get_cache
from sphinx.application import Sphinx

from twinfilters.widgets.cache import content_hash

PACKAGE = Path(__file__).parents[1]
# Settings that name the folders of what goes into every page.
ASSETS = ("twinfilters_assets", "twinfilters_styles", "twinfilters_scripts")
# What goes into pages, and not into what a notebook prints or draws.
FRONT_END = (".js", ".css")
LIBRARIES = ("numpy", "scipy", "scikit-learn", "matplotlib", "ipywidgets", "anywidget", "sphinxcontrib-katex")


def setup(app: Sphinx) -> None:
    """Register what compares this build with the last one."""
    app.add_config_value("twinfilters_assets", "book/assets", "html")
    # After MyST-NB has made its configuration.
    app.connect("builder-inited", forget_stale_outputs, priority=900)
    app.connect("env-get-outdated", pages_to_read)
    app.connect("env-updated", pages_to_write)
    app.connect("build-finished", note_build)


def results_hash() -> str:
    """Hash of the package, scripts and styles aside, and of the versions of the libraries whose results pages show."""
    libraries = " ".join(f"{name}=={version(name)}" for name in LIBRARIES)
    return hashlib.sha256(f"{content_hash(PACKAGE, FRONT_END)} {libraries}".encode()).hexdigest()


def forget_stale_outputs(app: Sphinx) -> None:
    """Remove stored outputs that were made by another package."""
    app.twinfilters_now = {
        "results": results_hash(),
        "package": content_hash(PACKAGE),
        "assets": [content_hash(Path(app.srcdir, app.config[setting])) for setting in ASSETS],
    }
    executed_by = _notes(app, "executed")
    cache_folder = Path(app.env.mystnb_config.execution_cache_path)
    if cache_folder.is_dir() and executed_by.get("results") != app.twinfilters_now["results"]:
        cache = get_cache(cache_folder)
        for record in cache.list_cache_records():
            cache.remove_cache(record.pk)
    # From here on every stored output is one of the package as it is now.
    _note(app, "executed", {"results": app.twinfilters_now["results"]})


def pages_to_read(app: Sphinx, env, added: set, changed: set, removed: set) -> list[str]:
    """Pages to read again although their source is unchanged."""
    last = _notes(app, app.builder.name)
    changed = any(last.get(part) != app.twinfilters_now[part] for part in ("results", "package"))
    if changed or not last.get("clean"):
        return sorted(env.found_docs)
    return []


def pages_to_write(app: Sphinx, env) -> list[str]:
    """Pages to write again although they were not read again."""
    same = _notes(app, app.builder.name).get("assets") == app.twinfilters_now["assets"]
    return [] if same else sorted(env.found_docs)


def note_build(app: Sphinx, exception: Exception | None) -> None:
    """Note what this build was made from, and whether it was clean."""
    if exception is None:
        _note(app, app.builder.name, {**app.twinfilters_now, "clean": app._warncount == 0})


def _note_file(app: Sphinx, name: str) -> Path:
    return Path(app.outdir).resolve().parent / ".twinfilters" / f"{name}.json"


def _notes(app: Sphinx, name: str) -> dict:
    file = _note_file(app, name)
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _note(app: Sphinx, name: str, content: dict) -> None:
    file = _note_file(app, name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")
