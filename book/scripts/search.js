// Search: on its own page, and in the search box of every page while one types. Texts and index are loaded at first use,
// as scripts, so that a page opened from a file can load them too.
const ROOT = document.documentElement.dataset.content_root;
const LONGEST_EXCERPT = 220;
const OPTIONS = {
  fields: ["heading", "page", "text", "code"],
  storeFields: ["address", "heading", "page", "text", "code"],
  searchOptions: {
    boost: { heading: 4, page: 2, text: 2 },
    combineWith: "AND",
    prefix: (word) => word.length > 2,
    fuzzy: (word) => (word.length > 4 ? 0.25 : false),
    // What a solution says is to be found after what it solves.
    boostDocument: (id, word, { heading }) => (heading.startsWith("Solution") ? 0.4 : 1),
  },
};

const load = (path) =>
  new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = ROOT + path;
    script.onload = resolve;
    script.onerror = () => reject(new Error(`cannot load ${path}`));
    document.head.append(script);
  });

const makeIndex = async () => {
  await Promise.all(["_static/minisearch/minisearch.min.js", "_static/search-texts.js"].map(load));
  const index = new MiniSearch(OPTIONS);
  for (const [address, [page, entries]] of Object.entries(twinfiltersTexts)) {
    entries.forEach(([place, heading, text, code], number) => {
      const id = `${address}#${place}`;
      index.add({ id, address: number ? id : address, page, heading, text, code });
    });
  }
  return index;
};
let index;
const loadIndex = () => (index ??= makeIndex());

const element = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};

const occurrences = (text, words) => {
  const escaped = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return [...text.matchAll(new RegExp(`(?<![\\p{L}\\p{N}])(?:${escaped.join("|")})(?![\\p{L}\\p{N}])`, "giu"))];
};

const different = (hits) => new Set(hits.map(([word]) => word.toLowerCase())).size;

// Where the passage begins that has the most of the words.
const beginning = (text, hits) => {
  const near = (hit) =>
    different(hits.filter(({ index }) => index >= hit.index && index < hit.index + LONGEST_EXCERPT / 2));
  const best = hits.reduce((found, hit) => (near(hit) > near(found) ? hit : found), hits[0]);
  return best?.index > 60 ? text.indexOf(" ", best.index - 60) + 1 : 0;
};

const excerpt = (text, hits) => {
  const from = beginning(text, hits);
  const long = text.length > from + LONGEST_EXCERPT;
  const to = long ? text.lastIndexOf(" ", from + LONGEST_EXCERPT) : text.length;
  const pieces = [from ? "… " : ""];
  let at = from;
  for (const { 0: word, index } of hits.filter(({ 0: word, index }) => index >= from && index + word.length <= to)) {
    pieces.push(text.slice(at, index), element("mark", {}, word));
    at = index + word.length;
  }
  return [...pieces, text.slice(at, to), long ? " …" : ""];
};

const listItem = ({ address, heading, page, text, code, terms }) => {
  const item = element("li", {}, element("a", { href: ROOT + address }, heading));
  if (page !== heading) item.append(" ", element("span", { className: "tf-search-page" }, page));
  const [inText, inCode] = [text, code].map((where) => occurrences(where, terms));
  const more = different(inCode) > different(inText);
  const passage = more ? [element("code", {}, ...excerpt(code, inCode))] : excerpt(text, inText);
  item.append(element("p", { className: "context" }, ...passage));
  return item;
};

const find = (index, query) => {
  const all = index.search(query);
  if (all.length) return [all, `${all.length} ${all.length === 1 ? "place" : "places"} found.`];
  const some = index.search(query, { combineWith: "OR" });
  const words = `“${query}”`;
  if (some.length) return [some, `Nowhere are all of ${words}; ${some.length} with some of these words.`];
  return [[], `Nothing found for ${words}.`];
};

const show = async (place, input, limit) => {
  if (!input.value.trim()) return place.replaceChildren();
  let [found, said] = [[], "The search could not be loaded."];
  try {
    [found, said] = find(await loadIndex(), input.value.trim());
  } catch (error) {
    console.error(error);
  }
  // One sentence that stays, so that screen readers notice when it changes.
  const status = place.querySelector(".search-summary") ?? element("p", { className: "search-summary", role: "status" });
  if (found.length > limit) said += " Enter shows all.";
  const list = element("ul", { className: "search" }, ...found.slice(0, limit).map(listItem));
  if (!status.isConnected) place.append(status);
  status.textContent = said;
  place.querySelector("ul")?.remove();
  if (found.length) place.append(list);
};

const moveByArrows = (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const stops = [...event.currentTarget.querySelectorAll("input, .search a")];
  const next = stops[stops.indexOf(document.activeElement) + step];
  if (!step || !next) return;
  event.preventDefault();
  next.focus();
};

const connect = (input, place, limit) => {
  input.addEventListener("focus", () => loadIndex().catch(() => {}));
  input.addEventListener("input", () => show(place, input, limit));
};

const dialog = document.getElementById("pst-search-dialog");
if (dialog) {
  const place = element("div", { className: "tf-search-results" });
  dialog.append(place);
  connect(dialog.querySelector("input"), place, 8);
  dialog.addEventListener("keydown", moveByArrows);
}

const results = document.getElementById("search-results");
if (results) {
  const input = results.parentElement.querySelector("input");
  input.value = new URLSearchParams(location.search).get("q") ?? "";
  connect(input, results, Infinity);
  if (input.value) show(results, input, Infinity);
  else input.focus();
}
