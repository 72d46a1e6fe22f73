"""The lab's settings: what there is to choose, within which bounds, and what stands at the start.

One table for both sides: the page receives it as JSON (:mod:`twinfilters.lab.scripts`), and settings.js checks against
it what an address or a control says.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import isfinite
from numbers import Integral, Real
from typing import Any

from twinfilters.activations import ACTIVATIONS
from twinfilters.lab.digits import IMAGES
from twinfilters.losses import LOSSES

Settings = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """One of the settings.

    Attributes
    ----------
    default : its value unless another is given.
    kind : "number", "integer", "flag", "choice" or "digits".
    low, high : ends of a number, both included.
    choices : what can be chosen.
    live : whether it may change while a run goes on; a change of another one starts a new run.
    """

    default: Any
    kind: str
    low: float = 0
    high: float = 0
    choices: tuple[str, ...] = ()
    live: bool = False

    @property
    def wanted(self) -> str:
        """What the value must be, in words."""
        return {
            "number": f"a number between {self.low:g} and {self.high:g}",
            "integer": f"an integer between {self.low} and {self.high}",
            "flag": "true or false",
            "choice": f"one of {', '.join(self.choices)}",
            "digits": "two different digits between 0 and 9",
        }[self.kind]

    def value(self, given: Any) -> Any:
        """Bring a value to the type that JSON has for it; None if it is not what is wanted."""
        return KINDS[self.kind](given, self)


def _number(given: Any, setting: Setting) -> float | None:
    if isinstance(given, bool) or not isinstance(given, Real) or not isfinite(given):
        return None
    return float(given) if setting.low <= given <= setting.high else None


def _integer(given: Any, setting: Setting) -> int | None:
    number = _number(given, setting)
    return int(number) if number is not None and number == int(number) else None


def _digits(given: Any, setting: Setting) -> list[int] | None:
    if not isinstance(given, list | tuple) or len(given) != 2 or given[0] == given[1]:
        return None
    return [int(digit) for digit in given] if all(_is_digit(digit) for digit in given) else None


def _is_digit(given: Any) -> bool:
    return isinstance(given, Integral) and not isinstance(given, bool) and 0 <= given <= 9


KINDS: dict[str, Callable[[Any, Setting], Any]] = {
    "number": _number,
    "integer": _integer,
    "flag": lambda given, setting: given if isinstance(given, bool) else None,
    "choice": lambda given, setting: given if isinstance(given, str) and given in setting.choices else None,
    "digits": _digits,
}

_number_setting = partial(Setting, kind="number", live=True)
_flag_setting = partial(Setting, kind="flag")

SETTINGS: dict[str, Setting] = {
    "digits": Setting([3, 8], "digits"),
    "images": Setting(IMAGES, "integer", 1, IMAGES),
    "filters": Setting(2, "integer", 2, 4),
    "kernel": Setting(3, "integer", 2, 5),
    "activation": Setting("tanh", "choice", choices=tuple(ACTIVATIONS)),
    "loss": Setting("squared", "choice", choices=tuple(LOSSES)),
    # Norm of the difference of the twins' tied parts; 0 makes them exact twins.
    "gap": Setting(1e-6, "number", 0, 1),
    # What is not tied is drawn anew for unit 1.
    "tied_filter": _flag_setting(True),
    "tied_bias": _flag_setting(True),
    "tied_readout": _flag_setting(True),
    "seed": Setting(1, "integer", 0, 999_999),
    "learning_rate": _number_setting(0.1, low=1e-6, high=10),
    "momentum": _number_setting(0.0, low=0, high=0.999),
    # 0 takes all images in each step.
    "batch": Setting(0, "integer", 0, IMAGES, live=True),
    # Standard deviation of what is added to the targets.
    "label_noise": _number_setting(0.0, low=0, high=10),
    # Coupled: added to the gradient.
    "weight_decay": _number_setting(0.0, low=0, high=1),
    # Share of the features that is switched off.
    "dropout": _number_setting(0.0, low=0, high=0.9),
    # "twin" holds unit 1, "readouts" the readouts of all units and the readout bias.
    "frozen": Setting("none", "choice", choices=("none", "twin", "readouts"), live=True),
}

LIVE = tuple(name for name, setting in SETTINGS.items() if setting.live)


def checked(given: Mapping[str, Any] | None = None) -> Settings:
    """Complete settings by the defaults and check them.

    Raises
    ------
    ValueError : there is no setting of that name, or a value out of bounds; a batch larger than there are images; label
        noise with the cross-entropy, whose targets are probabilities.

    Examples
    --------
    >>> checked({"gap": 0, "activation": "erf"})["gap"]
    0.0
    >>> checked({"filters": 5})
    Traceback (most recent call last):
    ...
    ValueError: filters must be an integer between 2 and 4, got 5
    """
    given = dict(given or {})
    if unknown := [name for name in given if name not in SETTINGS]:
        raise ValueError(
            f"a setting must be one of {', '.join(SETTINGS)}, got {', '.join(map(str, unknown))}"
        )
    values = {}
    for name, setting in SETTINGS.items():
        values[name] = setting.value(given.get(name, setting.default))
        if values[name] is None:
            raise ValueError(f"{name} must be {setting.wanted}, got {given[name]!r}")
    if values["batch"] > values["images"]:
        raise ValueError(f"batch must be at most images, {values['images']}, got {values['batch']}")
    if values["label_noise"] and values["loss"] != "squared":
        raise ValueError(f"label_noise must be 0 unless the loss is squared, got {values['label_noise']!r}")
    return values


def table() -> dict[str, dict[str, Any]]:
    """Give the table as the page receives it."""
    names = ("default", "kind", "low", "high", "choices", "live", "wanted")
    return {name: {key: getattr(setting, key) for key in names} for name, setting in SETTINGS.items()}
