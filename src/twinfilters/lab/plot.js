// Plots over time on canvases: the gap on a logarithmic axis, the eigenvalues, loss and accuracy. All share one time axis.
// Sizes come from an observer and colours from the style sheet when they change, so that drawing asks for no layout.

// Powers of ten at the ends of the gap's axis.
const WHOLE_AXIS = [-17, 1];
// At the right there is room for words about heights, and for the spectrum at one moment.
const STRIP = 54;
const MARGIN = { left: 56, right: 10 + STRIP };
const COLOUR_NAMES = ["ink", "muted", "grid", "paper", "twin-a", "twin-b", "accent", "extra"];

// What the curves look like, as the style sheet says it for their keys.
const CURVES = {
  gap: { colour: "ink", dash: [] },
  predicted: { colour: "accent", dash: [5, 4] },
  parts: { colour: "extra", dash: [] },
  ghost: { colour: "muted", dash: [] },
  lowest: { colour: "extra", dash: [] },
  loss: { colour: "ink", dash: [] },
  accuracy: { colour: "ink", dash: [1, 3] },
};

function coloursOf(root) {
  const style = getComputedStyle(root);
  const colours = Object.fromEntries(COLOUR_NAMES.map((name) => [name, style.getPropertyValue(`--tf-${name}`).trim()]));
  return { ...colours, font: style.fontFamily };
}

function plotOn(canvas, look, redraw) {
  const size = { width: 0, height: 0 };
  new ResizeObserver(([{ contentRect }]) => {
    const scale = Math.min(3, devicePixelRatio || 1);
    Object.assign(size, { width: contentRect.width, height: contentRect.height });
    canvas.width = Math.round(size.width * scale);
    canvas.height = Math.round(size.height * scale);
    canvas.getContext("2d").setTransform(scale, 0, 0, scale, 0, 0);
    redraw();
  }).observe(canvas);
  const context = canvas.getContext("2d");
  return { canvas, context, size, look };
}

// --- axes

function timeScale(size, [from, to]) {
  const width = size.width - MARGIN.left - MARGIN.right;
  return (step) => MARGIN.left + ((step - from) / (to - from)) * width;
}

function stepsBetween([from, to], most) {
  const apart = scaleFor((to - from) / most) || 1;
  const ticks = [];
  for (let tick = Math.ceil(from / apart) * apart; tick <= to; tick += apart) ticks.push(Math.round(tick));
  return [...new Set(ticks)];
}

function beginPlot({ context, size, look }) {
  context.clearRect(0, 0, size.width, size.height);
  context.font = `11px ${look.colours.font}`;
  context.textBaseline = "middle";
  context.lineJoin = "round";
  context.setLineDash([]);
}

function ruleAt(plot, y, colour) {
  const { context, size } = plot;
  context.strokeStyle = colour;
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(MARGIN.left, Math.round(y) + 0.5);
  context.lineTo(size.width - MARGIN.right, Math.round(y) + 0.5);
  context.stroke();
}

// With a rim of paper, so that it can be read over a curve.
function labelAt({ context, look }, text, x, y, align = "right", colour = look.colours.muted) {
  context.textAlign = align;
  context.strokeStyle = look.colours.paper;
  context.lineWidth = 3;
  context.strokeText(text, x, y);
  context.fillStyle = colour;
  context.fillText(text, x, y);
}

// Words about a height, beside the plot.
function labelBeside(plot, text, y) {
  labelAt(plot, text, plot.size.width - MARGIN.right + 5, y, "left");
}

// A curve through notes. Several notes that fall on one column of the screen are drawn as the first, the lowest, the
// highest and the last of them.
function curve(plot, notes, [from, to], x, y, { colour, width = 2, dash = [] }) {
  const { context, size } = plot;
  const first = Math.max(0, placeOf(notes, from));
  const last = Math.min(notes.length - 1, placeOf(notes, to) + 1);
  if (last < first || !notes.length) return;
  context.save();
  context.beginPath();
  context.rect(MARGIN.left - 1, 0, size.width - MARGIN.left - MARGIN.right + 2, size.height);
  context.clip();
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.setLineDash(dash);
  context.beginPath();
  let column = null;
  let low = 0;
  let high = 0;
  let end = 0;
  const finish = () => {
    if (column === null || low === high) return;
    context.lineTo(column, low);
    context.lineTo(column, high);
    context.lineTo(column, end);
  };
  let drawing = false;
  for (let place = first; place <= last; place += 1) {
    const height = y(notes[place]);
    if (!Number.isFinite(height)) continue;
    const across = Math.round(2 * x(notes[place].step)) / 2;
    if (across === column) {
      low = Math.min(low, height);
      high = Math.max(high, height);
      end = height;
      continue;
    }
    finish();
    if (drawing) context.lineTo(across, height);
    else context.moveTo(across, height);
    drawing = true;
    column = across;
    low = high = end = height;
  }
  finish();
  context.stroke();
  context.restore();
}

function cursorAt(plot, x, ys, colours) {
  const { context, size } = plot;
  context.strokeStyle = plot.look.colours.muted;
  context.lineWidth = 1;
  context.setLineDash([2, 3]);
  context.beginPath();
  context.moveTo(Math.round(x) + 0.5, 0);
  context.lineTo(Math.round(x) + 0.5, size.height);
  context.stroke();
  context.setLineDash([]);
  ys.forEach((y, number) => {
    if (Number.isFinite(y)) dotAt(plot, x, y, colours[number]);
  });
}

function dotAt({ context, look }, x, y, colour) {
  context.beginPath();
  context.arc(x, y, 4, 0, 2 * Math.PI);
  context.fillStyle = colour;
  context.fill();
  context.strokeStyle = look.colours.paper;
  context.lineWidth = 1.5;
  context.stroke();
}

// Where something was changed while the run went on.
function changesAt(plot, changes, range, x) {
  const { context, size, look } = plot;
  for (const { step } of changes) {
    if (step < range[0] || step > range[1]) continue;
    context.strokeStyle = look.colours.muted;
    context.lineWidth = 1;
    context.setLineDash([1, 3]);
    context.beginPath();
    context.moveTo(Math.round(x(step)) + 0.5, 0);
    context.lineTo(Math.round(x(step)) + 0.5, size.height);
    context.stroke();
    context.setLineDash([]);
  }
}

// What was changed, on two lines in turns, because neighbours may be close.
function changeWordsAt(plot, changes, range, x, top) {
  changes.forEach(({ step, words }, number) => {
    if (step < range[0] || step > range[1]) return;
    const width = plot.context.measureText(words).width;
    const left = x(step) + width + 8 < plot.size.width;
    labelAt(plot, words, x(step) + (left ? 4 : -4), top + 14 * (number % 2), left ? "left" : "right", plot.look.colours.ink);
  });
}

// --- the three plots

function drawGapPlot(plot, { notes, ghost, range, cursor, changes, parts, fitted }) {
  const { context, size, look } = plot;
  if (!size.width) return;
  const { colours } = look;
  const [low, high] = fitted ? fittedAxis([...seen(notes, range), ...(ghost ? seen(ghost, range) : [])], parts) : WHOLE_AXIS;
  const zero = size.height - 11;
  const bottom = size.height - 26;
  const x = timeScale(size, range);
  const y = (gap) => {
    if (gap === null) return NaN;
    if (gap === 0) return zero;
    const power = Math.max(low, Math.min(high, Math.log10(gap)));
    return 8 + ((high - power) / (high - low)) * (bottom - 8);
  };
  beginPlot(plot);
  context.fillStyle = colours.grid;
  context.globalAlpha = 0.35;
  context.fillRect(MARGIN.left, bottom, size.width - MARGIN.left - MARGIN.right, size.height - bottom);
  context.globalAlpha = 1;
  const apart = high - low > 8 ? 4 : high - low > 4 ? 2 : 1;
  for (let power = Math.ceil(low / apart) * apart; power <= high; power += apart) {
    ruleAt(plot, y(10 ** power), colours.grid);
    labelAt(plot, powerOfTen(power), MARGIN.left - 7, y(10 ** power));
  }
  labelAt(plot, "exactly 0", MARGIN.left - 7, zero, "right", colours.ink);
  changesAt(plot, changes, range, x);
  if (low < -16) labelBeside(plot, "last bit", y(1.1e-16));
  if (low < -1 && high >= 0) {
    context.setLineDash([1, 4]);
    ruleAt(plot, y(VISIBLE), colours.muted);
    context.setLineDash([]);
    labelBeside(plot, "visible", y(VISIBLE));
  }
  if (ghost) curve(plot, ghost, range, x, (note) => y(note.gap), { colour: colours.muted, width: 1.5 });
  if (parts) curve(plot, notes, range, x, (note) => y(note.gapFilter), { colour: colours.extra, width: 1.5 });
  curve(plot, notes, range, x, (note) => y(note.gap), { colour: colours.ink, width: 2.5 });
  if (!parts) curve(plot, notes, range, x, (note) => y(note.predicted), { colour: colours.accent, width: 2, dash: [5, 4] });
  changeWordsAt(plot, changes, range, x, bottom - 24);
  cursorAt(plot, x(cursor.step), [y(cursor.gap)], [colours.ink]);
}

// The decades that the curves need.
function fittedAxis(notes, parts) {
  let [low, high] = [Infinity, -Infinity];
  for (const note of notes) {
    for (const gap of parts ? [note.gap, note.gapFilter] : [note.gap]) {
      if (!(gap > 0)) continue;
      low = Math.min(low, Math.log10(gap));
      high = Math.max(high, Math.log10(gap));
    }
  }
  if (low > high) return WHOLE_AXIS;
  low = Math.max(WHOLE_AXIS[0], Math.floor(low));
  return [low, Math.max(low + 1, Math.min(WHOLE_AXIS[1], Math.ceil(high)))];
}

function drawEigenvaluePlot(plot, { notes, range, cursor, changes }) {
  const { context, size, look } = plot;
  if (!size.width) return;
  const { colours } = look;
  const x = timeScale(size, range);
  const most = largestOf(...seen(notes, range).map((note) => [note.eigenvalues[0] ?? 0, note.eigenvalues.at(-1) ?? 0]));
  const end = scaleFor(most) || 1;
  // Square roots, so that what is small is seen beside what was large at the start.
  const y = (value) => 5 + ((1 - Math.sign(value) * Math.sqrt(Math.abs(value) / end)) / 2) * (size.height - 10);
  beginPlot(plot);
  ruleAt(plot, y(0), colours.muted);
  for (const value of [end, -end]) {
    ruleAt(plot, y(value), colours.grid);
    labelAt(plot, `${value > 0 ? "+" : "−"}${choiceShown(end)}`, MARGIN.left - 7, y(value) + (value > 0 ? 3 : -3));
  }
  labelAt(plot, "0", MARGIN.left - 7, y(0));
  changesAt(plot, changes, range, x);
  const count = cursor.eigenvalues.length;
  for (let number = count - 1; number > 0; number -= 1) {
    curve(plot, notes, range, x, (note) => y(note.eigenvalues[number]), { colour: colours.muted, width: 1 });
  }
  curve(plot, notes, range, x, (note) => y(note.eigenvalues[0]), { colour: colours.extra, width: 2 });
  cursorAt(plot, x(cursor.step), [y(cursor.eigenvalues[0])], [colours.extra]);
  labelAt(plot, "holds together", MARGIN.left + 5, 11, "left");
  labelAt(plot, "drives apart", MARGIN.left + 5, size.height - 11, "left");
  if (!cursor.diverged) drawStrip(plot, cursor.eigenvalues, y);
}

// The spectrum at one moment: a mark for each eigenvalue, on the scale of the curves beside it.
function drawStrip({ context, size, look: { colours } }, eigenvalues, y) {
  const left = size.width - MARGIN.right + 14;
  const width = STRIP - 14;
  context.fillStyle = colours.grid;
  context.globalAlpha = 0.35;
  context.fillRect(left, 0, width, size.height);
  context.globalAlpha = 1;
  context.fillStyle = colours.muted;
  context.fillRect(left, Math.round(y(0)), width, 1);
  for (const value of eigenvalues) {
    context.fillStyle = value < 0 ? colours.extra : colours.ink;
    context.fillRect(left + 5, Math.round(y(value)) - 1, width - 10, 2);
  }
}

function drawLossPlot(plot, { notes, ghost, range, cursor, changes }) {
  const { size, look } = plot;
  if (!size.width) return;
  const { colours } = look;
  const x = timeScale(size, range);
  const bottom = size.height - 18;
  const inView = [...seen(notes, range), ...(ghost ? seen(ghost, range) : [])];
  const end = Math.max(1, scaleFor(largestOf(inView.map((note) => (Number.isFinite(note.loss) ? note.loss : 0)))));
  const y = (value) => bottom - Math.min(1.02, value) * (bottom - 6);
  beginPlot(plot);
  for (const share of [0, 0.5, 1]) {
    ruleAt(plot, y(share), share ? colours.grid : colours.muted);
    labelAt(plot, choiceShown(share * end), MARGIN.left - 7, y(share));
  }
  for (const step of stepsBetween(range, Math.max(2, size.width / 110))) {
    const text = step === 0 ? "step 0" : countShown(step);
    const across = Math.min(x(step), size.width - 4 * text.length);
    labelAt(plot, text, across, size.height - 6, "center");
  }
  labelBeside(plot, "100 %", y(1));
  labelBeside(plot, "50 %", y(0.5));
  changesAt(plot, changes, range, x);
  if (ghost) curve(plot, ghost, range, x, (note) => y(note.loss / end), { colour: colours.muted, width: 1.5 });
  curve(plot, notes, range, x, (note) => y(note.accuracy), { colour: colours.ink, width: 1.5, dash: [1, 3] });
  curve(plot, notes, range, x, (note) => y(note.loss / end), { colour: colours.ink });
  cursorAt(plot, x(cursor.step), [y(cursor.loss / end)], [colours.ink]);
}

function seen(notes, [from, to]) {
  return notes.slice(placeOf(notes, from), placeOf(notes, to) + 1);
}
