"""Outputs of notebooks: figures that follow the theme, and nothing that would be dead without a kernel.

SVG that notebooks produced is inlined. A figure without alternative text and a widget without pictures are warnings.
`explore` and the lab come from extensions of their own, which know nothing of this book.
"""

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging

from twinfilters.plotting import labelled, prefix_ids
from twinfilters.sphinx_extension.mathematics import typeset

logger = logging.getLogger(__name__)
METADATA = re.compile(r"<metadata>(.*?)</metadata>", re.DOTALL)
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def setup(app: Sphinx) -> None:
    """Register what looks at outputs."""
    app.setup_extension("twinfilters.widgets.sphinx")
    app.setup_extension("twinfilters.lab.sphinx")
    app.add_post_transform(InlineFigures)
    app.connect("builder-inited", lambda app: app.config.html_static_path.append(str(static_folder(app))))
    app.connect("doctree-read", inspect_outputs)


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
            svg, numbers = without_numbers(labelled(svg, image.get("alt", "")))
            # Paper has no folds, and a table is no substitute there: the notebook has all numbers.
            folded = nodes.raw(
                "", numbers_html(numbers) if self.app.builder.name == "html" else "", format="html"
            )
            parent = image.parent
            # In a figure they follow the caption.
            place = len(parent) if isinstance(parent, nodes.figure) else parent.index(image) + 1
            parent.insert(place, folded)
            image.replace_self(nodes.raw("", f'<div class="tf-figure">{svg}</div>', format="html"))


def without_numbers(svg: str) -> tuple[str, list[dict]]:
    """Take the tables out of the SVG that `plotting.displayed_svg` noted there."""
    noted = METADATA.search(svg)
    return METADATA.sub("", svg), json.loads(html.unescape(noted[1])) if noted else []


def numbers_html(tables: list[dict]) -> str:
    """Write the tables of a figure, folded away; nothing if there are none."""
    if not tables:
        return ""
    return f'<details class="tf-numbers"><summary>Numbers</summary>{"".join(map(_table, tables))}</details>'


def _table(table: dict) -> str:
    points, shown = table["points"], len(table["rows"])
    caption = ", ".join(
        filter(None, (table["title"], f"{shown} of {points} points" if shown < points else ""))
    )
    named = (
        f'<th scope="col">{_words(column)}</th>' if column else "<td></td>" for column in table["columns"]
    )
    head = "".join(named)
    body = "".join(
        f'<tr><th scope="row">{_words(first)}</th>{"".join(f"<td>{_words(entry)}</td>" for entry in rest)}</tr>'
        for first, *rest in table["rows"]
    )
    return (
        '<div class="pst-scrollable-table-container"><table class="table">'
        + (f"<caption>{_words(caption)}</caption>" if caption else "")
        + f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _words(text: str) -> str:
    """Write a label of matplotlib, whose mathematics stands between dollars."""
    parts = text.replace("\n", " ").split("$")
    return "".join(typeset(part) if number % 2 else html.escape(part) for number, part in enumerate(parts))


def inspect_outputs(app: Sphinx, doctree: nodes.document) -> None:
    """Check a page's outputs, and drop the state of the kernel's widgets."""
    docname = app.env.docname
    for container in _containers(doctree, "cell_code_output"):
        for problem in output_problems(container):
            logger.warning(problem, location=(docname, container.line), type="twinfilters")
    scripts = getattr(app.env, "nb_metadata", {}).get(docname, {}).get("js_files", {})
    for name in [name for name in scripts if name.startswith("ipywidgets_")]:
        del scripts[name]


def output_problems(output: nodes.container) -> Iterator[str]:
    """Say what is wrong with the outputs of a cell."""
    if any(not image.get("alt", "").strip() for image in output.findall(nodes.image)):
        yield "a figure has no alternative text: put mystnb.image.alt into the metadata of its cell"
    # What fails while it is displayed does not stop a notebook.
    if any("traceback" in block["classes"] for block in output.findall(nodes.literal_block)):
        yield "a cell's output is the traceback of an error"
    for bundle in _containers(output, "mime_bundle"):
        kinds = {child["mime_type"] for child in bundle.children}
        if WIDGET_VIEW in kinds and "text/html" not in kinds:
            yield "a widget has no pictures to show without a kernel: display explore(...) by itself"


def _containers(node: nodes.Element, kind: str) -> Iterator[nodes.container]:
    return (found for found in node.findall(nodes.container) if found.get("nb_element") == kind)


def static_folder(app: Sphinx) -> Path:
    """Where the files lie that are made from the package."""
    return Path(app.outdir).resolve().parent / ".twinfilters" / "static"
