// Boxes that scroll sideways can be reached by keyboard, and only those that do scroll.
const markScrolling = () => {
  for (const box of document.querySelectorAll(".tf-formula, .cell_output pre, .highlight pre")) {
    if (box.scrollWidth > box.clientWidth + 1) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
};
addEventListener("load", markScrolling);
addEventListener("resize", markScrolling);
