"""What every page says about itself, with and without an address of its own; site map; page for missing addresses."""

import re
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urljoin
from xml.etree import ElementTree

import pytest
from bs4 import BeautifulSoup
from docutils import nodes
from PIL import Image

from contents import PAGES, PUBLISHED
from twinfilters.sphinx_extension import address, hosting, metadata, plaintext

TITLE = "Twin Filters"
EXTRA = ("search", "genindex", "404")


def head(folder, name):
    return BeautifulSoup((folder / f"{name}.html").read_text(encoding="utf-8"), "html.parser").head


def content(head, **attributes):
    """Content of the one element with these attributes; None without one."""
    found = head.find_all("meta", attrs=attributes)
    assert len(found) <= 1, f"{attributes} stands {len(found)} times"
    return found[0]["content"] if found else None


# --- every page


@pytest.mark.parametrize("name", PAGES)
def test_page_has_title_description_and_terms(name, book):
    page = BeautifulSoup((book / f"{name}.html").read_text(encoding="utf-8"), "html.parser")
    heading = page.select_one(".bd-article h1").contents[0]
    assert page.head.title.string.startswith(f"{heading} — ")
    assert page.html["lang"] == "en"
    description = content(page.head, name="description")
    assert metadata.SHORTEST <= len(description) <= metadata.LONGEST
    assert not re.search(r"[$\\{}<>]", description)
    assert content(page.head, name="author") == "The Twin Filters authors"
    assert page.head.find("link", rel="license")["href"].startswith("https://creativecommons.org/")
    assert len(page.head.find_all("meta", attrs={"name": "theme-color"})) == 2
    assert content(page.head, name="viewport")
    assert content(page.head, name="robots") is None
    assert content(page.head, name="citation_title") == heading
    assert content(page.head, name="citation_author")
    assert re.fullmatch(r"\d{4}", content(page.head, name="citation_publication_date"))


@pytest.mark.parametrize("what", ["title", "description"])
def test_no_two_pages_say_the_same(what, book):
    heads = {name: head(book, name) for name in PAGES}
    said = [
        one.title.string if what == "title" else content(one, name="description") for one in heads.values()
    ]
    assert len(set(said)) == len(said)


@pytest.mark.parametrize("name", [*PAGES, "index"])
def test_without_an_address_a_page_names_none(name, book):
    page = head(book, name)
    assert content(page, property="og:title")
    assert content(page, property="og:description") == content(page, name="description")
    assert page.find("link", rel="canonical") is None
    for what in ("og:url", "og:image"):
        assert content(page, property=what) is None
    assert content(page, name="citation_public_url") is None
    assert content(page, name="twitter:card") == "summary"


@pytest.mark.parametrize("name", PAGES)
def test_with_an_address_a_page_names_its_own(name, published):
    page, own = head(published, name), f"{PUBLISHED}{name}.html"
    assert page.find("link", rel="canonical")["href"] == own
    assert content(page, property="og:url") == own
    assert content(page, name="citation_public_url") == own
    assert content(page, property="og:type") == ("website" if name == PAGES[0] else "article")
    assert content(page, name="twitter:card") == "summary_large_image"
    picture = content(page, property="og:image")
    assert picture.startswith(PUBLISHED)
    assert (published / picture.removeprefix(PUBLISHED)).is_file()


def test_the_picture_has_the_size_that_the_pages_say(book):
    picture = book / "_static" / "social.png"
    with Image.open(picture) as opened:
        assert opened.size == metadata.PICTURE_SIZE
    assert picture.stat().st_size < 100_000


@pytest.mark.parametrize("name", EXTRA)
def test_what_is_no_page_is_not_to_be_found(name, published):
    page = head(published, name)
    assert content(page, name="robots") == "noindex"
    assert page.find("link", rel="canonical") is None
    assert page.title.string.endswith(f" — {TITLE}")


# --- the book's own address


def test_the_front_page_describes_the_book(published):
    page = head(published, "index")
    assert page.title.string.startswith(f"{TITLE}: ")
    assert content(page, name="description") == content(head(published, PAGES[0]), name="description")
    assert page.find("link", rel="canonical")["href"] == f"{PUBLISHED}{PAGES[0]}.html"
    assert content(page, property="og:image")


def test_the_site_map_lists_every_page(published):
    tree = ElementTree.fromstring((published / "sitemap.xml").read_text(encoding="utf-8"))
    names = {"s": "http://www.sitemaps.org/schemas/sitemap/0.9"}
    listed = [place.text for place in tree.findall("s:url/s:loc", names)]
    assert sorted(listed) == sorted(f"{PUBLISHED}{name}.html" for name in PAGES)
    assert f"Sitemap: {PUBLISHED}sitemap.xml" in (published / "robots.txt").read_text(encoding="utf-8")


def test_without_an_address_there_is_no_site_map(book):
    assert not (book / "sitemap.xml").exists()
    assert not (book / "robots.txt").exists()


# --- the page for missing addresses


class StaticHost(SimpleHTTPRequestHandler):
    """Serve a folder below a prefix, as static hosts do: a missing address gets 404.html."""

    prefix = "/"

    def log_message(self, *args):
        pass

    def translate_path(self, path):
        inside = path.startswith(self.prefix)
        return super().translate_path("/" + path.removeprefix(self.prefix) if inside else "/nowhere")

    def send_error(self, code, message=None, explain=None):
        body = Path(self.directory, "404.html").read_bytes()
        self.send_response(code)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(params=["/", "/twin-filters/"])
def host(request, book, published):
    """Give the address of the book on a static host that has it at its root, or in a folder."""
    folder = book if request.param == "/" else published
    kind = type("Host", (StaticHost,), {"prefix": request.param})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(kind, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}{request.param}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("missing", ["nothing", "a/b/c", "book/nothing.html"])
def test_a_missing_address_shows_the_book(missing, host, visit):
    page, troubles = visit(host + missing)
    # The page itself is missing, and nothing else is.
    assert [trouble for trouble in troubles if not trouble.startswith("console error")] == [
        f"status 404: {host}{missing}"
    ]
    assert len(troubles) == 2
    assert page.locator(".bd-article h1").inner_text() == "Page not found"
    assert page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--tf-ink')")
    # What is still on its way, such as the icon, would be given up by going on.
    page.wait_for_load_state("networkidle")
    page.get_by_role("searchbox").first.fill("softmax")
    page.keyboard.press("Enter")
    page.locator("#search-results li a").first.click()
    page.wait_for_url(f"{host}book/**")
    assert len(troubles) == 2


def test_links_of_the_missing_page_lead_somewhere(host, visit):
    page, _ = visit(f"{host}a/b/c")
    links = page.locator("article a").evaluate_all("links => links.map(link => link.href)")
    assert links
    for link in links:
        assert page.request.get(link).status == 200, link


def test_addresses_are_made_absolute_and_others_left_alone():
    page = '<a href="b/c.html"><a href="#d"><a href="https://e.org"><html data-content_root="./">'
    expected = '<a href="/r/b/c.html"><a href="#d"><a href="https://e.org"><html data-content_root="/r/">'
    assert hosting.with_absolute_addresses(page, "/r/") == expected
    assert hosting.with_absolute_addresses(expected, "/r/") == expected


# --- the parts


def section(*paragraphs):
    return nodes.section("", *paragraphs)


def paragraph(text):
    return nodes.paragraph("", "", nodes.Text(text))


def test_a_page_is_described_by_its_first_sentences():
    subtitle = nodes.paragraph("", "", nodes.emphasis("", "", nodes.Text("A subtitle.")))
    box = nodes.admonition("", paragraph("In a box."))
    page = section(
        subtitle, box, paragraph("One sentence. Another one,\non two lines."), paragraph("A third.")
    )
    assert metadata.opening(page) == "One sentence. Another one, on two lines. A third."
    assert metadata.opening(page, limit=41) == "One sentence. Another one, on two lines."
    assert metadata.opening(page, limit=5) == ""


@pytest.fixture
def app(unchecked):
    return SimpleNamespace(env=SimpleNamespace(docname="page"))


@pytest.mark.parametrize("text", ["", "Short.", "Long " * 40 + "."])
def test_a_page_that_describes_itself_badly_is_a_warning(text, app, caplog):
    described = nodes.section("", nodes.meta(name="description", content=text)) if text else nodes.section("")
    metadata.describe_page(app, described)
    assert "a description has 40 to 160 characters" in caplog.text


def test_a_page_that_describes_itself_well_is_none(app, caplog):
    text = "What a reader who has not opened the page wants to know of it."
    metadata.describe_page(app, nodes.section("", nodes.meta(name="description", content=text)))
    assert metadata.descriptions(app.env) == {"page": text}
    assert caplog.text == ""


def test_two_pages_of_one_description_are_a_warning(app, caplog):
    metadata.descriptions(app.env).update(first="The same.", second="The same.", third="Another.")
    metadata.check_descriptions(app, app.env)
    assert caplog.text.count("has the same description as") == 1


def test_formulas_become_text():
    formula = nodes.paragraph(
        "", "", nodes.Text("the gap "), nodes.math("", r"g_t = \lVert w_a - w_b \rVert")
    )
    assert plaintext.plain_text(formula) == "the gap g_t=∥w_a−w_b∥"
    assert (
        plaintext.formula_text(r"\frac{\partial L}{\partial w_i} = \sum_{n=1}^N x_n^2")
        == "∂L/∂w_i=∑_n=1^Nx_n^2"
    )
    assert plaintext.formula_text(r"\nonsense{") == r"\nonsense{"


@pytest.mark.parametrize("url", ["readers.example/book", "ftp://a.b", "https://", "https://a.b/?c"])
def test_a_wrong_address_is_rejected(url):
    with pytest.raises(ValueError, match="must look like https://host/folder, got"):
        address.web_address(url)


def test_an_address_ends_in_one_slash():
    assert address.page_address("https://a.b/c") == address.page_address("https://a.b/c/") == "https://a.b/c/"
    assert address.page_address("") == ""
    assert urljoin(address.page_address("https://a.b/c"), "d.html") == "https://a.b/c/d.html"
