"""The lab's scripts as one text, in the order in which a script reads them, with what they need from Python."""

import json
from collections.abc import Iterable
from pathlib import Path

from twinfilters.lab.digits import packed
from twinfilters.lab.settings import table

HERE = Path(__file__).parent

# The computation: no document, no globals. Node runs it alone.
ENGINE = ("settings.js", "random.js", "functions.js", "digits.js", "engine.js")


def joined(names: Iterable[str]) -> str:
    """Give scripts of this folder as one text, behind the table of the settings and the digits."""
    constants = {"SETTINGS": table(), "PACKED_DIGITS": packed()}
    lines = (
        f"const {name} = {json.dumps(value, separators=(',', ':'))};\n" for name, value in constants.items()
    )
    return "".join([*lines, *((HERE / name).read_text(encoding="utf-8") for name in names)])
