"""Proofs and solutions that fold: ``<details>``, which needs no script and is open to keyboards and screen readers.

A proof is open at first, as it is part of the text; what has the class ``dropdown`` is closed.
"""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

CONTENT_IDS = {"proof-content", "exercise-content", "solution-content"}


class fold(nodes.Admonition, nodes.Element):  # noqa: N801 (visitors are found by this name)
    """A box that folds."""


class fold_title(nodes.title):  # noqa: N801
    """The line of the box that stays."""


def setup(app: Sphinx) -> None:
    """Register nodes and transform."""
    app.add_node(fold, html=(visit_fold, depart_fold))
    app.add_node(fold_title, html=(visit_fold_title, depart_fold_title))
    app.add_post_transform(Fold)


class Fold(SphinxPostTransform):
    """Turn proofs, and boxes of the class dropdown, into folds; drop identifiers that all boxes share."""

    # After the titles of solutions and the references have been resolved.
    default_priority = 900
    formats = ("html",)

    def run(self, **kwargs) -> None:
        """Run the transform."""
        for content in list(self.document.findall(nodes.section)):
            if CONTENT_IDS & set(content["ids"]):
                exchange(content, nodes.container("", *content.children, classes=["tf-content"]))
        for box in list(self.document.findall(nodes.Admonition)):
            if "proof" in box["ids"]:
                exchange(box, folded(box, proof_parts(box), ids=[]))
            elif "dropdown" in box["classes"]:
                exchange(box, folded(box, box.children, ids=box["ids"]))


def exchange(node: nodes.Element, other: nodes.Element) -> None:
    """Put another node in the place of one; unlike `replace_self`, without its identifiers."""
    node.parent.replace(node, other)


def proof_parts(box: nodes.Element) -> list[nodes.Node]:
    """Give title and content of a proof: sphinx-proof writes the word in front of the first paragraph."""
    word, _, rest = next(box.findall(nodes.Text)).partition(". ")
    first = next(box.findall(nodes.Text))
    first.parent.replace(first, nodes.Text(rest))
    return [nodes.title("", word), *box.children]


def folded(box: nodes.Element, parts: list[nodes.Node], ids: list[str]) -> fold:
    """Make a fold of a title and what follows it."""
    title, *content = parts
    summary = fold_title("", *(nodes.Text(child.astext()) for child in title.children))
    classes = [name for name in box["classes"] if name != "dropdown"]
    made = fold("", summary, *content, ids=ids, classes=classes)
    made["open"] = "dropdown" not in box["classes"]
    if "label" in box:
        made["label"] = box["label"]
    return made


def visit_fold(translator, node: fold) -> None:
    """Open the box."""
    state = {"open": "open"} if node["open"] else {}
    translator.body.append(translator.starttag(node, "details", CLASS="admonition tf-fold", **state))


def depart_fold(translator, node: fold) -> None:
    """Close the box."""
    translator.body.append("</details>\n")


def visit_fold_title(translator, node: fold_title) -> None:
    """Open the line that stays."""
    translator.body.append(translator.starttag(node, "summary", CLASS="admonition-title"))


def depart_fold_title(translator, node: fold_title) -> None:
    """Close the line that stays."""
    translator.body.append("</summary>\n")
