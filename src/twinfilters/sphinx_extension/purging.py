"""Style sheets without the rules that match nothing.

A rule stays if every class and every identifier of one of its selectors occurs somewhere: in the markup of a page or
as a word of a script, which may add it later.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import tinycss2

# At-rules whose block holds rules.
NESTING = ("container", "layer", "media", "supports")


def names_in_markup(html: str) -> set[str]:
    """Classes and identifiers that a page's elements have."""
    return {name for value in re.findall(r'\b(?:class|id)="([^"]*)"', html) for name in value.split()}


def names_in_script(script: str) -> set[str]:
    """Words that a script could give to an element."""
    return set(re.findall(r"[A-Za-z_][\w-]*", script))


def read_sheet(folder: Path, name: str) -> str:
    """Read a style sheet and those it imports, with addresses relative to the folder."""
    text = (folder / name).read_text(encoding="utf-8")
    here = posixpath.dirname(name)

    def from_folder(address: str) -> str:
        return posixpath.normpath(posixpath.join(here, address))

    text = re.sub(
        r"url\((?![\"']?(?:data:|https?:|[#/]))([\"']?)([^\"')]+)\1\)",
        lambda match: f"url({from_folder(match[2])})",
        text,
    )
    return re.sub(r'@import "([^":]+)";', lambda match: read_sheet(folder, from_folder(match[1])), text)


def purged(css: str, used: set[str]) -> str:
    """Drop rules that match nothing, and all comments but those that state a licence.

    Parameters
    ----------
    css : a style sheet.
    used : classes and identifiers that occur.
    """
    licences = dict.fromkeys(re.findall(r"/\*!.*?\*/", css, flags=re.DOTALL))
    tokens = tinycss2.parse_component_value_list(css, skip_comments=True)
    return "\n".join(['@charset "utf-8";', *licences, "".join(_rules(tokens, used))])


def _rules(tokens: Iterable, used: set[str]) -> Iterator[str]:
    for rule in tinycss2.parse_rule_list(tokens, skip_comments=True, skip_whitespace=True):
        if rule.type == "error":
            raise ValueError(
                f"a style sheet must be correct CSS, got line {rule.source_line}: {rule.message}"
            )
        prelude = _text(rule.prelude)
        if rule.type == "qualified-rule":
            selectors = [_text(selector) for selector in _split(rule.prelude) if _possible(selector, used)]
            if selectors:
                yield f"{','.join(selectors)}{{{_text(rule.content)}}}"
        elif rule.lower_at_keyword == "charset":
            continue
        elif rule.content is None:
            yield f"@{rule.at_keyword} {prelude};"
        elif rule.lower_at_keyword in NESTING:
            if inner := "".join(_rules(rule.content, used)):
                yield f"@{rule.at_keyword} {prelude}{{{inner}}}"
        else:
            yield f"@{f'{rule.at_keyword} {prelude}'.strip()}{{{_text(rule.content)}}}"


def _text(tokens: list) -> str:
    return re.sub(r"\s+", " ", tinycss2.serialize(tokens)).strip()


def _split(tokens: list) -> Iterator[list]:
    """Split at the commas of a list of selectors."""
    part = []
    for token in tokens:
        if token == ",":
            yield part
            part = []
        else:
            part.append(token)
    yield part


def _possible(selector: list, used: set[str]) -> bool:
    """Whether an element of the pages could match; what is asked for by other means counts as possible."""
    return all(_occurs(token, before, used) for before, token in pairwise([None, *selector]))


def _occurs(token, before, used: set[str]) -> bool:
    if token.type == "hash" or (token.type == "ident" and before == "."):
        return token.value in used
    if token.type == "function" and token.lower_name in ("is", "where", "has"):
        return any(_possible(part, used) for part in _split(token.arguments))
    return True
