"""Running a chapter: its notebook, JupyterLab on this computer, and services that run it elsewhere.

The theme knows the addresses of the services, and puts them into menus of small pictures. They are taken out of there
and shown, with what one needs to know to use them, in one panel a chapter. Services appear once the repository has an
address.
"""

from sphinx.application import Sphinx

BUTTON = "run-chapter.html"
TAKEN = ("download-buttons", "launch-buttons")


def setup(app: Sphinx) -> None:
    """Register what makes the panel."""
    app.add_config_value("twinfilters_jupyterlab", "", "html")
    # After the theme has collected its buttons.
    app.connect("html-page-context", gather, priority=900)


def gather(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Take what concerns a chapter's notebook out of the theme's buttons."""
    groups = {button.get("label"): button for button in context.get("header_buttons", [])}
    context["header_buttons"] = [button for label, button in groups.items() if label not in TAKEN]
    if context.get("page_source_suffix") == ".ipynb":
        # Not in the configuration: the theme drops what comes out empty before it knows of any service.
        context["theme_article_header_end"].insert(0, BUTTON)
        services = groups.get("launch-buttons", {}).get("buttons", [])
        context["run_chapter"] = {
            "file": f"{pagename}.ipynb",
            "download": context["pathto"](f"_sources/{context['sourcename']}", 1),
            "services": {service["text"]: service["url"] for service in services},
            "jupyterlab": app.config.twinfilters_jupyterlab,
            "repository": app.config.html_theme_options.get("repository_url"),
        }
