"""What `import twinfilters` costs on top of `import numpy`."""

import statistics
import subprocess
import sys
from functools import partial

from timing import in_turns, milliseconds

ALLOWED = 0.05


def against_numpy(rng, quick):
    statements = {
        "import numpy": "import numpy",
        "import twinfilters": "import numpy, twinfilters",
        "and its network, training, ensemble": "import numpy\nfrom twinfilters import network, training, ensemble",
    }
    runs = {name: partial(_python, code) for name, code in statements.items()}
    times = in_turns(runs, 7 if quick else 21)
    for name, seconds in list(times.items())[1:]:
        extra = [one - base for one, base in zip(seconds, times["import numpy"], strict=True)]
        low, middle, high = statistics.quantiles(extra, n=4)
        goal = ("met" if middle <= ALLOWED else "MISSED") if name == "import twinfilters" else "no goal"
        yield (
            f"{name:<44} + {milliseconds(middle)} ({milliseconds(low)} to {milliseconds(high)}), goal "
            f"+ {milliseconds(ALLOWED)}: {goal}"
        )


def _python(code):
    subprocess.run([sys.executable, "-c", code], check=True)
