"""What a page says about itself to search engines, to reference managers, and where its address is shared.

A page is described in the metadata of its notebook or the front matter of its Markdown file, in the form that MyST has
for it, ``{"myst": {"html_meta": {"description": "..."}}}``, or else by the sentences with which it begins. Two pages
with one description, a long one and none at all are warnings.
"""

import html
import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

from twinfilters.plotting import THEME
from twinfilters.sphinx_extension.plaintext import plain_text

logger = logging.getLogger(__name__)

# Search engines cut a description off at about this many characters.
LONGEST = 160
# A description of fewer says nothing.
SHORTEST = 40
PICTURE_SIZE = (1200, 630)


def setup(app: Sphinx) -> None:
    """Register the settings and what writes the elements of the head."""
    app.add_config_value("twinfilters_subtitle", "", "html")
    app.add_config_value("twinfilters_licence", "", "html")
    app.add_config_value("twinfilters_social_picture", "", "html")
    app.add_config_value("twinfilters_social_picture_alt", "", "html")
    app.connect("doctree-read", describe_page)
    app.connect("env-purge-doc", lambda app, env, docname: descriptions(env).pop(docname, None))
    app.connect("env-check-consistency", check_descriptions)
    # After the theme, so that what it says of the page is known.
    app.connect("html-page-context", write_head, priority=900)


def descriptions(env: BuildEnvironment) -> dict[str, str]:
    """Page -> its description."""
    if not hasattr(env, "twinfilters_descriptions"):
        env.twinfilters_descriptions = {}
    return env.twinfilters_descriptions


def describe_page(app: Sphinx, doctree: nodes.document) -> None:
    """Note the description of a page that was read."""
    written = [meta["content"] for meta in doctree.findall(nodes.meta) if meta.get("name") == "description"]
    text = " ".join(written[0].split()) if written else opening(doctree)
    descriptions(app.env)[app.env.docname] = text
    if not SHORTEST <= len(text) <= LONGEST:
        logger.warning(
            "a description has %d to %d characters, this page's has %d: put myst.html_meta.description into "
            "its metadata",
            SHORTEST,
            LONGEST,
            len(text),
            location=app.env.docname,
            type="twinfilters",
        )


def opening(doctree: nodes.Element, limit: int = LONGEST) -> str:
    """Whole sentences from the beginning of a page, as many as fit.

    Paragraphs in boxes, figures and lists do not count, nor does emphasis that takes a whole paragraph: a subtitle.
    """
    text = ""
    for paragraph in doctree.findall(nodes.paragraph):
        subtitle = len(paragraph) == 1 and isinstance(paragraph[0], nodes.emphasis)
        if isinstance(paragraph.parent, nodes.section) and not subtitle:
            for sentence in sentences(plain_text(paragraph)):
                longer = f"{text} {sentence}".strip()
                if len(longer) > limit:
                    return text
                text = longer
    return text


def sentences(text: str) -> list[str]:
    """Sentences of a paragraph."""
    return re.split(r"(?<=[.?!]) (?=[A-Z])", " ".join(text.split()))


def check_descriptions(app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of pages that describe themselves in the same words."""
    first: dict[str, str] = {}
    for page, text in sorted(descriptions(env).items()):
        other = first.setdefault(text, page)
        if other != page:
            logger.warning("has the same description as %s", other, location=page, type="twinfilters")


def write_head(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Add the elements of a page's head."""
    if pagename == app.config.root_doc:
        context["docstitle"] = app.config.twinfilters_subtitle or context.get("docstitle")
    if pagename in app.env.found_docs:
        context["title"] = html.escape(plain_text(app.env.titles[pagename]))
        elements = page_elements(app, pagename, context.get("pageurl"))
    else:
        # An index or a search is no page to find, so it has no address of its own.
        context["pageurl"] = None
        elements = [*everywhere(app), meta("robots", "noindex")]
    # What the page's own metadata says is there already; so is the viewport, which docutils says once more.
    present = re.sub(r'<meta [^>]*name="viewport"[^>]*>\s*', "", context.get("metatags", ""))
    added = [
        one for one in elements if not ("description" in one.split('"') and 'name="description"' in present)
    ]
    context["metatags"] = "\n    ".join([present, *added])


def page_elements(app: Sphinx, page: str, url: str | None) -> list[str]:
    """Elements that describe a page.

    Parameters
    ----------
    app : the running Sphinx.
    page : name of the page.
    url : its address, if there is one.
    """
    title, description = plain_text(app.env.titles[page]), descriptions(app.env)[page]
    graph = open_graph(app, title, description, url, root=page == app.config.root_doc)
    return [*everywhere(app), meta("description", description), *graph, *citation(app, title, url)]


def everywhere(app: Sphinx) -> list[str]:
    """Elements that are the same on all pages."""
    light, dark = THEME["paper"]
    elements = [
        element("meta", name="theme-color", media="(prefers-color-scheme: light)", content=light),
        element("meta", name="theme-color", media="(prefers-color-scheme: dark)", content=dark),
        meta("author", app.config.author),
    ]
    if app.config.twinfilters_licence:
        elements.append(element("link", rel="license", href=app.config.twinfilters_licence))
    return elements


def open_graph(app: Sphinx, title: str, description: str, url: str | None, *, root: bool) -> list[str]:
    """Elements for a preview of the page; its address and the picture need an address to be known."""
    config = app.config
    values = {
        "og:title": title,
        "og:description": description,
        "og:type": "website" if root else "article",
        "og:site_name": config.html_title,
    }
    picture = config.twinfilters_social_picture
    if url:
        values["og:url"] = url
    if url and picture:
        values["og:image"] = f"{config.html_baseurl}_static/{picture}"
        values["og:image:width"], values["og:image:height"] = map(str, PICTURE_SIZE)
        values["og:image:alt"] = config.twinfilters_social_picture_alt
    card = meta("twitter:card", "summary_large_image" if url and picture else "summary")
    return [*(element("meta", property=name, content=value) for name, value in values.items()), card]


def citation(app: Sphinx, title: str, url: str | None) -> list[str]:
    """Elements that reference managers and scholarly search engines read."""
    values = {
        "citation_title": title,
        "citation_author": app.config.author,
        "citation_publication_date": app.config.copyright.split(",")[0],
        "citation_inbook_title": app.config.html_title,
        "citation_language": app.config.language,
    }
    if title == app.config.html_title:
        del values["citation_inbook_title"]
    if url:
        values["citation_public_url"] = url
    return [meta(name, value) for name, value in values.items()]


def meta(name: str, content: str) -> str:
    """Write a ``meta`` element."""
    return element("meta", name=name, content=content)


def element(tag: str, **attributes: str) -> str:
    """Write an element without content."""
    written = " ".join(f'{name}="{html.escape(value)}"' for name, value in attributes.items())
    return f"<{tag} {written} />"
