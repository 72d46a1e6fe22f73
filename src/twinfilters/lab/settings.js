// Settings of the lab, checked against SETTINGS, the table of settings.py. The messages are those of Python.

const isNumberIn = (given, { low, high }) => typeof given === "number" && given >= low && given <= high;
const isDigit = (given) => Number.isInteger(given) && given >= 0 && given <= 9;

const FITS = {
  number: isNumberIn,
  integer: (given, setting) => Number.isInteger(given) && isNumberIn(given, setting),
  flag: (given) => typeof given === "boolean",
  choice: (given, { choices }) => choices.includes(given),
  digits: (given) =>
    Array.isArray(given) && given.length === 2 && given.every(isDigit) && given[0] !== given[1],
};

// Settings completed by the defaults; an Error says what was wanted and what came.
function checkedSettings(given = {}) {
  const unknown = Object.keys(given).filter((name) => !Object.hasOwn(SETTINGS, name));
  if (unknown.length)
    throw new Error(`a setting must be one of ${Object.keys(SETTINGS).join(", ")}, got ${unknown.join(", ")}`);
  const values = {};
  for (const [name, setting] of Object.entries(SETTINGS)) {
    values[name] = given[name] ?? setting.default;
    if (!FITS[setting.kind](values[name], setting))
      throw new Error(`${name} must be ${setting.wanted}, got ${JSON.stringify(values[name])}`);
  }
  if (values.batch > values.images)
    throw new Error(`batch must be at most images, ${values.images}, got ${values.batch}`);
  if (values.label_noise && values.loss !== "squared")
    throw new Error(`label_noise must be 0 unless the loss is squared, got ${values.label_noise}`);
  return values;
}
