"""Random play: 200 moves a widget on every page, and the picture is always the one that ``draw`` gives.

What `draw` gives is drawn anew: a kernel runs the notebook of the page as a reader does, and draws samples of the
states that the play went through.
"""

import json
import random
import re

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell

from contents import PAGES, ROOT

MOVES, SAMPLES = 200, 10
KEYS = ("ArrowRight", "ArrowLeft", "PageUp", "PageDown", "Home", "End")
NOTEBOOKS = [page for page in PAGES if (ROOT / f"{page}.ipynb").is_file()]

FIRST = """
from twinfilters.widgets import Explore
displayed, display_bundle = [], Explore._repr_mimebundle_
def noted(self, **kwargs):
    displayed.append(self)
    return display_bundle(self, **kwargs)
Explore._repr_mimebundle_ = noted
"""
LAST = """
import json
from pathlib import Path
from twinfilters.widgets.frames import draw_frame
drawn = []
for number, kind, index in json.loads({samples!r}):
    widget = displayed[number]
    values = {{name: entry.values[index.get(name, 0)] for name, entry in widget._controls.items()}}
    frame = draw_frame(widget._draw, values, kind=kind, point=widget._point)
    drawn.append([[one.html, one.description] for one in frame])
Path({file!r}).write_text(json.dumps(drawn), encoding="utf-8")
"""
# What a page shows when it is at rest: the position of each control, and each picture with its alternative text.
STATE = """widget => widget.querySelector(".tf-pictures").ariaBusy ? null : ({
  index: Object.fromEntries([...widget.querySelectorAll("[data-control]")].map(
    one => [one.dataset.control, one.type === "checkbox" ? Number(one.checked) : Number(one.value)])),
  kind: widget.querySelector(".tf-picture svg") ? "svg" : "webp",
  pictures: [...widget.querySelectorAll(".tf-picture")].map(box => {
    const copy = box.cloneNode(true);
    const label = copy.firstChild.alt ?? copy.firstChild.getAttribute("aria-label");
    for (const one of copy.children) for (const name of ["role", "aria-label", "alt"]) one.removeAttribute(name);
    return [copy.innerHTML, label];
  }),
  status: widget.querySelector(".tf-status").textContent,
})"""
# HTML as a browser writes it.
WRITTEN = "html => { const box = document.createElement('div'); box.innerHTML = html; return box.innerHTML; }"


def play(page, widget, chance):
    """Make random moves; give what the page shows at some of them."""
    shown, controls = [], widget.locator("[data-control]").all()
    samples = set(chance.sample(range(MOVES), SAMPLES))
    for number in range(MOVES):
        move(page, widget, chance.choice(controls), chance)
        if number in samples:
            at_rest = page.wait_for_function(STATE, arg=widget.element_handle())
            shown.append(at_rest.json_value())
    return shown


def move(page, widget, control, chance):
    kind = control.evaluate("one => one.type")
    if chance.random() < 0.03:
        widget.locator(".tf-reset").press("Enter")
    elif chance.random() < 0.03 and widget.locator(".tf-play").count():
        widget.locator(".tf-play").press("Space")
    elif kind == "checkbox":
        control.press("Space")
    elif kind == "range":
        control.press(chance.choice(KEYS))
    else:
        control.select_option(index=chance.randrange(control.locator("option").count()))


def drawn_anew(name, samples, file):
    """Run a page's notebook in a kernel, up to its last widget; give the pictures that belong to the samples."""
    notebook = nbformat.read(ROOT / f"{name}.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    end = max(number for number, cell in enumerate(code, 1) if "explore(" in cell.source)
    last = LAST.format(samples=json.dumps(samples), file=str(file))
    notebook.cells = [new_code_cell(FIRST), *code[:end], new_code_cell(last)]
    place = {"metadata": {"path": (ROOT / name).parent}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=place).execute()
    return json.loads(file.read_text(encoding="utf-8"))


def plain(html):
    """Leave out what identifiers begin with."""
    return re.sub(r"\btf\w+-\d+-|@@-", "", html)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_random_play(name, bases, visit, tmp_path):
    page, troubles = visit(f"{bases['http']}/{name}.html")
    samples, states = [], []
    for number, widget in enumerate(page.locator(".tf-explore").all()):
        widget.scroll_into_view_if_needed()
        shown = play(page, widget, random.Random(f"{name} {number}"))
        assert widget.locator(".tf-error").is_hidden()
        assert len({json.dumps(state["index"]) for state in shown}) > SAMPLES / 3
        samples += [(number, state["kind"], state["index"]) for state in shown]
        states += shown
    assert troubles == []
    if samples:
        anew = drawn_anew(name, samples, tmp_path / "drawn.json")
        for state, pictures in zip(states, anew, strict=True):
            for (html, label), (fresh, description) in zip(state["pictures"], pictures, strict=True):
                assert label == description
                assert plain(html) == plain(page.evaluate(WRITTEN, fresh)), state["index"]
            assert state["status"] == " ".join(description for _, description in pictures)
