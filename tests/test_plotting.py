import re

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

from twinfilters import plotting


@pytest.fixture(autouse=True)
def style():
    with mpl.rc_context(plotting.STYLE):
        yield
    plt.close("all")


def figure(color=plotting.TWIN_A, title="gap"):
    drawn, axes = plt.subplots(1, 2)
    axes[0].plot([1, 2, 4], color=color)
    axes[0].set(xlabel="step", title=title)
    plotting.filter_image(axes[1], np.array([[1.0, -1.0], [0.5, 0.0]]), limit=1.0)
    return drawn


def ids(svg):
    return re.findall(r'\sid="([^"]+)"', svg)


def test_the_same_figure_gives_the_same_svg():
    assert plotting.figure_svg(figure()) == plotting.figure_svg(figure())


def test_every_named_colour_becomes_a_property_with_its_light_value_as_fallback():
    drawn, axes = plt.subplots()
    for light, _ in plotting.THEME.values():
        axes.axhline(0, color=light)
    svg = plotting.figure_svg(drawn)
    for name, (light, _) in plotting.THEME.items():
        assert f"var(--tf-{name}, {light})" in svg
        assert not re.search(rf"(?<!, ){light}", svg)


def test_a_plain_figure_has_no_colour_that_would_not_follow_the_theme():
    drawn, axes = plt.subplots()
    axes.plot([1, 2, 4], label="gap")
    axes.bar([0, 1], [1, 2])
    axes.legend()
    without_properties = re.sub(r"var\([^)]*\)", "", plotting.figure_svg(drawn))
    assert set(re.findall(r"#[0-9a-f]{6}\b(?!-)", without_properties)) == set()


def test_svg_can_be_inlined():
    svg = plotting.figure_svg(figure())
    assert svg.startswith("<svg ")
    assert "viewBox" in svg
    # Either would reach the whole page.
    assert "<style" not in svg
    assert "<?xml" not in svg


def test_cells_of_a_colour_mesh_that_look_alike_are_one_path():
    drawn, axes = plt.subplots()
    axes.pcolormesh(np.arange(20).reshape(4, 5) % 3, edgecolors=plotting.PAPER, linewidth=0.5)
    axes.set_axis_off()
    outlines = re.findall(r'<path d="([^"]*)"', plotting.figure_svg(drawn))
    assert sorted(outline.count("M") for outline in outlines)[-3:] == [6, 7, 7]


def test_references_are_to_identifiers_of_the_same_figure():
    svg = plotting.figure_svg(figure())
    referenced = set(re.findall(r'(?:href="|url\()#([^")]+)', svg))
    assert referenced == set(ids(svg))
    assert len(ids(svg)) == len(set(ids(svg))) > 0


def test_identifiers_of_two_figures_do_not_collide():
    first, second = plotting.figure_svg(figure()), plotting.figure_svg(figure(title="gap, later"))
    assert set(ids(first)).isdisjoint(ids(second))
    renamed = plotting.prefix_ids(first, "again")
    assert set(ids(first)).isdisjoint(ids(renamed))
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', renamed)) == set(ids(renamed))


def test_labelled_escapes_the_description():
    svg = plotting.labelled("<svg>", 'a < b & "c"')
    assert svg == '<svg role="img" aria-label="a &lt; b &amp; &quot;c&quot;">'


def test_theme_css_gives_every_property_both_values():
    css = plotting.theme_css()
    for name, (light, dark) in plotting.THEME.items():
        assert f"--tf-{name}: {light};" in css
        assert f"--tf-{name}: {dark};" in css


def linear(hex_color):
    channels = np.array([int(hex_color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def contrast(first, second):
    light, dark = sorted((linear(c) @ [0.2126, 0.7152, 0.0722] for c in (first, second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("name", [name for name in plotting.THEME if name not in ("paper", "grid")])
def test_colours_can_be_read_as_text(name, theme):
    # 4.5 is WCAG's level AA for text: curves are labelled in their own colour.
    assert contrast(plotting.THEME[name][theme], plotting.THEME["paper"][theme]) >= 4.5


# Linear-light simulation of complete dichromacy (Vienot, Brettel and Mollon 1999).
DICHROMAT = {
    "protan": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
    "deutan": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
}


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("kind", DICHROMAT)
def test_twins_differ_for_colour_blind_readers(kind, theme):
    first, second = (
        np.clip(np.array(DICHROMAT[kind]) @ linear(plotting.THEME[name][theme]), 0, 1) ** (1 / 2.4)
        for name in ("twin-a", "twin-b")
    )
    assert np.abs(first - second).max() > 0.35


def test_filter_image_shares_a_symmetric_scale():
    _, axes = plt.subplots()
    image = plotting.filter_image(axes, np.array([[0.25, -0.5]]), limit=2.0, title="twin A").images[0]
    assert (image.norm.vmin, image.norm.vmax) == (-2, 2)
    assert axes.get_title(loc="left") == "twin A"


def test_filter_image_writes_numbers():
    _, axes = plt.subplots()
    plotting.filter_image(axes, np.array([[0.25, -2.0]]), limit=2.0, number_format="{:+.2f}".format)
    assert [text.get_text() for text in axes.texts] == ["+0.25", "-2.00"]


def test_filter_image_says_what_is_wrong(unchecked):
    _, axes = plt.subplots()
    with pytest.raises(ValueError, match=r"weights must have shape \(H, W\), got \(3,\)"):
        plotting.filter_image(axes, np.zeros(3), limit=1.0)
    with pytest.raises(ValueError, match=r"limit must be positive, got 0\.0"):
        plotting.filter_image(axes, np.zeros((2, 2)), limit=0.0)
