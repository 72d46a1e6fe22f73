"""See to it that there is a Chromium for the browser tests, and print where it is.

The first that is found is taken: the environment variable CHROMIUM, a Chromium or Chrome on the PATH, the one that
playwright keeps. Where there is none it is installed: by apt-get for root on Debian and Ubuntu, else by playwright.
"""

import os
import shutil
import subprocess
import sys

from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def on_path() -> str | None:
    """Give the first Chromium or Chrome on the PATH."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def of_playwright() -> str | None:
    """Give the Chromium that playwright keeps in its cache, where it is there."""
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if os.access(path, os.X_OK) else None


def installed() -> str | None:
    """Give the Chromium of this machine."""
    if named := os.environ.get("CHROMIUM"):
        return shutil.which(named) or sys.exit(f"CHROMIUM names no program: {named}")
    return on_path() or of_playwright()


def install() -> str | None:
    """Install one, by the system's packages where we may, else by playwright."""
    if shutil.which("apt-get") and os.geteuid() == 0:
        quiet = {"env": os.environ | {"DEBIAN_FRONTEND": "noninteractive"}, "stdin": subprocess.DEVNULL}
        subprocess.run(["apt-get", "-qq", "update"], **quiet, check=False)
        subprocess.run(["apt-get", "-qq", "install", "-y", "chromium"], **quiet, check=False)
        if path := on_path():
            return path
    subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)
    return of_playwright()


def main() -> None:
    """Find or install a Chromium, start it once, and leave with an error where that fails."""
    path = installed() or install()
    if path is None:
        sys.exit(
            "The browser tests need Chromium: install it, or name one: CHROMIUM=/path/to/chromium make test"
        )
    # A browser that lacks its system libraries is found, but does not start.
    check = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    if check.returncode:
        sys.exit(f"{path} does not start; `playwright install-deps chromium` may help.\n{check.stderr}")
    print(f"{check.stdout.strip()} at {path}")


if __name__ == "__main__":
    main()
