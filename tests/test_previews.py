"""Copies of what a page's links lead to on other pages."""

import pytest

from twinfilters.sphinx_extension.previews import with_previews

STATEMENT = (
    '<div class="proof theorem admonition" id="thm-a">\n<div class="tf-content"><div>{}</div></div>\n</div>'
)


def link(target):
    return f'<a class="reference internal" href="{target}"><span>Theorem 1</span></a>'


def book(said="Equal."):
    return {
        "part/a.html": f"<body>{STATEMENT.format(said)}<p id='p'>after</p></body>",
        "part/b.html": f"<body>{link('a.html#thm-a')}{link('a.html#thm-a')}{link('a.html#p')}{link('a.html')}</body>",
        "c.html": f"<body>{link('part/a.html#thm-a')}{link('https://x.org/a.html#thm-a')}</body>",
    }


def test_a_link_to_a_statement_elsewhere_brings_the_whole_statement_once():
    pages = with_previews(book())
    copy = f'<template data-preview="{{}}#thm-a">{STATEMENT.format("Equal.")}</template>'
    assert pages["part/b.html"].count("<template") == 1
    assert copy.format("a.html") in pages["part/b.html"]
    assert copy.format("part/a.html") in pages["c.html"]
    assert pages["c.html"].count("<template") == 1
    assert pages["part/a.html"] == book()["part/a.html"]


def test_copies_are_renewed_when_the_other_page_changes():
    pages = with_previews(book())
    assert with_previews(pages) == pages
    pages["part/a.html"] = book("Parallel.")["part/a.html"]
    assert with_previews(pages) == with_previews(book("Parallel."))


def test_the_list_of_claims_needs_none():
    pages = book()
    pages["c.html"] = pages["c.html"].replace("<body>", '<body><div class="tf-claim-said">Equal.</div>')
    assert with_previews(pages)["c.html"] == pages["c.html"]


def test_a_page_that_is_cut_off_is_an_error():
    pages = book()
    pages["part/a.html"] = pages["part/a.html"].replace("</div>", "")
    with pytest.raises(ValueError, match=r"thm-a.* does not end"):
        with_previews(pages)
