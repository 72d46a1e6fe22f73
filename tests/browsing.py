"""What tests of several concerns do with a page in a browser."""

# What was opened just now asks for its fonts when it is laid out. Observers of sizes are called at the end of a frame.
LAID_OUT = """async () => {
  document.body.offsetHeight;
  await document.fonts.ready;
  for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
}"""


def settled(page):
    """Wait until everything is laid out, and what scrolls can be reached."""
    page.wait_for_function("document.documentElement.dataset.settled !== undefined")
    page.evaluate(LAID_OUT)
