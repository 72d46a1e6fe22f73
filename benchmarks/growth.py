"""How time and memory of an ensemble's step grow with runs, images and filters, over three decades."""

import tracemalloc
from statistics import median
from time import perf_counter

import numpy as np

from twinfilters.ensemble.draws import Sample
from twinfilters.ensemble.engine import Engine
from twinfilters.network import FilterNet

START = {"E": 16, "N": 64, "F": 2}
SCALES = {
    "E": (4, 12, 40, 126, 400, 1265, 4000),
    "N": (10, 32, 100, 316, 1000, 3162, 10000),
    "F": (1, 3, 10, 32, 100, 316, 1000),
}


def slopes(rng, quick):
    for letter, sizes in SCALES.items():
        points = np.array([_cost(rng, **{**START, letter: size}, rounds=3 if quick else 7) for size in sizes])
        logarithms = np.log(points)
        upper = slice(-3, None)
        for name, column in (("time", 0), ("memory", 1)):
            whole = np.polyfit(np.log(sizes), logarithms[:, column], 1)[0]
            last = np.polyfit(np.log(sizes)[upper], logarithms[upper, column], 1)[0]
            unit = 1e3 if column == 0 else 2.0**-20
            yield (
                f"{f'{name} against {letter}, {sizes[0]} to {sizes[-1]}':<44} slope {whole:.2f}, in the last decade "
                f"{last:.2f}; from {unit * points[0, column]:.3g} to {unit * points[-1, column]:.3g} "
                f"{'ms' if column == 0 else 'MiB'}"
            )


def _cost(rng, rounds, **sizes):
    """Seconds, and bytes at the peak, of losses and gradients."""
    runs, images, filters = sizes["E"], sizes["N"], sizes["F"]
    net = FilterNet.random(rng, filters=filters)
    pictures = rng.random((images, 1, 8, 8))
    parameters = {name: np.stack([value] * runs, -1) for name, value in net.parameters.items()}
    sample = Sample(None, rng.normal(size=(1, images, 1)))
    with Engine(net, net.patches(pictures), "numpy", "cpu") as engine:
        engine(parameters, sample)
        times = []
        for _ in range(rounds):
            start = perf_counter()
            engine(parameters, sample)
            times.append(perf_counter() - start)
        tracemalloc.start()
        engine(parameters, sample)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return median(times), peak
