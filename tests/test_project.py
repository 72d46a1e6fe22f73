"""What the files of the project say about each other is true."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import twinfilters
from contents import PAGES

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def notebooks():
    found = sorted((ROOT / "book").rglob("*.ipynb"))
    return [path for path in found if ".ipynb_checkpoints" not in path.parts]


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)


# --- versions and requirements


def test_versions_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == twinfilters.__version__


def test_authors_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["authors"] == PROJECT["authors"]


def locked():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if not line.startswith("#")]


def test_lock_pins_every_requirement_once():
    names = [canonicalize_name(pin.name) for pin in locked()]
    assert sorted(set(names)) == names
    assert [str(pin) for pin in locked() if not re.fullmatch(r"==[\d.]+(post\d+)?", str(pin.specifier))] == []


def test_lock_satisfies_the_project():
    pins = {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in locked()}
    optional = PROJECT["optional-dependencies"]
    extras = [line for name, lines in optional.items() if name not in ("bench", "mutants") for line in lines]
    wanted = [Requirement(line) for line in PROJECT["dependencies"] + extras]
    missing = [
        str(requirement)
        for requirement in wanted
        if requirement.name != PROJECT["name"]
        and not requirement.specifier.contains(pins.get(canonicalize_name(requirement.name), "0"))
    ]
    assert missing == []


# --- the package


def test_the_mathematics_needs_neither_torch_nor_matplotlib_nor_ipywidgets():
    code = """
import importlib, pkgutil, sys, twinfilters
heavy = {"torch", "matplotlib", "ipywidgets", "anywidget", "sphinx"}
apart = {"torch_reference", "audit", "plotting", "figures", "tables", "widgets", "lab", "sphinx_extension"}
for module in pkgutil.iter_modules(twinfilters.__path__):
    if module.name not in apart:
        importlib.import_module(f"twinfilters.{module.name}")
        assert not heavy & set(sys.modules), (module.name, heavy & set(sys.modules))
"""
    done = python(code)
    assert done.returncode == 0, done.stderr


# --- the README


def test_readme_code_prints_what_the_readme_says():
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    (output,) = re.findall(r"```text\n(.*?)```", README, flags=re.DOTALL)
    done = python(code)
    assert done.stderr == ""
    assert done.stdout == output


def links(text):
    """Targets of Markdown links and images that are files of the project."""
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    return [target.partition("#")[0] for target in targets if not re.match(r"[a-z]+:|#", target)]


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "LICENSE-text.md"])
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert [target for target in links(text) if not (ROOT / target).exists()] == []


def test_readme_lists_the_pages_of_the_book_by_their_titles():
    listed = re.findall(r"\[([^\]]+)\]\((book/[^)]+)\.ipynb\)", README)
    chapters = [
        (re.search(r"^# (.+)$", text, flags=re.MULTILINE)[1], page)
        for page in PAGES
        if (ROOT / f"{page}.ipynb").exists()
        for text in [nbformat.read(ROOT / f"{page}.ipynb", as_version=4).cells[0].source]
    ]
    assert listed == chapters


# --- the book


def test_contents_name_pages_that_exist():
    assert PAGES
    assert [page for page in PAGES if not list(ROOT.glob(f"{page}.*"))] == []


def test_every_notebook_is_in_the_contents():
    found = [path.relative_to(ROOT).with_suffix("").as_posix() for path in notebooks()]
    assert [page for page in found if page not in PAGES] == []
