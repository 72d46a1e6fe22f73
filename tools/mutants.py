"""Break a module in one place at a time, and see whether its tests notice (mutation testing, by mutmut).

python tools/mutants.py [--again] [--jobs N] MODULE ...

A module is broken and tested in a copy of the project, _build/mutants/MODULE. Its tests are tests/test_MODULE*.py, with
annotations checked as ever, the same few examples from Hypothesis each time and one thread a process. What survives is
printed and explained in survivors.diff there; --again tries these mutants once more, against the tests as they are now.
"""

import argparse
import ast
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MUTMUT = Path(sys.executable).with_name("mutmut")
# Threads of a library would not survive the fork into the process that tests a mutant.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "CI": "true"}


def undecorated(source: str) -> str:
    """Decorate by a statement after the function: mutmut leaves decorated functions alone."""
    lines = source.splitlines()
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    for function in sorted(functions, key=lambda function: function.lineno, reverse=True):
        decorators = [ast.unparse(decorator) for decorator in function.decorator_list]
        if decorators in (["property"], ["one_blas_thread()"]):
            statement = f"{function.name} = {decorators[0]}({function.name})"
            lines.insert(function.end_lineno, " " * function.col_offset + statement)
            del lines[function.decorator_list[0].lineno - 1]
    return "\n".join(lines) + "\n"


def sources(module: str, root: Path) -> list[Path]:
    """Files of a module, or of a package of that name."""
    package = root / "src/twinfilters" / module
    return sorted(package.glob("*.py")) if package.is_dir() else [package.with_suffix(".py")]


def copy_tests(folder: Path) -> None:
    """Put the tests into the copy, as they are now."""
    (folder / "tests").mkdir(exist_ok=True)
    for path in (ROOT / "tests").glob("*.py"):
        shutil.copy2(path, folder / "tests")


def copy_project(module: str, folder: Path) -> None:
    """Make the copy that mutmut works in, and its settings."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / "pyproject.toml", folder)
    copy_tests(folder)
    for path in sources(module, folder):
        path.write_text(undecorated(path.read_text()))
    settings = {
        "source_paths": ["src"],
        "only_mutate": [str(path.relative_to(folder)) for path in sources(module, folder)],
        "pytest_add_cli_args_test_selection": [
            f"tests/{path.name}" for path in sorted((ROOT / "tests").glob(f"test_{module}*.py"))
        ],
        "pytest_add_cli_args": ["--override-ini=addopts=--strict-markers", "--hypothesis-profile=mutants"],
        # A mutant that takes this many times as long as the tests and these seconds is stopped, and counts as killed.
        "timeout_multiplier": ["10.0"],
        "timeout_constant": ["10.0"],
    }
    lines = [
        line for name, values in settings.items() for line in (f"{name} =", *(f"    {v}" for v in values))
    ]
    (folder / "setup.cfg").write_text("\n".join(["[mutmut]", *lines, ""]))


def mutmut(folder: Path, *arguments: str) -> str:
    """Ask mutmut about the mutants of a copy."""
    command = [MUTMUT, *arguments]
    return subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, check=True, capture_output=True, text=True
    ).stdout


def verdicts(folder: Path) -> dict[str, str]:
    """Say of each mutant whether it was killed, survived, took too long, ..."""
    return dict(line.strip().split(": ") for line in mutmut(folder, "results", "--all", "true").splitlines())


def survivors(folder: Path) -> list[str]:
    """Name the mutants that no test has noticed, and those that were stopped, which may be the machine's fault."""
    return [name for name, verdict in verdicts(folder).items() if verdict != "killed"]


def report(module: str, folder: Path) -> None:
    """Print how many mutants were killed, and write down what the others do."""
    counts = Counter(verdicts(folder).values())
    killed = (counts["killed"] + counts["timeout"]) / counts.total()
    words = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
    diffs = folder / "survivors.diff"
    diffs.write_text("\n".join(mutmut(folder, "show", name) for name in survivors(folder)))
    print(
        f"{module}: {killed:.1%} of {counts.total()} mutants killed ({words}); see {diffs.relative_to(ROOT)}"
    )


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("modules", nargs="+", metavar="MODULE")
    parser.add_argument("--again", action="store_true", help="only those that survived the last time")
    parser.add_argument("--jobs", default="1", help="mutants tested at the same time")
    arguments = parser.parse_args()
    for module in arguments.modules:
        folder = ROOT / "_build/mutants" / module
        again = survivors(folder) if arguments.again else []
        copy_tests(folder) if arguments.again else copy_project(module, folder)
        if again or not arguments.again:
            command = [MUTMUT, "run", "--max-children", arguments.jobs, *again]
            subprocess.run(command, cwd=folder, env=ENVIRONMENT, check=True)
        report(module, folder)


if __name__ == "__main__":
    main()
