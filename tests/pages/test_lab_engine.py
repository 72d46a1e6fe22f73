"""The lab's engine in the browser gives the numbers that it gives in Node, which are those of the package."""

import numpy as np
import pytest

from twinfilters.lab.reference import reference_run
from twinfilters.lab.scripts import ENGINE, joined

CASES = (
    {},
    {"activation": "gelu", "filters": 4, "tied_readout": False, "batch": 9, "momentum": 0.5},
    {"activation": "softplus", "loss": "cross_entropy", "frozen": "twin", "weight_decay": 0.01},
    {"activation": "erf", "label_noise": 0.3, "dropout": 0.2},
    {"activation": "identity", "frozen": "readouts", "kernel": 5, "images": 10},
    {"activation": "relu", "gap": 0},
)
PROGRAM = """
(cases) => cases.map((settings) => {
  const run = createRun(settings, unpackedDigits(PACKED_DIGITS));
  run.step(100);
  const { loss, gap, predicted, eigenvalues } = run.now();
  return { loss, gap, predicted, eigenvalues: [...eigenvalues], filters: run.parameters().filters };
})
"""
EXACT = """
(steps) => {
  const run = createRun({ gap: 0, images: 6, batch: 3, label_noise: 0.5 }, unpackedDigits(PACKED_DIGITS));
  run.step(steps);
  return [run.now().step, run.now().gap, run.now().distinct];
}
"""


@pytest.fixture(scope="module")
def page(browser):
    page = browser.new_page()
    page.add_script_tag(content=joined(ENGINE))
    yield page
    page.close()


def test_golden_runs_in_the_browser(page):
    for settings, theirs in zip(CASES, page.evaluate(PROGRAM, list(CASES)), strict=True):
        run = reference_run(settings, 100)
        ours = run.now()
        for name in ("loss", "gap", "predicted"):
            assert theirs[name] == pytest.approx(ours[name], rel=1e-8, abs=1e-13)
        np.testing.assert_allclose(theirs["eigenvalues"], ours["eigenvalues"], rtol=0, atol=1e-9)
        np.testing.assert_allclose(
            np.ravel(theirs["filters"]),
            run.net.filters.ravel(),
            rtol=0,
            atol=1e-9 * np.abs(run.net.filters).max(),
        )


def test_exact_twins_stay_exact_in_the_browser(page):
    assert page.evaluate(EXACT, 10_000) == [10_000, 0, 1]
