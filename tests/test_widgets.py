import json
import re
from dataclasses import astuple
from html import unescape

import ipywidgets
import matplotlib.pyplot as plt
import nbclient
import nbformat
import numpy as np
import pytest
import traitlets
from matplotlib.figure import Figure

from twinfilters.widgets import Explore, Slider, decades, explore
from twinfilters.widgets.controls import control
from twinfilters.widgets.markup import widget as markup
from twinfilters.widgets.pictures import picture
from twinfilters.widgets.snapshot import SNAPSHOT_VARIABLE


def draw(power, log):
    figure = Figure(figsize=(2, 1))
    axes = figure.subplots()
    axes.plot([n**power for n in range(1, 9)])
    axes.set_yscale("log" if log else "linear")
    return figure, f"Power {power}, {'log' if log else 'linear'} axis."


@pytest.fixture
def book(monkeypatch, tmp_path):
    """Make believe that the book is being built."""
    monkeypatch.setenv(SNAPSHOT_VARIABLE, str(tmp_path))
    return tmp_path


def stored(book, page):
    """Read back the frames a page refers to."""
    key = re.search(r'data-explore="([0-9a-f]{16})"', page)[1]
    script = (book / f"{key}.js").read_text(encoding="utf-8")
    prefix = f'(self.tfExplore=self.tfExplore||{{}})["{key}"]='
    assert script.startswith(prefix)
    content = json.loads(script.removeprefix(prefix).removesuffix(";\n").replace("<\\/", "</"))
    frames = [
        [("".join(content["pieces"][part] for part in parts), *rest) for parts, *rest in frame]
        for frame in content["frames"]
    ]
    return content["order"], frames


# --- abbreviations


@pytest.mark.parametrize(
    ("given", "kind", "values", "initial"),
    [
        (True, "checkbox", (False, True), True),
        (False, "checkbox", (False, True), False),
        ((0, 4), "range", (0, 1, 2, 3, 4), 2),
        ((0, 10, 5), "range", (0, 5, 10), 5),
        ((0.0, 1.0, 0.1), "range", tuple(n / 10 for n in range(11)), 0.5),
        ((0.0, 0.5), "range", (0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5), 0.25),
        (2, "range", tuple(range(-2, 7)), 2),
        (0, "range", (0, 1), 0),
        (["tanh", "relu"], "select", ("tanh", "relu"), "tanh"),
        ({"small": 1e-6, "large": 1.0}, "select", (1e-6, 1.0), 1e-6),
        ([("small", 1e-6), ("large", 1.0)], "select", (1e-6, 1.0), 1e-6),
        ([True, False], "select", (True, False), True),
        (ipywidgets.fixed(7), "fixed", (7,), 7),
        (ipywidgets.Checkbox(value=True), "checkbox", (False, True), True),
        (ipywidgets.IntSlider(min=1, max=3, value=3), "range", (1, 2, 3), 3),
        (ipywidgets.Dropdown(options=["a", "b"], value="b"), "select", ("a", "b"), "b"),
        (ipywidgets.SelectionSlider(options=["a", "b"]), "range", ("a", "b"), "a"),
        (ipywidgets.FloatLogSlider(min=-2, max=0, step=1, value=0.1), "range", (0.01, 0.1, 1.0), 0.1),
        (ipywidgets.BoundedIntText(min=1, max=3, value=2), "range", (1, 2, 3), 2),
        (ipywidgets.ToggleButton(value=True), "checkbox", (False, True), True),
        (ipywidgets.ToggleButtons(options=["a", "b"]), "select", ("a", "b"), "a"),
        (range(3), "select", (0, 1, 2), 0),
        (np.array([0.5, 2.0]), "select", (0.5, 2.0), 0.5),
        (Slider([8, 16, 64]), "range", (8, 16, 64), 16),
        (decades(1e-2, 1), "range", (0.01, 0.1, 1.0), 0.1),
    ],
)
def test_abbreviations(given, kind, values, initial):
    made = control("gap", given)
    assert (made.kind, made.values, made.values[made.initial]) == (kind, values, initial)
    assert len(made.texts) == len(values)


def test_a_real_number_becomes_a_slider_that_holds_it():
    made = control("rate", 0.1)
    assert made.values[made.initial] == 0.1
    assert (made.values[0], made.values[-1]) == (-0.1, 0.3)


def test_values_are_written_for_readers():
    assert control("tied", [True, False]).texts == ("yes", "no")
    assert control("gap", [1e-6, 0.1]).texts == ("10⁻⁶", "0.1")


@pytest.mark.parametrize(
    ("value", "text", "words", "name"),
    [
        (1e-6, "10⁻⁶", "10 to the minus 6", "1e-6"),
        (2.5e-6, "2.5 × 10⁻⁶", "2.5 times 10 to the minus 6", "2.5e-6"),
        (-1e-6, "−10⁻⁶", "minus 10 to the minus 6", "-1e-6"),
        (1e9, "10⁹", "10 to the 9", "1000000000"),
        (0.001, "0.001", "0.001", "0.001"),
        (0.0, "0", "0", "0"),
        (1500, "1500", "1500", "1500"),
        (123456789, "1.23456789 × 10⁸", "1.23456789 times 10 to the 8", "123456789"),
        (-3, "−3", "minus 3", "-3"),
        (0.1 + 0.2, "0.3", "0.3", "0.3"),
        (float("inf"), "inf", "inf", "inf"),
        (True, "yes", "yes", "yes"),
        (None, "None", "None", "None"),
        (np.tanh, "tanh", "tanh", "tanh"),
    ],
)
def test_values_are_shown_said_and_named(value, text, words, name):
    (option,) = control("gap", [value]).options
    assert (option.text, option.said, option.name) == (text, words, name)


def test_units_stand_behind_the_values():
    (option, _) = control("gap", [1e-6, 1], unit="px").options
    assert option.text == "10⁻⁶\N{NO-BREAK SPACE}px"
    assert option.said == "10 to the minus 6\N{NO-BREAK SPACE}px"
    assert option.name == "1e-6"
    assert control("share", [50], unit="%").texts == ("50%",)


def test_decades_are_round_numbers_between_their_ends():
    assert decades(1e-6, 1e-3) == [1e-6, 1e-5, 1e-4, 1e-3]
    assert decades(1, 100, 2) == [1, 3, 10, 30, 100]
    assert decades(0.02, 5, 3) == [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5]
    assert decades(1, 10, 5) == [1, 1.6, 2.5, 4, 6.3, 10]
    with pytest.raises(
        ValueError, match=r"decades needs 0 < low < high and per_decade >= 1, got \(0, 1, 1\)"
    ):
        decades(0, 1)


# --- defaults of the function, as interact takes them


def values(draw, **controls):
    widget = explore(draw, **controls)
    return widget.value, repr(widget)


ARRAY = np.arange(3)


def test_an_argument_that_is_not_named_is_controlled_by_its_default():
    def own(power=2, log=False, title="a", data=ARRAY):
        return draw(power, log)

    assert values(own) == (
        {"power": 2, "log": False},
        "explore(own, power=[−2, −1, ..., 6], log=[no, yes])",
    )


def test_a_control_starts_at_the_default_of_its_argument():
    def own(power=3, log=True, gap=1e-3):
        return draw(power, log)

    start, _ = values(own, power=(1, 9), log=[False, True], gap=decades(1e-6, 1))
    assert start == {"power": 3, "log": True, "gap": 1e-3}
    # One that does not fit, and one that an ipywidget overrules.
    start, _ = values(own, power=(4, 8), gap=ipywidgets.FloatLogSlider(value=1, min=-3, max=0, step=1))
    assert start == {"power": 6, "log": True, "gap": 1}


def test_controls_stand_in_the_order_of_the_arguments():
    _, text = values(draw, log=False, power=(1, 3))
    assert text == "explore(draw, power=[1, 2, 3], log=[no, yes])"


def test_further_controls_are_for_further_arguments():
    def own(**all_of_them):
        return draw(**all_of_them)

    assert values(own, power=(1, 3), log=True)[0] == {"power": 2, "log": True}


@pytest.mark.parametrize("name", ["log", "pwer"])
def test_play_needs_a_slider(name):
    with pytest.raises(ValueError, match=r"play must name"):
        explore(draw, power=(1, 3), log=False, play=name)


@pytest.mark.parametrize("kind", ["svg", "webp"])
def test_a_picture_says_where_the_values_of_its_axes_lie(kind):
    figure = Figure(figsize=(4, 2))
    axes = figure.add_axes((0.1, 0.2, 0.8, 0.7))
    axes.set(xscale="log", xlim=(1e-4, 1), ylim=(0, 7))
    html = picture(figure, "A diagram.", kind, {"gap": (1e-4, 1e-2, 1), "λ": (0, 3.5)}).html
    found = [json.loads(unescape(places)) for places in re.findall(r'data-places="([^"]*)"', html)]
    assert found == [{"gap": [0.1, 0.5, 0.9], "λ": [0.8, 0.45]}] * (1 if kind == "svg" else 2)


@pytest.mark.parametrize("other", ["log", "size", "word", "power"])
def test_pointing_needs_two_controls_with_numbers(other):
    def three(power, size, word):
        return draw(power, log=False)

    with pytest.raises(ValueError, match="point must name"):
        explore(three, power=(1, 3), size=True, word=["a", "b"], point=("power", other))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((1, 1), r"control 'gap' needs min < max and step > 0, got \(1, 1, 1\)"),
        ((0, 1, -1), r"control 'gap' needs min < max and step > 0"),
        ([], r"control 'gap' needs at least one option, got \[\]"),
        ("tanh", r"control 'gap' must be a bool, a number, .*, got 'tanh'"),
        (ipywidgets.Text(), r"control 'gap' must be a checkbox, slider, .*, got Text"),
    ],
)
def test_an_abbreviation_that_means_nothing(given, message):
    with pytest.raises(ValueError, match=message):
        control("gap", given)


def test_labels_are_escaped_and_belong_to_their_control():
    page = markup([control("gap", ["<1", "2"], label="a & b")], play=None, page=True)
    assert "<span>a &amp; b</span>" in page
    assert "&lt;1</option>" in page


# --- with a kernel


def test_setting_the_value_draws():
    widget = explore(draw, power=(1, 3), log=False)
    before = widget.pictures
    widget.value = {"power": 3}
    assert widget.value == {"power": 3, "log": False}
    assert widget.pictures != before
    assert widget.description == "Power 3, linear axis."


def test_a_request_of_the_front_end_is_answered_with_its_serial():
    widget = explore(draw, power=(1, 3), log=False)
    widget._request = {"serial": "view:1", "index": {"power": 0, "log": 1}}
    assert widget.value == {"power": 1, "log": True}
    assert widget._shown["serial"] == "view:1"
    assert widget._shown["index"] == {"power": 0, "log": 1}


def test_a_request_that_changes_nothing_is_answered_too():
    widget = explore(draw, power=(1, 3), log=False)
    widget._request = {"serial": "view:1", "index": {"power": 1, "log": 0}}
    assert widget._shown["serial"] == "view:1"


def test_an_error_of_draw_is_shown_and_does_not_kill_the_widget():
    def fragile(power):
        if power == 2:
            raise RuntimeError("no square today")
        return draw(power, log=False)

    widget = explore(fragile, power=[1, 2, 3])
    before = widget.pictures
    widget.value = {"power": 2}
    assert widget.error == "RuntimeError: no square today (drawing power = 2)"
    assert widget.pictures == before
    widget.value = {"power": 3}
    assert widget.error == ""
    assert widget.pictures != before


def test_an_error_in_the_first_picture_stops_the_cell():
    with pytest.raises(ZeroDivisionError):
        explore(lambda power: 1 / power, power=[0, 1])


def test_figures_made_on_the_way_are_closed():
    def through_pyplot(power):
        figure, axes = plt.subplots()
        axes.plot([power])
        if power == 2:
            raise RuntimeError("after a figure was made")
        return figure

    widget = explore(through_pyplot, power=[1, 2])
    widget.value = {"power": 2}
    assert widget.error
    assert plt.get_fignums() == []


def test_without_description_the_values_are_said():
    widget = explore(
        lambda power, log: draw(power, log)[0], power=(1, 3), log=True, labels={"log": "log axis"}
    )
    assert widget.description == "power = 2, log axis = yes"


def test_several_pictures():
    def two(power):
        return [draw(power, log=False), draw(power, log=True)]

    widget = explore(two, power=(1, 3))
    assert widget.description == "Power 2, linear axis. Power 2, log axis."
    assert [picture.description for picture in widget.pictures] == [
        "Power 2, linear axis.",
        "Power 2, log axis.",
    ]


def test_links_to_other_widgets():
    first, second = (explore(draw, power=(1, 3), log=False) for _ in range(2))
    seen = []
    second.observe(lambda change: seen.append(change["new"]), "value")
    ipywidgets.link((first, "value"), (second, "value"))
    first.value = {"power": 3}
    assert second.value == first.value == seen[-1]
    assert ipywidgets.VBox([first, second]).children == (first, second)


def test_numpy_values_are_found_among_the_options():
    widget = explore(draw, power=(1, 3), log=False)
    widget.value = {"power": np.int64(3)}
    assert widget.value["power"] == 3


def test_a_value_that_is_no_option():
    widget = explore(draw, power=(1, 3), log=False)
    with pytest.raises(traitlets.TraitError, match=r"power must be one of \[1, 2, 3\], got 4"):
        widget.value = {"power": 4}
    with pytest.raises(traitlets.TraitError, match=r"value has the keys \['power', 'log'\], got \['pwer'\]"):
        widget.value = {"pwer": 1}


def test_repr_is_short_and_stable():
    assert (
        repr(explore(draw, power=(1, 9), log=False)) == "explore(draw, power=[1, 2, ..., 9], log=[no, yes])"
    )


def test_controls_must_fit_draw():
    with pytest.raises(
        ValueError, match=r"the controls must fit draw\(power, log\), got \['power'\]: missing"
    ):
        explore(draw, power=(1, 3))
    with pytest.raises(
        ValueError, match=r"labels must name controls out of \['log', 'power'\], got \['pow'\]"
    ):
        explore(draw, power=(1, 3), log=False, labels={"pow": "power"})


def test_draw_must_return_a_figure():
    with pytest.raises(
        ValueError, match=r"draw must return a Figure, a pair \(Figure, str\) or a list of them, got NoneType"
    ):
        explore(lambda power: None, power=[1])


def test_in_a_notebook_only_the_live_view_is_displayed():
    data, _ = explore(draw, power=(1, 3), log=False)._repr_mimebundle_()
    assert set(data) == {"text/plain", "application/vnd.jupyter.widget-view+json"}


NOTEBOOK = """
import matplotlib.pyplot as plt
from twinfilters import plotting
from twinfilters.widgets import explore
plotting.use_style()
plt.subplots()[1].plot([1, 2])
plt.show()
---
def draw(power):
    figure, axes = plt.subplots()
    axes.plot([1, 2**power])
    return figure, f"Power {power}."
widget = explore(draw, power=[1, 2, 3])
widget
---
widget.value = {"power": 3}
print(widget.description, "var(--tf-twin-a" in widget.pictures[0].html)
"""


def test_in_a_real_kernel():
    cells = [nbformat.v4.new_code_cell(source) for source in NOTEBOOK.split("---")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    figure, view, printed = (cell.outputs for cell in notebook.cells)
    assert [set(output["data"]) for output in figure] == [{"text/plain", "image/svg+xml"}]
    assert "var(--tf-twin-a, #0a69b3)" in figure[0]["data"]["image/svg+xml"]
    (view,) = view
    assert view["data"]["text/plain"] == "explore(draw, power=[1, 2, 3])"
    assert "application/vnd.jupyter.widget-view+json" in view["data"]
    assert "text/html" not in view["data"]
    # One stream and nothing else: drawing leaves no stray figure behind.
    assert [output.get("text") for output in printed] == ["Power 3. True\n"]


# --- while the book is built


def test_every_combination_is_stored_in_the_order_of_the_controls(book):
    bundle = explore(draw, power=(1, 3), log=False)._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    order, frames = stored(book, bundle["text/html"])
    descriptions = [frames[number][0][3] for number in order]
    assert descriptions == [
        f"Power {power}, {axis} axis." for power in (1, 2, 3) for axis in ("linear", "log")
    ]


def test_the_page_shows_the_first_picture_and_says_what_it_is(book):
    page = explore(draw, power=(1, 3), log=True)._repr_mimebundle_()["text/html"]
    assert 'role="img" aria-label="Power 2, log axis."' in page
    assert 'value="1" aria-valuetext="2"' in page
    assert " checked " in page


def test_stored_frames_are_those_the_kernel_draws(book, monkeypatch):
    page = explore(draw, power=(1, 3), log=False)._repr_mimebundle_()["text/html"]
    order, frames = stored(book, page)
    monkeypatch.delenv(SNAPSHOT_VARIABLE)
    widget = explore(draw, power=(1, 3), log=False)
    widget.value = {"power": 3, "log": True}
    assert frames[order[5]] == [astuple(picture) for picture in widget.pictures]


def test_the_same_widget_gives_the_same_page(book):
    first, second = (explore(draw, power=(1, 3), log=False)._repr_mimebundle_() for _ in range(2))
    assert first == second
    assert len(list(book.glob("*.js"))) == 1


def test_equal_pictures_are_stored_once(book):
    page = explore(lambda power: draw(1, log=False), power=[1, 2, 3])._repr_mimebundle_()["text/html"]
    order, frames = stored(book, page)
    assert order == [0, 0, 0]
    assert len(frames) == 1


def test_nothing_is_drawn_when_there_are_too_many_combinations(book):
    calls = []
    widget = explore(lambda first, second: calls.append(1), first=(1, 100), second=(1, 100))
    with pytest.raises(
        ValueError, match=r"at most 200 combinations .* got 10000 \(first: 100 x second: 100\)"
    ):
        widget._repr_mimebundle_()
    assert calls == []


def test_too_many_bytes(book, monkeypatch):
    monkeypatch.setattr(Explore, "max_bytes", 100)
    with pytest.raises(
        ValueError, match=r"at most 100 bytes .* had \d+ after 1 of 3 combinations: draw fewer points"
    ):
        explore(draw, power=(1, 3), log=ipywidgets.fixed(True))._repr_mimebundle_()


def test_the_error_says_which_control_to_thin(book):
    def fine(power, gap):
        return draw(power, log=False)

    with pytest.raises(ValueError, match=r"thin 'gap', which has 101 options, to 66$"):
        explore(fine, power=(1, 3), gap=(0, 100))._repr_mimebundle_()
    with pytest.raises(ValueError, match=r"thin several controls, first 'gap', which has 201 options$"):
        explore(fine, power=(1, 150), gap=(0, 200))._repr_mimebundle_()


def test_the_number_of_pictures_stays(book):
    def growing(power):
        return [draw(power, log=False)] * power

    with pytest.raises(ValueError, match=r"the same number of pictures for all values, got \[1, 2\]"):
        explore(growing, power=[1, 2])._repr_mimebundle_()


def test_every_picture_has_its_own_alternative_text(book):
    def two(power):
        return [draw(power, log=False), draw(power, log=True)]

    page = explore(two, power=(1, 3))._repr_mimebundle_()["text/html"]
    assert re.findall(r'aria-label="(Power[^"]*)"', page) == ["Power 2, linear axis.", "Power 2, log axis."]
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids)) > 0


def test_boxes_have_room_for_every_picture_and_description(book):
    def growing(power):
        figure = Figure(figsize=(power, 4 - power))
        figure.subplots()
        return figure, "long " * power

    page = explore(growing, power=(1, 3))._repr_mimebundle_()["text/html"]
    assert '<div class="tf-picture" style="--w: 288; --h: 288">' in page
    assert 'data-longest="long long long"' in page


def test_a_page_starts_at_the_value_that_was_set(book):
    widget = explore(draw, power=(1, 3), log=False)
    widget.value = {"power": 3}
    assert 'aria-label="Power 3, linear axis."' in widget._repr_mimebundle_()["text/html"]


def test_while_the_book_is_built_no_connection_to_a_front_end_is_opened(book):
    assert explore(draw, power=(1, 3), log=False).comm is None


def test_the_book_wants_a_description(book):
    with pytest.raises(ValueError, match=r"draw must return a pair \(figure, description\)"):
        explore(lambda power: draw(power, log=False)[0], power=[1, 2])._repr_mimebundle_()


def test_an_error_of_draw_stops_the_build_and_names_the_values(book):
    def fragile(power):
        raise RuntimeError("no")

    with pytest.raises(RuntimeError) as caught:
        explore(fragile, power=[1, 2])._repr_mimebundle_()
    assert caught.value.__notes__ == ["while calling draw(power=1)"]
