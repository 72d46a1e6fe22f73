// What happens now, and why, in one or two sentences. Nothing here knows of the page.
//
// A moment is {notes, place, settings, since}: the notes of the run so far, the place of the one that is looked at, the
// settings that hold there, and the step since which they do.

// From here on a difference between two filters is seen.
const VISIBLE = 0.1;
// How far measurement and prediction may differ to be called equal.
const AGREEMENT = 0.01;
// A twin is held if the gap grows by less than this share a step.
const HELD = 5e-4;
// A loss that leaves little to learn.
const LITTLE = 0.02;
// Steps after which a change of settings shows in the gap.
const SOON = 20;

function describeMoment({ notes, place, settings, since = 0 }) {
  const now = notes[place];
  const start = notes[0];
  if (now.diverged) return sayDiverged(settings);
  if (now.step === 0) return sayStart(now, settings);
  if (now.gap === 0) return sayEqual(now, settings);
  if (settings.frozen === "twin") return sayFrozen(notes, place, since);
  if (start.gap === 0 && settings.dropout > 0) return sayBroken(now);
  if (!settings.tied_readout || !settings.tied_bias || !settings.tied_filter) return sayUntied(now, settings);
  if (now.gap < VISIBLE && !agrees(now)) return saySurprise(notes, place, settings);
  return sayFate(notes, place, settings, since);
}

function agrees({ gap, predicted }) {
  return predicted > 0 && Math.abs(gap / predicted - 1) <= AGREEMENT;
}

function sayDiverged(settings) {
  return {
    kind: "diverged",
    text: `The weights have grown beyond all bounds: steps of learning rate ${choiceShown(settings.learning_rate)} overshoot.`,
    why: "A smaller learning rate keeps them finite.",
  };
}

function sayStart(now, settings) {
  const press = "Press play.";
  if (now.gap === 0) {
    const dropout = settings.dropout > 0 ? "Dropout will soon tell them apart." : press;
    return { kind: "start-equal", text: "Two filters, equal to the last bit, and so are their biases and readouts.", why: dropout };
  }
  const untied = ["filter", "bias", "readout"].filter((part) => !settings[`tied_${part}`]);
  if (untied.length === 3) return { kind: "start-untied", text: "Nothing is tied: two filters like any others.", why: press };
  if (untied.length) {
    const parts = untied.join(" and ");
    return {
      kind: "start-untied",
      text: `The twins differ in the ${parts}, and ${settings.gap ? `by ${choiceShown(settings.gap)} in the rest` : "in nothing else"}.`,
      why: press,
    };
  }
  const seen = now.gap < VISIBLE ? "which no eye sees" : "which can be seen";
  return { kind: "start-near", text: `The twins are ${numberShown(now.gap, 2)} apart, ${seen}.`, why: press };
}

const stepsShown = (count) => `${countShown(count)} ${count === 1 ? "step" : "steps"}`;

function sayEqual(now, settings) {
  const noisy = settings.label_noise > 0 || settings.batch > 0;
  if (settings.dropout > 0) {
    return {
      kind: "equal-so-far",
      text: `Exactly equal after ${stepsShown(now.step)}, so far.`,
      why: "Dropout will part them as soon as it leaves out one and not the other.",
    };
  }
  return {
    kind: "equal",
    text: `Exactly equal after ${stepsShown(now.step)}: they will stay so.`,
    why: noisy
      ? "Both meet the same images and the same noise, so both get the same gradient."
      : "The loss cannot tell them apart, so both get the same gradient, to the last bit.",
  };
}

function sayBroken(now) {
  return {
    kind: "dropout",
    text: `Equal twins have parted: they are ${numberShown(now.gap, 2)} apart.`,
    why: "Dropout left out one and not the other, which is a difference the gradient sees.",
  };
}

function sayUntied(now, settings) {
  if (!settings.tied_readout && settings.tied_filter) {
    return {
      kind: "readouts",
      text: `The readouts differ, so the filters get different gradients: they are ${numberShown(now.gapFilter, 2)} apart.`,
      why: "The error is the same for both, but it comes back to each through its own readout.",
    };
  }
  if (!settings.tied_filter) {
    return {
      kind: "strangers",
      text: `The filters started apart and are ${numberShown(now.gapFilter, 2)} apart now.`,
      why: "They are no twins: each goes its own way, as in any layer.",
    };
  }
  return {
    kind: "biases",
    text: `The biases differ, and that alone parts the filters: they are ${numberShown(now.gapFilter, 2)} apart.`,
    why: "The activation has another slope at another bias, so the gradients differ.",
  };
}

function sayFrozen(notes, place, since) {
  const now = notes[place];
  if (now.step - since < SOON) {
    return { kind: "frozen-now", text: "Twin B is frozen.", why: "Twin A learns on. Will it leave B?" };
  }
  const rate = recentGrowth(notes, place, since);
  const how = motion(rate, now.step);
  const off = agrees(now) || now.predicted === null ? "" : ` The prediction, to first order in the gap, is ${percentShown(Math.abs(now.predicted / now.gap - 1))} off.`;
  const why = `B does not give way any more, so the error that A makes by leaving pulls A back.${off}`;
  if (how === "merging") {
    return {
      kind: "frozen-returns",
      text: `Twin B is frozen, and twin A comes back to it: the gap shrinks by ${shareShown(-rate)} a step.`,
      why,
    };
  }
  if (now.eigenvalues[0] > 0 && !(rate > HELD)) {
    return { kind: "frozen-holds", text: `Twin B is frozen, and holds twin A: the gap stays at ${numberShown(now.gap, 2)}.`, why };
  }
  return {
    kind: "frozen-leaves",
    text: `Twin B is frozen, and twin A learns on: the gap is ${numberShown(now.gap, 2)}.`,
    why: "What was shared by two is now for one to learn, and it leaves the other behind.",
  };
}

function saySurprise(notes, place, settings) {
  const now = notes[place];
  const times = now.gap / now.predicted;
  const off = !(now.predicted > 0) || times > 1e6 || times < 1e-6
    ? "nowhere near what was predicted"
    : times > 2 || times < 0.5
      ? `${numberShown(Math.max(times, 1 / times), 2)} times ${times > 1 ? "as large as" : "smaller than"} predicted`
      : `${percentShown(Math.abs(times - 1))} off the prediction`;
  const text = `The gap is ${numberShown(now.gap, 2)}, ${off}.`;
  if (settings.dropout > 0) return { kind: "dropout", text, why: "Dropout leaves out one twin and not the other, again and again." };
  if (settings.activation === "relu") {
    return {
      kind: "kicks",
      text,
      why: "A patch fell between the two ReLUs: a kick whose size does not depend on how close they are.",
    };
  }
  if (now.gap < 1e-13) return { kind: "rounding", text, why: "Rounding errors of the last digits are no smaller than the gap." };
  return { kind: "large", text, why: "The prediction is for small gaps, to first order; this one is no longer small enough." };
}

function sayFate(notes, place, settings, since) {
  const now = notes[place];
  if (now.gap >= VISIBLE) {
    return {
      kind: "apart",
      text: `They have parted: ${numberShown(now.gap, 2)} is a difference you can see.`,
      why: agrees(now) ? "The prediction still holds." : "They are two filters now, beyond the theory of small gaps.",
    };
  }
  const rate = recentGrowth(notes, place, since);
  const how = motion(rate, now.step);
  if (how === "growing") {
    return {
      kind: "growing",
      text: `Growing by ${shareShown(rate)} a step, as predicted.`,
      why: settings.label_noise > 0 || settings.batch > 0
        ? "The noise is the same for both, but it multiplies what they differ by."
        : `The error that they leave together drives them apart${alongTheLowest(now, rate, settings) ? ", along the direction of the lowest eigenvalue" : ""}.`,
    };
  }
  if (how === "merging") {
    return {
      kind: "merging",
      text: `Merging: the gap shrinks by ${shareShown(-rate)} a step, as predicted.`,
      why: -rate > (LENIENT * settings.learning_rate * settings.weight_decay) / (1 - settings.momentum)
        ? "Where they differ now, the error that they leave pulls them together."
        : "Weight decay shrinks their difference, as it shrinks every weight.",
    };
  }
  return {
    kind: "staying",
    text: `They stay ${numberShown(now.gap, 2)} apart, as predicted.`,
    why: now.loss < LITTLE
      ? "Little error is left, and what is not there drives nothing."
      : "What drives twins apart acts in one direction, and little of their difference lies along it yet.",
  };
}

// How far a rate may be from another to have the same cause.
const LENIENT = 1.2;

// Whether the gap grows as fast as it does in the direction that grows fastest.
function alongTheLowest({ eigenvalues }, rate, { learning_rate, momentum }) {
  const fastest = (-learning_rate * eigenvalues[0]) / (1 - momentum);
  return fastest > 0 && fastest < LENIENT * rate;
}

// The growth of the gap a step, over the last twentieth of the run, as far as the settings have been what they are.
function recentGrowth(notes, place, since) {
  const { step } = notes[place];
  return growthOf(notes, place, (note) => note.gap, Math.min(Math.max(SOON, step / 20), Math.max(1, step - since)));
}

// Staying: if it went on like this for as long again, the gap would change by less than a tenth.
function motion(rate, step) {
  if (!Number.isFinite(rate) || Math.abs(rate) * Math.max(step, 200) < 0.1) return "staying";
  return rate > 0 ? "growing" : "merging";
}
