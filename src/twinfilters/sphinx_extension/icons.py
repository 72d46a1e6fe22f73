"""The theme's icon font, cut down to the icons that the pages show.

The theme draws icons with a script of 540 kB (gzipped) or, without it, with fonts of 300 kB; a page shows a dozen
icons. Font Awesome's fonts are under the SIL Open Font License, which reserves their name: what is made of them has
another.
"""

import base64
import io
import re
from functools import cache
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

# font file of the theme -> classes that ask for it
ASKED_BY = {
    "fa-solid-900": {"fa", "fas", "fa-solid"},
    "fa-regular-400": {"far", "fa-regular"},
    "fa-brands-400": {"fab", "fa-brands"},
}
FONT_FACE = re.compile(r"@font-face ?\{[^}]*?/(fa-\w+-\d+)\.woff2[^}]*\}")
# Icons lie where Unicode leaves room for private use.
CHARACTER = re.compile("[\ue000-\uf8ff]")


def with_small_icons(css: str, folder: Path, used: set[str]) -> str:
    """Put fonts of the icons that a style sheet writes into it, in the place of the whole fonts.

    Parameters
    ----------
    css : style sheet, without the rules that match nothing, with its characters as themselves.
    folder : where the theme's fonts are.
    used : classes that occur on the pages.
    """
    characters = frozenset(map(ord, CHARACTER.findall(css)))

    def small(match: re.Match) -> str:
        if not characters or not ASKED_BY[match[1]] & used:
            return ""
        source = f"url(data:font/woff;base64,{subset_font(folder / f'{match[1]}.ttf', characters)})"
        return re.sub(r"src:[^;}]*", f'src:{source} format("woff")', match[0])

    return FONT_FACE.sub(small, css)


@cache
def subset_font(file: Path, characters: frozenset[int]) -> str:
    """Make a font of some of the characters of another, as base64."""
    options = subset.Options(layout_features=[], name_IDs=[1, 2], notdef_outline=False)
    with TTFont(file, recalcTimestamp=False) as font:
        subsetter = subset.Subsetter(options)
        subsetter.populate(unicodes=characters)
        subsetter.subset(font)
        for record in font["name"].names:
            record.string = "Icons of the pages" if record.nameID == 1 else "Regular"
        font.flavor = "woff"
        buffer = io.BytesIO()
        font.save(buffer)
    return base64.b64encode(buffer.getvalue()).decode()
