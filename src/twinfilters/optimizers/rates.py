"""One number for all parameters, or numbers for each of them: learning rates, strengths of a decay."""

from collections.abc import Mapping
from numbers import Real

import numpy as np
from jaxtyping import Inexact

from twinfilters.network import Parameters

Numbers = float | Inexact[np.ndarray, "..."]
Rates = float | Mapping[str, Numbers]


def rate_of(rates: Rates, name: str, value: Inexact[np.ndarray, "..."]) -> Numbers:
    """Rate of one parameter, in that parameter's floating type."""
    return rates if isinstance(rates, float) else rates[name].astype(value.real.dtype)


def in_words(rates: Rates) -> str:
    """One number, or the largest ones."""
    if isinstance(rates, float):
        return f"{rates:g}"
    return "up to " + ", ".join(f"{rate.max():g} for {name}" for name, rate in rates.items())


def checked_rates(rates: Rates, what: str, *, zero: bool = False) -> Rates:
    """Give back one number as float, or a mapping with an array for each parameter.

    Raises
    ------
    ValueError : a number that is not positive and finite, nor 0 where that is allowed; in a mapping, that is negative
        or not finite.
    """
    if not isinstance(rates, Mapping):
        return 0.0 if zero and rates == 0 else positive(rates, what)
    arrays = {name: np.array(value, dtype=float) for name, value in rates.items()}
    for name, array in arrays.items():
        if not (np.isfinite(array).all() and (array >= 0).all()):
            raise ValueError(f"{what} of {name} must be finite and at least 0, got {rates[name]}")
    return arrays


def check_rates_fit(rates: Rates, parameters: Parameters, what: str) -> None:
    """Raise ValueError unless there is one number, or one for each parameter that broadcasts to its shape."""
    if isinstance(rates, float):
        return
    if set(rates) != set(parameters):
        raise ValueError(f"{what} must be given for {sorted(parameters)}, got {sorted(rates)}")
    for name, value in parameters.items():
        try:
            np.broadcast_to(rates[name], value.shape)
        except ValueError:
            raise ValueError(
                f"{what} of {name} must broadcast to its shape {value.shape}, got {rates[name].shape}"
            ) from None


def positive(number: float, what: str) -> float:
    """Give back a number as float.

    Raises
    ------
    ValueError : it is not positive and finite.
    """
    if not (isinstance(number, Real) and np.isfinite(number) and number > 0):
        raise ValueError(f"{what} must be positive and finite, got {number}")
    return float(number)


def below_one(number: float, what: str) -> float:
    """Give back a number as float.

    Raises
    ------
    ValueError : it does not lie in [0, 1).
    """
    if not (isinstance(number, Real) and 0 <= number < 1):
        raise ValueError(f"{what} must be at least 0 and less than 1, got {number}")
    return float(number)


def put(frozen: object, **fields: object) -> None:
    """Replace fields of a frozen data class by what they are brought to while it is made."""
    for name, value in fields.items():
        object.__setattr__(frozen, name, value)
