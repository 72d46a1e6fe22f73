"""Widgets that live in a notebook and, with nothing behind them, in a built book."""

from twinfilters.widgets.controls import Slider, decades
from twinfilters.widgets.explore import Explore, explore

__all__ = ["Explore", "Slider", "decades", "explore"]
