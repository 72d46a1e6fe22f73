"""What pytest needs to know before it looks at the notebooks in book/."""

# A notebook stores text only: pictures, and the pages and markup that stand for widgets, are made by every build.
# The text of each output, which nbval goes on comparing, stands for them.
NOT_STORED = ("text/html", "text/markdown", "image/svg+xml", "application/javascript")


def pytest_collectstart(collector):
    """Tell nbval which outputs not to look for."""
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += NOT_STORED
