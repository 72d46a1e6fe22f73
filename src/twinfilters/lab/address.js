// A run as it stands in an address: lab.html#gap=1e-9&activation=relu&step=1200. What is not named has its default; what
// names nothing, or a value that cannot be, is passed over. `then` holds what was changed while the run went on.

function settingNamed(value) {
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) return value.join("-");
  return String(value);
}

// The value that a text names, or undefined.
function settingRead(name, text) {
  if (!Object.hasOwn(SETTINGS, name)) return undefined;
  const setting = SETTINGS[name];
  const value = {
    flag: () => ({ yes: true, no: false })[text],
    choice: () => text,
    digits: () => text.split("-").map((digit) => (/^\d$/.test(digit) ? Number(digit) : NaN)),
    number: () => (text.trim() === "" ? NaN : Number(text)),
  };
  const read = (value[setting.kind] ?? value.number)();
  return FITS[setting.kind](read, setting) ? read : undefined;
}

function defaultSettings() {
  return Object.fromEntries(Object.entries(SETTINGS).map(([name, entry]) => [name, structuredClone(entry.default)]));
}

function sameSetting(one, other) {
  return String(one) === String(other);
}

// state: {settings, then, step} -> "#gap=1e-6&step=400"
function fragmentFrom({ settings, then = [], step = 0, preset = "" }) {
  const parts = [];
  if (preset) parts.push(`preset=${preset}`);
  else {
    for (const [name, entry] of Object.entries(SETTINGS)) {
      if (!sameSetting(settings[name], entry.default)) parts.push(`${name}=${settingNamed(settings[name])}`);
    }
    const changes = then.flatMap(({ step: when, settings: changed }) =>
      Object.entries(changed).map(([name, value]) => `${when}:${name}:${settingNamed(value)}`),
    );
    if (changes.length) parts.push(`then=${changes.join(",")}`);
  }
  if (step) parts.push(`step=${Math.min(step, LAST_STEP)}`);
  return parts.length ? `#${parts.join("&")}` : "";
}

// The other way; null where the fragment says nothing to the lab.
function stateFrom(fragment) {
  if (!fragment.includes("=")) return null;
  const given = new URLSearchParams(fragment.replace(/^#/, ""));
  const preset = PRESETS.find(({ name }) => name === given.get("preset"));
  const state = {
    settings: { ...defaultSettings(), ...preset?.settings },
    then: structuredClone(preset?.then ?? []),
    step: 0,
    preset: preset?.name ?? "",
  };
  let found = Boolean(preset);
  for (const [name, text] of given) {
    const value = settingRead(name, text);
    if (value === undefined) continue;
    found = true;
    if (!sameSetting(state.settings[name], value)) state.preset = "";
    state.settings[name] = value;
  }
  if (given.has("then")) {
    state.then = changesRead(given.get("then"));
    found ||= state.then.length > 0;
    state.preset = "";
  }
  const step = Number(given.get("step") ?? 0);
  if (Number.isInteger(step) && step > 0) {
    state.step = Math.min(step, LAST_STEP);
    found = true;
  }
  state.settings = reconciled(state.settings);
  return found ? state : null;
}

// Settings that fit together: a batch has no more images than there are, and noisy targets are no probabilities.
function reconciled(settings) {
  return {
    ...settings,
    batch: Math.min(settings.batch, settings.images),
    label_noise: settings.loss === "squared" ? settings.label_noise : 0,
  };
}

// A link may not keep a reader's computer busy for long: it leads no further than this.
const LAST_STEP = 100000;

function changesRead(text) {
  const changes = new Map();
  for (const part of text.split(",")) {
    const [when, name, ...rest] = part.split(":");
    const step = Number(when);
    const value = settingRead(name ?? "", rest.join(":"));
    if (!/^\d+$/.test(when) || step > LAST_STEP || value === undefined || !SETTINGS[name].live) continue;
    changes.set(step, { ...changes.get(step), [name]: value });
  }
  return [...changes].sort(([one], [other]) => one - other).map(([step, settings]) => ({ step, settings }));
}

function presetOf({ settings, then = [] }) {
  const wanted = (preset) => ({ ...defaultSettings(), ...preset.settings });
  return (
    PRESETS.find(
      (preset) =>
        Object.entries(wanted(preset)).every(([name, value]) => sameSetting(value, settings[name])) &&
        JSON.stringify(preset.then ?? []) === JSON.stringify(then),
    )?.name ?? ""
  );
}
