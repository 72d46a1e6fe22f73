"""Light heads, purged style sheets, small icon fonts: on pieces small enough to be read."""

import io
import re
from base64 import b64decode

import pytest
from fontTools.ttLib import TTFont
from sphinx.errors import ExtensionError

from twinfilters.sphinx_extension import icons, purging, trimming

HEAD = """<html><head>
  <link href="../_static/a.css?digest=1" rel="stylesheet" />
  <link rel="preload" as="script" href="../_static/scripts/b.js" />
  <link rel="stylesheet" type="text/css" href="../_static/styles/b.css?v=2" />
  <link rel="stylesheet" media="print" href="../_static/print.css" />
  <link rel="icon" href="../_static/favicon.svg" />
  <script defer src="../_static/scripts/fontawesome.js?digest=3"></script>
  <script src="../_static/documentation_options.js?v=4"></script>
  <script>DOCUMENTATION_OPTIONS.pagename = 'a';</script>
  <script src="../_static/design-tabs.js"></script>
  <script async="async" src="../_static/c.js"></script>
</head><body>{body}</body></html>"""


@pytest.fixture
def page():
    return trimming.light(HEAD.replace("{body}", ""))


def test_style_sheets_become_one_that_names_its_parts(page):
    (joined,) = trimming.JOINED.findall(page)
    assert joined[1] == "a.css styles/b.css"
    assert page.count('rel="stylesheet"') == 2
    assert 'media="print" href="../_static/print.css"' in page
    assert 'rel="icon"' in page


def test_scripts_wait_and_keep_their_order(page):
    assert re.findall(r"<script[^>]*>", page) == [
        '<script defer src="../_static/documentation_options.js?v=4">',
        '<script type="module">',
        '<script async="async" src="../_static/c.js">',
    ]
    assert "preload" not in page


def test_scripts_come_where_they_have_something_to_do():
    assert "design-tabs.js" in trimming.light(HEAD.replace("{body}", '<div class="sd-tab-set">'))


def test_a_page_without_a_style_sheet_stays():
    assert trimming.light("<head></head><p>") == "<head></head><p>"


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        (".a{x:1}", True),
        (".b{x:1}", False),
        ("#a{x:1}", True),
        ("#b{x:1}", False),
        (".a .b,.a.a{x:1}", ".a.a{x:1}"),
        ("p:not(.b){x:1}", True),
        ("p:is(.b,.a){x:1}", True),
        ("p:is(.b,.c){x:1}", False),
        ('[data-theme="dark"] p{x:1}', True),
        ("@media print{.b{x:1}.a{x:1}}", "@media print{.a{x:1}}"),
        ("@media print{.b{x:1}}", False),
        ("@font-face{font-family:f}", True),
        ("@keyframes k{from{x:1}}", True),
        ("/* note */.a{x:1}", ".a{x:1}"),
        ("/*! licence */.a{x:1}", "/*! licence */\n.a{x:1}"),
    ],
)
def test_rules_that_match_nothing_go(rule, kept):
    expected = rule if kept is True else kept or ""
    assert purging.purged(rule, {"a"}) == f'@charset "utf-8";\n{expected}'


def test_a_broken_style_sheet_is_an_error():
    with pytest.raises(ValueError, match="must be correct CSS, got line 2"):
        purging.purged(".a{x:1}\n}", {"a"})


def test_names():
    assert purging.names_in_markup('<p class="a b" id="c"><i title="d">e</i>') == {"a", "b", "c"}
    assert {"show", "d-none"} <= purging.names_in_script("x.classList.add('show', \"d-none\")")


def test_addresses_follow_the_sheet(tmp_path):
    (tmp_path / "styles").mkdir()
    (tmp_path / "styles" / "a.css").write_text('@import "../b.css";p{x:url(c/d.png),url(data:e),url("#f")}')
    (tmp_path / "b.css").write_text("b{x:url('c/d.png')}")
    text = purging.read_sheet(tmp_path, "styles/a.css")
    assert text == 'b{x:url(c/d.png)}p{x:url(styles/c/d.png),url(data:e),url("#f")}'


FACES = "".join(
    f"@font-face{{font-family:F;src:url(x/{name}.woff2) format('woff2'),url(x/{name}.ttf)}}"
    for name in icons.ASKED_BY
)


def test_the_icon_font_holds_what_is_shown_and_has_a_name_of_its_own():
    css = icons.with_small_icons(FACES + '.a{content:"\uf0c9"}.b{content:"\uf002"}', trimming.FONTS, {"fas"})
    (data,) = re.findall(r"base64,([^)]*)\)", css)
    font = TTFont(io.BytesIO(b64decode(data)))
    assert set(font.getBestCmap()) == {0xF0C9, 0xF002}
    assert "Awesome" not in "".join(record.toUnicode() for record in font["name"].names)
    assert len(data) < 2000
    assert css.count("@font-face") == 1


def test_without_icons_there_is_no_font():
    assert icons.with_small_icons(FACES, trimming.FONTS, {"fas"}) == ""


def test_a_changed_theme_is_an_error(tmp_path):
    script = tmp_path / "theme.js"
    script.write_text("a,b,c")
    trimming.leave_out(script, "b")
    trimming.leave_out(script, "b")
    assert script.read_text() == "a,/* measured by scrolling.js */0,c"
    script.write_text("a")
    with pytest.raises(ExtensionError, match="must contain 'b' once"):
        trimming.leave_out(script, "b")
