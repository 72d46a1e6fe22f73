"""Every page under every rule of axe, light and dark, wide and narrow; and what axe cannot see: keys, motion."""

import json

import pytest
from axe_playwright_python.sync_playwright import Axe

from browsing import settled
from contents import CHAPTER, PAGES

AXE = Axe()
WIDTHS = [1280, 390]
# Level AAA of WCAG is no goal: contrast of 7 to 1 for everything, and the same words for the same place only.
NO_GOAL = ["color-contrast-enhanced", "identical-links-same-purpose"]
# What eyes see of a formula is thousands of parts, each of which axe would measure. Their colour is that of the words
# around them, which is made sure of, and all else about them is hidden from assistive technology.
LOOKED_AT = {"include": ["html"], "exclude": [".katex-html"]}
# The page of claims has the source of each test. The colours of three are enough: chapters are full of programs, too.
FEWER_COLOURS = """for (const program of [...document.querySelectorAll(".tf-claim pre")].slice(3))
  program.textContent = program.textContent"""

OTHERWISE_COLOURED = """[...document.querySelectorAll(".katex-html")].flatMap((formula) => {
  const { color } = getComputedStyle(formula.closest(".katex").parentElement);
  const plain = (look) => look.color === color && look.backgroundColor === "rgba(0, 0, 0, 0)";
  const parts = [...formula.querySelectorAll("*")].filter((part) => !plain(getComputedStyle(part)));
  return parts.map((part) => `formula-colour: ${part.outerHTML.slice(0, 100)}`);
})"""


def violations(page, tags=None):
    """What axe finds with all its rules (of these tags), those that are experimental or off by themselves included."""
    page.evaluate(AXE.axe_script)
    rules = page.evaluate(f"axe.getRules({json.dumps(tags)} ?? []).map((rule) => rule.ruleId)")
    options = {
        "resultTypes": ["violations"],
        "runOnly": {"type": "rule", "values": [rule for rule in rules if rule not in NO_GOAL]},
    }
    looked_at = json.dumps(LOOKED_AT)
    found = page.evaluate(
        f"axe.run({looked_at}, {json.dumps(options)}).then((results) => results.violations)"
    )
    return page.evaluate(OTHERWISE_COLOURED) + [
        f"{rule['id']}: {node['html'][:150]} {node['failureSummary']}"
        for rule in found
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", [*PAGES, "search", "genindex"])
def test_axe_finds_nothing(name, width, bases, visit):
    # Colours change at once where motion is reduced.
    options = {"viewport": {"width": width, "height": 844}, "reduced_motion": "reduce"}
    page, troubles = visit(f"{bases['http']}/{name}.html", color_scheme="light", **options)
    page.evaluate(FEWER_COLOURS)
    # All at once: folds lie within folds.
    page.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
    settled(page)
    assert violations(page) == []
    # Colours are what the dark page has of its own.
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    assert violations(page, ["cat.color"]) == []
    assert troubles == []


def test_axe_finds_nothing_where_folds_are_closed(bases, visit):
    page, _ = visit(f"{bases['http']}/{CHAPTER}.html")
    settled(page)
    assert page.locator("details:not([open])").count() > 0
    assert violations(page) == []


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        ("document.querySelector('.bd-article h2').outerHTML = '<h5>Title</h5>'", "heading-order"),
        ("document.querySelector('.bd-article p').style.color = '#aaa'", "color-contrast"),
        ("document.querySelector('svg[role=img]').removeAttribute('aria-label')", "svg-img-alt"),
        ("document.querySelector('.primary-toggle').replaceChildren()", None),
        (
            "for (const a of ['title', 'aria-label']) document.querySelector('.primary-toggle').removeAttribute(a)",
            "button-name",
        ),
        ("document.documentElement.removeAttribute('lang')", "html-has-lang"),
        ("document.body.insertAdjacentHTML('beforeend', '<p>outside of everything</p>')", "region"),
        ("document.querySelector('.bd-article').innerHTML += '<p id=a></p><p id=a></p>'", "duplicate-id"),
        ("document.documentElement.style.setProperty('--tf-ink', '#999')", "color-contrast"),
        ("document.querySelector('.katex-html .mord').style.color = '#777'", "formula-colour"),
        (
            "document.querySelector('.search-button-field').setAttribute('aria-label', 'Find')",
            "label-content-name-mismatch",
        ),
    ],
)
def test_a_broken_page_is_found(broken, rule, bases, visit):
    page, _ = visit(f"{bases['http']}/{PAGES[0]}.html")
    settled(page)
    page.evaluate(broken)
    found = violations(page)
    assert any(line.startswith(f"{rule}:") for line in found) if rule else found == [], found


@pytest.mark.parametrize("name", PAGES)
def test_identifiers_are_used_once(name, bases, visit):
    page, _ = visit(f"{bases['http']}/{name}.html")
    twice = page.evaluate(
        "(ids => ids.filter((id, place) => ids.indexOf(id) !== place))"
        "([...document.querySelectorAll('[id]')].map(node => node.id))"
    )
    assert twice == []


FOCUS = """() => {
  const node = document.activeElement;
  const style = getComputedStyle(node);
  const box = node.getBoundingClientRect();
  const visible = box.width > 0 && box.height > 0 && box.right > 0 && box.left < innerWidth;
  const marked = (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== "none";
  return node === document.body ? null : { name: node.outerHTML.slice(0, 120), visible, marked, x: box.x, y: box.y };
}"""


@pytest.mark.parametrize("name", PAGES)
def test_every_stop_of_the_tab_key_is_seen(name, bases, visit):
    page, _ = visit(f"{bases['http']}/{name}.html", viewport={"width": 1280, "height": 900})
    settled(page)
    stops = []
    for _ in range(40):
        page.keyboard.press("Tab")
        if (stop := page.evaluate(FOCUS)) is None:
            break
        stops.append(stop)
    assert len(stops) > 8
    assert "main-content" in stops[0]["name"], "the first stop leads to the text"
    assert [stop["name"] for stop in stops if not (stop["visible"] and stop["marked"])] == []


def test_the_skip_link_leads_to_the_text(bases, visit):
    page, _ = visit(f"{bases['http']}/{PAGES[0]}.html")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_function("location.hash === '#main-content'")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_what_scrolls_is_reached_by_keyboard(name, width, bases, visit):
    page, _ = visit(f"{bases['http']}/{name}.html", viewport={"width": width, "height": 844})
    settled(page)
    wrong = page.evaluate(
        "[...document.querySelectorAll('.bd-article :is(.tf-formula, pre)')]"
        ".filter(box => box.checkVisibility() && (box.scrollWidth > box.clientWidth) !== (box.tabIndex === 0))"
        ".map(box => box.outerHTML.slice(0, 100))"
    )
    assert wrong == []


def test_reduced_motion_moves_nothing(bases, visit):
    page, _ = visit(f"{bases['http']}/{PAGES[0]}.html", reduced_motion="reduce")
    moving = page.evaluate(
        "[...document.querySelectorAll('*')]"
        ".filter(node => parseFloat(getComputedStyle(node).transitionDuration) > 0.01)"
        ".map(node => node.className)"
    )
    assert moving == []
    assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"


def test_icons_and_folds_are_seen_in_forced_colours(bases, visit):
    page, _ = visit(f"{bases['http']}/{CHAPTER}.html", forced_colors="active")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    for selector, ink in ((".fa-bars", "color"), ("details.tf-fold > summary", "borderRightColor")):
        sign = page.evaluate(
            "([selector, ink]) => getComputedStyle(document.querySelector(selector), '::before')[ink]",
            [selector, ink],
        )
        assert sign != ground
