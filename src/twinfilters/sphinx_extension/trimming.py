"""Light pages: what theme and extensions load, cut down to what the pages of the book use.

=====================  ==========================================================================
style sheets           joined to one, without the rules that match nothing (`purging`)
icons                  a font of those that occur (`icons`), no script
scripts                after the page has been drawn, and only where there is something to do
sections               drawn when they come near (`book/styles/page.css`)
=====================  ==========================================================================

The head of a page is rewritten while Sphinx writes it. The joined sheet is made when all pages are there; a page notes
in ``data-sheets`` what it is made of.
"""

import hashlib
import re
import shutil
from pathlib import Path
from urllib.parse import unquote

import pydata_sphinx_theme
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError
from sphinx.jinja2glue import BuiltinTemplateLoader

from twinfilters.sphinx_extension.icons import with_small_icons
from twinfilters.sphinx_extension.purging import names_in_markup, names_in_script, purged, read_sheet
from twinfilters.sphinx_extension.repairs import repaired

FONTS = Path(pydata_sphinx_theme.__file__).parent.joinpath(
    "theme/pydata_sphinx_theme/static/vendor/fontawesome/webfonts"
)
SHEET = re.compile(
    r'\s*<link\b(?![^>]*\bmedia=)(?=[^>]*\brel="stylesheet")[^>]*\bhref="([^"]*?_static/)([^"?]*)[^>]*>'
)
SCRIPT = re.compile(r'<script\b(?=[^>]*\bsrc=)[^>]*\bsrc="[^"]*?([^"/?]+)(?:\?[^"]*)?"[^>]*></script>')
JOINED = re.compile(r'_static/(pages-\w+\.css)\?v=\w*" data-sheets="([^"]*)"')
NEVER = ("fontawesome.js",)
# script -> what a page has where the script has something to do
ON_DEMAND = {
    "clipboard.min.js": 'class="highlight',
    "copybutton.js": 'class="highlight',
    "design-tabs.js": 'class="sd-tab-',
    "language_data.js": 'id="search-results"',
    "searchindex.js": 'id="search-results"',
    "searchtools.js": 'id="search-results"',
}
# The theme measures every box of a page when it is loaded, to let those that scroll be reached by keyboard. That lays
# out all sections at once; book/scripts/scrolling.js does the same for each box when it is drawn.
THEME_SCRIPT = "scripts/pydata-sphinx-theme.js"
MEASURES_ALL = '"complete"===document.readyState?I():window.addEventListener("load",I)'


def setup(app: Sphinx) -> None:
    """Register what rewrites pages and joins style sheets."""
    app.connect("config-inited", choose_templates)
    # After the theme has written its colours of code.
    app.connect("build-finished", write_sheets, priority=900)


def choose_templates(app: Sphinx, config: Config) -> None:
    """Have Sphinx write pages through `LightPages`."""
    config.template_bridge = f"{__name__}.LightPages"


class LightPages(BuiltinTemplateLoader):
    """Sphinx's templates, with light heads and what else is put right (`repairs`)."""

    def render(self, template: str, context: dict) -> str:
        """Write a page."""
        page = super().render(template, context)
        return repaired(light(page)) if "</head>" in page else page


def light(page: str) -> str:
    """Let a page load only what it uses, and nothing before it is drawn that can come afterwards."""
    head, end, body = page.partition("</head>")
    head = re.sub(r'\s*<link rel="preload" as="script"[^>]*>', "", head)
    head = _one_sheet(head)

    def script(match: re.Match) -> str:
        if match[1] in NEVER or ON_DEMAND.get(match[1], "") not in page:
            return ""
        return (
            match[0]
            if re.search(r"\b(defer|async)\b", match[0])
            else match[0].replace("<script", "<script defer", 1)
        )

    page = SCRIPT.sub(script, head + end + body)
    # They refer to what a deferred script defines, and a module is deferred, too.
    return page.replace("<script>DOCUMENTATION_OPTIONS.", '<script type="module">DOCUMENTATION_OPTIONS.')


def _one_sheet(head: str) -> str:
    sheets = SHEET.findall(head)
    if not sheets:
        return head
    static = sheets[0][0]
    names = " ".join(name for _, name in sheets)
    key = hashlib.sha256(names.encode()).hexdigest()[:8]
    link = f'\n    <link rel="stylesheet" href="{static}pages-{key}.css?v=" data-sheets="{names}" />'
    start = SHEET.search(head).start()
    return head[:start] + link + SHEET.sub("", head[start:])


def write_sheets(app: Sphinx, exception: Exception | None) -> None:
    """Write the joined style sheets, and drop the icons in other forms."""
    if exception or app.builder.format != "html":
        return
    static = Path(app.outdir, "_static")
    pages = {path: path.read_text(encoding="utf-8") for path in Path(app.outdir).rglob("*.html")}
    used = names_used(pages.values(), Path(app.outdir))
    versions = {}
    for name, sheets in {joined for page in pages.values() for joined in JOINED.findall(page)}:
        css = purged("\n".join(read_sheet(static, unquote(sheet)) for sheet in sheets.split()), used)
        css = with_small_icons(css, FONTS, used)
        (static / name).write_text(css, encoding="utf-8")
        versions[name] = hashlib.sha256(css.encode()).hexdigest()[:8]
    for path, page in pages.items():
        stamped = JOINED.sub(
            lambda match: f'_static/{match[1]}?v={versions[match[1]]}" data-sheets="{match[2]}"', page
        )
        if stamped != page:
            path.write_text(stamped, encoding="utf-8")
    leave_out(static / THEME_SCRIPT, MEASURES_ALL)
    (static / "scripts" / "fontawesome.js").unlink(missing_ok=True)
    shutil.rmtree(static / "vendor" / "fontawesome", ignore_errors=True)


def leave_out(script: Path, statement: str) -> None:
    """Leave a statement out of a script of the theme; a comment in its place says so."""
    text, note = script.read_text(encoding="utf-8"), "/* measured by scrolling.js */0"
    if note not in text:
        if text.count(statement) != 1:
            raise ExtensionError(f"the theme has changed: {script.name} must contain {statement!r} once")
        script.write_text(text.replace(statement, note), encoding="utf-8")


def names_used(pages, folder: Path) -> set[str]:
    """Classes and identifiers that pages have or that their scripts know."""
    pages = list(pages)
    used = set().union(*map(names_in_markup, pages))
    scripts = {
        Path(source).name for page in pages for source in re.findall(r'<script[^>]*\bsrc="([^"?]*)', page)
    }
    for path in folder.rglob("*.js"):
        if path.name in scripts:
            used |= names_in_script(path.read_text(encoding="utf-8"))
    return used
