"""Put the built book into one zip file that opens without a network, a server or anything installed.

    make zip

The same pages give the same file, bit for bit: names are sorted, every date is the same, nothing else is recorded.
"""

import re
import sys
import zipfile
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urldefrag

import yaml

import twinfilters

ROOT = Path(__file__).resolve().parents[1]
HTML = ROOT / "_build" / "html"
TARGET = ROOT / "_build" / "twin-filters.zip"
FOLDER = "twin-filters"
# The first that a zip file can hold.
DATE = (1980, 1, 1, 0, 0, 0)
# Of use to builders and other books only.
LEFT_OUT = ("*.map", "*.mo", "*.po", ".*", "objects.inv", "*webpack-macros.html")

README = """{title}, version {version}

Open index.html with a web browser: unpack the whole folder first, then double-click the file.
Nothing has to be installed, and nothing is loaded from the network. Pictures with controls, questions, dark mode and
search work from the folder; a browser may show the results of a search without excerpts.

The notebooks, the package and the tests behind the pages are in the source of the book. Text and figures: CC BY 4.0.
Code: MIT.
"""


def files_of(folder: Path) -> list[Path]:
    """Files of the built book that its readers need; a source only where a page leads to it."""
    linked = links_in(folder)
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sorted(
        (
            path
            for path in files
            if not any(path.match(pattern) for pattern in LEFT_OUT)
            and ("_sources" not in path.relative_to(folder).parts or path in linked)
        ),
        key=lambda path: path.relative_to(folder).as_posix(),
    )


def links_in(folder: Path) -> set[Path]:
    """Files to which the pages of a folder lead."""
    found = set()
    for page in folder.rglob("*.html"):
        for address in re.findall(r'href="([^"]+)"', page.read_text(encoding="utf-8")):
            if not re.match(r"[a-z]+:|//", address):
                found.add((page.parent / unquote(urldefrag(address).url)).resolve())
    return found


def pack(files: dict[str, bytes], target: Path) -> None:
    """Write files, name -> content, in the order of their names."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(str(PurePosixPath(FOLDER, name)), DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, files[name])


def main(target: Path = TARGET) -> None:
    """Pack the book."""
    if not (HTML / "index.html").is_file():
        sys.exit(f"no book in {HTML}: run `make book`")
    title = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["title"]
    files = {
        path.relative_to(HTML.resolve()).as_posix(): path.read_bytes() for path in files_of(HTML.resolve())
    }
    readme = README.format(title=title, version=twinfilters.__version__)
    # Lines end as every editor expects, also the simplest.
    files["README.txt"] = readme.replace("\n", "\r\n").encode()
    pack(files, target)
    print(
        f"The book to take along: file://{target}, {len(files)} files, {target.stat().st_size / 1e6:.1f} MB"
    )


if __name__ == "__main__":
    main()
