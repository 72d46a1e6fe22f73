"""The look where a machine can check it: nothing sticks out, boxes fold, previews come and go, colours differ."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from browsing import settled
from contents import CHAPTER, PAGES
from twinfilters import plotting


@pytest.mark.parametrize("width", [360, 820, 1280])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_sticks_out(name, width, bases, visit):
    page, _ = visit(f"{bases['http']}/{name}.html", viewport={"width": width, "height": 800})
    settled(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    out = page.evaluate(
        "[...document.querySelectorAll('.bd-article :is(p, table, figure, .tf-equation, .admonition, pre, svg)')]"
        ".filter(node => node.checkVisibility())"
        ".filter(node => !node.closest('.pst-scrollable-table-container, pre *, .tf-formula *'))"
        ".filter(node => node.getBoundingClientRect().right > innerWidth + 1)"
        ".map(node => node.outerHTML.slice(0, 100))"
    )
    assert out == []


# --- folding


def test_proofs_are_open_and_solutions_closed(bases, visit):
    page, _ = visit(f"{bases['http']}/{CHAPTER}.html")
    settled(page)
    assert page.locator("details.proof").count() == page.locator("details.proof[open]").count() > 0
    assert page.locator("details.solution").count() > 0
    assert page.locator("details.solution[open]").count() == 0
    assert page.locator("details.proof > summary").first.inner_text() == "Proof"
    assert page.locator("details.solution > summary").first.inner_text().startswith("Solution to Exercise ")


def test_a_fold_opens_by_keyboard_and_without_scripts(bases, visit):
    page, _ = visit(f"{bases['http']}/{CHAPTER}.html", java_script_enabled=False)
    solution = page.locator("details.solution").first
    solution.locator("summary").focus()
    page.keyboard.press("Enter")
    assert solution.get_attribute("open") is not None
    assert solution.locator("p").first.is_visible()


def test_paper_shows_what_is_folded(bases, visit):
    page, _ = visit(f"{bases['http']}/{CHAPTER}.html")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details.solution[open]").count() == 0


# --- previews


def link_to_a_statement(page):
    settled(page)
    return page.locator('.bd-article a.reference.internal[href="#thm-identical-gradients"]').first


@pytest.mark.parametrize("way", ["http", "file"])
def test_pointing_at_a_reference_shows_what_it_is(way, bases, visit):
    page, troubles = visit(f"{bases[way]}/{CHAPTER}.html")
    link, preview = link_to_a_statement(page), page.locator(".tf-preview")
    link.hover()
    preview.wait_for(state="visible")
    assert "Identical gradients" in preview.inner_text()
    assert link.get_attribute("aria-describedby") == preview.get_attribute("id")
    box = preview.bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.wait_for_timeout(600)
    assert preview.is_visible(), "the pointer may move onto it"
    page.keyboard.press("Escape")
    assert preview.is_hidden()
    assert troubles == []


@pytest.mark.parametrize("way", ["http", "file"])
def test_what_stands_on_another_page_is_shown_too(way, bases, visit):
    page, troubles = visit(f"{bases[way]}/book/part-1-identical/what-breaks-the-tie.html")
    settled(page)
    page.locator('.bd-article a[href="identical-gradients.html#thm-identical-gradients"]').first.hover()
    preview = page.locator(".tf-preview")
    preview.wait_for(state="visible")
    assert "Identical gradients" in preview.inner_text()
    assert preview.locator(".katex").count() > 0
    assert troubles == []


def test_a_preview_goes_when_the_pointer_goes(bases, visit):
    page, _ = visit(f"{bases['http']}/{CHAPTER}.html")
    link_to_a_statement(page).hover()
    page.locator(".tf-preview").wait_for(state="visible")
    page.mouse.move(1, 1)
    page.locator(".tf-preview").wait_for(state="hidden")


def test_the_keyboard_gets_previews_too(bases, visit):
    page, _ = visit(f"{bases['http']}/{CHAPTER}.html")
    link = link_to_a_statement(page)
    page.keyboard.press("Tab")
    link.focus()
    preview = page.locator(".tf-preview")
    assert preview.is_visible()
    assert preview.locator("[id], a, [tabindex]").count() == 0
    page.keyboard.press("Tab")
    assert "Identical gradients" not in (preview.inner_text() if preview.is_visible() else "")


def test_citations_say_what_they_cite(bases, visit):
    page, _ = visit(f"{bases['http']}/{PAGES[0]}.html")
    settled(page)
    page.locator(".bd-article .bibtex-citation a").first.hover()
    page.locator(".tf-preview").wait_for(state="visible")
    assert "Is there anything that ensures" in page.locator(".tf-preview").inner_text()


# --- colours

# Machado, Oliveira, Fernandes, "A physiologically-based model for simulation of color vision deficiency", 2009.
BLINDNESS = {
    "none": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def lightness_and_colour(colour, matrix):
    """CIE L*a*b* of a colour as someone with this blindness sees it."""
    linear = np.array([c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)])
    linear = np.clip(np.asarray(matrix) @ linear, 0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.cbrt(np.maximum(to_xyz @ linear / [0.9505, 1, 1.089], 1e-6))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def difference(one, other, blindness):
    matrix = BLINDNESS[blindness]
    return np.linalg.norm(lightness_and_colour(one, matrix) - lightness_and_colour(other, matrix))


@pytest.mark.parametrize("blindness", BLINDNESS)
@pytest.mark.parametrize("scheme", [0, 1])
def test_colours_differ_for_every_reader(scheme, blindness):
    colours = [plotting.THEME[name][scheme] for name in ("twin-a", "twin-b", "accent", "extra", "paper")]
    twins = difference(*colours[:2], blindness)
    assert twins > 40
    for place, one in enumerate(colours):
        for other in colours[place + 1 :]:
            assert difference(one, other, blindness) > 11, (one, other)
