"""What pytest needs to know before it looks at any test or notebook."""

pytest_plugins = ["tests.measuring"]

# A notebook stores text only: pictures, markup and what stands for widgets are made by every build.
# The text of each output, which nbval goes on comparing, stands for them.
NOT_STORED = (
    "application/javascript",
    "application/json",
    "image/svg+xml",
    "text/html",
    "text/latex",
    "text/markdown",
)


def pytest_collectstart(collector):
    """Tell nbval which outputs not to look for."""
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += NOT_STORED
