// Host of `explore` in the built page: a model over pictures that were drawn while the book was built.
// The pictures of a widget lie in one script beside this one, fetched when the widget comes near.

const base = new URL("explore/", document.currentScript.src);
const scripts = {};

function frames(key) {
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
function combination(root, index) {
  let number = 0;
  for (const input of root.querySelectorAll("[data-control]")) {
    const size =
      input.type === "checkbox" ? 2 : input.type === "range" ? Number(input.max) + 1 : input.options.length;
    number = number * size + index[input.dataset.control];
  }
  return number;
}

function pageModel(root) {
  const state = {};
  const listeners = [];
  async function answer({ serial, index }) {
    const before = state._picture ?? {
      svg: root.querySelector(".tf-picture").innerHTML,
      description: root.querySelector(".tf-status").textContent,
    };
    try {
      const { order, frames: all } = await frames(root.dataset.explore);
      const [svg, description] = all[order[combination(root, index)]];
      state._picture = { serial, index, svg, description, error: "" };
    } catch (problem) {
      state._picture = { ...before, serial, index, error: String(problem.message) };
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

function start(root) {
  render({ model: pageModel(root), el: root });
  const fetchFrames = () => frames(root.dataset.explore).catch(() => {});
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
  document.querySelectorAll(".tf-explore[data-explore]").forEach(start);
}

if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", startAll);
else startAll();
