"""What a page weighs before its reader scrolls, and that what was left out is not missed."""

import gzip
from urllib.parse import urlsplit

import pytest

from contents import CHAPTER, PAGES

FIRST_VIEW = 500_000
SCHEMES = ["light", "dark"]
# Icons are characters of a font, for private use; without the font they have the width of an empty box.
ICONS = r"""async () => {
  await document.fonts.ready;
  const context = document.createElement("canvas").getContext("2d");
  const drawn = (text, font) => {
    const { canvas } = context;
    canvas.width = canvas.height = 40;
    context.font = font;
    context.fillText(text, 5, 30);
    return canvas.toDataURL();
  };
  const missing = [];
  for (const node of document.querySelectorAll("*")) {
    for (const pseudo of ["::before", "::after"]) {
      const style = getComputedStyle(node, pseudo);
      const text = style.content.match(/[\ue000-\uf8ff]/)?.[0];
      if (!text) continue;
      const font = `${style.fontWeight} 20px ${style.fontFamily}`;
      await document.fonts.load(font, text);
      const blank = drawn("\ue0ff", font);
      if (drawn(text, font) === blank) missing.push(`${node.className}${pseudo}: ${text.codePointAt(0).toString(16)}`);
    }
    if (/(^| )fa-/.test(node.className) && !/[\ue000-\uf8ff]/.test(getComputedStyle(node, "::before").content)) {
      missing.push(`${node.className}: no icon`);
    }
  }
  return missing;
}"""


def loaded(visit, address):
    """Load a page without scrolling; give its path -> size of the compressed content."""
    page, troubles = visit("about:blank", viewport={"width": 1280, "height": 900})
    answers = []
    page.on("response", lambda answer: answers.append(answer))
    page.goto(address)
    page.wait_for_load_state("networkidle")
    assert troubles == []
    return {urlsplit(answer.url).path: len(gzip.compress(answer.body())) for answer in answers}


@pytest.mark.parametrize("name", PAGES)
def test_first_view_is_light(name, bases, visit):
    sizes = loaded(visit, f"{bases['http']}/{name}.html")
    assert f"/{name}.html" in sizes
    assert sum(sizes.values()) <= FIRST_VIEW, sorted(sizes.items(), key=lambda item: -item[1])


@pytest.mark.parametrize("name", PAGES)
def test_pages_load_no_icon_script_no_search_index_and_one_style_sheet(name, bases, visit):
    paths = list(loaded(visit, f"{bases['http']}/{name}.html"))
    assert [path for path in paths if "fontawesome" in path or "searchindex" in path] == []
    assert len([path for path in paths if path.endswith(".css")]) == 1


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", [*PAGES, "search", "genindex"])
def test_every_icon_is_drawn(name, scheme, bases, visit):
    page, troubles = visit(f"{bases['http']}/{name}.html", color_scheme=scheme)
    assert page.locator(".fa-bars").count() == 1
    assert page.evaluate(ICONS) == []
    assert troubles == []


def test_a_missing_icon_is_found(bases, visit):
    page, _ = visit(f"{bases['http']}/{PAGES[0]}.html")
    page.evaluate("document.querySelector('.fa-bars').className = 'fa-solid fa-horse'")
    page.add_style_tag(content=".fa-list::before { content: '\\f6f0' !important }")
    missing = page.evaluate(ICONS)
    assert "fa-solid fa-horse: no icon" in missing
    assert "fa-solid fa-list::before: f6f0" in missing


def test_search_still_finds(bases, visit):
    page, troubles = visit(f"{bases['http']}/search.html?q=gradients")
    page.locator("#search-results li a").first.wait_for()
    assert troubles == []


def test_a_section_far_below_can_be_reached(bases, visit):
    page, troubles = visit(f"{bases['http']}/{CHAPTER}.html#sources")
    # The last section is too short to reach the top of the window.
    page.wait_for_function(
        "(top => top >= 0 && top < innerHeight)(document.getElementById('sources').getBoundingClientRect().top)"
    )
    assert troubles == []
