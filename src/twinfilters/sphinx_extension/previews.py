"""Previews of what other pages say: a link to a statement, an equation or a figure elsewhere carries a copy of it.

On the page itself a script copies what a link leads to (book/scripts/preview.js). From another page it could not be
had without a request, and from a folder not at all, so the copies come with the page, in ``template`` elements at its
end. They are written anew with every build, as the other page may have changed where this one has not.
"""

import posixpath
import re
from pathlib import Path

from sphinx.application import Sphinx

LINK = re.compile(r'<a class="reference internal" href="([^"#:]+\.html)#([^"]+)"')
START = re.compile(r'<(div|details|figure|table)\b[^>]*\bid="([^"]+)"[^>]*>')
SHOWN = re.compile(r"<figure|<table|class=\"[^\"]*\b(?:admonition|tf-equation)\b")
BEGIN, END = "<!-- previews -->", "<!-- /previews -->"
WRITTEN = re.compile(f"{BEGIN}.*?{END}\n", re.DOTALL)


def setup(app: Sphinx) -> None:
    """Register what writes the copies, before style sheets are cut to what pages use."""
    app.connect("build-finished", write_previews, priority=800)


def write_previews(app: Sphinx, exception: Exception | None) -> None:
    """Write the copies into each page."""
    if exception or app.builder.name != "html":
        return
    folder = Path(app.outdir)
    pages = {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in folder.rglob("*.html")
    }
    for name, page in with_previews(pages).items():
        if page != pages[name]:
            (folder / name).write_text(page, encoding="utf-8")


def with_previews(pages: dict[str, str]) -> dict[str, str]:
    """Give pages, name -> text, with copies of what their links lead to on other pages."""
    bare = {name: WRITTEN.sub("", page) for name, page in pages.items()}
    places = {name: elements(page) for name, page in bare.items()}
    done = {}
    for name, page in bare.items():
        copies = []
        for target, key in dict.fromkeys(LINK.findall(page)):
            other = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
            # The list of all claims shows its statements itself.
            if key in places.get(other, ()) and "tf-claim-said" not in page:
                copy = element(bare[other], places[other][key])
                copies.append(f'<template data-preview="{target}#{key}">{copy}</template>')
        block = "\n".join([BEGIN, *copies, END, ""])
        done[name] = page.replace("</body>", f"{block}</body>") if copies else page
    return done


def elements(page: str) -> dict[str, re.Match]:
    """Give identifier -> start of each element that is worth a preview."""
    return {match[2]: match for match in START.finditer(page) if SHOWN.search(match[0])}


def element(page: str, start: re.Match) -> str:
    """Give the element that starts there, with all that is in it."""
    depth = 0
    for tag in re.compile(rf"<(/?){start[1]}\b").finditer(page, start.start()):
        depth += -1 if tag[1] else 1
        if depth == 0:
            return page[start.start() : page.index(">", tag.end()) + 1]
    raise ValueError(f"the element {start[0]!r} does not end")
