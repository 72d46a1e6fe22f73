"""The page of claims: on the book, on a small book that changes, and the figures that tests report for it."""

import json
import re
import subprocess
import sys

import pytest
from tests import measuring

from contents import PAGES, ROOT
from twinfilters.sphinx_extension import claims

STATEMENTS = "main .proof:is(" + ", ".join(f".{kind}" for kind in claims.PREFIXES) + ")"

# --- the book


def test_the_book_lists_every_statement_with_its_test_and_what_it_measured(bases, visit):
    said = {}
    for name in PAGES:
        page, _ = visit(f"{bases['http']}/{name}.html")
        numbers = page.locator(STATEMENTS).evaluate_all(
            "found => found.map(one => [one.id, one.querySelector('.caption-number').textContent.trim()])"
        )
        said |= {label: (name, number) for label, number in numbers}
    assert said
    page, troubles = visit(f"{bases['http']}/book/appendix/claims.html")
    listed = {
        shown.get_attribute("id").removeprefix("claim-"): shown for shown in page.locator(".tf-claim").all()
    }
    assert list(listed) == list(said)
    for label, shown in listed.items():
        link = shown.locator(".tf-claim-name a")
        assert link.get_attribute("href").endswith(f"{said[label][0].removeprefix('book/')}.html#{label}")
        assert link.text_content() == said[label][1]
        assert shown.locator("li").count() > 0, f"{label}: its test reports no figure with `measured`"
        assert "passed on" in shown.locator(".tf-claim-run").inner_text()
        assert f"def test_{label.replace('-', '_')}(" in shown.locator("pre").text_content()
    assert troubles == []


def test_statements_are_folded_and_complete(bases, visit):
    page, _ = visit(f"{bases['http']}/book/appendix/claims.html")
    shown = page.locator(".tf-claim").all()
    links = [claim.locator(".tf-claim-name a").evaluate("link => link.href") for claim in shown]
    folded = [claim.locator(".tf-claim-said") for claim in shown]
    assert not any(said.is_visible() or said.locator("[id]").count() for said in folded)
    said = [words(text.text_content()) for text in folded]
    for link, text in zip(links, said, strict=True):
        page.goto(link)
        statement = page.locator(f"[id='{link.partition('#')[2]}'] > .tf-content")
        assert words(statement.text_content()) == text


def words(text):
    """Words of a statement, without the numbers and links beside its equations."""
    return re.sub(r"\(\d+\)#", "", text).split()


def test_what_is_stored_belongs_to_the_tests():
    tests = claims.tests_in(ROOT / "tests/chapters", ROOT)
    wanted = {name for name, test in tests.items() if "measured(" in test.source}
    assert {case.partition("[")[0] for case in measuring.stored()} == wanted


# --- a book that changes

CONFIGURATION = """
extensions = ["myst_parser", "sphinx_proof", "twinfilters.sphinx_extension.claims"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
html_theme = "basic"
suppress_warnings = ["myst.domains"]
"""
CHAPTER = r"""# Twins

:::{prf:theorem} Equal
:label: thm-equal

Twins are equal, by {prf:ref}`thm-equal`: {eq}`eq-twins`, and

$$w_a=w_b$$ (eq-twins)
:::
"""
TEST = "def helper():\n    pass\n\n\n@decorated\ndef test_thm_equal(measured):\n    measured(1 < 2)\n"
RUN = {"date": "2026-01-02", "version": "0.1", "numpy": "2.0", "python": "3.11"}


def figures(value=2.24e-16):
    error = {"largest error": ["at_most", 1e-11, value], "gap": ["exactly", 0, 0.0]}
    return {"run": RUN, "cases": {"test_thm_equal[a]": error, "test_thm_equal[b]": error}}


@pytest.fixture
def small(tmp_path):
    """Write a small book; give a function that builds it and says what was said."""
    (tmp_path / "conf.py").write_text(CONFIGURATION)
    (tmp_path / "index.md").write_text("# Book\n\n```{toctree}\npart/chapter\nclaims\n```\n")
    (tmp_path / "claims.md").write_text("# Claims\n\n```{claims}\n```\n")
    for folder in ("part", "tests/chapters", "book/appendix", "_build"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "part/chapter.md").write_text(CHAPTER)
    (tmp_path / "tests/chapters/test_twins.py").write_text(TEST)
    (tmp_path / "book/appendix/measured.json").write_text(json.dumps(figures()))

    def build():
        command = [sys.executable, "-m", "sphinx", "-n", "--keep-going", ".", "_build/html"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return tuple(re.sub(r"\x1b\[[\d;]*m", "", text) for text in (done.stdout, done.stderr))

    return tmp_path, build


def text_of(folder, name="claims"):
    return re.sub(r"<[^>]*>", "", (folder / f"_build/html/{name}.html").read_text(encoding="utf-8"))


def test_a_claim_has_name_figures_statement_and_test(small):
    folder, build = small
    _, said = build()
    assert said == ""
    page, text = (folder / "_build/html/claims.html").read_text(encoding="utf-8"), text_of(folder)
    assert 'href="part/chapter.html#thm-equal"' in page
    assert 'href="part/chapter.html#equation-eq-twins"' in page
    assert "Theorem 1 Equal" in text
    assert r"largest error: \(2.2\times10^{-16}\) (at most \(10^{-11}\) allowed)" in text
    assert r"gap: exactly \(0\)" in text
    assert "2 cases passed on 2026-01-02, twinfilters 0.1, NumPy 2.0." in text
    assert "@decorated\ndef test_thm_equal(measured):\n    measured(1 &lt; 2)" in text
    assert "helper" not in text
    assert page.count('id="equation-eq-twins"') == page.count('id="thm-equal"') == 0


def test_the_last_run_counts_more_and_failures_are_told(small):
    folder, build = small
    here = {"run": RUN | {"date": "2026-02-03"}, "cases": {"test_thm_equal[b]": None}}
    (folder / "_build/measured.json").write_text(json.dumps(here))
    build()
    assert "1 of 2 cases failed on 2026-02-03" in text_of(folder)


def test_the_page_is_written_again_when_and_only_when_something_changed(small):
    folder, build = small
    changes = {
        "book/appendix/measured.json": json.dumps(figures(3e-16)),
        "part/chapter.md": CHAPTER.replace("Twins are equal", "Twins stay equal"),
        "tests/chapters/test_twins.py": TEST.replace("1 < 2", "2 < 3"),
    }
    build()
    for file, content in changes.items():
        assert "no targets are out of date" in build()[0]
        (folder / file).write_text(content)
        assert "%] claims" in build()[0], file
    assert r"\(3\times10^{-16}\)" in text_of(folder)
    assert "Twins stay equal" in text_of(folder)
    assert "2 &lt; 3" in text_of(folder)


ALONE = """
:::{prf:theorem} No label
Twins are equal.
:::

:::{prf:corollary} Label of another kind
:label: thm-other

Twins are equal.
:::
"""


def test_a_statement_or_a_test_that_stands_alone_is_a_warning(small):
    folder, build = small
    (folder / "part/chapter.md").write_text(CHAPTER + ALONE)
    (folder / "tests/chapters/test_twins.py").write_text("def test_cor_more():\n    pass\n")
    said = build()[1]
    assert "WARNING: the theorem thm-equal has no test: write test_thm_equal into tests/chapters/" in said
    assert "WARNING: a theorem has no label: write ':label: thm-...' below its first line" in said
    assert "WARNING: the label of a corollary must begin with cor-, got thm-other" in said
    assert (
        "WARNING: test_cor_more in tests/chapters/test_twins.py tests no statement: the book has no cor-more"
        in said
    )
    assert said.count("WARNING") == 4


def test_the_worst_case_is_shown():
    cases = {
        "test_a[1]": ({}, {"error": ["at_most", 1, 0.1], "size": ["at_least", 1, 3]}),
        "test_a[2]": ({}, {"error": ["at_most", 1, 0.2], "size": ["at_least", 1, 2]}),
        "test_a[3]": ({}, {"error": ["at_most", 2, 0.3]}),
    }
    assert claims.worst(cases) == [
        claims.Figure("error", "at_most", 1, 0.2, 2),
        claims.Figure("size", "at_least", 1, 2, 2),
        claims.Figure("error", "at_most", 2, 0.3, 1),
    ]


def test_numbers_are_written_with_two_digits():
    numbers = {
        0.0: "0",
        9: "9",
        0.0314: "0.031",
        2.24e-16: r"2.2\times10^{-16}",
        1e-11: "10^{-11}",
        1e9: "10^{9}",
    }
    assert {number: claims.latex(number) for number in numbers} == numbers


# --- what tests measure

SUITE = """
import pytest

@pytest.mark.parametrize("error", [3.14159e-16, 2e-16])
def test_thm_a(error, measured):
    for part in (0.5, 1):
        measured("error", part * error, at_most=1e-11)
    measured("gap", 0.0, exactly=0)

def test_without():
    pass
"""


@pytest.fixture
def suite(tmp_path):
    """Run a small suite that measures into files of its own."""
    (tmp_path / "conftest.py").write_text(
        "from pathlib import Path\n"
        "from tests import measuring\n"
        "measuring.STORED = Path(__file__).with_name('stored.json')\n"
        "measuring.LAST_RUN = Path(__file__).with_name('last.json')\n"
        "pytest_plugins = ['tests.measuring']\n"
    )

    def run(text, *options):
        (tmp_path / "test_suite.py").write_text(text)
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            tmp_path,
            *options,
            tmp_path,
        ]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        files = {name: tmp_path / f"{name}.json" for name in ("stored", "last")}
        return done, {
            name: json.loads(file.read_text())["cases"] for name, file in files.items() if file.is_file()
        }

    return run


def test_figures_are_stored_and_every_later_run_measures_the_same(suite):
    done, written = suite(SUITE, "--store-measured")
    assert done.returncode == 0, done.stdout
    case = {"error": ["at_most", 1e-11, 3.1e-16], "gap": ["exactly", 0, 0.0]}
    assert written["stored"]["test_thm_a[3.14159e-16]"] == case
    assert len(written["stored"]) == 2
    assert "last" not in written
    for parallel in ((), ("-n", "2")):
        done, written = suite(SUITE, *parallel)
        assert done.returncode == 0, done.stdout
        assert written["last"] == written["stored"]


RIGHT = """
def test_{number}(measured):
    measured("error", 1e-12, at_most=1e-11)
    measured("error", 2e-12, at_most=1e-11)
    measured("gap", 0.0, exactly=0)
"""
WRONG = [
    ('    measured("gap", 0.0, exactly=0)\n', "", "test_0 measures other figures than are stored"),
    ('"gap", 0.0', '"distance", 0.0', "test_1 measures other figures than are stored"),
    ("at_most=1e-11", "at_most=1e-9", "test_2 measures other figures than are stored"),
    ('"gap", 0.0', '"gap", 1e-17', "gap: 1e-17, wanted exactly 0"),
    ('"gap", 0.0', '"gap", float("nan")', "gap: nan, wanted exactly 0"),
    ("2e-12", "2e-11", "error: 2e-11, wanted at most 1e-11"),
    ("exactly=0", "about=0", "measured needs one of exactly, at_most, at_least, got {'about': 0}"),
    ("2e-12, at_most=1e-11", "2e-12, at_most=1e-10", "'error' has two bounds"),
]


def test_other_figures_fail(suite):
    right = [RIGHT.format(number=number) for number in range(len(WRONG) + 1)]
    suite("".join(right), "--store-measured")
    wrong = [text.replace(old, new) for text, (old, new, _) in zip(right, WRONG, strict=False)]
    done, written = suite("".join([*wrong, right[-1]]))
    assert [reason for _, _, reason in WRONG if reason not in done.stdout] == []
    assert [case for case, figures in written["last"].items() if figures] == [f"test_{len(WRONG)}"]


def test_a_run_that_fails_stores_nothing(suite):
    done, written = suite(SUITE.replace("exactly=0", "exactly=1"), "--store-measured")
    assert done.returncode == 1
    assert written == {}
