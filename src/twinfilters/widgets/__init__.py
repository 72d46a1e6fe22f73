"""Widgets that live in a notebook and, with nothing behind them, in the built book."""

from twinfilters.widgets.explore import Explore, explore

__all__ = ["Explore", "explore"]
