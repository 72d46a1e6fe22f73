"""Time contenders in turns, and put their ratios into one table."""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter

HEADER = f"{'work':<44} {'ours':>10}  {'peer':<34} {'peer/ours':>9}  {'quartiles':<15} {'goal':>6}  verdict"


@dataclass(frozen=True)
class Row:
    """One peer, or several of which the fastest counts, against ours."""

    work: str
    ours: float
    peer: str
    ratios: list[float]
    goal: float | None
    reason: str = ""

    def __str__(self):
        low, middle, high = statistics.quantiles(self.ratios, n=4)
        verdict = "" if self.goal is None else "met" if middle >= self.goal else f"MISSED {self.reason}"
        goal = "" if self.goal is None else f"{self.goal:g}"
        return (
            f"{self.work:<44} {milliseconds(self.ours):>10}  {self.peer:<34} {middle:>9.3g}  "
            f"{f'{low:.3g} to {high:.3g}':<15} {goal:>6}  {verdict}".rstrip()
        )


def milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.3g} ms"


def in_turns(contenders: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of every call; each round calls every contender once, after one call to warm up."""
    for call in contenders.values():
        call()
    times = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, call in contenders.items():
            start = perf_counter()
            call()
            times[name].append(perf_counter() - start)
    return times


def rows(
    work: str, times: Mapping[str, list[float]], goals: Mapping[str, float | None], reason: str = ""
) -> list[Row]:
    """Compare "ours" with each peer, round by round."""
    ours = times["ours"]
    return [
        Row(
            work,
            statistics.median(ours),
            peer,
            [theirs / mine for theirs, mine in zip(times[peer], ours, strict=True)],
            goal,
            reason,
        )
        for peer, goal in goals.items()
    ]
