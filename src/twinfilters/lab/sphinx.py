"""The lab in a built page: its style sheet, its script, and who loads them.

The script is one classic file, because a page from a file may load no modules. A page with a lab loads a few lines that
fetch it when the page is there and the lab comes near.

``{experiment}`a-millionth` `` is a link to one of the lab's experiments, on the page that `twinfilters_lab_page` names.
"""

import hashlib
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.roles import XRefRole
from sphinx.util.nodes import make_refnode

from twinfilters.lab.markup import PRESETS
from twinfilters.lab.scripts import HERE, front_end, style

NAME = "twinfilters-lab"
HOST = "page.js"
# Title of each experiment, by its name.
EXPERIMENTS = {preset["name"]: preset["title"] for preset in PRESETS}
MODULE_LINE = "export default { render };\n"


def setup(app: Sphinx) -> dict:
    """Register with Sphinx."""
    app.connect("config-inited", write_static_files)
    app.connect("doctree-read", note_lab)
    app.connect("env-purge-doc", lambda app, env, docname: pages_with_labs(env).discard(docname))
    app.connect(
        "env-merge-info",
        lambda app, env, docnames, other: pages_with_labs(env).update(pages_with_labs(other)),
    )
    app.connect("html-page-context", load_script)
    app.add_config_value("twinfilters_lab_page", "", "env", str)
    app.add_role("experiment", ExperimentRole(innernodeclass=nodes.inline, warn_dangling=True))
    app.connect("missing-reference", resolve_experiment)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def page_script() -> str:
    """One classic script made of the lab's front end and its host."""
    module = front_end()
    if module.count(MODULE_LINE) != 1:
        raise ExtensionError(f"view.js must contain {MODULE_LINE!r} once")
    return f"(() => {{\n{module.replace(MODULE_LINE, '')}{_read(HOST)}}})();\n"


def near_script(script: str) -> str:
    """Give the lines that fetch the script; its name tells a browser whether it has this edition already."""
    edition = hashlib.sha256(script.encode()).hexdigest()[:8]
    return f'(() => {{\nconst LAB = "{NAME}.js?v={edition}";\n{_read("near.js")}}})();\n'


def write_static_files(app: Sphinx, config) -> None:
    """Make the lab's style sheet and scripts."""
    folder = Path(app.outdir).resolve().parent / ".lab"
    folder.mkdir(parents=True, exist_ok=True)
    script = page_script()
    for name, content in (
        (f"{NAME}.css", style()),
        (f"{NAME}.js", script),
        (f"{NAME}-near.js", near_script(script)),
    ):
        (folder / name).write_text(content, encoding="utf-8")
    config.html_static_path.append(str(folder))
    app.add_css_file(f"{NAME}.css")


def pages_with_labs(env) -> set[str]:
    """Names of the pages that have a lab."""
    if not hasattr(env, "twinfilters_labs"):
        env.twinfilters_labs = set()
    return env.twinfilters_labs


def note_lab(app: Sphinx, doctree: nodes.document) -> None:
    """Note whether a page has a lab."""
    if any('class="tf-lab"' in raw.astext() for raw in doctree.findall(nodes.raw)):
        pages_with_labs(app.env).add(app.env.docname)


def load_script(app: Sphinx, pagename: str, *_) -> None:
    """Load the lines that fetch the lab on the pages that have one."""
    if pagename in pages_with_labs(app.env):
        app.add_js_file(f"{NAME}-near.js", loading_method="defer")


class ExperimentRole(XRefRole):
    """Names an experiment of the lab, and shows its title or, as in ``{experiment}`text <name>` ``, another text."""

    def process_link(self, env, refnode, has_explicit_title, title, target):
        """Give the text of the link and its target."""
        return title if has_explicit_title else EXPERIMENTS.get(target, title), target


def resolve_experiment(app: Sphinx, env, node: pending_xref, content: nodes.Node) -> nodes.Node | None:
    """Give the link to an experiment; None, and so a warning, where there is none of that name or no page for it."""
    page, name = env.config.twinfilters_lab_page, node["reftarget"]
    if node["reftype"] != "experiment" or name not in EXPERIMENTS or page not in env.found_docs:
        return None
    # On paper nothing plays: there the link leads to the page.
    fragment = None if app.builder.name == "singlehtml" else f"preset={name}"
    return make_refnode(app.builder, node["refdoc"], page, fragment, content)


def _read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
