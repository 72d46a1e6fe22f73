"""The workflows are valid, safe, and call what exists; so far as that can be told without running them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from contents import ROOT
from twinfilters.sphinx_extension import address

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
SCHEMAS = {
    **dict.fromkeys(WORKFLOWS, "github-workflows"),
    GITHUB / "dependabot.yml": "dependabot",
    ROOT / "CITATION.cff": "citation-file-format",
}


def run(program, *arguments):
    command = [Path(sys.executable).with_name(program), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def schema_check(schema, path):
    return run("check-jsonschema", "--builtin-schema", f"vendor.{schema}", path)


def audit(folder):
    return run("zizmor", "--offline", "--no-progress", "--config", GITHUB / "zizmor.yml", folder)


def workflow(name):
    return yaml.safe_load((GITHUB / "workflows" / f"{name}.yml").read_text(encoding="utf-8"))


def steps(name):
    return [step for job in workflow(name)["jobs"].values() for step in job.get("steps", [])]


def test_there_are_workflows_that_test_and_publish():
    assert [path.stem for path in WORKFLOWS] == ["publish", "test"]


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_file_follows_its_schema(path):
    done = schema_check(SCHEMAS[path], path)
    assert done.returncode == 0, done.stdout


def test_nothing_is_unsafe():
    done = audit(".")
    assert done.returncode == 0, done.stdout


def test_programs_that_are_called_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    commands = [step["run"] for name in ("test", "publish") for step in steps(name) if "run" in step]
    assert commands == [".ci/run", "make book"]
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
    assert re.search(r"^book:", makefile, flags=re.MULTILINE)


def test_the_oldest_python_and_the_latest_are_tested():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    oldest = re.search(r'requires-python = ">=([\d.]+)"', project)[1]
    assert workflow("test")["jobs"]["test"]["strategy"]["matrix"]["python"] == [oldest, "3.x"]


def test_only_what_passed_the_tests_is_published():
    jobs = workflow("publish")["jobs"]
    assert jobs["test"]["uses"] == "./.github/workflows/test.yml"
    assert jobs["publish"]["needs"] == "test"
    (upload,) = [step for step in steps("publish") if "upload-pages-artifact" in step.get("uses", "")]
    assert upload["with"]["path"] == "_build/html"


def test_addresses_come_from_where_the_book_is_published():
    (build,) = [step for step in steps("publish") if step.get("run") == "make book"]
    assert sorted(build["env"]) == ["BOOK_REPOSITORY", "BOOK_URL"]
    for name, value in build["env"].items():
        assert name in Path(address.__file__).read_text(encoding="utf-8")
        assert "${{" in value
    for path in WORKFLOWS:
        text = re.sub(r"https://download\.pytorch\.org\S*", "", path.read_text(encoding="utf-8"))
        assert "https://" not in text, f"{path.name} contains an address"


# --- the checks can fail


@pytest.mark.parametrize(
    ("good", "bad", "trouble"),
    [
        ("actions/checkout@v6", "actions/checkout", "failed to load"),
        ("actions/checkout@v6", "someone/checkout@v6", "unpinned-uses"),
        ("permissions:\n      contents: read", "permissions: write-all", "excessive-permissions"),
        ("run: .ci/run", "run: echo ${{ github.head_ref }}", "template-injection"),
        ("persist-credentials: false", "fetch-depth: 1", "artipacked"),
    ],
)
def test_an_unsafe_workflow_is_found(good, bad, trouble, tmp_path):
    text = (GITHUB / "workflows" / "test.yml").read_text(encoding="utf-8")
    assert good in text
    (tmp_path / "test.yml").write_text(text.replace(good, bad), encoding="utf-8")
    done = audit(tmp_path / "test.yml")
    assert done.returncode != 0
    assert trouble in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        (".github/workflows/test.yml", "runs-on:", "run-on:"),
        (".github/workflows/publish.yml", "needs: test", "needs: 3"),
        (".github/dependabot.yml", "interval: monthly", "interval: fortnightly"),
        ("CITATION.cff", "type: software", "type: novel"),
    ],
)
def test_a_file_against_its_schema_is_found(name, good, bad, tmp_path):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert good in text
    broken = tmp_path / Path(name).name
    broken.write_text(text.replace(good, bad), encoding="utf-8")
    assert schema_check(SCHEMAS[ROOT / name], broken).returncode != 0
