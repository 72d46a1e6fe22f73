"""Where the book and its repository are on the web, which only whoever publishes them knows.

=========================  =======================================  ====================
address                    in _config.yml                           in the environment
=========================  =======================================  ====================
of the pages               ``html: {baseurl: ...}``                 ``BOOK_URL``
of the repository          ``html_theme_options: repository_url``   ``BOOK_REPOSITORY``
=========================  =======================================  ====================

The environment wins, so that a workflow can publish a copy of the book under an address that no file contains.
Without an address the pages name none: no canonical address, no site map, no buttons that lead to a repository.
"""

import os
from urllib.parse import urlsplit

from sphinx.application import Sphinx
from sphinx.config import Config

NEEDS_REPOSITORY = ("launch_buttons", "use_repository_button", "use_issues_button")


def setup(app: Sphinx) -> None:
    """Register what settles the addresses."""
    # Before the theme looks at its options.
    app.connect("config-inited", settle_addresses, priority=100)


def settle_addresses(app: Sphinx, config: Config) -> None:
    """Take the addresses from the environment or the configuration; drop the buttons that would lead nowhere."""
    options = config.html_theme_options
    config.html_baseurl = page_address(os.environ.get("BOOK_URL") or config.html_baseurl)
    options["repository_url"] = web_address(
        os.environ.get("BOOK_REPOSITORY") or options.get("repository_url") or ""
    )
    if not options["repository_url"]:
        for name in NEEDS_REPOSITORY:
            options.pop(name, None)


def page_address(url: str) -> str:
    """Address of the pages, with the slash at its end that makes it the address of a folder."""
    url = web_address(url)
    return f"{url}/" if url else ""


def web_address(url: str) -> str:
    """Check an address, and take the slash from its end.

    Raises
    ------
    ValueError : not an address on the web.
    """
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment):
        raise ValueError(f"an address must look like https://host/folder, got {url!r}")
    return url.rstrip("/")
