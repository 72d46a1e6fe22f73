"""What theme and Sphinx write on every page, put right where assistive technology or axe stumbles over it.

Each repair is a pattern and its replacement in the finished page; the tests run every rule of axe on every page.
"""

import re

REPAIRS = (
    # Icons are characters without a meaning of their own.
    (r'<(i|span) class="((?:theme-switch )?fa[srb]?[ -][^"]*)"', r'<\1 aria-hidden="true" class="\2"'),
    # The brand stands in the sidebar, which is no landmark.
    (
        r'<div id="pst-primary-sidebar"',
        '<div id="pst-primary-sidebar" role="complementary" aria-label="Book"',
    ),
    # The name of a button begins with what it shows: "Search Ctrl K", not "Search".
    (r'(<button class="btn search-button-field[^>]*) aria-label="[^"]*"', r"\1"),
    (r'(<button class="sidebar-toggle[^>]*) title="([^"]*)"', r'\1 title="\2" aria-label="\2"'),
    (r'(<button onclick="toggleFullScreen\(\)"[^>]*) title="([^"]*)"', r'\1 title="\2" aria-label="\2"'),
    # Its role is deprecated, and an entry of a list is what it is.
    (r'role="doc-biblioentry"', 'role="listitem"'),
    # Once is enough, and the theme says it three times.
    (
        r'(?s)(<meta name="viewport"[^>]*>)(.*?)<meta name="viewport"[^>]*>(.*?)<meta name="viewport"[^>]*>',
        r"\1\2\3",
    ),
)


def repaired(page: str) -> str:
    """Put a finished page right."""
    for pattern, replacement in REPAIRS:
        page = re.sub(pattern, replacement, page)
    return page
