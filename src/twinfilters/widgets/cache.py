"""Cache of drawn frames, by content: the code of ``draw`` and all that it uses, and the values.

What counts: bytecode, constants, default values, what the function closes over, the globals it names, and so on through
the functions and classes of the notebook; the source of every module beside the notebook or installed for editing
(this package among them); name and version of every other; matplotlib's settings. Comments do not count.
"""

import dis
import hashlib
import json
import os
import sys
import sysconfig
from collections.abc import Callable, Collection, Mapping
from functools import _lru_cache_wrapper, cache
from importlib.metadata import packages_distributions, version
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import matplotlib as mpl
from joblib.hashing import NumpyHasher

import twinfilters

STDLIB = Path(sysconfig.get_path("stdlib")).resolve()
PACKAGES = {"site-packages", "dist-packages"}


class FrameCache:
    """Frames on disk, one file each.

    Parameters
    ----------
    folder : where they are.
    draw : the function that draws them. One that cannot be fingerprinted, because it uses an open file, say, is drawn
        anew each time.
    """

    def __init__(self, folder: Path, draw: Callable) -> None:
        self._folder = folder
        self._base = fingerprint((draw, twinfilters, dict.copy(mpl.rcParams), mpl.__version__))

    def get(self, *key: Any) -> Any:
        """Give what was kept, None if nothing was."""
        file = self._file(key)
        return json.loads(file.read_text(encoding="utf-8")) if file and file.is_file() else None

    def put(self, content: Any, *key: Any) -> None:
        """Keep something made of lists, texts and numbers."""
        if file := self._file(key):
            write_whole(file, json.dumps(content))

    def _file(self, key: tuple) -> Path | None:
        digest = self._base and fingerprint((self._base, key))
        return self._folder / f"{digest}.json" if digest else None


def write_whole(file: Path, content: str) -> None:
    """Write a file so that nobody ever sees half of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    temporary.write_text(content, encoding="utf-8")
    temporary.replace(file)


def fingerprint(thing: Any) -> str | None:
    """Hash of the content of a thing, functions and modules by their code; None if it has no such content."""
    try:
        return _ContentHasher("sha256").hash(thing)
    except Exception:
        # Pickling calls the code of whatever it meets, which may fail in any way.
        return None


def content_hash(folder: Path, without: Collection[str] = ()) -> str:
    """Hash of the names and contents of the files in a folder; caches and hidden files do not count.

    Parameters
    ----------
    folder : with all folders in it.
    without : endings of files that do not count either, such as ".js".
    """
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.suffix in without or not path.is_file():
            continue
        if not any(part == "__pycache__" or part.startswith(".") for part in parts):
            content = path.read_bytes()
            digest.update(f"{'/'.join(parts)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


class _ContentHasher(NumpyHasher):
    """Joblib's hash of values, which takes functions, classes and modules by name; here their content counts."""

    def __init__(self, hash_name: str) -> None:
        super().__init__(hash_name)
        self._seen = set()

    def save(self, obj: Any) -> None:
        super().save(self._content(obj))

    def _content(self, obj: Any) -> Any:
        if isinstance(obj, frozenset):
            # Their order changes from one process to the next.
            return ("frozenset", sorted(obj, key=repr))
        if isinstance(obj, _lru_cache_wrapper):
            return ("cached", obj.__wrapped__)
        if isinstance(obj, CodeType):
            return ("code", obj.co_code, obj.co_consts, obj.co_names, obj.co_varnames, obj.co_freevars)
        if isinstance(obj, ModuleType):
            return self._once(obj, obj.__name__, _module_parts)
        if isinstance(obj, FunctionType):
            return self._once(obj, f"{obj.__module__}.{obj.__qualname__}", _function_parts)
        if isinstance(obj, type) and not _installed(sys.modules.get(obj.__module__)):
            return self._once(obj, f"{obj.__module__}.{obj.__qualname__}", _class_parts)
        return obj

    def _once(self, obj: Any, name: str, parts: Callable) -> tuple:
        # A function that calls itself would have no end.
        if id(obj) in self._seen:
            return ("seen", name)
        self._seen.add(id(obj))
        return (name, parts(obj))


def _function_parts(function: FunctionType) -> Any:
    if _installed(module := sys.modules.get(function.__module__)):
        return _version(module)
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    named = sorted(_global_names(function.__code__) & function.__globals__.keys())
    used = {name: function.__globals__[name] for name in named}
    return (sys.version, function.__code__, function.__defaults__, function.__kwdefaults__, cells, used)


def _global_names(code: CodeType) -> set[str]:
    own = {step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    inner = (_global_names(constant) for constant in code.co_consts if isinstance(constant, CodeType))
    return own.union(*inner)


def _class_parts(cls: type) -> Any:
    skipped = ("__dict__", "__weakref__", "__module__", "__doc__")
    members = {name: member for name, member in vars(cls).items() if name not in skipped}
    plain = {name: getattr(member, "__func__", member) for name, member in members.items()}
    return (cls.__bases__, {name: getattr(member, "fget", member) for name, member in plain.items()})


def _module_parts(module: ModuleType) -> Any:
    """Version of an installed module; sources of any other and of those that it takes things from."""
    if _installed(module):
        return _version(module)
    found, todo = {}, [module]
    while todo:
        module = todo.pop()
        if module is None or module.__name__ in found or _installed(module):
            continue
        found[module.__name__] = module
        for thing in vars(module).values():
            name = getattr(thing, "__module__", None)
            todo.append(thing if isinstance(thing, ModuleType) else sys.modules.get(str(name)))
    return {name: _source(name) for name in {name.partition(".")[0] for name in found}}


def _source(name: str) -> str:
    module = sys.modules[name]
    if folders := getattr(module, "__path__", None):
        return " ".join(content_hash(Path(folder)) for folder in folders)
    file = getattr(module, "__file__", None)
    return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""


def _installed(module: ModuleType | None) -> bool:
    """Whether a module comes with Python or from a package index: then its version says it all."""
    if module is None or module.__name__ == "__main__":
        return False
    places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
    paths = [Path(place).resolve() for place in places if place]
    return all(STDLIB in path.parents or not PACKAGES.isdisjoint(path.parts) for path in paths)


def _version(module: ModuleType) -> str:
    top = module.__name__.partition(".")[0]
    names = sorted(set(_distributions().get(top, [])))
    return " ".join([sys.version, *(f"{name}=={version(name)}" for name in names)])


@cache
def _distributions() -> Mapping[str, list[str]]:
    return packages_distributions()
