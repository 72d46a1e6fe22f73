"""The pages of the book, as its table of contents lists them."""

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
# Addresses that the tests publish a copy of the book under.
PUBLISHED = "https://readers.example/twin-filters/"
REPOSITORY = "https://github.com/someone/twin-filters"


def pages_of(toc):
    """Files of a table of contents, in its order."""
    if isinstance(toc, list):
        return [file for entry in toc for file in pages_of(entry)]
    if isinstance(toc, dict):
        own = [toc[key] for key in ("root", "file") if key in toc]
        return own + [file for value in toc.values() if isinstance(value, list) for file in pages_of(value)]
    return []


PAGES = pages_of(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8")))
# The one to try things on: it has statements, proofs, a question, a widget, figures, wide formulas, exercises.
CHAPTER = "book/part-1-identical/identical-gradients"
