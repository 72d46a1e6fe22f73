// Host of `explore` in the built page: a model over pictures that were drawn while the book was built.
// The pictures of a widget lie in one script beside this one, fetched when the widget comes near.

const base = new URL("twinfilters-explore/", document.currentScript.src);
const scripts = {};

function fetched(key) {
  scripts[key] ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL(`${key}.js`, base);
    script.onload = () => resolve(self.tfExplore[key]);
    script.onerror = () => {
      delete scripts[key];
      reject(new Error("the pictures of this figure could not be loaded"));
    };
    document.head.append(script);
  });
  return scripts[key];
}

// Number of a combination: the controls are the digits, each with as many values as it has options.
function combination(panel, index) {
  return Object.keys(panel.inputs).reduce((number, name) => number * panel.size(name) + index[name], 0);
}

// A frame is a list of pictures, a picture a list of pieces of markup, of which each is stored once.
async function framesAt(key, number) {
  const { order, pieces, frames } = await fetched(key);
  return frames[order[number]].map(([parts, width, height, description]) => ({
    html: parts.map((part) => pieces[part]).join(""),
    width,
    height,
    description,
  }));
}

function pageModel(root) {
  const panel = controlPanel(root);
  const state = {};
  const listeners = [];
  async function answer({ serial, index }) {
    try {
      const pictures = await framesAt(root.dataset.explore, combination(panel, index));
      state._shown = { serial, index, pictures, error: "" };
    } catch (problem) {
      state._shown = { serial, index, error: problem.message };
    }
    for (const listener of listeners) listener();
  }
  return {
    get: (name) => state[name],
    set: (name, value) => (state[name] = value),
    save_changes: () => answer(state._request),
    on: (_, listener) => listeners.push(listener),
    off: (_, listener) => listeners.splice(listeners.indexOf(listener), 1),
  };
}

function fetchWhenNear(root) {
  const fetchFrames = () => fetched(root.dataset.explore).catch(() => {});
  root.addEventListener("focusin", fetchFrames, { once: true });
  const nearby = new IntersectionObserver(
    (entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      nearby.disconnect();
      fetchFrames();
    },
    { rootMargin: "600px" },
  );
  nearby.observe(root);
}

function startAll() {
  const roots = [...document.querySelectorAll(".tf-explore[data-explore]")];
  const widgets = roots.map((root) => mount(pageModel(root), root));
  roots.forEach(fetchWhenNear);
  for (const widget of widgets) {
    const button = widget.root.querySelector(".tf-link");
    button.disabled = false;
    button.addEventListener("click", () => copyLink(widgets, widget, button));
  }
  keepAddress(widgets);
}

if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", startAll);
else startAll();
