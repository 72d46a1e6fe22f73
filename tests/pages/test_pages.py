"""Every page of the book in a real browser, over http and from a file, with all other hosts out of reach."""

import json
import re

import nbformat
import pytest

from contents import PAGES, ROOT, pages_of

# --- what a page must not have

LEFTOVERS = r"""() => {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (node.parentElement.closest("code, pre, script, style, noscript, .katex, svg")) continue;
    const match = node.data.match(/\$[^$\n]+\$|\\\(|\\\[|\\begin\{/);
    if (match) found.push("mathematics not typeset: " + match[0]);
  }
  for (const node of document.querySelectorAll(".katex-error")) found.push("KaTeX error: " + node.textContent);
  for (const image of document.querySelectorAll("img")) {
    const decorative = image.closest(".navbar-brand") && image.hasAttribute("alt");
    if (!decorative && !image.getAttribute("alt")?.trim()) found.push("image without alt: " + image.src);
  }
  for (const svg of document.querySelectorAll("main svg[role=img]:not(.svg-inline--fa)")) {
    if (!svg.getAttribute("aria-label")?.trim()) found.push("picture without aria-label");
  }
  for (const control of document.querySelectorAll("main :is(input, select, textarea):not([type=hidden])")) {
    if (!control.labels?.length && !control.ariaLabel) found.push("control without label: " + control.outerHTML);
  }
  const ids = [...document.querySelectorAll("[id]")].map((node) => node.id);
  const drawn = new Set([...document.querySelectorAll("svg [id]")].map((node) => node.id));
  for (const id of drawn) {
    if (ids.filter((other) => other === id).length > 1) found.push("id used twice: " + id);
  }
  return found;
}"""


def without_code(markdown):
    return re.sub(r"```.*?```|~~~.*?~~~|`[^`]*`", "", markdown, flags=re.DOTALL)


def has_mathematics(source):
    """Whether the text of a page, its code aside, contains mathematics."""
    if source.suffix == ".ipynb":
        cells = nbformat.read(source, as_version=4).cells
        text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    else:
        text = source.read_text(encoding="utf-8")
    return bool(re.search(r"\$[^$]+\$|\\begin\{", without_code(text)))


def widget_troubles(page):
    """Move every control of every widget by keyboard; say which of them do nothing."""
    troubles = []
    for widget in page.locator(".tf-explore").all():
        widget.scroll_into_view_if_needed()
        picture = widget.locator(".tf-pictures")
        for control in widget.locator("[data-control]").all():
            name = control.get_attribute("data-control")
            before = drawn(picture)
            if not moved(page, control, picture, before):
                troubles.append(f"the picture does not change with {name!r}")
            if widget.locator(".tf-error").is_visible():
                troubles.append(f"{name!r} gives: {widget.locator('.tf-error').inner_text()}")
            widget.locator(".tf-reset").focus()
            page.keyboard.press("Enter")
            if not changed(page, picture, lambda now, before=before: now == before):
                troubles.append(f"reset does not bring back the picture after {name!r}")
    return troubles


def moved(page, control, picture, before):
    """Whether the picture changes when a control is moved through all its positions by keyboard."""
    kind = control.get_attribute("type")
    positions = control.evaluate(
        "c => c.type === 'checkbox' ? 2 : c.type === 'range' ? Number(c.max) + 1 : c.options.length"
    )
    ways = {"checkbox": ["Space"], "range": ["ArrowRight", "ArrowLeft"]}.get(kind, ["ArrowDown", "ArrowUp"])
    control.focus()
    for key in ways:
        for _ in range(positions - 1):
            page.keyboard.press(key)
            if changed(page, picture, lambda now: now != before):
                return True
    return False


def drawn(picture):
    """Content of the pictures, without their descriptions, and without what identifiers begin with."""
    contents = picture.locator("svg, img").evaluate_all("all => all.map(one => one.src ?? one.innerHTML)")
    return [re.sub(r"\btf\w+-\d+-", "", content) for content in contents]


def changed(page, picture, wanted, patience=2000):
    """Wait until the picture is as wanted and nothing is being drawn."""
    for _ in range(patience // 20):
        if picture.get_attribute("aria-busy") is None and wanted(drawn(picture)):
            return True
        page.wait_for_timeout(20)
    return False


# --- the pages


def test_the_table_of_contents_is_read():
    assert len(PAGES) == len(set(PAGES)) > 0


@pytest.mark.parametrize("way", ["http", "file"])
@pytest.mark.parametrize("name", PAGES)
def test_page(name, way, bases, book, visit):
    assert (book / f"{name}.html").is_file(), f"{name} is in the table of contents and was not built"
    page, troubles = visit(f"{bases[way]}/{name}.html")
    (source,) = [path for path in ROOT.glob(f"{name}.*") if path.suffix in (".md", ".ipynb")]
    if has_mathematics(source) and page.locator(".katex").count() == 0:
        troubles.append("the source has mathematics, the page has none")
    assert page.locator(".bd-article h1").count() == 1
    troubles += page.evaluate(LEFTOVERS)
    troubles += widget_troubles(page)
    assert troubles == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_no_page_is_wider_than_a_phone(name, scheme, bases, visit):
    page, troubles = visit(
        f"{bases['http']}/{name}.html", viewport={"width": 390, "height": 844}, color_scheme=scheme
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    assert troubles == []


def test_the_front_page_leads_into_the_book(bases, visit):
    page, troubles = visit(f"{bases['http']}/index.html")
    page.wait_for_url(f"**/{PAGES[0]}.html")
    assert troubles == []


def test_without_scripts_a_page_still_has_its_pictures_and_mathematics(bases, book, visit):
    for name in PAGES:
        page, _ = visit(f"{bases['http']}/{name}.html", java_script_enabled=False)
        shown = page.locator(".tf-explore:has(.tf-picture :is(svg[role=img], img))")
        assert shown.count() == page.locator(".tf-explore").count()


# --- the checks can fail


@pytest.fixture
def broken(tmp_path, serve, visit):
    def opened(body, way="http"):
        (tmp_path / "broken.html").write_text(f"<!doctype html><main>{body}</main>", encoding="utf-8")
        (tmp_path / "favicon.ico").write_bytes(b"")
        base = {"http": serve(tmp_path), "file": tmp_path.as_uri()}[way]
        return visit(f"{base}/broken.html")

    return opened


@pytest.mark.parametrize(
    ("body", "trouble"),
    [
        ('<script src="https://example.org/a.js"></script>', "external request: https://example.org/a.js"),
        ('<script src="missing.js"></script>', "status 404"),
        ("<script>nothing.at.all</script>", "page error: nothing is not defined"),
        ("<script>console.error('oh')</script>", "console error: oh"),
        ("<p>the gap $g$</p>", "mathematics not typeset: $g$"),
        (r"<p>\begin{align}</p>", r"mathematics not typeset: \begin{"),
        ('<code class="katex-error">x</code>', "KaTeX error: x"),
        ('<img src="favicon.ico">', "image without alt"),
        ('<svg role="img"></svg>', "picture without aria-label"),
        ("<input>", "control without label"),
        ('<svg><g id="a"/></svg><svg><g id="a"/></svg>', "id used twice: a"),
    ],
)
def test_a_broken_page_is_found(body, trouble, broken):
    page, troubles = broken(body)
    troubles += page.evaluate(LEFTOVERS)
    assert any(trouble in found for found in troubles), troubles


def test_a_page_without_faults_passes(broken):
    page, troubles = broken(
        "<p>costs $5</p><pre>$x$</pre><img alt='x' src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>"
    )
    assert troubles + page.evaluate(LEFTOVERS) == []


DEAD = (
    '<div class="tf-explore"><label>gap <input type="range" data-control="gap" min="0" max="1"></label>'
    '<button class="tf-reset">Reset</button><div class="tf-pictures"><svg></svg></div>'
    '<p class="tf-error" hidden></p></div>'
)


def test_a_dead_widget_is_found(broken):
    page, _ = broken(DEAD)
    assert widget_troubles(page) == ["the picture does not change with 'gap'"]


def test_a_page_missing_from_disk_is_found(broken, serve, tmp_path, visit):
    _, troubles = visit(f"{serve(tmp_path)}/none.html")
    assert any("status 404" in trouble for trouble in troubles)


def test_mathematics_in_a_source_is_found(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("the gap $g$")])
    (tmp_path / "a.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    (tmp_path / "b.md").write_text("`$HOME` and\n```\n$x$\n```\n", encoding="utf-8")
    assert has_mathematics(tmp_path / "a.ipynb")
    assert not has_mathematics(tmp_path / "b.md")


def test_nested_tables_of_contents_are_read():
    toc = {"root": "a", "parts": [{"chapters": [{"file": "b", "sections": [{"file": "c"}]}]}]}
    assert pages_of(toc) == ["a", "b", "c"]
