"""The lab's scripts as one text, in the order in which a script reads them, with what they need from Python."""

import json
from collections.abc import Iterable
from pathlib import Path

from twinfilters.lab.digits import packed
from twinfilters.lab.settings import table
from twinfilters.plotting import theme_css

HERE = Path(__file__).parent

# The computation: no document, no globals. Node runs it alone.
ENGINE = ("settings.js", "random.js", "functions.js", "digits.js", "engine.js")
# What is seen and touched.
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
FRONT_END = (*ENGINE, "notebook.js", *VIEW)


def front_end() -> str:
    """Give the lab's front end as one text, which is an ES module."""
    presets = json.loads((HERE / "presets.json").read_text(encoding="utf-8"))
    return f"const PRESETS = {json.dumps(presets)};\n{joined(FRONT_END)}"


def style() -> str:
    """Give the style sheet of the lab, with the colours of pictures."""
    return theme_css() + (HERE / "lab.css").read_text(encoding="utf-8")


def joined(names: Iterable[str]) -> str:
    """Give scripts of this folder as one text, behind the table of the settings and the digits."""
    constants = {"SETTINGS": table(), "PACKED_DIGITS": packed()}
    lines = (
        f"const {name} = {json.dumps(value, separators=(',', ':'))};\n" for name, value in constants.items()
    )
    return "".join([*lines, *((HERE / name).read_text(encoding="utf-8") for name in names)])
