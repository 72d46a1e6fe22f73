"""Print one table: `make bench`, or `python benchmarks --threads 1 conv hessian`.

Contenders are timed in turns in one process, on the same number of processors. A ratio is taken within each round;
the table gives its median and its quartiles.
"""

import argparse
import importlib
import importlib.metadata
import os
import platform

PARTS = {
    "conv": "against_torch",
    "ensemble": "against_frameworks",
    "hessian": "against_torch",
    "importing": "against_numpy",
    "growth": "slopes",
    "lab": "against_numpy",
}


def main():
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument(
        "parts", nargs="*", choices=[*PARTS, []], help=f"which of {', '.join(PARTS)}; all by default"
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="processors for every contender")
    parser.add_argument("--quick", action="store_true", help="fewer sizes and rounds")
    arguments = parser.parse_args()
    _confine(arguments.threads)
    _describe(arguments.threads)
    import numpy as np
    from timing import HEADER

    print(HEADER)
    for part in arguments.parts or PARTS:
        for row in getattr(importlib.import_module(part), PARTS[part])(
            np.random.default_rng(0), arguments.quick
        ):
            print(row, flush=True)
    print(f"load after: {os.getloadavg()[0]:.1f}")


def _confine(threads):
    """Bind this process to some processors, before any library counts them."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)


def _describe(threads):
    versions = {name: importlib.metadata.version(name) for name in ("numpy", "torch", "jax")}
    print(f"Python {platform.python_version()}, {', '.join(f'{k} {v}' for k, v in versions.items())}")
    print(
        f"{threads} of {os.cpu_count()} processors, {platform.machine()}; load at the start: {os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    main()
