"""Sphinx extension that brings `explore` into any book made with MyST-NB.

::

    extensions = ["myst_nb", "twinfilters.widgets.sphinx"]

Before the notebooks run, it tells their kernels where to put pictures; afterwards it copies those that the pages use
beside the pages, with the style sheet and the script that show them. Pictures that are gone make their notebook run
again.
"""

import os
import re
import shutil
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from docutils import nodes
from jupyter_cache import get_cache
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util import logging

from twinfilters.widgets.cache import content_hash
from twinfilters.widgets.explore import HERE, front_end, style
from twinfilters.widgets.snapshot import SNAPSHOT_VARIABLE

logger = logging.getLogger(__name__)
# Of the files in a book's _static folder.
NAME = "twinfilters-explore"
HOST = ("address.js", "host.js")
# Seconds a cell may take.
MYST_NB_TIMEOUT, TIMEOUT = 30, 600
MODULE_LINE = "export default { render };\n"


def setup(app: Sphinx) -> dict:
    """Register with Sphinx."""
    app.setup_extension("myst_nb")
    app.connect("config-inited", give_time)
    app.connect("config-inited", write_static_files)
    # After MyST-NB has made its configuration.
    app.connect("builder-inited", forget_outputs_without_frames, priority=900)
    app.connect("env-get-outdated", pages_without_frames)
    app.connect("doctree-read", note_frames)
    app.connect("env-purge-doc", lambda app, env, docname: frames_by_page(env).pop(docname, None))
    app.connect("env-merge-info", merge_frames)
    app.connect("html-page-context", load_script)
    app.connect("build-finished", copy_frames)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


# --- folders and files


def explore_folder(app: Sphinx) -> Path:
    """Everything this extension keeps between builds lies beside the output, as MyST-NB's cache does."""
    return Path(app.outdir).resolve().parent / ".explore"


@cache
def _edition() -> str:
    # Markup, frames and script belong together: another edition of this folder starts anew.
    return content_hash(HERE)[:8]


def frames_folder(app: Sphinx) -> Path:
    """Where kernels put frames."""
    return explore_folder(app) / _edition()


def write_static_files(app: Sphinx, config) -> None:
    """Tell kernels where frames go, and make the widgets' style sheet and script."""
    os.environ[SNAPSHOT_VARIABLE] = str(frames_folder(app))
    folder = explore_folder(app) / "static"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{NAME}.css").write_text(style(), encoding="utf-8")
    (folder / f"{NAME}.js").write_text(page_script(), encoding="utf-8")
    config.html_static_path.append(str(folder))
    app.add_css_file(f"{NAME}.css")


def give_time(app: Sphinx, config) -> None:
    """Let a cell draw all combinations, which may take longer than MyST-NB gives it where nobody says otherwise."""
    if config.nb_execution_timeout == MYST_NB_TIMEOUT:
        config.nb_execution_timeout = TIMEOUT


def page_script() -> str:
    """One classic script made of the widget's front end and its host: a page from a file may load no modules."""
    module = front_end()
    if module.count(MODULE_LINE) != 1:
        raise ExtensionError(f"explore.js must contain {MODULE_LINE!r} once")
    host = "".join((HERE / name).read_text(encoding="utf-8") for name in HOST)
    return "(() => {\n" + module.replace(MODULE_LINE, "") + host + "})();\n"


# --- the frames that pages use


def frame_keys(text: str) -> list[str]:
    """Keys of the frame files that a piece of HTML uses."""
    return re.findall(r'data-explore="([0-9a-f]{16})"', text)


def frames_by_page(env) -> dict[str, list[str]]:
    """Page -> keys of the frame files it uses."""
    if not hasattr(env, "twinfilters_frames"):
        env.twinfilters_frames = {}
    return env.twinfilters_frames


def missing_frames(app: Sphinx, keys: Iterable[str]) -> list[str]:
    """Those of the frame files that are not there."""
    return [key for key in keys if not (frames_folder(app) / f"{key}.js").is_file()]


def note_frames(app: Sphinx, doctree: nodes.document) -> None:
    """Note the frames a page uses; say of a widget without frames why it has none."""
    docname = app.env.docname
    keys = {key for raw in doctree.findall(nodes.raw) for key in frame_keys(raw.astext())}
    frames_by_page(app.env)[docname] = sorted(keys)
    for bundle in doctree.findall(nodes.container):
        if bundle.get("nb_element") == "mime_bundle" and is_live_view(bundle):
            logger.warning(
                "explore has no pictures here, because the notebook was not executed by this build: "
                "set execute_notebooks (nb_execution_mode) to cache or force",
                location=(docname, bundle.line),
                type="twinfilters",
            )


def is_live_view(bundle: nodes.container) -> bool:
    """Whether an output is what `explore` displays in a notebook, which needs a kernel."""
    texts = {child["mime_type"]: child.astext() for child in bundle.children}
    return texts.get("text/plain", "").startswith("explore(") and "text/html" not in texts


def merge_frames(app: Sphinx, env, docnames: Iterable[str], other) -> None:
    """Take over what another process read."""
    frames_by_page(env).update({name: frames_by_page(other)[name] for name in docnames})


def load_script(app: Sphinx, pagename: str, *_) -> None:
    """Load the widgets' script on the pages that have one."""
    if frames_by_page(app.env).get(pagename):
        app.add_js_file(f"{NAME}.js", loading_method="defer")


def copy_frames(app: Sphinx, exception: Exception | None) -> None:
    """Copy the frames that pages use beside them."""
    if exception or app.builder.format != "html":
        return
    for page, keys in frames_by_page(app.env).items():
        if missing_frames(app, keys):
            raise ExtensionError(
                f"the pictures of a widget in {page} are not there: its output was stored by an earlier build. "
                "Clear the outputs of the notebook, so that it is executed"
            )
    target = Path(app.outdir, "_static", NAME)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for key in {key for used in frames_by_page(app.env).values() for key in used}:
        shutil.copy2(frames_folder(app) / f"{key}.js", target)


# --- frames that are gone


def forget_outputs_without_frames(app: Sphinx) -> None:
    """Remove outputs from MyST-NB's cache whose frames are gone, so that their notebooks run again."""
    folder = Path(app.env.mystnb_config.execution_cache_path)
    if not folder.is_dir():
        return
    stored = get_cache(folder)
    for record in stored.list_cache_records():
        if missing_frames(app, frame_keys(_stored_html(stored, record.pk))):
            stored.remove_cache(record.pk)


def pages_without_frames(app: Sphinx, env, added: set, changed: set, removed: set) -> list[str]:
    """Pages to read again because their frames are gone."""
    return [page for page, keys in frames_by_page(env).items() if missing_frames(app, keys)]


def _stored_html(stored, key: int) -> str:
    notebook = stored.get_cache_bundle(key).nb
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(str(output.get("data", {}).get("text/html", "")) for output in outputs)
