"""How frames are drawn, kept and stored: several processes, a cache by content, pieces that are kept once."""

import gzip
import importlib
import io
import json
import sys

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from twinfilters import plotting
from twinfilters.widgets import explore, frames
from twinfilters.widgets.cache import FrameCache, fingerprint
from twinfilters.widgets.frames import draw_frame, draw_frames
from twinfilters.widgets.pictures import picture
from twinfilters.widgets.snapshot import SNAPSHOT_VARIABLE
from twinfilters.widgets.store import PIECE, Store

MANY = [{"power": power} for power in range(4)]


def draw(power):
    figure, axes = plt.subplots(figsize=(2, 1))
    axes.plot(np.arange(8) @ np.full((8, 8), power + 1.0))
    axes.set_title(str(power))
    return figure, f"Power {power}."


def cloud(points):
    rng = np.random.default_rng(0)
    figure = Figure(figsize=(4, 3))
    figure.subplots().scatter(*rng.normal(size=(2, points)), s=2)
    return figure, f"{points} points."


@pytest.fixture
def cache(tmp_path):
    return FrameCache(tmp_path, draw)


def drawn(function, many, cache, **options):
    return list(draw_frames(function, many, kind=options.pop("kind", "svg"), cache=cache, **options))


# --- several processes


@pytest.mark.parametrize("kind", ["svg", "webp"])
def test_other_processes_draw_the_same_frames(kind, tmp_path):
    with mpl.rc_context({**plotting.STYLE, "lines.linewidth": 3}):
        alone, together = (
            drawn(draw, MANY, FrameCache(tmp_path / str(number), draw), kind=kind, processes=number)
            for number in (1, 2)
        )
    assert alone == together
    assert len(set(alone)) == 4


def test_what_cannot_be_sent_to_other_processes_is_drawn_here(tmp_path):
    lock = open(__file__)  # noqa: PTH123, SIM115, as good as anything that cannot be pickled

    def tied(power):
        assert not lock.closed
        return draw(power)

    assert len(drawn(tied, MANY, FrameCache(tmp_path, tied), processes=2)) == 4
    lock.close()


def test_an_error_in_another_process_is_raised_here_with_the_call(cache):
    def fragile(power):
        if power == 2:
            raise RuntimeError("no square today")
        return draw(power)

    with pytest.raises(RuntimeError, match="no square today") as caught:
        drawn(fragile, MANY, cache, processes=2)
    assert caught.value.__notes__ == ["while calling draw(power=2)"]


# --- progress


def test_a_bar_appears_on_the_terminal_and_nowhere_else(cache, monkeypatch, tmp_path, capfd):
    terminal = tmp_path / "tty"
    terminal.touch()
    monkeypatch.setattr(frames, "TERMINAL", terminal)
    monkeypatch.setattr(frames, "DELAY", 0)
    drawn(draw, MANY, cache, processes=1)
    assert "explore:" in terminal.read_text()
    assert capfd.readouterr() == ("", "")


def test_without_a_terminal_nothing_is_said(cache, monkeypatch, tmp_path, capfd):
    monkeypatch.setattr(frames, "TERMINAL", tmp_path / "missing" / "tty")
    monkeypatch.setattr(frames, "DELAY", 0)
    assert len(drawn(draw, MANY, cache, processes=1)) == 4
    assert capfd.readouterr() == ("", "")


# --- the cache

MODULE = "FACTOR = 2\n\ndef helper(power):\n    return FACTOR * power\n"


def notebook(helper="return 2 * power", constant=3):
    """Run the cells of a notebook; give its function."""
    names = {"__name__": "__main__"}
    cell = (
        f"from functools import lru_cache\nconstant = {constant}\n"
        f"@lru_cache\ndef cached(power):\n    {helper}\n"
        "class Model:\n    def run(self, power):\n        return cached(power)\n"
        "model = Model()\n"
        "def draw(power):\n    # A comment.\n    return [model.run(power) for _ in range(constant)]\n"
    )
    exec(cell, names)
    return names["draw"]


def test_what_is_kept_is_not_drawn_again(cache, tmp_path):
    first = drawn(draw, MANY, cache, processes=1)
    calls = []

    def counted(**values):
        calls.append(values)
        return draw(**values)

    again = list(draw_frames(counted, [*MANY, {"power": 9}], kind="svg", cache=FrameCache(tmp_path, draw)))
    assert again[:4] == first
    assert calls == [{"power": 9}]


def test_the_content_of_a_function_counts():
    before = fingerprint(notebook())
    assert fingerprint(notebook()) == before is not None
    assert fingerprint(notebook(helper="return 3 * power")) != before
    assert fingerprint(notebook(constant=4)) != before


def test_what_a_function_closes_over_counts():
    def closing(data, default=1):
        def draw(power, default=default):
            return data * power

        return draw

    before = fingerprint(closing(np.arange(3.0)))
    assert fingerprint(closing(np.arange(3.0))) == before
    assert fingerprint(closing(np.arange(3.0) + 1e-9)) != before
    assert fingerprint(closing(np.arange(3.0), default=2)) != before


@pytest.mark.parametrize("use", ["import helpers", "from helpers import helper"])
def test_modules_beside_the_notebook_count(use, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    call = "helpers.helper" if use == "import helpers" else "helper"

    def now(source):
        (tmp_path / "deeper.py").write_text(source)
        (tmp_path / "helpers.py").write_text("import deeper\n\ndef helper(x):\n    return deeper.helper(x)\n")
        for name in ("deeper", "helpers"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        sys.dont_write_bytecode = True
        names = {"__name__": "__main__"}
        exec(f"{use}\ndef draw(power):\n    return {call}(power)\n", names)
        return fingerprint(names["draw"])

    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = now(MODULE)
    assert now(MODULE) == before is not None
    assert now(MODULE.replace("FACTOR = 2", "FACTOR = 4")) != before


def test_settings_of_matplotlib_count(tmp_path):
    first = FrameCache(tmp_path, draw)
    first.put("kept", "svg", {"power": 1})
    assert FrameCache(tmp_path, draw).get("svg", {"power": 1}) == "kept"
    with mpl.rc_context({"lines.linewidth": 7}):
        assert FrameCache(tmp_path, draw).get("svg", {"power": 1}) is None


def test_what_has_no_content_is_not_kept(tmp_path):
    stream = open(__file__)  # noqa: PTH123, SIM115
    unknown = FrameCache(tmp_path, lambda power: stream)
    unknown.put("frame", "svg", {"power": 1})
    assert unknown.get("svg", {"power": 1}) is None
    assert list(tmp_path.iterdir()) == []
    stream.close()


def test_fingerprints_are_the_same_in_every_process(tmp_path):
    import os
    import subprocess

    code = (
        "from twinfilters.widgets.cache import fingerprint\nkinds = {'a', 'b', 'c'}\n"
        "def draw(x): return x in {'p', 'q', 'r'}, kinds\nprint(fingerprint(draw))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1
    assert "None" not in said.pop()


# --- pictures


def test_the_smaller_kind_is_stored(monkeypatch, tmp_path):
    monkeypatch.setenv(SNAPSHOT_VARIABLE, str(tmp_path))
    lines = explore(draw, power=(1, 2))._repr_mimebundle_()["text/html"]
    points = explore(cloud, points=[20_000, 30_000])._repr_mimebundle_()["text/html"]
    assert "<svg" in lines
    assert "<img" not in lines
    assert "<svg" not in points
    assert points.count('alt="20000 points."') == 2


def test_webp_is_drawn_for_light_and_dark_pages_at_double_density():
    from base64 import b64decode

    from PIL import Image

    figure = Figure(figsize=(2, 1))
    axes = figure.subplots()
    axes.fill_between([0, 1], [1, 1], color=plotting.TWIN_A)
    axes.scatter([0.5], [0.5], color=plotting.TWIN_B, s=400)
    shown = picture(figure, "A bar.", "webp")
    assert (shown.width, shown.height) == (192, 96)
    colours = []
    for part in shown.html.split("base64,")[1:]:
        image = Image.open(io.BytesIO(b64decode(part.partition('"')[0]))).convert("RGB")
        assert image.size == (384, 192)
        colours.append({f"#{r:02x}{g:02x}{b:02x}" for _, (r, g, b) in image.getcolors(10**6)})
    for which, seen in enumerate(colours):
        for name in ("paper", "twin-a", "twin-b", "ink"):
            if name != "ink" or which == 1:
                assert plotting.THEME[name][which] in seen, (which, name)


def test_black_of_a_plain_figure_follows_the_theme():
    html = draw_frame(draw, {"power": 1})[0].html
    assert "stroke: var(--tf-ink, #000000)" in html
    assert html.startswith(
        '<svg style="--own: 192; stroke-linejoin: round; stroke-linecap: butt; fill: var(--tf-ink'
    )


def test_a_figure_that_nobody_laid_out_keeps_its_size_and_its_labels():
    figure = Figure(figsize=(2, 1))
    axes = figure.subplots()
    label = axes.set_xlabel("a label that would be cut")
    shown = picture(figure, "")
    assert (shown.width, shown.height) == (192, 96)
    figure.draw_without_rendering()
    assert label.get_window_extent().y0 >= 0
    adjusted = Figure(figsize=(2, 1))
    adjusted.subplots()
    adjusted.subplots_adjust(bottom=0.3)
    picture(adjusted, "")
    assert adjusted.get_layout_engine() is None


# --- the store


def test_pieces_are_all_of_the_markup():
    html = draw_frame(draw, {"power": 1})[0].html
    assert "".join(PIECE.findall(html)) == html


def test_what_frames_share_is_stored_once(cache):
    store = Store()
    whole = drawn(draw, MANY, cache, processes=1)
    for frame in [*whole, *whole]:
        store.add(frame)
    _, script = store.script("")
    content = json.loads(script[script.index("]=") + 2 : -2].replace("<\\/", "</"))
    assert len(content["pieces"]) == len(set(content["pieces"]))
    rebuilt = ["".join(content["pieces"][n] for n in content["frames"][k][0][0]) for k in content["order"]]
    assert rebuilt == [frame[0].html for frame in [*whole, *whole]]
    assert len(script) < 0.8 * sum(len(frame[0].html) for frame in whole)
    together = gzip.compress(script.encode())
    assert 0.7 < store.size / len(together) < 1.5
