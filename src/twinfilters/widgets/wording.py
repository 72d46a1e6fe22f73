"""Values in words: as a reader sees them, as a screen reader says them, and as they stand in an address.

==============  ====================  ============  ==============
value           shown                 said          in an address
==============  ====================  ============  ==============
``1e-6``        10⁻⁶                  10 to the     1e-6
                                      minus 6
``0.25``        0.25                  0.25          0.25
``True``        yes                   yes           yes
==============  ====================  ============  ==============
"""

import re
from enum import Enum
from numbers import Integral, Real
from typing import Any

import numpy as np

# Between these, a number needs no power of ten.
SMALLEST, LARGEST = 1e-3, 1e6
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def shown(value: Any, digits: int = 6) -> str:
    """Write a value as the reader sees it: 0.001, 2 × 10⁻⁶, yes, tanh.

    Parameters
    ----------
    value : anything.
    digits : significant ones of a real number.

    Examples
    --------
    >>> [shown(value) for value in (1e-6, 0.25, -3, True, "tanh")]
    ['10⁻⁶', '0.25', '−3', 'yes', 'tanh']
    """
    return _written(value, digits, lambda power: f"10{power.translate(SUPERSCRIPTS)}", " × ", "−")


def said(value: Any, digits: int = 6) -> str:
    """Write a value as it is to be spoken.

    Examples
    --------
    >>> [said(value) for value in (1e-6, 2e-6, -3)]
    ['10 to the minus 6', '2 times 10 to the minus 6', 'minus 3']
    """
    return _written(
        value, digits, lambda power: f"10 to the {power.replace('-', 'minus ')}", " times ", "minus "
    )


def named(value: Any) -> str:
    """Write a value as it stands in an address.

    Examples
    --------
    >>> [named(value) for value in (1e-6, 0.25, -3, True, "tanh")]
    ['1e-6', '0.25', '-3', 'yes', 'tanh']
    """
    if is_number(value) and not isinstance(value, Integral):
        return re.sub(r"e([+-])0*", lambda match: "e" + match[1].strip("+"), f"{value:.12g}")
    return _word(value)


def with_unit(text: str, unit: str) -> str:
    """Put a unit behind a number: with a space that does not break before a letter, else close by.

    Examples
    --------
    >>> with_unit("50", "%")
    '50%'
    """
    return f"{text}\N{NO-BREAK SPACE}{unit}" if unit[:1].isalpha() else text + unit


def is_number(value: Any) -> bool:
    """Whether this is a real number, and not a truth value."""
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)


def _written(value: Any, digits: int, power_of_ten, times: str, minus: str) -> str:
    if not is_number(value):
        return _word(value)
    if isinstance(value, Integral):
        digits = len(str(abs(value)))
    rounded = float(f"{value:.{digits}g}")
    size = abs(rounded)
    if not np.isfinite(size) or size == 0 or SMALLEST <= size < LARGEST or digits > 15:
        text = str(value) if isinstance(value, Integral) else f"{rounded:.15g}"
    else:
        mantissa, _, power = f"{rounded:.14e}".partition("e")
        mantissa = mantissa.rstrip("0").rstrip(".")
        ten = power_of_ten(str(int(power)))
        text = {"1": ten, "-1": f"-{ten}"}.get(mantissa, f"{mantissa}{times}{ten}")
    return minus + text[1:] if text.startswith("-") else text


def _word(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, Enum):
        return value.name
    return getattr(value, "__name__", str(value))
