// Pointing at a link to a statement, an equation, a figure, a reference, or focusing it, shows a copy of what it leads
// to. The copy stays while the pointer is on it, and Escape puts it away.
const kinds = ".admonition[id], .tf-equation[id], figure[id], .citation[id], aside.footnote[id], table[id]";
const article = document.querySelector(".bd-article");
const box = document.createElement("div");
box.className = "tf-preview";
box.id = "tf-preview";
box.setAttribute("role", "tooltip");
box.hidden = true;
document.body.append(box);
let shown = null;
let timer;

const targetOf = (link) => {
  const hash = link.getAttribute("href").split("#")[1];
  if (!hash) return null;
  const here = link.getAttribute("href").startsWith("#");
  const id = decodeURIComponent(hash);
  const target = here ? document.getElementById(id) : document.querySelector(`template[data-preview="${CSS.escape(link.getAttribute("href"))}"]`)?.content.firstElementChild;
  return target?.closest(kinds) ?? null;
};

// Bibliography entries are elsewhere, but the link carries their text.
for (const link of article?.querySelectorAll("a.reference.internal[title]") ?? []) {
  link.dataset.preview = link.title;
  link.removeAttribute("title");
}

const fill = (link) => {
  if (link.dataset.preview) {
    box.textContent = link.dataset.preview;
    return true;
  }
  const target = targetOf(link);
  if (!target || target.contains(link)) return false;
  const copy = target.cloneNode(true);
  copy.open = true;
  for (const node of copy.querySelectorAll(".headerlink, button, input, .fn-backref")) node.remove();
  for (const node of [copy, ...copy.querySelectorAll("[id]")]) node.removeAttribute("id");
  for (const node of copy.querySelectorAll("a")) node.replaceWith(...node.childNodes);
  for (const node of copy.querySelectorAll("[tabindex]")) node.removeAttribute("tabindex");
  box.replaceChildren(copy);
  return true;
};

const hide = () => {
  clearTimeout(timer);
  shown?.removeAttribute("aria-describedby");
  shown = null;
  box.hidden = true;
};

const show = (link) => {
  if (shown === link) return;
  hide();
  if (!fill(link)) return;
  shown = link;
  link.setAttribute("aria-describedby", box.id);
  box.hidden = false;
  // Below the line, or above it where there is more room; never beyond the sides.
  const line = link.getClientRects()[0] ?? link.getBoundingClientRect();
  const { width, height } = box.getBoundingClientRect();
  const below = line.bottom + 4 + height < innerHeight || line.top < innerHeight / 2;
  const side = document.documentElement.clientWidth - width - 8;
  box.style.left = `${scrollX + Math.max(8, Math.min(line.left, side))}px`;
  box.style.top = `${scrollY + (below ? line.bottom + 4 : line.top - 4 - height)}px`;
};

const later = (action, time) => {
  clearTimeout(timer);
  timer = setTimeout(action, time);
};
const linkAt = (event) => event.target.closest?.(".bd-article a.reference.internal, .bd-article a.footnote-reference");

document.addEventListener("pointerover", (event) => {
  if (event.pointerType === "touch") return;
  const link = linkAt(event);
  if (link) later(() => show(link), 250);
  else if (event.target.closest?.(".tf-preview")) clearTimeout(timer);
  else if (shown || timer) later(hide, 250);
});
document.addEventListener("focusin", (event) => {
  const link = linkAt(event);
  if (link?.matches(":focus-visible")) show(link);
  else hide();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && shown) {
    event.stopPropagation();
    hide();
  }
}, true);
