"""Claims: every statement of the book with its test, and with what the test measured in its last run.

The statements are the nodes of sphinx-proof, the tests are functions of the same name, ``thm-equal`` ->
``test_thm_equal``, the figures come from two files that runs of the tests write (tests/measuring.py): one that is
stored with the book, and one of the last run on this machine, which counts where it is there. A statement without a
test is a warning, and so is a test that is named like a statement where there is none. ``{claims}`` in a page becomes
the list of all of them.
"""

import ast
import hashlib
import html
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)

# kind of statement -> how its label begins
PREFIXES = {"theorem": "thm", "proposition": "prop", "lemma": "lem", "corollary": "cor", "criterion": "crit"}
UNLABELLED = re.compile(rf"({'|'.join(PREFIXES)})-\d+")
BOUNDS = {"at_most": ("at most ", " allowed"), "at_least": ("at least ", " wanted")}


@dataclass(frozen=True)
class Claim:
    """A statement: where it stands, and a hash of what it says."""

    label: str
    kind: str
    page: str
    line: int | None
    content: str

    @property
    def test(self) -> str:
        """Name of its test."""
        return f"test_{self.label.replace('-', '_')}"


@dataclass(frozen=True)
class Test:
    """A test function: its file, relative to the project, and its source."""

    file: str
    source: str


@dataclass(frozen=True)
class Figure:
    """What a test measured: the worst value of all its cases, and what was allowed."""

    name: str
    bound: str
    limit: float
    value: float
    cases: int


class claims_list(nodes.General, nodes.Element):  # noqa: N801
    """Stands for the list until all pages are read."""


def setup(app: Sphinx) -> None:
    """Register the directive and what gathers, checks and shows the claims."""
    app.add_config_value("twinfilters_claims_tests", "tests/chapters", "")
    app.add_config_value(
        "twinfilters_claims_figures", ["book/appendix/measured.json", "_build/measured.json"], ""
    )
    app.add_directive("claims", ClaimsDirective)
    app.add_node(claims_list)
    app.add_post_transform(ShowClaims)
    app.connect("doctree-read", gather)
    app.connect("env-purge-doc", forget)
    app.connect("env-updated", pages_to_write)
    app.connect("env-check-consistency", check)


class ClaimsDirective(SphinxDirective):
    """``claims``: the list of all of them."""

    def run(self) -> list[nodes.Node]:
        """Mark the place, and the page as one that shows them."""
        _store(self.env, "pages").add(self.env.docname)
        return [claims_list()]


# --- the statements


def _store(env, name: str):
    """Give what the environment keeps between builds."""
    attribute = f"twinfilters_claims_{name}"
    if not hasattr(env, attribute):
        setattr(env, attribute, {"pages": set, "read": dict, "shown": dict}[name]())
    return getattr(env, attribute)


def gather(app: Sphinx, doctree: nodes.document) -> None:
    """Note the statements of a page."""
    page = app.env.docname
    found = [node for node in doctree.findall(nodes.Admonition) if node.get("realtype") in PREFIXES]
    _store(app.env, "read")[page] = [
        Claim(
            node["label"],
            node["realtype"],
            page,
            node.line,
            hashlib.sha256(node.pformat().encode()).hexdigest(),
        )
        for node in found
    ]


def forget(app: Sphinx, env, docname: str) -> None:
    """Forget a page that is read again or removed."""
    _store(env, "read").pop(docname, None)
    _store(env, "pages").discard(docname)


def all_claims(env) -> list[Claim]:
    """Every statement, in the order of the book."""
    read = _store(env, "read")
    order = [page for page in _reading_order(env) if page in read]
    return [claim for page in order for claim in read[page]]


def _reading_order(env) -> list[str]:
    pages, todo = [], [env.config.root_doc]
    while todo:
        page = todo.pop(0)
        pages.append(page)
        todo = env.toctree_includes.get(page, []) + todo
    return pages


# --- the tests and what they measured


def tests_in(folder: Path, root: Path) -> dict[str, Test]:
    """Name -> test, of all test functions in a folder."""
    found = {}
    for path in sorted(folder.glob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                start = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                source = "\n".join(text.splitlines()[start - 1 : node.end_lineno])
                found[node.name] = Test(path.relative_to(root).as_posix(), source)
    return found


def measured_in(files: list[Path]) -> dict[str, dict]:
    """Test -> its cases, ``{case: (run, figures)}``; a later file counts more, and no figures mean a failure."""
    tests: dict[str, dict] = {}
    for file in files:
        if not file.is_file():
            continue
        content = json.loads(file.read_text(encoding="utf-8"))
        for case, figures in content["cases"].items():
            tests.setdefault(case.partition("[")[0], {})[case] = (content["run"], figures)
    return tests


def worst(cases: dict) -> list[Figure]:
    """Figures of a test: of each name and bound the value that comes closest to what is not allowed."""
    values: dict[tuple, list[float]] = {}
    for _, figures in cases.values():
        for name, (bound, limit, value) in (figures or {}).items():
            values.setdefault((name, bound, limit), []).append(value)
    return [
        Figure(*key, min(found) if key[1] == "at_least" else max(found), len(found))
        for key, found in values.items()
    ]


def _tests(app: Sphinx) -> dict[str, Test]:
    root = Path(app.srcdir)
    return tests_in(root / app.config.twinfilters_claims_tests, root)


def _measured(app: Sphinx) -> dict[str, dict]:
    return measured_in([Path(app.srcdir, file) for file in app.config.twinfilters_claims_figures])


# --- building


def pages_to_write(app: Sphinx, env) -> list[str]:
    """Pages to write again because a statement, a test or a figure changed since this builder wrote them."""
    shown = _store(env, "shown")
    now = hashlib.sha256(repr((all_claims(env), _tests(app), _measured(app))).encode()).hexdigest()
    if shown.get(app.builder.name) == now:
        return []
    shown[app.builder.name] = now
    return sorted(_store(env, "pages"))


def check(app: Sphinx, env) -> None:
    """Warn of statements and tests that miss each other."""
    tests, claims = _tests(app), all_claims(env)
    for claim, problem in problems_of(claims, tests, app.config.twinfilters_claims_tests):
        logger.warning(problem, location=claim and (claim.page, claim.line), type="twinfilters")


def problems_of(
    claims: list[Claim], tests: dict[str, Test], folder: str
) -> Iterator[tuple[Claim | None, str]]:
    """Say which statements have no label or no test, and which tests no statement."""
    for claim in claims:
        prefix = PREFIXES[claim.kind]
        if UNLABELLED.fullmatch(claim.label):
            yield claim, f"a {claim.kind} has no label: write ':label: {prefix}-...' below its first line"
        elif not claim.label.startswith(f"{prefix}-"):
            yield claim, f"the label of a {claim.kind} must begin with {prefix}-, got {claim.label}"
        elif claim.test not in tests:
            yield claim, f"the {claim.kind} {claim.label} has no test: write {claim.test} into {folder}/"
    wanted = {claim.test for claim in claims}
    for name, test in tests.items():
        if re.match(rf"test_({'|'.join(PREFIXES.values())})_", name) and name not in wanted:
            label = name.removeprefix("test_").replace("_", "-")
            yield None, f"{name} in {test.file} tests no statement: the book has no {label}"


class ShowClaims(SphinxPostTransform):
    """Put the list in its place."""

    # Before references are resolved.
    default_priority = 5

    def run(self, **kwargs) -> None:
        """Run the transform."""
        for place in list(self.document.findall(claims_list)):
            place.replace_self(self.chapters())

    def chapters(self) -> list[nodes.Node]:
        """Give a section for each page with statements."""
        tests, measured = _tests(self.app), _measured(self.app)
        pages: dict[str, nodes.section] = {}
        for claim in all_claims(self.env):
            if claim.page not in pages:
                pages[claim.page] = self.chapter(claim.page)
            pages[claim.page] += self.entry(claim, tests.get(claim.test), measured.get(claim.test, {}))
        return list(pages.values())

    def chapter(self, page: str) -> nodes.section:
        """Open the section of a page: its heading leads there."""
        title = nodes.inline("", self.env.titles[page].astext())
        link = self.link(f"/{page}", title, refdomain="std", reftype="doc", refexplicit=True)
        name = f"claims-{nodes.make_id(page)}"
        return nodes.section("", nodes.title("", "", link), ids=[name])

    def link(self, target: str, content: nodes.Node, **attributes) -> addnodes.pending_xref:
        """Refer from this page to another place; it is resolved with all other references."""
        here = self.env.docname
        return addnodes.pending_xref("", content, reftarget=target, refdoc=here, refwarn=True, **attributes)

    def entry(self, claim: Claim, test: Test | None, cases: dict) -> nodes.container:
        """Show a statement: its name, what was measured, and folded what it says and its test."""
        node = self.statement(claim)
        number = self.link(claim.label, nodes.literal("", claim.label), refdomain="prf", reftype="ref")
        title = node.next_node(nodes.title).astext().strip().removeprefix("(").removesuffix(")")
        heading = nodes.paragraph(
            "", "", nodes.strong("", "", number), nodes.Text(f" {title}"), classes=["tf-claim-name"]
        )
        said = nodes.container("", *self.content(node), classes=["tf-claim-said"])
        shown = nodes.container(
            "", heading, *figures_shown(cases), classes=["tf-claim"], ids=[f"claim-{claim.label}"]
        )
        shown += folded("What it says", said)
        if test:
            code = nodes.literal_block(test.source, test.source, language="python")
            shown += folded(f"<code>{claim.test}</code> in {html.escape(test.file)}", code)
        return shown

    def statement(self, claim: Claim) -> nodes.Element:
        """Give a copy of a statement as it was read."""
        doctree = self.env.get_doctree(claim.page)
        return next(
            node for node in doctree.findall(nodes.Admonition) if node.get("label") == claim.label
        ).deepcopy()

    def content(self, statement: nodes.Element) -> list[nodes.Node]:
        """Give what a statement says, without the names by which others refer to it."""
        for node in statement.findall(nodes.Element):
            node["ids"], node["names"] = [], []
            if isinstance(node, nodes.math_block):
                node["number"] = node["label"] = None
            if isinstance(node, addnodes.pending_xref):
                node["refdoc"] = self.env.docname
        return statement.next_node(nodes.section).children


def folded(summary: str, content: nodes.Node) -> list[nodes.Node]:
    """Fold content away behind a summary, which is HTML."""
    opening = f'<details class="tf-claim-fold"><summary>{summary}</summary>'
    return [nodes.raw("", opening, format="html"), content, nodes.raw("", "</details>", format="html")]


def figures_shown(cases: dict) -> list[nodes.Node]:
    """Show what a test measured, and which run it was."""
    items = [nodes.list_item("", nodes.paragraph("", "", *_sentence(figure))) for figure in worst(cases)]
    shown: list[nodes.Node] = [nodes.bullet_list("", *items)] if items else []
    outcomes = Counter(figures is not None for _, figures in cases.values())
    if cases:
        run = max((run for run, _ in cases.values()), key=lambda run: run["date"])
        count = f"{len(cases)} case{'s' * (len(cases) > 1)}"
        passed = f"{count} passed" if not outcomes[False] else f"{outcomes[False]} of {count} failed"
        text = f"{passed} on {run['date']}, twinfilters {run['version']}, NumPy {run['numpy']}."
        shown.append(nodes.paragraph("", text, classes=["tf-claim-run"]))
    return shown


def _sentence(figure: Figure) -> list[nodes.Node]:
    """Write ``largest error: 2.1e-16 (at most 1e-11 allowed)``."""
    value, limit = (nodes.math("", latex(number)) for number in (figure.value, figure.limit))
    if figure.bound == "exactly":
        return [nodes.Text(f"{figure.name}: exactly "), limit]
    before, after = BOUNDS[figure.bound]
    return [nodes.Text(f"{figure.name}: "), value, nodes.Text(f" ({before}"), limit, nodes.Text(f"{after})")]


def latex(number: float) -> str:
    r"""Write a number of two digits: ``2.2\times10^{-16}``."""
    if float(number).is_integer() and abs(number) < 1e6:
        return str(int(number))
    mantissa, _, exponent = f"{number:.2g}".partition("e")
    if not exponent:
        return mantissa
    power = rf"10^{{{int(exponent)}}}"
    return power if mantissa == "1" else rf"{mantissa}\times{power}"
