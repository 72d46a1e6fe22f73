"""`TwinLab`: the lab as a widget, whose run Python sees, sets and moves.

A displayed lab computes in the page; Python gives orders, and hears of each ``every``-th step. A lab that is not
displayed computes in Python, by the package, with the same numbers. Either side can make the other's run again from its
recipe: the settings and the network at the start, and the settings that changed later, each with its step.
"""

from collections.abc import Callable, Mapping
from typing import Any

import anywidget
import numpy as np
import traitlets
from jaxtyping import Shaped

from twinfilters.lab.markup import lab_markup, page
from twinfilters.lab.reference import PackageRun
from twinfilters.lab.scripts import front_end, style
from twinfilters.lab.settings import LIVE, SETTINGS, Settings, checked
from twinfilters.network import PARAMETERS, FilterNet
from twinfilters.widgets.snapshot import building

# One attribute for each setting, which may hold what `checked` lets pass.
_Settings = type(
    "_Settings",
    (traitlets.HasTraits,),
    {name: traitlets.Any(setting.default) for name, setting in SETTINGS.items()},
)
# What the lab can do of all that a network can be.
GEOMETRY = {"stride": (1, (1, 1)), "padding": (0, (0, 0)), "dilation": (1, (1, 1))}
# What a row of the history has beside the step.
RECORDED = ("loss", "accuracy", "gap", "predicted")


class TwinLab(_Settings, anywidget.AnyWidget):
    """Two filters on real digits, trained live, with the gap between them and what theory says of it.

    Parameters
    ----------
    every : Python hears of each so many steps, and wherever the run comes to rest.
    settings : those that are not the default, see :mod:`twinfilters.lab.settings`.

    Attributes
    ----------
    steps : how many steps were made. Functions given to ``observe(function, "step")`` are called for each that is heard
        of, and find the network of that step in :attr:`net`.
    playing : whether the run goes on by itself, in the page.
    history : dictionary of arrays: the steps that were heard of, the loss, the accuracy, the gap and the predicted gap
        then; NaN where no prediction was left.

    Each setting is an attribute that can be set, observed and linked. ``learning_rate``, ``momentum``, ``batch``,
    ``label_noise``, ``weight_decay``, ``dropout`` and ``frozen`` change the run as it goes on; others start a new one.

    Raises
    ------
    ValueError : a setting of another name, or a value that is not among those it can have.

    Examples
    --------
    >>> lab = TwinLab(gap=1e-6, activation="tanh")
    >>> lab.step(10)
    >>> lab.history["step"].tolist(), lab.net.filters.shape
    ([0, 10], (2, 1, 3, 3))
    """

    _esm = front_end()
    _css = style()

    steps = traitlets.Int(0, read_only=True).tag(sync=True)
    playing = traitlets.Bool(False).tag(sync=True)
    every = traitlets.Int(10).tag(sync=True)
    # What makes the run again.
    _recipe = traitlets.Dict().tag(sync=True)
    # Python -> page: {"serial", "name", ...}; page -> Python: {"serial", "recipe", "rows"}, then back what was seen.
    _command = traitlets.Dict().tag(sync=True)
    _report = traitlets.Dict().tag(sync=True, echo_update=False)
    _seen = traitlets.Int(0).tag(sync=True)
    # The view that computes; none is displayed while it is empty.
    _leader = traitlets.Unicode().tag(sync=True)
    _markup = traitlets.Unicode().tag(sync=True)

    def __init__(self, *, every: int = 10, **settings: Any) -> None:
        self._settings = checked(settings)
        self._recipe = _recipe(self._settings)
        self._run, self._run_recipe = PackageRun(settings), self._recipe
        self._rows = []
        super().__init__(every=every, _markup=lab_markup(self._settings, page=False))
        self._follow(self._settings)
        self._hear([self._row()])
        self.observe(self._change, list(SETTINGS))
        self.observe(self._take_report, "_report")

    def open(self) -> None:
        """Open the connection to the front end; there is none while a book is built."""
        if not building():
            super().open()

    # --- settings

    @property
    def settings(self) -> Settings:
        """All settings; set some of them at once by a dictionary.

        Raises
        ------
        ValueError : as for a setting alone.
        """
        return dict(self._settings)

    @settings.setter
    def settings(self, changes: Mapping[str, Any]) -> None:
        self._apply({**self._settings, **changes})

    @traitlets.validate(*SETTINGS)
    def _checked(self, proposal: dict) -> Any:
        name = proposal["trait"].name
        return checked({**self._settings, name: proposal["value"]})[name]

    @traitlets.validate("every")
    def _checked_every(self, proposal: dict) -> int:
        if proposal["value"] < 1:
            raise ValueError(f"every must be an integer of at least 1, got {proposal['value']}")
        return proposal["value"]

    def _change(self, change: dict) -> None:
        if change["new"] != self._settings[change["name"]]:
            self._apply({**self._settings, change["name"]: change["new"]})

    def _apply(self, settings: Mapping[str, Any]) -> None:
        """Change the run, or start another one where that is needed."""
        settings = checked(settings)
        changes = {name: value for name, value in settings.items() if value != self._settings[name]}
        self._follow(settings)
        if not set(changes) <= set(LIVE):
            self._restart()
        elif self._leader:
            self._order("change", changes=changes)
        else:
            self._caught_up().change(**changes)
            changed = [*self._recipe["changes"], [self.steps, changes]]
            self._recipe = self._run_recipe = {**self._recipe, "changes": changed}

    def _follow(self, settings: Settings) -> None:
        """Let the attributes say what the settings are."""
        self._settings = settings
        for name, value in settings.items():
            setattr(self, name, value)

    # --- the run

    def step(self, count: int = 1) -> None:
        """Make training steps.

        A displayed lab makes them in the page: what comes of them is heard of when the cell is done.

        Raises
        ------
        ValueError : a count that is not an integer of at least 0.
        """
        if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 0:
            raise ValueError(f"count must be an integer of at least 0, got {count!r}")
        if self._leader:
            self._order("step", count=int(count))
            return
        run, goal = self._caught_up(), self.steps + count
        while run.steps < goal and not run.diverged:
            run.step(min(goal, (run.steps // self.every + 1) * self.every) - run.steps)
            self._hear([self._row()])

    def rewind(self) -> None:
        """Go back to the start: the same filters, and the same noise to come."""
        if self._leader:
            self._order("rewind")
        else:
            self._restart(self._recipe["start"])

    def play(self) -> None:
        """Let the run go on in the page."""
        self.playing = True

    def pause(self) -> None:
        """Let it rest."""
        self.playing = False

    @property
    def diverged(self) -> bool:
        """Whether the run has left all bounds; a smaller learning rate may help."""
        return self._rows[-1]["diverged"]

    @property
    def history(self) -> dict[str, Shaped[np.ndarray, " T"]]:
        """What was heard of this run, since its start."""
        columns = {name: np.array([row[name] for row in self._rows], dtype=float) for name in RECORDED}
        return {"step": np.array([row["step"] for row in self._rows]), **columns}

    def now(self) -> dict[str, Any]:
        """Give all that the lab shows at :attr:`steps`, computed by the package: eigenvalues, gradients, gaps."""
        return self._caught_up().now()

    # --- networks

    @property
    def net(self) -> FilterNet:
        """The network at :attr:`steps`. Set another one, and a run starts from it.

        Raises
        ------
        ValueError : a network that the lab cannot train.
        """
        return self._net

    @net.setter
    def net(self, net: FilterNet) -> None:
        settings = checked({**self._settings, **_settings_of(net)})
        self._follow(settings)
        self._restart(_plain(net))

    def _restart(self, start: dict[str, list] | None = None) -> None:
        self._recipe = _recipe(self._settings, start)
        self._run, self._run_recipe = _run_of(self._recipe, 0), self._recipe
        self._rows = []
        self._hear([self._row()])
        if self._leader:
            self._order("restart")

    # --- the page

    def observe(self, handler: Callable, names: Any = traitlets.All, type: str = "change") -> None:  # noqa: A002
        """Do as every widget; ``"step"``, which is a method, stands for the attribute ``steps``."""
        super().observe(handler, "steps" if names == "step" else names, type)

    def _order(self, name: str, **what: Any) -> None:
        self._command = {"serial": self._command.get("serial", 0) + 1, "name": name, **what}

    def _take_report(self, change: dict) -> None:
        report, order = change["new"], self._command
        if report["order"] == order.get("serial", 0):
            self._recipe = report["recipe"]
            self._follow(_settings_now(self._recipe))
            if report["rows"][0]["step"] == 0:
                self._rows = []
            self._hear(report["rows"])
        elif order["name"] in ("step", "change"):
            # The order is on its way, and the run still the same.
            self._hear(report["rows"])
        self._seen = report["serial"]

    def _hear(self, rows: list[dict[str, Any]]) -> None:
        """Take in what was measured, row by row, so that who observes finds the network of that step."""
        for row in rows:
            if self._rows and self._rows[-1]["step"] == row["step"]:
                self._rows.pop()
            self._rows.append(row)
            self._net = _net_of(row["parameters"], self._settings)
            self.set_trait("steps", row["step"])

    def _row(self) -> dict[str, Any]:
        return {**self._run.measured(), "parameters": _plain(self._run.net)}

    def _caught_up(self) -> PackageRun:
        """Bring Python's run to where the page's is."""
        if self._run_recipe != self._recipe or self._run.steps > self.steps:
            self._run, self._run_recipe = _run_of(self._recipe, self.steps), self._recipe
        self._run.step(self.steps - self._run.steps)
        return self._run

    def __repr__(self) -> str:
        own = {name: value for name, value in self._settings.items() if value != SETTINGS[name].default}
        return f"TwinLab({', '.join(f'{name}={value!r}' for name, value in own.items())})"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict, dict] | dict | None:
        if not building():
            return super()._repr_mimebundle_(**kwargs)
        return {"text/plain": repr(self), "text/html": page(self.settings)}


def _recipe(settings: Settings, start: dict[str, list] | None = None) -> dict[str, Any]:
    return {"settings": settings, "start": start, "changes": []}


def _settings_now(recipe: Mapping[str, Any]) -> Settings:
    settings = dict(recipe["settings"])
    for _, changes in recipe["changes"]:
        settings |= changes
    return checked(settings)


def _run_of(recipe: Mapping[str, Any], steps: int) -> PackageRun:
    """Make the run of a recipe again, up to a step."""
    run = PackageRun(recipe["settings"])
    if recipe["start"]:
        run.load(_net_of(recipe["start"], recipe["settings"]))
    for at, changes in (*recipe["changes"], (steps, {})):
        run.step(at - run.steps)
        run.change(**changes)
    return run


def _plain(net: FilterNet) -> dict[str, list]:
    """Parameters as lists of numbers, each filter as one row."""
    return {
        "filters": net.filters.reshape(net.units, -1).tolist(),
        **{name: net.parameters[name].tolist() for name in PARAMETERS[1:]},
    }


def _net_of(parameters: Mapping[str, list], settings: Settings) -> FilterNet:
    arrays = {name: np.array(parameters[name], dtype=float) for name in PARAMETERS}
    size = settings["kernel"]
    arrays["filters"] = arrays["filters"].reshape(-1, 1, size, size)
    return FilterNet(**arrays, activation=settings["activation"], loss=settings["loss"])


def _settings_of(net: FilterNet) -> Settings:
    """Give the settings that a network brings along; its twins are as it has them.

    Raises
    ------
    ValueError : a network that the lab cannot train.
    """
    if not isinstance(net, FilterNet):
        raise ValueError(f"net must be a twinfilters.network.FilterNet, got {net!r:.60}")
    kernel, filters = SETTINGS["kernel"], SETTINGS["filters"]
    outputs = {"squared": 1, "cross_entropy": 2}[net.loss]
    fits = {
        "one layer with mean pooling": net.depth == 1 and net.pooling == "mean",
        f"{filters.low} to {filters.high} filters": filters.low <= net.units <= filters.high,
        f"square filters of {kernel.low} to {kernel.high} pixels on one channel": net.filters.shape[1] == 1
        and net.filters.shape[2] == net.filters.shape[3]
        and kernel.low <= net.filters.shape[3] <= kernel.high,
        f"{outputs} output{'s' * (outputs > 1)} for the loss {net.loss}": len(net.readout) == outputs,
        "stride 1, no padding, no dilation": all(
            getattr(net, name) in values for name, values in GEOMETRY.items()
        ),
        "real parameters": not np.iscomplexobj(net.filters),
    }
    if missing := [what for what, holds in fits.items() if not holds]:
        raise ValueError(
            f"net must have {', '.join(missing)}, got filters {net.filters.shape}, readout {net.readout.shape}, "
            f"depth {net.depth}, pooling {net.pooling}, stride {net.stride}, padding {net.padding}"
        )
    return {
        "filters": net.units,
        "kernel": net.filters.shape[3],
        "activation": net.activation,
        "loss": net.loss,
        # Of twins that are far apart their gap says it.
        **dict.fromkeys(("tied_filter", "tied_bias", "tied_readout"), True),
        **({} if net.loss == "squared" else {"label_noise": 0}),
    }
