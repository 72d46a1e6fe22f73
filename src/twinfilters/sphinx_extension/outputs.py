"""Outputs of notebooks: figures that follow the theme, and widgets that live without a kernel.

SVG that notebooks produced is inlined. The pictures of `explore`, drawn while the notebook ran, are copied beside the
pages. A figure without alternative text and a widget without pictures are warnings.
"""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging

from twinfilters.plotting import labelled, prefix_ids, theme_css
from twinfilters.widgets.frames import SNAPSHOT_VARIABLE

logger = logging.getLogger(__name__)
WIDGETS = Path(__file__).parents[1] / "widgets"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def setup(app: Sphinx) -> None:
    """Register what looks at outputs."""
    app.add_post_transform(InlineFigures)
    app.connect("config-inited", write_static_files)
    app.connect("builder-inited", lambda app: app.config.html_static_path.append(str(static_folder(app))))
    app.connect("doctree-read", inspect_outputs)
    app.connect("env-purge-doc", lambda app, env, docname: frames_by_page(env).pop(docname, None))
    app.connect("html-page-context", load_widget_script)
    app.connect("build-finished", copy_frames)


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
            svg = path.read_text(encoding="utf-8")
            seen[path.stem] = seen.get(path.stem, 0) + 1
            if seen[path.stem] > 1:
                svg = prefix_ids(svg, f"s{path.stem[:8]}-{seen[path.stem]}")
            svg = labelled(svg, image.get("alt", ""))
            image.replace_self(nodes.raw("", f'<div class="tf-figure">{svg}</div>', format="html"))


def inspect_outputs(app: Sphinx, doctree: nodes.document) -> None:
    """Check a page's outputs, note the frames it uses, and drop the state of the kernel's widgets."""
    docname = app.env.docname
    for container in _containers(doctree, "cell_code_output"):
        for problem in output_problems(container):
            logger.warning(problem, location=(docname, container.line), type="twinfilters")
    keys = {key for raw in doctree.findall(nodes.raw) for key in frame_keys(raw.astext())}
    frames_by_page(app.env)[docname] = sorted(keys)
    scripts = getattr(app.env, "nb_metadata", {}).get(docname, {}).get("js_files", {})
    for name in [name for name in scripts if name.startswith("ipywidgets_")]:
        del scripts[name]


def output_problems(output: nodes.container) -> Iterator[str]:
    """Say what is wrong with the outputs of a cell."""
    if any(not image.get("alt", "").strip() for image in output.findall(nodes.image)):
        yield "a figure has no alternative text: put mystnb.image.alt into the metadata of its cell"
    for bundle in _containers(output, "mime_bundle"):
        kinds = {child["mime_type"] for child in bundle.children}
        if WIDGET_VIEW in kinds and "text/html" not in kinds:
            yield "a widget has no pictures to show without a kernel: display explore(...) by itself"


def _containers(node: nodes.Element, kind: str) -> Iterator[nodes.container]:
    return (found for found in node.findall(nodes.container) if found.get("nb_element") == kind)


def frame_keys(text: str) -> list[str]:
    """Keys of the frame files that a piece of HTML uses."""
    return re.findall(r'data-explore="([0-9a-f]{16})"', text)


def frames_by_page(env) -> dict[str, list[str]]:
    """Page -> keys of the frame files it uses."""
    if not hasattr(env, "twinfilters_frames"):
        env.twinfilters_frames = {}
    return env.twinfilters_frames


def missing_frames(app: Sphinx, keys: list[str]) -> list[str]:
    """Those of the frame files that are not there."""
    return [key for key in keys if not (frames_folder(app) / f"{key}.js").is_file()]


def frames_folder(app: Sphinx) -> Path:
    """Where kernels put frames."""
    return Path(app.outdir).resolve().parent / ".explore"


def static_folder(app: Sphinx) -> Path:
    """Where the files lie that are made from the package."""
    return Path(app.outdir).resolve().parent / ".twinfilters" / "static"


def write_static_files(app: Sphinx, config) -> None:
    """Tell kernels where frames go, and make the widgets' style sheet and script."""
    os.environ[SNAPSHOT_VARIABLE] = str(frames_folder(app))
    folder = static_folder(app)
    folder.mkdir(parents=True, exist_ok=True)
    style = theme_css() + (WIDGETS / "explore.css").read_text(encoding="utf-8")
    (folder / "explore.css").write_text(style, encoding="utf-8")
    (folder / "explore.js").write_text(host_script(), encoding="utf-8")
    app.add_css_file("explore.css")


def host_script() -> str:
    """One classic script made of the widget's front end and its host: a page from a file may load no modules."""
    front_end = (WIDGETS / "explore.js").read_text(encoding="utf-8")
    module_line = "export default { render };\n"
    if front_end.count(module_line) != 1:
        raise ExtensionError(f"explore.js must contain {module_line!r} once")
    host = (WIDGETS / "host.js").read_text(encoding="utf-8")
    return "(() => {\n" + front_end.replace(module_line, "") + host + "})();\n"


def load_widget_script(app: Sphinx, pagename: str, *_) -> None:
    """Load the widgets' script on the pages that have one."""
    if frames_by_page(app.env).get(pagename):
        app.add_js_file("explore.js", loading_method="defer")


def copy_frames(app: Sphinx, exception: Exception | None) -> None:
    """Copy the frames that pages use beside them."""
    if exception or app.builder.format != "html":
        return
    keys = sorted({key for used in frames_by_page(app.env).values() for key in used})
    if missing := missing_frames(app, keys):
        raise ExtensionError(
            f"the pictures of these widgets are missing: {missing}; delete _build and build again"
        )
    target = Path(app.outdir, "_static", "explore")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for key in keys:
        shutil.copy2(frames_folder(app) / f"{key}.js", target)
