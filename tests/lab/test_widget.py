import json

import ipywidgets
import numpy as np
import pytest
from node import run_node

from twinfilters.lab import TwinLab
from twinfilters.lab.reference import PackageRun, reference_run
from twinfilters.lab.scripts import ENGINE
from twinfilters.network import FilterNet
from twinfilters.twins import gap
from twinfilters.widgets.snapshot import SNAPSHOT_VARIABLE

SMALL = {"images": 10}


def heard(lab):
    """Steps that whoever observes hears of."""
    steps = []
    lab.observe(lambda change: steps.append(change["new"]), "step")
    return steps


# --- without a page


def test_it_computes_by_the_package():
    lab = TwinLab(**SMALL, batch=3, label_noise=0.1, momentum=0.5)
    lab.step(23)
    run = reference_run(lab.settings, 23)
    np.testing.assert_array_equal(lab.net.filters, run.net.filters)
    assert lab.steps == 23
    assert lab.now()["eigenvalues"].tolist() == run.now()["eigenvalues"].tolist()


def test_history_and_observers_hear_of_every_nth_step():
    lab = TwinLab(**SMALL, every=4)
    steps, nets = heard(lab), []
    lab.observe(lambda change: nets.append(lab.net), "steps")
    lab.step(10)
    lab.step()
    assert steps == [4, 8, 10, 11]
    assert lab.history["step"].tolist() == [0, *steps]
    np.testing.assert_array_equal(nets[1].readout, reference_run(SMALL, 8).net.readout)
    assert lab.history["gap"].tolist() == [PackageRun(SMALL).measured()["gap"], *map(gap, nets)]
    assert set(lab.history) == {"step", "loss", "accuracy", "gap", "predicted"}
    lab.every = 1
    lab.step(3)
    assert steps[4:] == [12, 13, 14]


def test_live_settings_change_the_run_and_others_start_anew():
    lab = TwinLab(**SMALL)
    lab.step(5)
    lab.learning_rate = 0.5
    lab.settings = {"momentum": 0.9, "frozen": "readouts"}
    assert lab.steps == 5
    lab.step(5)
    run = reference_run(SMALL, 5)
    run.change(learning_rate=0.5)
    run.change(momentum=0.9, frozen="readouts")
    run.step(5)
    np.testing.assert_array_equal(lab.net.filters, run.net.filters)
    lab.seed = 7
    assert lab.steps == 0
    assert lab.history["step"].tolist() == [0]
    np.testing.assert_array_equal(lab.net.filters, PackageRun({**SMALL, "seed": 7}).net.filters)
    assert lab.momentum == 0.9


def test_rewinding():
    lab = TwinLab(**SMALL, dropout=0.2)
    lab.step(7)
    first = lab.net
    lab.rewind()
    assert lab.steps == 0
    assert lab.history["step"].tolist() == [0]
    lab.step(7)
    np.testing.assert_array_equal(lab.net.filters, first.filters)


def test_a_run_that_diverges_says_so():
    lab = TwinLab(**SMALL, learning_rate=10, activation="identity")
    lab.step(1000)
    assert lab.diverged
    assert lab.steps < 1000
    lab.rewind()
    assert not lab.diverged


def test_the_reader_s_own_network():
    lab = TwinLab(**SMALL, tied_filter=False, label_noise=0.1)
    net = FilterNet.random(
        np.random.default_rng(0), filters=3, kernel=4, outputs=2, loss="cross_entropy", activation="erf"
    )
    lab.net = net
    wanted = {"filters": 3, "kernel": 4, "activation": "erf", "loss": "cross_entropy", "tied_filter": True}
    assert lab.settings.items() >= wanted.items()
    assert lab.steps == 0
    np.testing.assert_array_equal(lab.net.filters, net.filters)
    lab.step(3)
    run = PackageRun(lab.settings)
    run.load(net)
    run.step(3)
    np.testing.assert_array_equal(lab.net.readout, run.net.readout)
    lab.rewind()
    np.testing.assert_array_equal(lab.net.readout_bias, net.readout_bias)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filters": 5}, "2 to 4 filters"),
        ({"kernel": 6}, "square filters of 2 to 5 pixels"),
        ({"kernel": (2, 3)}, "square filters"),
        ({"channels": 2}, "one channel"),
        ({"outputs": 2}, "1 output for the loss squared"),
        ({"loss": "cross_entropy"}, "2 outputs for the loss cross_entropy"),
        ({"padding": 1}, "no padding"),
        ({"pooling": "max"}, "mean pooling"),
        ({"filters": (2, 2)}, "one layer"),
    ],
)
def test_networks_that_do_not_fit(options, message):
    lab = TwinLab(**SMALL)
    with pytest.raises(ValueError, match=rf"net must have .*{message}.*, got"):
        lab.net = FilterNet.random(np.random.default_rng(0), **options)
    assert lab.filters == 2


def test_what_is_no_network(unchecked):
    with pytest.raises(ValueError, match=r"net must be a twinfilters\.network\.FilterNet, got 3"):
        TwinLab(**SMALL).net = 3


@pytest.mark.parametrize("bad", [{"gap": -1}, {"gaps": 1}, {"batch": 11}, {"activation": "sigmoid"}])
def test_bad_settings(bad):
    lab = TwinLab(**SMALL)
    with pytest.raises(ValueError, match=r"must be .*, got"):
        TwinLab(**SMALL, **bad)
    with pytest.raises(ValueError, match=r"must be .*, got"):
        lab.settings = bad
    if hasattr(lab, next(iter(bad))):
        with pytest.raises(ValueError, match=r"must be .*, got"):
            lab.set_trait(*next(iter(bad.items())))
    assert lab.settings == TwinLab(**SMALL).settings


@pytest.mark.parametrize("count", [-1, 1.5, True, "3"])
def test_bad_counts(count, unchecked):
    with pytest.raises(ValueError, match="count must be an integer of at least 0, got"):
        TwinLab(**SMALL).step(count)
    with pytest.raises(ValueError, match="every must be an integer of at least 1, got 0"):
        TwinLab(**SMALL, every=0)


def test_it_composes_with_widgets():
    lab, slider, play = (
        TwinLab(**SMALL),
        ipywidgets.FloatSlider(0.2, min=0.1, max=1),
        ipywidgets.ToggleButton(),
    )
    ipywidgets.link((slider, "value"), (lab, "learning_rate"))
    ipywidgets.link((play, "value"), (lab, "playing"))
    ipywidgets.VBox([lab, slider])
    assert lab.learning_rate == 0.2
    slider.value = 0.7
    assert lab.settings["learning_rate"] == 0.7
    lab.learning_rate = 0.3
    assert slider.value == 0.3
    lab.play()
    assert play.value
    lab.pause()
    assert not play.value


def test_in_words_and_in_a_book(monkeypatch, tmp_path):
    assert repr(TwinLab(gap=0, activation="erf")) == "TwinLab(activation='erf', gap=0.0)"
    monkeypatch.setenv(SNAPSHOT_VARIABLE, str(tmp_path))
    bundle = TwinLab(**SMALL)._repr_mimebundle_()
    assert bundle["text/plain"] == "TwinLab(images=10)"
    assert "tf-lab" in bundle["text/html"]


# --- with a page: its side of the protocol runs in Node, on a model as an anywidget has it

# The view does at once what it is asked for; Python's part is to have seen each report, unless it is busy.
PAGE = """
function pageOf(state, busy) {
  const listeners = {};
  const sent = [];
  const model = {
    get: (name) => state[name],
    set(name, value) {
      if (JSON.stringify(state[name]) === JSON.stringify(value)) return;
      state[name] = value;
      if (!["_command", "_seen"].includes(name)) sent.push([name, JSON.parse(JSON.stringify(value, plain))]);
      for (const listener of listeners[`change:${name}`] ?? []) listener();
      if (name === "_report" && !busy) model.set("_seen", value.serial);
    },
    save_changes() {},
    on: (event, listener) => (listeners[event] ??= []).push(listener),
    off: (event, listener) => (listeners[event] = listeners[event].filter((other) => other !== listener)),
  };
  const link = notebookLink(model, DIGITS);
  let run = link.createRun();
  const played = [];
  const close = link.listen({
    restart: (other) => (run = other),
    change: (changes) => run.change(changes),
    step(count) { for (let made = 0; made < count; made++) run.step(); },
    rewind: () => run.rewind(),
    setPlaying: (on) => played.push(on),
  });
  const renew = (settings) => (run = link.createRun(settings));
  return { model, link, close, sent, played, renew, get run() { return run; } };
}
"""
SCRIPTS = (*ENGINE, "notebook.js")
SYNCED = ("_recipe", "steps", "playing", "every", "_command", "_report", "_seen", "_leader")


def state_of(lab):
    return json.loads(json.dumps({name: getattr(lab, name) for name in SYNCED}))


def on_page(lab, program, state=None, orders=(), busy=False):
    """Let a page work, and give Python what it sends."""
    given = {"state": state or state_of(lab), "orders": orders, "busy": busy}
    program = f"{PAGE}const page = pageOf(INPUT.state, INPUT.busy);\n{program}\nanswer(page.sent);"
    sent = run_node(program, given, SCRIPTS)
    for name, value in sent:
        lab.set_state({name: value})
    return sent


def reports(sent):
    return [[row["step"] for row in value["rows"]] for name, value in sent if name == "_report"]


def test_the_page_takes_over_and_python_after_it():
    lab = TwinLab(**SMALL, batch=4, momentum=0.5, every=5)
    lab.step(6)
    lab.learning_rate = 0.4
    steps = heard(lab)
    on_page(lab, "page.run.step(7); page.run.change({ dropout: 0.1 }); page.run.step(4); page.close();")
    assert steps == [10, 13, 15, 17]
    assert lab.history["step"].tolist() == [0, 5, 6, *steps]
    assert lab.dropout == 0.1
    run = reference_run({**SMALL, "batch": 4, "momentum": 0.5}, 6)
    run.change(learning_rate=0.4)
    run.step(7)
    run.change(dropout=0.1)
    run.step(4)
    np.testing.assert_allclose(lab.net.filters, run.net.filters, rtol=1e-12)
    lab.step(2)
    run.step(2)
    np.testing.assert_array_equal(lab.net.filters, run.net.filters)


def test_what_the_reader_does_on_the_page():
    lab = TwinLab(**SMALL)
    lab.step(3)
    on_page(
        lab,
        "page.renew({ images: 10, seed: 5, gap: 0 }); page.run.step(20); page.run.rewind(); page.run.step(4);",
    )
    assert (lab.seed, lab.gap, lab.steps) == (5, 0, 4)
    assert lab.history["step"].tolist() == [0, 4]
    run = reference_run({**SMALL, "seed": 5, "gap": 0}, 4)
    np.testing.assert_allclose(lab.net.filters, run.net.filters, rtol=1e-12)


def test_a_displayed_lab_sends_orders():
    lab = TwinLab(**SMALL)
    on_page(lab, "")
    net = PackageRun({**SMALL, "seed": 3}).net
    state, orders = state_of(lab), []
    lab.observe(lambda change: orders.append({"_command": change["new"], "_recipe": lab._recipe}), "_command")
    lab.step(25)
    lab.learning_rate = 0.3
    lab.step(3)
    assert (lab.steps, [order["_command"]["name"] for order in orders]) == (0, ["step", "change", "step"])
    obey = """
    for (const { _recipe, _command } of INPUT.orders) {
      page.model.set("_recipe", _recipe);
      page.model.set("_command", _command);
    }
    """
    assert reports(on_page(lab, obey, state, orders)) == [[10], [20], [25], [25], [28]]
    assert (lab.steps, lab.learning_rate) == (28, 0.3)
    run = reference_run(SMALL, 25)
    run.change(learning_rate=0.3)
    run.step(3)
    np.testing.assert_allclose(lab.net.filters, run.net.filters, rtol=1e-12)
    state, orders[:] = state_of(lab), []
    lab.net = net
    lab.step(4)
    lab.rewind()
    lab.step(2)
    assert [order["_command"]["name"] for order in orders] == ["restart", "step", "rewind", "step"]
    on_page(lab, obey, state, orders)
    run.load(net)
    run.step(2)
    assert lab.steps == 2
    np.testing.assert_allclose(lab.net.filters, run.net.filters, rtol=1e-12)


def test_one_report_at_a_time():
    lab = TwinLab(**SMALL, every=3)
    playing = "page.model.set('playing', true);"
    sent = on_page(lab, f"{playing} for (let step = 0; step < 3000; step++) page.run.step();", busy=True)
    assert reports(sent) == [[3]]
    late = f"{playing} for (let step = 0; step < 30; step++) page.run.step(); page.model.set('_seen', 1);"
    assert reports(on_page(TwinLab(**SMALL, every=3), late, busy=True)) == [[3], list(range(6, 31, 3))]
    many = f"{playing} for (let step = 0; step < 2500; step++) page.run.step(); page.model.set('_seen', 1);"
    _, rows = reports(on_page(TwinLab(**SMALL, every=1), many, busy=True))
    assert len(rows) <= 1000
    assert (rows[0], rows[-1]) == (2, 2500)


def test_playing():
    lab = TwinLab(**SMALL)
    program = """
    page.model.set("playing", true);
    page.run.step(13);
    page.model.set("playing", false);
    page.link.setPlaying(true);
    page.run.step(4);
    page.link.setPlaying(false);
    page.sent.push(["played", page.played]);
    """
    sent = on_page(lab, program.replace('page.sent.push(["played", page.played]);', ""))
    assert reports(sent) == [[10], [13], [17]]
    assert not lab.playing
    assert lab.history["step"].tolist() == [0, 10, 13, 17]


def test_the_latest_view_leads():
    lab = TwinLab(**SMALL)
    program = """
    const second = notebookLink(page.model, DIGITS);
    const run = second.createRun();
    const close = second.listen({});
    page.run.step(10);
    run.step(20);
    page.close();
    run.step(10);
    close();
    """
    sent = on_page(lab, program)
    assert reports(sent) == [[10, 20], [30]]
    assert lab._leader == ""
