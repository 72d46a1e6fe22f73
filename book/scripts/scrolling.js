// Boxes that scroll sideways can be reached by keyboard, and only those that do scroll. An observer learns of a box
// when it is first laid out, so that what is far below need not be laid out for this.
const boxes = ".tf-formula, .cell_output pre, .highlight pre, .pst-scrollable-table-container";
const mark = (box) => {
  if (box.scrollWidth > box.clientWidth + 1) box.tabIndex = 0;
  else box.removeAttribute("tabindex");
};
const sizes = new ResizeObserver((entries) => {
  for (const box of new Set(entries.map(({ target }) => target.closest(boxes)))) mark(box);
});
for (const box of document.querySelectorAll(boxes)) {
  sizes.observe(box);
  for (const content of box.children) sizes.observe(content);
}
