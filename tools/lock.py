"""Write requirements.txt: the exact versions the book and its tests were made with, and nothing else.

    make lock

installs the newest versions that pyproject.toml allows (of PyTorch: the version the Makefile names) into an empty
environment and runs this file there. Pip itself resolves them; this file only walks what was installed, from the
project's extras down, and writes each name once. A package that only some systems need (``pexpect`` is of no use on
Windows) carries the marker that says so. Two kinds are left to pip: what is not installed here at all (``pywinpty``),
and what a PyTorch built for graphics cards brings along.
"""

import tomllib
from importlib import metadata
from itertools import product
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = ("test", "lint")
LEFT_TO_PIP = ("cuda-", "nvidia-", "triton")

# The systems a reader may have. Markers are evaluated on all of them, not only on the one the lock is made on.
SYSTEMS = {
    "linux": {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"},
    "darwin": {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix"},
    "win32": {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt"},
}
PYTHONS = ("3.11", "3.12", "3.13", "3.14")


def environments() -> dict[tuple[str, str], dict[str, str]]:
    """Give the marker environment of every system and Python version."""
    return {
        (system, python): default_environment()
        | values
        | {"python_version": python, "python_full_version": f"{python}.0"}
        for (system, values), python in product(SYSTEMS.items(), PYTHONS)
    }


def closure(roots: list[Requirement], environment: dict[str, str]) -> set[str]:
    """Names of the installed packages that the roots need, directly or not, in one environment."""
    found: set[str] = set()
    seen: set[tuple[str, str]] = set()
    todo = [(root, "") for root in roots]
    while todo:
        requirement, extra = todo.pop()
        if requirement.marker and not requirement.marker.evaluate(environment | {"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        if name.startswith(LEFT_TO_PIP):
            continue
        try:
            children = [Requirement(line) for line in metadata.requires(name) or ()]
        except metadata.PackageNotFoundError:
            continue
        found.add(name)
        for wanted in {"", *requirement.extras}:
            if (name, wanted) not in seen:
                seen.add((name, wanted))
                todo += [(child, wanted) for child in children]
    return found


def marker(places: set[tuple[str, str]]) -> str:
    """Write the shortest marker that is true in these places: by system, by Python version, or by both."""
    systems = sorted({system for system, _ in places})
    pythons = sorted({python for _, python in places})
    if places != set(product(systems, pythons)):
        raise ValueError(f"places must be a block of systems and Python versions, got {sorted(places)}")
    terms = []
    if len(systems) == 1:
        terms.append(f'sys_platform == "{systems[0]}"')
    elif len(systems) < len(SYSTEMS):
        terms += [f'sys_platform != "{system}"' for system in SYSTEMS if system not in systems]
    if len(pythons) < len(PYTHONS):
        if pythons != list(PYTHONS[: len(pythons)]):
            raise ValueError(f"versions must be the oldest ones, got {pythons}")
        terms.append(f'python_version < "{PYTHONS[len(pythons)]}"')
    return " and ".join(terms)


def lock() -> str:
    """Give the text of requirements.txt for what is installed in this environment."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    name = project["project"]["name"]
    # The project is installed without build isolation, so what builds it is locked, too.
    build = [*project["build-system"]["requires"], "editables"]
    roots = [Requirement(f"{name}[{','.join(EXTRAS)}]"), *map(Requirement, build)]
    places: dict[str, set[tuple[str, str]]] = {}
    for place, environment in environments().items():
        for package in closure(roots, environment):
            places.setdefault(package, set()).add(place)
    del places[canonicalize_name(name)]
    lines = [
        "# The exact versions the book and its tests were made with; `make lock` writes this file (tools/lock.py).",
        "# On Linux, `pip install torch==... --index-url https://download.pytorch.org/whl/cpu` beforehand saves",
        "# gigabytes: it fetches PyTorch without CUDA, which is all that is needed here.",
    ]
    for package, where in sorted(places.items()):
        # A local label such as "+cpu" names a build, not a version.
        version = metadata.version(package).partition("+")[0]
        condition = marker(where)
        lines.append(f"{package}=={version}" + (f" ; {condition}" if condition else ""))
    lines[1] = lines[1].replace("torch==...", f"torch=={metadata.version('torch').partition('+')[0]}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    (ROOT / "requirements.txt").write_text(lock(), encoding="utf-8", newline="\n")
