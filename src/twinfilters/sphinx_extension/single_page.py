"""The whole book on one page, from which the PDF is made: what Sphinx and its extensions leave to do there.

- Nodes that have visitors for ``html`` only get them for ``singlehtml`` as well: Sphinx looks at the format's visitors
  only where no extension has registered any under the builder's own name.
- An id that several pages use (``sources``, ``id1``) is made unique, with the links that lead to it.
- A link to another page leads to its place on this one; what Sphinx writes instead is right only where the first page
  lies in the top folder.
"""

from collections import Counter

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

BUILDER = "singlehtml"


def setup(app: Sphinx) -> None:
    """Register what is done."""
    app.connect("builder-inited", lend_visitors)
    app.connect("doctree-resolved", separate_ids)


def lend_visitors(app: Sphinx) -> None:
    """Use the visitors of HTML pages."""
    handlers = app.registry.translation_handlers
    if app.builder.name == BUILDER and BUILDER in handlers:
        handlers[BUILDER] = {**handlers["html"], **handlers[BUILDER]}


def separate_ids(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put the page's name before ids that several pages use, and lead links there."""
    if app.builder.name != BUILDER:
        return
    pages = pages_in(doctree, docname)
    own = {page: [node for node in found if isinstance(node, nodes.Element)] for page, found in pages.items()}
    used = Counter(
        name for found in own.values() for name in {name for node in found for name in node["ids"]}
    )
    shared = {name for name, count in used.items() if count > 1}
    for page, found in own.items():
        for node in found:
            # The number of a figure is looked up by its id, and nothing links to a figure without a name.
            if not app.env.get_domain("std").get_enumerable_node_type(node):
                node["ids"] = [unique(page, name) if name in shared else name for name in node["ids"]]
            if node.get("refid") in shared:
                node["refid"] = unique(page, node["refid"])
            target, _, name = node.get("refuri", "").removeprefix("#document-").partition("#")
            if name and target in pages:
                node["refuri"] = f"#{unique(target, name) if name in shared else name}"


def unique(page: str, name: str) -> str:
    """Give an id that is used once."""
    return f"{nodes.make_id(page)}--{name}"


def pages_in(doctree: nodes.document, root: str) -> dict[str, list[nodes.Node]]:
    """Page -> its nodes; the root page holds the others."""
    pages: dict[str, list[nodes.Node]] = {}

    def walk(node: nodes.Node, page: str) -> None:
        if isinstance(node, addnodes.start_of_file):
            page = node["docname"]
        pages.setdefault(page, []).append(node)
        for child in node.children:
            walk(child, page)

    walk(doctree, root)
    return pages
