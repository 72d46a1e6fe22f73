"""The search finds sections by keyboard, over http and from a file, and shows where the words stand."""

import json
import re
from urllib.parse import quote

import pytest
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup

from contents import CHAPTER, PAGES

# What the search finds -> a query, a heading among the first results, numbers left out, and a word of its excerpt.
QUERIES = {
    "prose": ("origin page question", "Identical gradients", "origin"),
    "a statement": ("theorem tied filters", "Theorem (Tied filters, untied readouts)", "tied"),
    "an exercise": ("mirror twins", "Exercise (Mirror twins)", "tanh"),
    "code": ("gradient_distances cells", "The whole table", "gradient"),
    "what code printed": ("training images correct", "Look", "correct"),
    "a caption": ("orange negative scale six twins", "Look", "orange"),
    "the description of a picture": ("pattern side by side pixels", "Look", "pixels"),
    "a source": ("Fukumizu Amari plateaus", "Bibliography", "plateaus"),
    "a misspelt word": ("gradeint readuot", None, "gradient"),
}
# Results that are seen without scrolling.
SEEN = 6
SCRIPTS = ("search-texts.js", "minisearch", "searchindex.js", "searchtools.js", "language_data.js")

ways = pytest.mark.parametrize("way", ["http", "file"])


@pytest.fixture(scope="module")
def texts(book):
    script = (book / "_static" / "search-texts.js").read_text(encoding="utf-8")
    return json.loads(re.fullmatch(r"var twinfiltersTexts=(.*);\n", script)[1])


def entries(texts):
    return [(address, *entry) for address, (_, parts) in texts.items() for entry in parts]


def search_page(base, query):
    return f"{base}/search.html?q={quote(query)}"


# --- what is shipped


def test_every_page_can_be_found(texts):
    assert sorted(texts) == sorted(f"{name}.html" for name in PAGES)
    assert all(parts for _, parts in texts.values())


def test_every_place_is_on_its_page(texts, book):
    for address, (_, parts) in texts.items():
        page = BeautifulSoup((book / address).read_text(encoding="utf-8"), "html.parser")
        places = {element["id"] for element in page.find_all(id=True)}
        assert [place for place, *_ in parts if place not in places] == []


def test_texts_contain_neither_markup_nor_latex(texts):
    for _, _, heading, text, _ in entries(texts):
        assert heading.strip()
        assert not re.search(
            r"</|<[a-z]+[1-6]?(?:>| [a-z-]+=)|\\[a-zA-Z]{2,}|\{[a-z]+:?[a-z]*\}`|aria-|class=", heading + text
        ), text


def test_every_section_and_statement_has_words(texts):
    empty = [(address, heading) for address, _, heading, text, code in entries(texts) if not text + code]
    # A section that consists of statements or exercises alone has no words of its own.
    assert {heading for _, heading in empty} <= {"Exercises"}


# --- how it is used


@ways
@pytest.mark.parametrize("what", QUERIES)
def test_found_on_the_page_of_the_search(what, way, bases, visit):
    query, heading, word = QUERIES[what]
    page, troubles = visit(search_page(bases[way], query))
    results = page.locator("#search-results li")
    results.first.wait_for()
    headings = [re.sub(r" \d+", "", text) for text in results.locator("a").all_inner_texts()[:SEEN]]
    assert heading is None or heading in headings
    first = results.nth(headings.index(heading) if heading else 0)
    assert word in first.locator(".context").inner_text()
    assert first.locator("mark").count() > 0
    assert re.fullmatch(r"\d+ places? found\.", page.locator(".search-summary").inner_text())
    assert troubles == []


@ways
def test_found_from_a_chapter_by_keyboard(way, bases, visit):
    requests = []
    page, troubles = visit(f"{bases[way]}/{CHAPTER}.html")
    page.on("request", lambda request: requests.append(request.url))
    page.keyboard.press("Control+k")
    page.keyboard.type("thousands of steps")
    result = page.locator("#pst-search-dialog li a").first
    result.wait_for()
    assert result.inner_text() == "Thousands of steps"
    page.keyboard.press("ArrowDown")
    assert result.evaluate("link => link === document.activeElement")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.name") == "q"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/{CHAPTER}.html#thousands-of-steps")
    assert troubles == []
    assert any("search-texts.js" in url for url in requests)


@ways
def test_enter_shows_everything_on_the_page_of_the_search(way, bases, visit):
    page, troubles = visit(f"{bases[way]}/{CHAPTER}.html")
    page.keyboard.press("Control+k")
    page.keyboard.type("twins")
    page.locator("#pst-search-dialog li").first.wait_for()
    assert page.locator("#pst-search-dialog li").count() <= 8
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=twins")
    page.locator("#search-results li").first.wait_for()
    assert page.locator("#search-results li").count() > 8
    assert page.locator(".bd-search-container input").input_value() == "twins"
    assert troubles == []


@ways
def test_results_change_while_one_types(way, bases, visit):
    page, troubles = visit(f"{bases[way]}/search.html")
    assert page.evaluate("document.activeElement.name") == "q"
    page.keyboard.type("softmax")
    page.get_by_text("places found").wait_for()
    page.keyboard.type("zebra")
    page.get_by_text("Nothing found for “softmaxzebra”.").wait_for()
    assert page.locator("#search-results li").count() == 0
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    page.locator(".search-summary").wait_for(state="detached")
    assert troubles == []


def test_some_of_the_words_are_better_than_nothing(bases, visit):
    page, _ = visit(search_page(bases["http"], "softmax zebra"))
    page.get_by_text("Nowhere are all of “softmax zebra”").wait_for()
    assert page.locator("#search-results li").count() > 0


def test_what_is_searched_for_is_never_taken_for_markup(bases, visit):
    page, troubles = visit(search_page(bases["http"], "<img src=x onerror=alert(1)> (a|b] twins"))
    page.locator(".search-summary").wait_for()
    assert page.locator("#search-results img").count() == 0
    assert troubles == []


def test_a_search_that_cannot_be_loaded_says_so(bases, visit):
    page, _ = visit(f"{bases['http']}/search.html")
    page.route("**/search-texts.js", lambda route: route.abort())
    page.reload()
    page.keyboard.type("softmax")
    page.get_by_text("The search could not be loaded.").wait_for()


@pytest.mark.parametrize("name", PAGES)
def test_nothing_of_the_search_is_loaded_before_it_is_used(name, bases, visit):
    page, _ = visit(f"{bases['http']}/{name}.html")
    loaded = page.evaluate("performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [url for url in loaded if any(script in url for script in SCRIPTS)] == []


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_results_are_accessible(scheme, width, bases, visit):
    window = {"viewport": {"width": width, "height": 844}, "color_scheme": scheme}
    page, _ = visit(search_page(bases["http"], "gradients readout"), **window)
    page.locator("#search-results li").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page, context=".bd-search-container").response["violations"]
    page.keyboard.press("Escape")
    page.goto(f"{bases['http']}/{CHAPTER}.html")
    page.keyboard.press("Control+k")
    page.keyboard.type("softmax")
    page.locator("#pst-search-dialog li").first.wait_for()
    found += Axe().run(page, context="#pst-search-dialog").response["violations"]
    assert [(rule["id"], node["html"]) for rule in found for node in rule["nodes"]] == []
