// The lab: joins a run of the engine with what is seen and touched. Python writes the markup; here it comes to life.

// Milliseconds between two changes of the numbers and words, which would be read by nobody if they changed faster; a
// screen reader gets more time for a sentence.
const TEXT_PAUSE = 120;
const SPEECH_PAUSE = 4000;
const SHORTEST_AXIS = 100;
// From here on a run is worth comparing with.
const WORTH_A_GHOST = 5;
// A learning rate at which hardly any of the lab's networks diverges.
const SAFE_RATE = 0.25;

// `link` is where runs come from: {createRun(settings), setPlaying(on), listen(hands)}. In a page that is the engine, in a
// notebook it also tells Python (notebook.js). A lab that nobody looks at waits, unless it `keepsOn`.
function mountLab(root, link, { keepsOn = false } = {}) {
  const all = (selector) => [...root.querySelectorAll(selector)];
  const shows = Object.fromEntries(all("[data-show]").map((node) => [node.dataset.show, node]));
  const images = Object.fromEntries(all("[data-image]").map((node) => [node.dataset.image, node]));
  const buttons = Object.fromEntries(all("[data-do]").map((node) => [node.dataset.do, node]));
  const entries = Object.fromEntries(all("[data-entry]").map((node) => [node.dataset.entry, node]));
  const time = root.querySelector("[data-time]");
  const axis = root.querySelector("[data-window]");
  const gapAxis = root.querySelector("[data-gap-axis]");
  const speed = root.querySelector("[data-speed]");
  const ghostSwitch = root.querySelector("[data-ghost]");
  const trouble = root.querySelector(".tf-lab-trouble");
  const panel = settingsPanel(root);
  const names = new Map(all("canvas").map((canvas) => [canvas, canvas.getAttribute("aria-label")]));
  const look = { colours: coloursOf(root) };
  const plots = Object.fromEntries(
    all("[data-plot]").map((canvas) => [canvas.dataset.plot, plotOn(canvas, look, () => drawSoon())]),
  );
  const still = matchMedia("(prefers-reduced-motion: reduce)");

  // What the run began with, what was and will be changed while it goes on, what holds now, and whether something that was
  // planned will not happen.
  const state = { start: null, then: [], settings: null, planDropped: false };
  let run;
  let notes;
  let step;
  let ghost = null;
  // The step that is looked at; null while it is the last one.
  let cursor = null;
  let target = Infinity;
  let visible = true;
  let textAt = -Infinity;
  let spokenAt = -Infinity;
  let spoken = "";
  let scheduled = 0;

  // --- running

  // Another run, from where it stands.
  function begin(another, then = []) {
    const moving = player.running();
    player.stop();
    if (notes && step >= WORTH_A_GHOST) ghost = { notes, settings: state.start, then: doneChanges() };
    run = another;
    state.start = state.settings = run.settings();
    state.then = then;
    state.planDropped = false;
    notes = [run.now()];
    step = notes[0].step;
    cursor = null;
    target = Infinity;
    applyChanges();
    renewNote();
    panel.write(state.settings);
    if (moving) go();
    else showPlaying();
    drawAll();
  }

  const beginWith = (settings, then) => begin(link.createRun(reconciled(settings)), then);

  // The same start, under other settings of those that may change on the way.
  function beginAgain(settings, then) {
    run.change(liveOf(reconciled(settings)));
    run.rewind();
    begin(run, then);
  }

  function applyChanges() {
    for (const change of state.then) {
      if (change.step !== step) continue;
      state.settings = reconciled({ ...state.settings, ...change.settings });
      run.change(liveOf(state.settings));
      panel.write(state.settings);
    }
  }

  // What was changed shows in the note of this step, too.
  function renewNote() {
    if (notes.at(-1).step === step) notes[notes.length - 1] = run.now();
  }

  function advance(count) {
    for (; count > 0 && !run.diverged && step < target; count -= 1) {
      run.step(1);
      step += 1;
      applyChanges();
      if (run.diverged || step === nextNoted(notes.at(-1).step)) notes.push(run.now());
    }
  }

  const player = frames({
    advance,
    draw,
    more: () => (run.diverged ? 0 : target - step),
    idle: () => !visible && !keepsOn,
    ended: () => pause(),
  });

  function go(until = Infinity, rate = SPEEDS[speed.value]) {
    if (run.diverged) return;
    cursor = null;
    target = until;
    player.start(rate);
    showPlaying();
  }

  function pause() {
    player.stop();
    target = Infinity;
    showPlaying();
    drawAll();
    rest();
  }

  function showPlaying() {
    buttons.play.setAttribute("aria-label", player.running() ? "Pause" : "Play");
    root.toggleAttribute("data-playing", player.running());
    link.setPlaying(player.running());
  }

  // Tells whoever keeps the address, or the kernel, that the reader has come to a stop.
  const rest = () => root.dispatchEvent(new CustomEvent("tf-rest"));

  function change(moved) {
    const settings = reconciled({ ...state.settings, ...moved });
    if (Object.keys(moved).some((name) => !SETTINGS[name].live)) {
      beginWith(settings);
    } else if (step === 0) {
      beginAgain(settings, state.then.filter((planned) => planned.step > 0));
    } else {
      // Whoever takes the wheel drives from here on: what was planned for later is dropped.
      const done = doneChanges();
      state.planDropped ||= done.length < state.then.length;
      const here = done.find((planned) => planned.step === step);
      if (here) Object.assign(here.settings, moved);
      else done.push({ step, settings: { ...moved } });
      state.then = done;
      state.settings = settings;
      cursor = null;
      run.change(liveOf(settings));
      renewNote();
      panel.write(settings);
      drawAll();
    }
    if (!player.running()) rest();
  }

  const doneChanges = () => state.then.filter((planned) => planned.step <= step);

  function settingsAt(when) {
    return state.then
      .filter((planned) => planned.step <= when)
      .reduce((settings, planned) => ({ ...settings, ...planned.settings }), state.start);
  }

  // --- showing

  function current() {
    return notes.at(-1).step === step ? notes.at(-1) : run.now();
  }

  // The notes up to now, with the present as the last of them.
  function withPresent(show) {
    const present = current();
    const added = present !== notes.at(-1);
    if (added) notes.push(present);
    const place = cursor === null ? notes.length - 1 : placeOf(notes, cursor);
    show(notes, place);
    if (added) notes.pop();
  }

  function range() {
    const last = ghostShown() ? Math.min(ghost.notes.at(-1).step, 4 * step + 400) : 0;
    const end = Math.max(SHORTEST_AXIS, step, last);
    const length = Number(axis.value);
    if (!length || length >= end) return [0, end];
    const middle = cursor ?? step;
    const from = Math.max(0, Math.min(middle - length / 2, Math.max(step, length) - length));
    return [from, from + length];
  }

  const ghostShown = () => ghost !== null && ghostSwitch.checked;

  function draw() {
    const now = performance.now();
    withPresent((shown, place) => {
      drawImages(shown[place]);
      drawPlots(plots, shown, place);
      if (now - textAt >= TEXT_PAUSE) {
        textAt = now;
        drawTexts(shown, place, now);
      }
    });
  }

  function drawAll() {
    textAt = -Infinity;
    draw();
  }

  function drawSoon() {
    if (!run) return;
    scheduled ||= requestAnimationFrame(() => {
      scheduled = 0;
      drawAll();
    });
  }

  function drawPlots({ gap, eigenvalues, loss }, shown, place) {
    const common = {
      notes: shown,
      range: range(),
      cursor: shown[place],
      ghost: ghostShown() ? ghost.notes : null,
      changes: state.then
        .filter((planned) => planned.step <= step && planned.step > 0)
        .map((planned) => ({ step: planned.step, words: wordsOfChange(planned.settings) })),
    };
    drawGapPlot(gap, { ...common, parts: untied(), fitted: gapAxis.value === "fitted" });
    drawEigenvaluePlot(eigenvalues, common);
    drawLossPlot(loss, common);
  }

  // Units that have something of their own are no small gap apart, and nothing is predicted for them.
  const untied = () => !state.start.tied_filter || !state.start.tied_bias || !state.start.tied_readout;
  const wordsOfChange = (settings) =>
    Object.entries(settings).map(([name, value]) => settingInWords(name, value)).join(", ");
  const changesInWords = (then) =>
    then.map((change) => `${wordsOfChange(change.settings)} from step ${countShown(change.step)}`);

  function drawImages({ units }) {
    const [a, b] = units;
    const pairs = { filter: units.map((unit) => unit.filter), gradient: units.map((unit) => unit.gradient.filter) };
    for (const [kind, values] of Object.entries(pairs)) {
      const limit = scaleFor(largestOf(...values));
      const difference = differenceOf(values[0], values[1]);
      drawWeights(images[`${kind}-a`], values[0], limit);
      drawWeights(images[`${kind}-b`], values[1], limit);
      drawWeights(images[`${kind}-difference`], difference, scaleFor(largestOf(difference)));
      if (kind === "filter") {
        for (const number of [2, 3]) if (values[number]) drawWeights(images[`filter-${number}`], values[number], limit);
      }
    }
    return [a, b];
  }

  function put(name, text) {
    const node = shows[name];
    if (node && node.textContent !== text) node.textContent = text;
  }

  function drawTexts(shown, place, now) {
    const note = shown[place];
    const goal = player.running() && Number.isFinite(target) ? ` of ${countShown(target)}` : "";
    put("step", countShown(note.step) + goal);
    put("loss", finite(note.loss));
    put("correct", Number.isFinite(note.accuracy) ? percentShown(note.accuracy) : "–");
    putUnits(note);
    putKeys(note);
    const since = Math.max(0, ...state.then.map((planned) => planned.step).filter((when) => when <= note.step));
    const words = describeMoment({ notes: shown, place, settings: settingsAt(note.step), since });
    put("text", words.text);
    put("why", words.why);
    say(words, now);
    if (!player.running()) nameCanvases(note);
    putTrouble(note);
    putSettings();
    // As far as the plots, where they show all.
    time.max = String(Number(axis.value) ? step : range()[1]);
    time.value = String(cursor ?? step);
    time.setAttribute("aria-valuetext", `step ${note.step}, gap ${numberSaid(note.gap)}`);
  }

  // Screen readers get the numbers of what is drawn, while it stands still.
  function nameCanvases({ step: when, units: [a, b], gap, predicted, eigenvalues, loss, diverged }) {
    const name = (canvas, values) => canvas.setAttribute("aria-label", `${names.get(canvas)}${values}`);
    const said = (values) => Array.from(values, (value) => numberSaid(value)).join(", ");
    for (const [kind, read] of [["filter", (unit) => unit.filter], ["gradient", (unit) => unit.gradient.filter]]) {
      name(images[`${kind}-a`], `, row by row: ${said(read(a))}`);
      name(images[`${kind}-b`], `, row by row: ${said(read(b))}`);
      name(images[`${kind}-difference`], `, row by row: ${said(differenceOf(read(a), read(b)))}`);
    }
    const prediction = untied() || predicted === null ? "" : `, predicted ${numberSaid(predicted)}`;
    name(plots.gap.canvas, `. At step ${when}: gap ${numberSaid(gap)}${prediction}`);
    name(plots.eigenvalues.canvas, diverged ? "" : `. At step ${when}: ${said(eigenvalues)}`);
    name(plots.loss.canvas, `. At step ${when}: loss ${numberSaid(loss)}`);
  }

  const finite = (value, digits = 3) => (Number.isFinite(value) ? numberShown(value, digits) : "–");

  function putUnits({ units, diverged }) {
    const [a, b] = units;
    const scaleText = (largest, sign) => (diverged ? "–" : largest === 0 ? "all 0" : `${sign}${choiceShown(scaleFor(largest))}`);
    const difference = (read) => differenceOf(read(a), read(b));
    for (const [kind, read] of [["filter", (unit) => unit.filter], ["gradient", (unit) => unit.gradient.filter]]) {
      const limit = largestOf(...units.map(read));
      put(`${kind}-low`, diverged || limit === 0 ? "" : scaleText(limit, "−"));
      put(`${kind}-scale`, scaleText(limit, "+"));
      put(`${kind}-difference-scale`, scaleText(largestOf(difference(read)), "±"));
    }
    // What is small has room for two digits.
    const short = (value) => finite(value, Math.abs(value) < 1e-2 ? 2 : 3);
    put("bias-a", short(a.bias));
    put("bias-b", short(b.bias));
    put("bias-difference", finite(a.bias - b.bias, 2));
    const list = (values) => Array.from(values, short).join(", ");
    put("readout-a", list(a.readout));
    put("readout-b", list(b.readout));
    put("readout-difference", Array.from(difference((unit) => unit.readout), (value) => finite(value, 2)).join(", "));
    for (const number of [2, 3]) {
      images[`filter-${number}`].closest("td").hidden = number >= units.length;
      if (units[number]) put(`readout-${number}`, `readout ${list(units[number].readout)}`);
    }
    root.querySelector("[data-others]").hidden = units.length < 3;
    for (const head of all("th[data-unit=b]")) {
      const name = b.frozen ? "B, frozen" : "twin B";
      if (head.textContent !== name) head.textContent = name;
    }
  }

  function putKeys(note) {
    put("key-gap", exactly(note.gap));
    put("key-predicted", exactly(note.predicted));
    put("key-parts", exactly(note.gapFilter));
    put("key-lowest", note.eigenvalues.length && !note.diverged ? finite(note.eigenvalues[0]) : "–");
    put("key-loss", finite(note.loss));
    put("key-accuracy", Number.isFinite(note.accuracy) ? percentShown(note.accuracy) : "–");
    entries.parts.hidden = !untied();
    entries.predicted.hidden = untied();
    entries.ghost.hidden = !ghostShown();
    if (!ghost) return;
    const other = [...differencesInWords(ghost.settings, state.start), ...changesInWords(ghost.then)];
    put("key-ghost", other.join(", ") || "the same settings");
  }

  const exactly = (gap) => (gap === 0 ? "exactly 0" : gap === null ? "nothing any more" : finite(gap));

  function putTrouble({ diverged }) {
    trouble.hidden = !diverged;
    if (!diverged) return;
    put("trouble", `The run has diverged at step ${countShown(step)}.`);
    buttons.slower.textContent = `Try learning rate ${choiceShown(slower())}`;
  }

  function slower() {
    const rate = Math.min(state.settings.learning_rate / 4, SAFE_RATE);
    return Math.max(SETTINGS.learning_rate.low, Number(rate.toPrecision(2)));
  }

  function putSettings() {
    const preset = PRESETS.find(({ name }) => name === presetOf({ settings: state.start, then: state.then }));
    for (const button of all("[data-preset]")) {
      button.setAttribute("aria-pressed", String(button.dataset.preset === preset?.name));
    }
    const own = [...differencesInWords(state.start, defaultSettings()), ...changesInWords(doneChanges())];
    const dropped = state.planDropped ? " What the experiment had planned for later is off." : "";
    put("story", preset?.story ?? `Your own experiment: ${own.join(", ")}.${dropped}`);
    const inMore = new Set(all(".tf-lab-more [data-setting]").map((input) => input.dataset.setting).concat("digits"));
    const changed = Object.keys(SETTINGS).filter(
      (name) => inMore.has(name) && !sameSetting(state.settings[name], SETTINGS[name].default),
    );
    const words = changed.map((name) => settingInWords(name, state.settings[name])).join(", ");
    put("more", words || "noise, momentum, network, digits");
  }

  // A screen reader hears what kind of thing happens when it changes, and at every stop.
  function say({ kind, text, why }, now) {
    const running = player.running();
    if (running && (kind === spoken || now - spokenAt < SPEECH_PAUSE)) return;
    const words = `Step ${step}. ${text} ${why}`;
    if (kind === spoken && shows.said.textContent === words) return;
    spoken = kind;
    spokenAt = now;
    put("said", words);
  }

  // --- hands

  function lookAt(when) {
    if (player.running()) pause();
    cursor = when >= step ? null : Math.max(0, Math.round(when));
    drawAll();
  }

  function pointAt(canvas, event) {
    const box = canvas.getBoundingClientRect();
    const share = (event.clientX - box.left - MARGIN.left) / (box.width - MARGIN.left - MARGIN.right);
    const [from, to] = range();
    lookAt(from + Math.max(0, Math.min(1, share)) * (to - from));
  }

  function listenToPlot({ canvas }) {
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      canvas.setPointerCapture(event.pointerId);
      pointAt(canvas, event);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (canvas.hasPointerCapture(event.pointerId)) pointAt(canvas, event);
    });
  }

  function load({ settings, then = [], step: until = 0 }, { play = false } = {}) {
    player.stop();
    beginWith(settings, structuredClone(then));
    if (until > 0) go(until, Infinity);
    else if (play && !still.matches) go();
    else pause();
  }

  function choose(name) {
    const preset = PRESETS.find((one) => one.name === name);
    speed.value = preset.speed;
    gapAxis.value = preset.axis ?? "whole";
    // Another story: the run before is no comparison.
    notes = ghost = null;
    load({ settings: { ...defaultSettings(), ...preset.settings }, then: preset.then }, { play: true });
  }

  const deeds = {
    play: () => (player.running() ? pause() : go()),
    step() {
      player.stop();
      cursor = null;
      advance(1);
      pause();
    },
    rewind() {
      const moving = player.running();
      // The same controls, from the same filters: what was changed on the way holds from the start. A plan stays one.
      const preset = presetOf({ settings: state.start, then: state.then });
      if (preset) beginAgain(state.start, state.then);
      else beginAgain(state.settings);
      if (!moving) pause();
    },
    seed: () => change({ seed: (state.settings.seed + 1) % (SETTINGS.seed.high + 1) }),
    slower() {
      beginAgain({ ...state.settings, learning_rate: slower() });
      buttons.play.focus({ preventScroll: true });
      if (still.matches) pause();
      else go();
    },
    csv: () => saveAs(`twin-filters-${step}.csv`, new Blob([csv()], { type: "text/csv" })),
    png: () => picture().toBlob((blob) => saveAs(`twin-filters-${step}.png`, blob)),
  };

  function picture() {
    const words = { title: "Twin Filters", what: `Step ${countShown(cursor ?? step)}: ${shows.text.textContent}`, address: address(), keys: keysOfPlots(), settings: settingsText() };
    let canvas;
    withPresent((shown, place) => {
      canvas = pictureOf(root, look, words, (copies) => drawPlots(copies, shown, place));
    });
    return canvas;
  }

  const settingsText = () => differencesInWords(state.start, defaultSettings()).join(", ") || "gap 10⁻⁶";
  const wordsOfEntry = (entry) => entry.innerText.replace(/\s+/g, " ").trim().replace(/^lowest/, "lowest eigenvalue");
  // Of each plot, what its curves are: {words, colour, dash}.
  const keysOfPlots = () =>
    all(".tf-lab-key").map((key) =>
      [...key.querySelectorAll("[data-entry]")]
        .filter((entry) => !entry.hidden)
        .map((entry) => ({ words: wordsOfEntry(entry), ...CURVES[entry.dataset.entry] })),
    );

  function csv() {
    let text = "";
    withPresent((shown) => (text = csvOf(shown, state.start, address())));
    return text;
  }

  function address() {
    const link = { settings: state.start, then: doneChanges(), step };
    // What a page shows by itself needs no words.
    if (!fragmentFrom(link)) return "";
    const preset = presetOf({ settings: state.start, then: state.then });
    return fragmentFrom(preset ? { ...link, preset } : link);
  }

  root.addEventListener("click", ({ target: node }) => {
    const button = node.closest("button");
    if (button?.dataset.do) deeds[button.dataset.do]?.();
    else if (button?.dataset.preset) choose(button.dataset.preset);
  });
  root.addEventListener("input", ({ target: input }) => {
    if (input === time) lookAt(Number(time.value));
    else if (input === speed) player.running() && go();
    else if ([axis, gapAxis, ghostSwitch].includes(input)) drawAll();
    else if (panel.owns(input) && input.type !== "number") changeBy(input);
  });
  // A number is taken when it is complete.
  root.addEventListener("change", ({ target: input }) => input.type === "number" && changeBy(input));

  function changeBy(input) {
    const moved = panel.moved(input);
    if (moved) change(moved);
    else panel.write(state.settings);
  }

  Object.values(plots).forEach(listenToPlot);
  new MutationObserver(recolour).observe(document.documentElement, { attributeFilter: ["data-theme", "data-mode"] });
  new MutationObserver(recolour).observe(document.body, { attributeFilter: ["data-jp-theme-light"] });
  new IntersectionObserver((entries) => (visible = entries.at(-1).isIntersecting)).observe(root);

  function recolour() {
    look.colours = coloursOf(root);
    drawSoon();
  }

  panel.enable();
  for (const node of [...Object.values(buttons), ...all("[data-preset]"), time, axis, gapAxis, speed, ghostSwitch]) node.disabled = false;
  root.setAttribute("data-live", "");
  begin(link.createRun());
  const deaf = link.listen({
    restart: begin,
    change,
    step: (count) => go(step + count, Infinity),
    rewind: deeds.rewind,
    setPlaying: (on) => on !== player.running() && (on ? go() : pause()),
  });
  document.fonts?.ready.then(recolour);
  return {
    root,
    load,
    choose,
    change,
    go,
    pause,
    advance,
    address,
    csv,
    deeds,
    draw: drawAll,
    playing: () => player.running(),
    get run() { return run; },
    get step() { return step; },
    get notes() { return notes; },
    get now() { return current(); },
    get ghost() { return ghost; },
    get settings() { return { ...state.settings }; },
    get state() { return { settings: state.start, then: state.then, step }; },
    close() {
      player.stop();
      deaf();
    },
  };
}

const liveOf = (settings) => Object.fromEntries(Object.entries(settings).filter(([name]) => SETTINGS[name].live));

function render({ model, el }) {
  el.classList.add("tf-lab");
  el.innerHTML = model.get("_markup");
  // JupyterLab would take their keys for commands to the notebook.
  for (const node of el.querySelectorAll("input, select, button, summary")) node.dataset.lmSuppressShortcuts = "true";
  return mountLab(el, notebookLink(model, unpackedDigits(PACKED_DIGITS)), { keepsOn: true }).close;
}

export default { render };
