// Called when the page is as wide as the text on paper. Makes formulas smaller that are too wide for it, and returns what
// is still too wide: it would be cut.
() => {
  for (const box of document.querySelectorAll(".tf-formula")) {
    const inner = box.querySelector(".katex-html");
    const ratio = box.clientWidth / Math.max(1, inner?.scrollWidth ?? 0, box.scrollWidth);
    if (ratio < 1) box.style.fontSize = `${Math.max(0.65, ratio * 0.98)}em`;
  }
  const width = document.querySelector("main").getBoundingClientRect().right + 1;
  const wide = [...document.querySelectorAll("main *")].filter((node) => {
    const box = node.getBoundingClientRect();
    return box.width && box.right > width && !node.closest(".katex-mathml, svg *, .sr-only, .visually-hidden");
  });
  return wide.filter((node) => !wide.some((other) => other !== node && node.contains(other)))
    .map((node) => `${node.tagName.toLowerCase()}.${node.className}: ${node.textContent.trim().slice(0, 60)}`);
};
