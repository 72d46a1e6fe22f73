"""The scripts of the lab, joined in the order in which they are read: first what computes, then what shows."""

from pathlib import Path

HERE = Path(__file__).parent
VIEW = (
    "numbers.js",
    "images.js",
    "history.js",
    "plot.js",
    "address.js",
    "words.js",
    "panel.js",
    "download.js",
    "player.js",
    "view.js",
)


def joined(*names: str) -> str:
    """Join scripts of this folder."""
    return "".join((HERE / name).read_text(encoding="utf-8") for name in names)
