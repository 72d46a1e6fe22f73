"""Make the book one PDF: tagged, with outline, contents with page numbers, and running heads.

    make pdf

Sphinx writes all pages as one, Chromium prints it. It is printed twice: the first time says on which page each
heading stands, the second time the contents know. What would be cut at the margin is an error.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pypdfium2
import yaml
from playwright.sync_api import Page, sync_playwright
from tools.chromium import installed

import twinfilters

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGE = ROOT / "_build" / "singlehtml"
TARGET = ROOT / "_build" / "twin-filters.pdf"
# A4 less the margins of book.css, in pixels of 1/96 inch.
TEXT_WIDTH = round((210 - 2 * 22) / 25.4 * 96)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


def build() -> None:
    """Write all pages as one."""
    jupyter_book = Path(sys.executable).with_name("jupyter-book")
    command = [jupyter_book, "build", ".", "--builder", "singlehtml", "-W", "-n", "--keep-going"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)


def words() -> dict:
    """Give the words of the title page, and where parts begin."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    return {
        "title": config["title"],
        "style": (HERE / "book.css").read_text(encoding="utf-8"),
        "imprint": f"{config['author']} · version {twinfilters.__version__} · text and figures CC BY 4.0, code MIT",
        "logo": (ROOT / config["logo"]).as_uri(),
        "parts": {part["chapters"][0]["file"]: part["caption"] for part in contents["parts"]},
        "root": contents["root"],
    }


def opened(page: Page, said: dict) -> list[dict]:
    """Open the single page and arrange it; give its headings."""
    # Sphinx writes its links as if the page lay in the top folder.
    top = shutil.copy(PAGE / f"{said['root']}.html", PAGE / "book.html")
    missing: list[str] = []
    page.on(
        "requestfailed",
        lambda request: request.resource_type != "script" and missing.append(request.url),
    )
    page.goto(Path(top).as_uri())
    page.wait_for_load_state("networkidle")
    said["subtitle"] = page.locator("article h1 + p").first.inner_text()
    headings = page.evaluate((HERE / "arrange.js").read_text(encoding="utf-8"), said)
    page.emulate_media(media="print", color_scheme="light")
    page.evaluate("document.fonts.ready.then(() => {})")
    if missing:
        sys.exit("could not be loaded:\n" + "\n".join(missing))
    if cut := page.evaluate((HERE / "fit.js").read_text(encoding="utf-8")):
        sys.exit("too wide for the page:\n" + "\n".join(cut))
    return headings


def printed(page: Page) -> bytes:
    """Print the page as it is."""
    return page.pdf(prefer_css_page_size=True, print_background=True, tagged=True, outline=True)


def page_numbers(pdf: bytes, headings: list[dict]) -> dict[str, int]:
    """Heading -> its page, from the outline, which has the same headings in the same order."""
    with pypdfium2.PdfDocument(pdf) as document:
        entries = list(document.get_toc(max_depth=6))
        if len(entries) != len(headings):
            sys.exit(f"the outline has {len(entries)} entries for {len(headings)} headings")
        places = [entry.get_dest().get_index() + 1 for entry in entries]
    return {heading["id"]: place for heading, place in zip(headings, places, strict=True)}


def fill(page: Page, numbers: dict[str, int]) -> None:
    """Write page numbers into the contents."""
    page.evaluate(
        """numbers => {
          for (const link of document.querySelectorAll(".tf-contents a"))
            link.querySelector(".tf-page").textContent = numbers[link.dataset.heading];
        }""",
        numbers,
    )


def main(target: Path = TARGET) -> None:
    """Build, print, fill in the page numbers, print again."""
    build()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=installed(), args=FLAGS)
        # The scripts of the page are for readers on a screen; ours run all the same.
        page = browser.new_page(viewport={"width": TEXT_WIDTH, "height": 1000}, java_script_enabled=False)
        # Nothing comes from another host, here as on the pages.
        page.route("http*://**", lambda route: route.abort())
        headings = opened(page, words())
        fill(page, page_numbers(printed(page), headings))
        pdf = printed(page)
        browser.close()
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(pdf)
    with pypdfium2.PdfDocument(pdf) as document:
        print(f"The book: file://{target}, {len(document)} pages, {len(pdf) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
