// Boxes that scroll sideways can be reached by keyboard, and only those that do scroll; what the keyboard stops at has a
// name. An observer learns of a box when it is first laid out, so that what is far below need not be laid out for this.
const kinds = { Formula: ".tf-formula", Output: ".cell_output pre", Code: ".highlight pre", Table: ".pst-scrollable-table-container" };
const names = new Map();
for (const [kind, selector] of Object.entries(kinds)) {
  let number = 0;
  for (const box of document.querySelectorAll(selector)) if (!names.has(box)) names.set(box, `${kind} ${++number}`);
}

const mark = (box) => {
  const scrolls = box.scrollWidth > box.clientWidth + 1;
  const attributes = { tabindex: "0", role: "region", "aria-label": names.get(box) };
  for (const [name, value] of Object.entries(attributes)) {
    if (scrolls) box.setAttribute(name, value);
    else box.removeAttribute(name);
  }
};
const sizes = new ResizeObserver((entries) => entries.forEach(({ target }) => mark(target)));
for (const box of names.keys()) sizes.observe(box);

// Formulas grow in their boxes when their fonts arrive.
const markAll = () => [...names.keys()].forEach(mark);
document.addEventListener("tf-settled", () => {
  markAll();
  document.fonts.addEventListener("loadingdone", markAll);
});
