// The controls of the lab: native inputs, read and written as settings.

function settingsPanel(root) {
  const inputs = [...root.querySelectorAll("[data-setting]")];
  const digits = [...root.querySelectorAll("[data-digit]")];
  const valuesOf = (input) => JSON.parse(input.dataset.values);

  function read(input) {
    if (input.type === "checkbox") return input.checked;
    if (input.type === "range") return valuesOf(input)[Number(input.value)];
    if (input.type === "number") return Number(input.value);
    return SETTINGS[input.dataset.setting].kind === "integer" ? Number(input.value) : input.value;
  }

  function write(input, value) {
    if (input.type === "checkbox") input.checked = value;
    else if (input.type === "range") writeSlider(input, value);
    else if (input.value !== String(value)) input.value = String(value);
  }

  // A value from an address may lie between those that the slider lists: then it becomes one of them.
  function writeSlider(input, value) {
    let values = valuesOf(input);
    if (!values.includes(value)) {
      values = [...values, value].sort((one, other) => one - other);
      input.dataset.values = JSON.stringify(values);
      input.max = String(values.length - 1);
    }
    input.value = String(values.indexOf(value));
    speak(input);
  }

  function speak(input) {
    const value = read(input);
    const words = JSON.parse(input.dataset.words)[JSON.stringify(value)];
    saySlider(input, words ?? choiceShown(value), words ?? numberSaid(value));
  }

  function saySlider(input, shown, said = shown) {
    input.setAttribute("aria-valuetext", said);
    root.querySelector(`[data-value=${input.dataset.setting}]`).textContent = shown;
  }

  return {
    // {name: value} for one that was moved; null if what was typed is none.
    moved(input) {
      if (input.dataset.digit) {
        const chosen = digits.map((select) => Number(select.value));
        // Two different ones: whoever chooses the other's digit gets the two swapped.
        if (chosen[0] === chosen[1]) chosen[1 - Number(input.dataset.digit)] = Number(input.dataset.before);
        return { digits: chosen };
      }
      if (input.type === "range") speak(input);
      const name = input.dataset.setting;
      const value = read(input);
      return FITS[SETTINGS[name].kind](value, SETTINGS[name]) ? { [name]: value } : null;
    },
    write(settings) {
      for (const input of inputs) write(input, settings[input.dataset.setting]);
      // Noisy targets are no probabilities.
      const noise = inputs.find((input) => input.dataset.setting === "label_noise");
      noise.disabled = settings.loss !== "squared";
      if (noise.disabled) saySlider(noise, "–", "only with the squared loss");
      digits.forEach((select, place) => (select.value = select.dataset.before = String(settings.digits[place])));
    },
    enable() {
      for (const input of [...inputs, ...digits]) input.disabled = false;
    },
    owns: (input) => inputs.includes(input) || digits.includes(input),
  };
}

const SETTING_WORDS = {
  gap: "gap", learning_rate: "learning rate", label_noise: "label noise", weight_decay: "weight decay",
  tied_filter: "tied filter", tied_bias: "tied bias", tied_readout: "tied readout", batch: "images a step",
  cross_entropy: "cross-entropy", relu: "ReLU", gelu: "GELU", kernel: "filter size",
};

// "learning rate 0.2", "frozen: twin B", "readout untied"
function settingInWords(name, value) {
  const label = SETTING_WORDS[name] ?? name;
  if (name.startsWith("tied_")) return `${name.slice(5)} ${value ? "tied" : "untied"}`;
  if (name === "digits") return `${value[0]} against ${value[1]}`;
  if (name === "frozen") return { none: "released", twin: "twin B frozen", readouts: "readouts frozen" }[value];
  if (name === "batch") return value ? `${value} images a step` : "all images a step";
  if (name === "kernel") return `filters of ${value} × ${value}`;
  if (name === "filters" || name === "images") return `${value} ${name}`;
  if (typeof value === "number") return name === "seed" ? `seed ${value}` : `${label} ${choiceShown(value)}`;
  return name === "activation" ? SETTING_WORDS[value] ?? value : `${label}: ${SETTING_WORDS[value] ?? value}`;
}

// In which settings one run differs from another, in words.
function differencesInWords(settings, others) {
  return Object.keys(SETTINGS)
    .filter((name) => !sameSetting(settings[name], others[name]))
    .map((name) => settingInWords(name, settings[name]));
}
