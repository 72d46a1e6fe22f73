"""What the lab says, how it names a run in an address, and how it notes and writes numbers: in Node, without a page."""

import json
import re
from itertools import pairwise

import pytest
from node import run_node

from twinfilters.lab.scripts import ENGINE, HERE, VIEW, front_end
from twinfilters.lab.settings import SETTINGS, checked

PRESETS = json.loads((HERE / "presets.json").read_text(encoding="utf-8"))
NO_PAGE = (
    *ENGINE,
    "numbers.js",
    "images.js",
    "history.js",
    "address.js",
    "words.js",
    "panel.js",
    "download.js",
)
WITH_PRESETS = f"const PRESETS = {json.dumps(PRESETS)};\n"
# A run under a plan: {settings, then, steps} -> the words at each of the steps.
SAID = """
const said = ({ settings, then = [], steps }) => {
  const run = createRun(settings, DIGITS);
  const notes = [run.now()];
  let now = checkedSettings(settings);
  const answers = [];
  const last = Math.max(...steps);
  for (let step = 0; step <= last; step += 1) {
    for (const change of then) {
      if (change.step !== step) continue;
      now = { ...now, ...change.settings };
      run.change(change.settings);
    }
    if (step && step === nextNoted(notes.at(-1).step)) notes.push(run.now());
    if (steps.includes(step)) {
      if (notes.at(-1).step !== step) notes.push(run.now());
      const since = Math.max(0, ...then.map((change) => change.step).filter((when) => when <= step));
      answers.push(describeMoment({ notes, place: notes.length - 1, settings: now, since }));
    }
    run.step(1);
    if (run.diverged) {
      notes.push(run.now());
      answers.push(describeMoment({ notes, place: notes.length - 1, settings: now }));
      break;
    }
  }
  return answers;
};
"""


def view(program, given=None):
    return run_node(WITH_PRESETS + SAID + program, given, scripts=NO_PAGE)


def said(settings, *steps, then=()):
    return view("answer(said(INPUT))", {"settings": settings, "then": list(then), "steps": steps})


# --- words


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"gap": 0}, "start-equal"),
        ({"gap": 1e-6}, "start-near"),
        ({"gap": 0, "tied_readout": False}, "start-untied"),
        ({"tied_filter": False, "tied_bias": False, "tied_readout": False}, "start-untied"),
    ],
)
def test_the_start_is_described(settings, kind):
    (words,) = said({**settings, "images": 10}, 0)
    assert words["kind"] == kind
    assert words["text"].endswith(".")
    assert words["why"].endswith(".")


@pytest.mark.parametrize(
    ("settings", "step", "kind", "words"),
    [
        ({"gap": 0}, 30, "equal", "Exactly equal after 30 steps: they will stay so."),
        ({"gap": 0, "label_noise": 1}, 30, "equal", "the same noise"),
        ({"gap": 0, "dropout": 0.5}, 5, "dropout", "Dropout"),
        ({"gap": 0}, 1, "equal", "after 1 step: they"),
        ({"gap": 0, "dropout": 0.1, "batch": 1}, 1, "equal-so-far", "Dropout will part them"),
        ({"gap": 0, "tied_readout": False}, 3, "readouts", "the filters get different gradients"),
        ({"gap": 0, "tied_bias": False}, 3, "biases", "The biases differ"),
        ({"tied_filter": False}, 3, "strangers", "no twins"),
        ({"gap": 1e-6}, 60, "growing", "% a step, as predicted"),
        ({"gap": 1e-9, "activation": "relu"}, 60, "kicks", "ReLU"),
        ({"gap": 1e-3, "activation": "relu", "dropout": 0.1}, 30, "dropout", "again and again"),
        (
            {"activation": "identity", "frozen": "readouts", "weight_decay": 0.1},
            60,
            "merging",
            "Weight decay shrinks their difference",
        ),
        ({"gap": 1, "learning_rate": 0.5}, 60, "apart", "you can see"),
        ({"gap": 1e-6, "frozen": "twin"}, 5, "frozen-now", "Will it leave B?"),
        ({"gap": 1e-6, "frozen": "twin"}, 20, "frozen-leaves", "Twin B is frozen"),
    ],
)
def test_what_happens_is_said(settings, step, kind, words):
    (told,) = said({"images": 10, **settings}, step)
    assert told["kind"] == kind, told
    assert words in f"{told['text']} {told['why']}"


def test_a_diverged_run_says_so_and_why():
    told = said({"images": 10, "learning_rate": 10, "activation": "identity"}, 400)[-1]
    assert told["kind"] == "diverged"
    assert "learning rate 10" in told["text"]


def test_twins_that_were_treated_differently_for_a_while_are_told_of_their_gap():
    plan = [{"step": 5, "settings": {"frozen": "twin"}}, {"step": 8, "settings": {"frozen": "none"}}]
    (told,) = said({"gap": 0, "images": 10}, 40, then=plan)
    assert told["kind"] in ("growing", "merging", "staying", "apart", "large")


def test_growth_is_that_since_the_last_change():
    frozen = next(preset for preset in PRESETS if preset["name"] == "frozen-twin")
    just, later = said(frozen["settings"], 1510, 1600, then=frozen["then"])
    assert just["kind"] == "frozen-now"
    assert later["kind"] == "frozen-holds", later
    assert "% off" in later["why"]


# --- presets


def test_presets_are_seven_with_names_titles_stories():
    assert len(PRESETS) == 7
    assert len({preset["name"] for preset in PRESETS}) == 7
    for preset in PRESETS:
        checked(preset["settings"])
        for change in preset.get("then", []):
            assert all(SETTINGS[name].live for name in change["settings"])
        assert len(preset["story"]) < 170


# --- addresses

ROUND_TRIP = """
const state = stateFrom(INPUT);
answer(state && { ...state, again: fragmentFrom({ ...state }), preset: state.preset });
"""


@pytest.mark.parametrize(
    "fragment",
    [
        "#gap=1e-9&activation=relu&step=1200",
        "#digits=1-7&filters=4&kernel=5&tied_readout=no&seed=12",
        "#learning_rate=0.123&then=10:frozen:twin,20:learning_rate:0.2",
        *[f"#preset={preset['name']}" for preset in PRESETS],
        "#preset=noise&step=77",
    ],
)
def test_an_address_is_read_and_written(fragment):
    state = view(ROUND_TRIP, fragment)

    def parts(text):
        return sorted(text[1:].split("&"))

    assert parts(state["again"]) == parts(fragment)


@pytest.mark.parametrize(
    "fragment",
    ["", "#answers", "#steps=300", "#gap=-1", "#gap=x", "#digits=3-3", "#step=0.5", "#preset=none"],
)
def test_what_says_nothing_is_passed_over(fragment):
    assert view("answer(stateFrom(INPUT))", fragment) is None


def test_what_cannot_be_is_passed_over_and_the_rest_counts():
    state = view(
        "answer(stateFrom(INPUT))", "#gap=1e-3&kernel=99&then=5:gap:0,x:frozen:twin&images=5&batch=50"
    )
    assert state["settings"] == checked({"gap": 1e-3, "images": 5, "batch": 5})
    assert state["then"] == []


def test_a_link_leads_no_further_than_a_reader_would_wait():
    program = """
    const state = stateFrom("#gap=0.001&step=200001");
    answer([state.step, fragmentFrom({ ...state, step: 300000 })]);
    """
    assert view(program) == [100_000, "#gap=0.001&step=100000"]


def test_a_preset_is_known_by_its_settings():
    program = """
    const whole = (settings) => ({ ...defaultSettings(), ...settings });
    answer(PRESETS.map(({ settings, then }) => presetOf({ settings: whole(settings), then })));
    """
    assert view(program) == [preset["name"] for preset in PRESETS]


# --- notes and numbers


def test_notes_are_dense_at_first_and_never_far_apart():
    steps = view("let s = 0; const all = []; while (s < 100000) all.push((s = nextNoted(s))); answer(all);")
    assert steps[:128] == list(range(1, 129))
    assert all(after - before <= max(1, after / 64) for before, after in pairwise(steps))
    assert len(steps) < 2000


@pytest.mark.parametrize(
    ("value", "shown", "spoken"),
    [
        (0, "0", "0"),
        (0.0213, "0.0213", "0.021"),
        (-1.5e-7, "−1.50 × 10⁻⁷", "minus 1.5 times 10 to the minus 7"),
        (1e-6, "1.00 × 10⁻⁶", "10 to the minus 6"),
        (12345, "12345", "12000"),
        (3e20, "3.00 × 10²⁰", "3 times 10 to the 20"),
        (None, "not finite", "not finite"),
    ],
)
def test_numbers_are_written_and_spoken(value, shown, spoken):
    program = "const value = INPUT ?? NaN; answer([numberShown(value), numberSaid(value)]);"
    assert view(program, value) == [shown, spoken]


@pytest.mark.parametrize(("largest", "end"), [(0, 0), (1, 1), (1.1, 2), (0.3, 0.5), (6e-7, 1e-6), (7.2, 10)])
def test_scales_end_at_one_two_or_five(largest, end):
    assert view("answer(scaleFor(INPUT))", largest) == end


def test_a_table_holds_every_digit():
    program = """
    const run = createRun({ gap: 1e-6, images: 10 }, DIGITS);
    const notes = [run.now()];
    for (let step = 1; step < 9; step += 1) { run.step(1); notes.push(run.now()); }
    const rows = notes.map((note) => [note.step, note.gap, note.loss, note.eigenvalues[0]]);
    answer([csvOf(notes, { gap: 1e-6 }, "#x"), rows]);
    """
    text, rows = view(program)
    comment, head, *lines = text.splitlines()
    assert comment.startswith("# TwinLab {")
    columns = head.split(",")
    picked = [
        [float(line.split(",")[columns.index(name)]) for name in ("step", "gap", "loss", "eigenvalue_1")]
        for line in lines
    ]
    assert picked == rows


# --- the scripts as one


def test_no_two_scripts_use_the_same_name():
    names = re.findall(r"^(?:async )?(?:function|const|let|class) (\w+)", front_end(), flags=re.MULTILINE)
    assert len(names) == len(set(names)), [name for name in names if names.count(name) > 1]
    assert set(VIEW) == {path.name for path in HERE.glob("*.js")} - {
        *ENGINE,
        "notebook.js",
        "page.js",
        "near.js",
    }


@pytest.mark.parametrize("name", [*VIEW, "page.js", "near.js"])
def test_scripts_name_no_other_host(name):
    assert "//" not in re.sub(
        r"^\s*//.*$|\s//\s.*$", "", (HERE / name).read_text(encoding="utf-8"), flags=re.MULTILINE
    )
