"""Search: the words of every section in one file, which the search loads when it is used.

Sphinx's own search reads each page it found once more, to show where the words stand. A page that was opened from a
file may not do that, but it may load a script. So the texts come along as a script, and with them at hand, sections and
statements are found instead of pages. MiniSearch makes the index in the reader's browser.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

from twinfilters.sphinx_extension.plaintext import plain_text

TEXTS = "search-texts.js"


def setup(app: Sphinx) -> None:
    """Register what gathers the texts."""
    app.connect("builder-inited", replace_search)
    app.connect("doctree-resolved", note_texts)
    app.connect("env-updated", pages_without_texts)
    app.connect("html-collect-pages", search_page)
    app.connect("build-finished", write_texts)


def replace_search(app: Sphinx) -> None:
    """Have Sphinx make no index of its own."""
    app.builder.search = False


def search_page(app: Sphinx):
    """Have the search page written."""
    yield "search", {"title": "Search"}, "search.html"


def note_texts(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Note the texts of a page that is being written."""
    if app.builder.name == "html":
        file = _file(app, docname)
        file.parent.mkdir(parents=True, exist_ok=True)
        numbers = app.env.toc_fignumbers.get(docname, {})
        file.write_text(json.dumps(list(entries(doctree, numbers))), encoding="utf-8")


def pages_without_texts(app: Sphinx, env) -> list[str]:
    """Pages to write again because their texts are gone."""
    return [page for page in sorted(env.found_docs) if not _file(app, page).is_file()]


def write_texts(app: Sphinx, exception: Exception | None) -> None:
    """Write the texts of all pages: page -> its title and its entries."""
    if exception or app.builder.name != "html":
        return
    pages = {
        app.builder.get_target_uri(page): [
            plain_text(app.env.titles[page]),
            json.loads(_file(app, page).read_text(encoding="utf-8")),
        ]
        for page in sorted(app.env.found_docs)
    }
    content = json.dumps(pages, ensure_ascii=False, separators=(",", ":"))
    Path(app.outdir, "_static", TEXTS).write_text(f"var twinfiltersTexts={content};\n", encoding="utf-8")


def entries(doctree: nodes.document, numbers: dict) -> Iterator[tuple[str, str, str, str]]:
    """Give what can be found on a page: (place, heading, text, code) of each section, statement and exercise.

    Parameters
    ----------
    doctree : the page.
    numbers : kind -> place -> number, as Sphinx keeps them.
    """
    for part in doctree.findall(_is_entry):
        title, *content = part
        pieces = [piece for child in content for piece in _pieces(child)]
        text, code = (
            " ".join(words for is_code, words in pieces if is_code == kind) for kind in (False, True)
        )
        yield part["ids"][0], _heading(part, title, numbers), text, code


def _is_entry(node: nodes.Node) -> bool:
    if not isinstance(node, nodes.section | nodes.Admonition):
        return False
    titled = node.children and isinstance(node[0], nodes.title)
    return bool(titled and node["ids"] and (isinstance(node, nodes.section) or "label" in node))


def _pieces(node: nodes.Node) -> Iterator[tuple[bool, str]]:
    """Give (whether it is code, text) of a node, without the entries within it."""
    if _is_entry(node):
        return
    if isinstance(node, nodes.literal_block):
        yield True, plain_text(node)
    elif any(_is_entry(inner) or isinstance(inner, nodes.literal_block) for inner in node.findall()):
        for child in node.children:
            yield from _pieces(child)
    elif text := plain_text(node):
        yield False, text


def _heading(part: nodes.Element, title: nodes.title, numbers: dict) -> str:
    kind = part.get("realtype") or part.get("type", "")
    number = numbers.get(kind, {}).get(part["ids"][0])
    counted = [kind.title(), ".".join(map(str, number))] if number else []
    return " ".join([*counted, plain_text(title)])


def _file(app: Sphinx, page: str) -> Path:
    return Path(app.outdir).resolve().parent / ".twinfilters" / "texts" / f"{page}.json"
