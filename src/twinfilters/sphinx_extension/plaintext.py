"""The words of a page without its markup, for descriptions, titles and the search."""

import html
import re
from xml.etree import ElementTree

from docutils import nodes

from twinfilters.sphinx_extension.mathematics import KaTeXError, for_katex, typeset

# Operators that KaTeX writes for screen readers and that nobody sees.
INVISIBLE = re.compile("[\u2061-\u2064\u200b]")
# MathML element -> what stands between its parts.
SIGNS = {"msub": "_", "msup": "^", "munder": "_", "mfrac": "/", "mtr": " ", "mtable": " "}
BLOCKS = (nodes.Body, nodes.Part, nodes.Structural)
SKIPPED = (nodes.comment, nodes.Invisible, nodes.system_message)


def plain_text(node: nodes.Node) -> str:
    """Words of a node, with one blank between any two; formulas in letters, pictures by their descriptions."""
    return " ".join("".join(_pieces(node)).split())


def formula_text(latex: str, *, display: bool = False) -> str:
    r"""Write a formula in one line of text: ``w_a=w_b``, ``σ'(z_kp)``.

    Parameters
    ----------
    latex : formula without delimiters.
    display : displayed rather than inline.
    """
    try:
        markup = typeset(latex, display=display)
    except KaTeXError:
        return latex
    (mathml,) = re.findall(r"<math.*?</math>", markup, flags=re.DOTALL)
    return INVISIBLE.sub("", " ".join(_in_line(ElementTree.fromstring(mathml)).split()))


def _in_line(element: ElementTree.Element) -> str:
    tag = element.tag.rpartition("}")[2]
    if tag.startswith("annotation"):
        return ""
    parts = [element.text or "", *map(_in_line, element)]
    if tag in ("msubsup", "munderover"):
        return "{}{}_{}^{}".format(*parts)
    return SIGNS.get(tag, "").join(filter(None, parts)).replace("^′", "′")


def _pieces(node: nodes.Node):
    if isinstance(node, nodes.Text):
        yield node.astext()
    elif isinstance(node, nodes.math):
        yield formula_text(node.astext())
    elif isinstance(node, nodes.math_block):
        latex = for_katex(node.astext(), environment=bool(node.get("nowrap")))
        yield f" {formula_text(latex, display=True)} "
    elif isinstance(node, nodes.raw):
        yield from (
            f" {html.unescape(label)} " for label in re.findall(r'aria-label="([^"]*)"', node.astext())
        )
    elif isinstance(node, nodes.image):
        yield f" {node.get('alt', '')} "
    elif not isinstance(node, SKIPPED):
        yield from _of_children(node)


def _of_children(node: nodes.Element):
    blank = " " if isinstance(node, BLOCKS) else ""
    yield blank
    for child in node.children:
        yield from _pieces(child)
    yield blank
