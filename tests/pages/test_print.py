"""The book as one PDF, made once for all tests: what it says, where its links lead, and that no picture is blank."""

import ctypes
import re
import sys

import nbformat
import pypdfium2
import pypdfium2.raw as pdfium
import pytest
import yaml

import twinfilters
from contents import PAGES, ROOT

TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def made(book, once):
    """Make the PDF as its readers do, after the book, whose notebooks have run then."""
    once("pdf", [sys.executable, "-m", "tools.pdf"])
    return ROOT / "_build" / "twin-filters.pdf"


@pytest.fixture(scope="module")
def pdf(made):
    with pypdfium2.PdfDocument(made) as document:
        yield document


@pytest.fixture(scope="module")
def texts(pdf):
    return [" ".join(page.get_textpage().get_text_range().split()) for page in pdf]


@pytest.fixture(scope="module")
def outline(pdf):
    """(level, title, number of the page) of each entry."""
    return [(entry.level, entry.get_title(), entry.get_dest().get_index() + 1) for entry in pdf.get_toc()]


@pytest.fixture(scope="module")
def titles(book, browser):
    """Title of each page of the book, without the sign of its link."""
    page = browser.new_page()
    found = []
    for name in PAGES:
        page.goto((book / f"{name}.html").as_uri())
        found.append(page.locator("article h1").first.inner_text().removesuffix("#").strip())
    page.close()
    return found


def test_it_is_tagged_and_titled_and_has_pages(pdf):
    assert pdf.get_metadata_dict()["Title"] == "Twin Filters"
    assert pdfium.FPDFCatalog_IsTagged(pdf)
    assert len(pdf) > 2 + len(PAGES)
    assert {tuple(round(side) for side in page.get_size()) for page in pdf} == {(595, 842)}


def test_it_is_set_in_the_type_of_the_book(made):
    names = set(re.findall(rb"/FontName /[A-Z]+\+([A-Za-z0-9]+)", made.read_bytes()))
    assert {b"SourceSerif4", b"SourceSans3"} <= names


def test_the_outline_has_parts_chapters_and_sections_in_order(outline, titles):
    parts = [part["caption"] for part in TOC["parts"]]
    found = [title for _, title, _ in outline]
    assert [title for level, title, _ in outline if level == 0] == ["Contents", titles[0], *parts]
    assert [title for level, title, _ in outline if level == 1 and title in titles] == titles[1:]
    assert "Exercises" in found
    places = [place for _, _, place in outline]
    assert places == sorted(places)
    starts = [place for level, title, place in outline if level < 2 and title in titles]
    assert len(set(starts)) == len(titles), "chapters start on pages of their own"


def test_the_contents_know_the_pages(outline, texts):
    first = outline[1][2]
    contents = squeezed(" ".join(texts[1 : first - 1]))
    wanted = [squeezed(f"{title}{place}") for level, title, place in outline[1:] if level < 3]
    start = 0
    for entry in wanted:
        start = contents.find(entry, start) + len(entry)
        assert start >= len(entry), f"{entry} is not in its place in the contents"


def test_pages_are_numbered_and_have_running_heads(outline, texts, titles):
    assert [n for n, text in enumerate(texts, 1) if n > 1 and not re.search(rf"\b{n}\b", text)] == []
    chapter = next(title for title in titles[1:])
    place = next(place for _, title, place in outline if title == chapter)
    assert f"Twin Filters {chapter}" in texts[place], "the page after the first of a chapter"


def test_the_title_page_says_whose_and_which_book_it_is(texts):
    assert "Twin Filters" in texts[0]
    assert twinfilters.__version__ in texts[0]
    assert "The Twin Filters authors" in texts[0]


def test_no_mathematics_is_left_as_source(texts):
    text = "".join(" ".join(texts).split())
    sources = [
        nbformat.read(ROOT / f"{name}.ipynb", 4) for name in PAGES if (ROOT / f"{name}.ipynb").exists()
    ]
    cells = [cell.source for source in sources for cell in source.cells if cell.cell_type == "code"]
    code = "".join(" ".join(cells).split())
    found = re.findall(r"\$[^$]{1,80}\$|\\(?:begin|frac|partial|sum)", text)
    assert [formula for formula in found if formula not in code] == []


def test_what_is_folded_on_the_screen_is_open(texts, book, browser):
    text = letters(" ".join(texts))
    page = browser.new_page()
    for name in PAGES:
        page.goto((book / f"{name}.html").as_uri())
        for folded in page.locator(".tf-answer p, .tf-explanation p, .solution p, .proof p").all():
            start = folded.evaluate(UP_TO_A_FORMULA)
            assert letters(start.removesuffix("#"))[:60] in text, start
    page.close()


def letters(text):
    return re.sub(r"[^a-z]", "", text.lower())


# Formulas are drawn in another order than they are written: words up to the first one.
UP_TO_A_FORMULA = """p => {
  const copy = p.cloneNode(true);
  const formula = copy.querySelector(".math");
  if (formula) {
    const rest = document.createRange();
    rest.setStartBefore(formula);
    rest.setEndAfter(copy.lastChild);
    rest.deleteContents();
  }
  return copy.textContent;
}"""


def squeezed(text):
    """Letters and digits alone: where a page has wide gaps, as the contents do, spaces are found anywhere."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


def links(pdf):
    """(page, page it leads to or None, address or None) of each link."""
    for number, page in enumerate(pdf):
        position, link = ctypes.c_int(0), pdfium.FPDF_LINK()
        while pdfium.FPDFLink_Enumerate(page, position, link):
            target = pdfium.FPDFLink_GetDest(pdf, link)
            place = pdfium.FPDFDest_GetDestPageIndex(pdf, target) + 1 if target else None
            action = pdfium.FPDFLink_GetAction(link)
            address = None
            if action and pdfium.FPDFAction_GetType(action) == pdfium.PDFACTION_URI:
                size = pdfium.FPDFAction_GetURIPath(pdf, action, None, 0)
                buffer = ctypes.create_string_buffer(size)
                pdfium.FPDFAction_GetURIPath(pdf, action, buffer, size)
                address = buffer.value.decode()
            yield number + 1, place, address


def test_links_lead_into_the_book_or_to_the_web(pdf, outline):
    found = list(links(pdf))
    inside = [(start, place) for start, place, _ in found if place]
    assert [
        address for _, place, address in found if not place and not (address or "").startswith("http")
    ] == []
    (bibliography,) = [place for _, title, place in outline if title == "Bibliography"]
    chapters = range(outline[1][2], bibliography)
    assert any(start in chapters and place == bibliography for start, place in inside), "citations"
    assert sum(start == 2 for start, _ in inside) >= len(PAGES), "contents"


def test_no_page_and_no_picture_is_blank(pdf, texts, book, browser):
    assert [n for n, text in enumerate(texts, 1) if len(text) < 40] == []
    page = browser.new_page()
    count = 0
    for name in PAGES:
        page.goto((book / f"{name}.html").as_uri())
        for words in page.locator("figure figcaption .caption-text, .tf-explore .tf-status").all():
            said = words.evaluate(UP_TO_A_FORMULA).removesuffix("#").strip()
            if said:
                assert max(ink_above(pdf, texts, said), default=0) > 1000, f"no picture above: {said}"
                count += 1
    page.close()
    assert count > 0


def ink_above(pdf, texts, said, height=110):
    """Points that are not light in the stripe above a text, in each place where pages have it."""
    for number, text in enumerate(texts):
        if squeezed(said)[:60] in squeezed(text):
            page = pdf[number]
            found = page.get_textpage().search(" ".join(said.split()[:3])).get_next()
            points = page.render(scale=1).to_numpy()[:, :, :3].min(axis=2)
            _, _, _, top = page.get_textpage().get_charbox(found[0])
            bottom = round(page.get_height() - top) - 3
            yield int((points[max(0, bottom - height) : bottom] < 200).sum())


def test_widgets_say_where_they_move_and_show_no_controls(texts):
    text = " ".join(texts)
    assert "Reset" not in text
    assert "Check my answer" not in text
    assert "Try again" not in text
