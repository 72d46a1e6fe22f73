// Host of the lab in the built page: the first lab of a page keeps its run in the page's address.

const ADDRESS_PAUSE = 300;

function keepLabAddress(lab) {
  let timer = 0;
  const link = lab.root.querySelector("[data-do=link]");

  function restore(play) {
    const state = stateFrom(location.hash);
    if (!state || location.hash === lab.address()) return;
    if (state.preset && !state.step && play) lab.choose(state.preset);
    else lab.load(state);
    lab.root.scrollIntoView({ block: "start" });
    // Whoever followed a link of this page goes on here.
    if (play) lab.root.querySelector("[data-do=play]").focus({ preventScroll: true });
  }

  function note() {
    const fragment = lab.address();
    const ordinary = location.hash && !location.hash.includes("=");
    if (fragment === location.hash || (ordinary && !fragment)) return;
    history.replaceState(history.state, "", fragment || location.pathname + location.search);
  }

  async function copy() {
    const before = link.textContent;
    note();
    try {
      await navigator.clipboard.writeText(location.href.split("#")[0] + lab.address());
      link.textContent = lab.step > LAST_STEP ? `Link copied, to step ${countShown(LAST_STEP)}` : "Link copied";
    } catch {
      link.textContent = "See address bar";
    }
    setTimeout(() => (link.textContent = before), 2000);
  }

  lab.root.addEventListener("tf-rest", () => {
    clearTimeout(timer);
    // Browsers allow a page only so many changes of its address in a while.
    timer = setTimeout(note, ADDRESS_PAUSE);
  });
  link.addEventListener("click", copy);
  addEventListener("hashchange", () => restore(true));
  restore(false);
}

// The lab's link to the engine alone (notebook.js has another, which tells Python, too).
function pageLink(root) {
  const digits = unpackedDigits(PACKED_DIGITS);
  const settings = JSON.parse(root.dataset.settings);
  return {
    createRun: (given = settings) => createRun(given, digits),
    setPlaying() {},
    listen: () => () => {},
  };
}

function startLabs() {
  for (const [place, root] of document.querySelectorAll(".tf-lab:not([data-live])").entries()) {
    const lab = mountLab(root, pageLink(root));
    // For the console.
    root.lab = lab;
    if (place === 0) keepLabAddress(lab);
    else root.querySelector("[data-do=link]").hidden = true;
  }
}

startLabs();
