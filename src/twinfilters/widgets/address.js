// State of the widgets in the page's address, as a fragment: page.html#steps=300&gap=1e-6
// The second widget's controls begin with "2.", and so on. A fragment without "=" is an ordinary anchor; what names no
// control or no value is passed over.

const PATIENCE = 300;

// Widget number -> control name -> position.
function stateIn(fragment, widgets) {
  const found = new Map();
  for (const [key, text] of new URLSearchParams(fragment.includes("=") ? fragment.slice(1) : "")) {
    const [, number, name] = key.match(/^(?:(\d+)\.)?(.*)$/s);
    const { panel, start } = widgets[Number(number ?? 1) - 1] ?? {};
    if (!panel || !Object.hasOwn(panel.inputs, name)) continue;
    const position = panel.find(name, text);
    if (position < 0) continue;
    const place = Number(number ?? 1) - 1;
    found.set(place, { ...(found.get(place) ?? start), [name]: position });
  }
  return found;
}

function fragmentOf(widgets, wanted) {
  const parts = new URLSearchParams();
  widgets.forEach(({ panel }, place) => {
    if (!wanted(widgets[place])) return;
    for (const [name, position] of Object.entries(panel.read())) {
      parts.append(place ? `${place + 1}.${name}` : name, panel.nameOf(name, position));
    }
  });
  return `${parts}` && `#${parts}`;
}

function hasMoved({ panel, start }) {
  return Object.entries(panel.read()).some(([name, position]) => position !== start[name]);
}

function keepAddress(widgets) {
  let timer;

  function restore() {
    const found = stateIn(location.hash, widgets);
    for (const [place, index] of found) widgets[place].go(index);
    const first = Math.min(...found.keys());
    if (found.size) widgets[first].root.scrollIntoView();
  }

  function note() {
    const fragment = fragmentOf(widgets, hasMoved);
    const ordinary = location.hash && !location.hash.includes("=");
    if (fragment === location.hash || (ordinary && !fragment)) return;
    history.replaceState(history.state, "", fragment || location.pathname + location.search);
  }

  for (const { root } of widgets) {
    // Browsers allow a page only so many changes of its address in a while.
    root.addEventListener("tf-rest", () => {
      clearTimeout(timer);
      timer = setTimeout(note, PATIENCE);
    });
  }
  addEventListener("hashchange", restore);
  restore();
}

// The link to one widget as it stands: into the clipboard, or, where that is closed, into the address.
async function copyLink(widgets, widget, button) {
  const address = location.href.split("#")[0] + fragmentOf(widgets, (other) => other === widget);
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(address);
    button.textContent = "Link copied";
  } catch {
    history.replaceState(history.state, "", new URL(address).hash);
    button.textContent = "See address bar";
  }
  setTimeout(() => (button.textContent = before), 2000);
}
