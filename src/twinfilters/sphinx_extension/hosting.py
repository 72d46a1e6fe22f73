"""What a web host serves beside the pages: front page, page for missing addresses, site map, robots.txt."""

import html
import re
from pathlib import Path
from string import Template
from urllib.parse import urljoin, urlsplit

from sphinx.application import Sphinx

from twinfilters.sphinx_extension.metadata import element, page_elements

MISSING = "404"
FRONT = Template("""<!DOCTYPE html>
<html lang="$language">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>$title</title>
    $metadata
    <meta http-equiv="refresh" content="0; url=$target" />
  </head>
  <body><p><a href="$target">$title</a></p></body>
</html>
""")


def setup(app: Sphinx) -> None:
    """Register what writes the files."""
    app.connect("html-collect-pages", missing_page)
    # After sphinx-external-toc has written a front page that names neither the book nor what it is about.
    app.connect("build-finished", write_files, priority=900)


def missing_page(app: Sphinx):
    """Have a page written that hosts show for an address where there is none."""
    yield MISSING, {"title": "Page not found"}, "404.html"


def write_files(app: Sphinx, exception: Exception | None) -> None:
    """Write the files."""
    if exception or app.builder.name != "html":
        return
    files = {"index.html": front_page(app)}
    missing = Path(app.outdir, f"{MISSING}.html")
    root = urlsplit(app.config.html_baseurl).path or "/"
    files[missing.name] = with_absolute_addresses(missing.read_text(encoding="utf-8"), root)
    if app.config.html_baseurl:
        files["sitemap.xml"] = site_map(app)
        files["robots.txt"] = f"User-agent: *\nAllow: /\n\nSitemap: {app.config.html_baseurl}sitemap.xml\n"
    for name, content in files.items():
        Path(app.outdir, name).write_text(content, encoding="utf-8")


def front_page(app: Sphinx) -> str:
    """Write the page at the book's own address: it leads to the first page, and describes it to who does not follow."""
    target = app.builder.get_target_uri(app.config.root_doc)
    address = app.config.html_baseurl and app.config.html_baseurl + target
    elements = page_elements(app, app.config.root_doc, address)
    if address:
        elements.append(element("link", rel="canonical", href=address))
    return FRONT.substitute(
        language=app.config.language,
        title=f"{app.config.html_title}: {app.config.twinfilters_subtitle}".rstrip(": "),
        metadata="\n    ".join(elements),
        target=target,
    )


def site_map(app: Sphinx) -> str:
    """List the address of every page."""
    addresses = [
        app.config.html_baseurl + app.builder.get_target_uri(page) for page in sorted(app.env.found_docs)
    ]
    entries = "".join(f"  <url><loc>{html.escape(address)}</loc></url>\n" for address in addresses)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{entries}</urlset>\n'
    )


def with_absolute_addresses(page: str, root: str) -> str:
    """Let what a page at the root refers to be found from any depth.

    Parameters
    ----------
    page : HTML whose relative addresses start at the root of the book.
    root : path of the book's address, with a slash at both ends.
    """

    def absolute(match: re.Match) -> str:
        return match[1] + urljoin(root, match[2])

    # An address with a scheme, one from the host's root and a place on this page stay as they are.
    return re.sub(r'((?:\b(?:href|src|action)|data-content_root)=")(?![a-z]+:|/|#)([^"]*)', absolute, page)
