// Numbers as a reader sees them: 1.30 × 10⁻⁶, 0.0210, 0. Only what is exactly zero is written as 0.

const RAISED = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

function powerOfTen(exponent) {
  return exponent === 0 ? "1" : exponent === 1 ? "10" : `10${[...String(exponent)].map((sign) => RAISED[sign]).join("")}`;
}

// With `digits` significant ones; trailing zeros stay, so that a number that runs does not jump about.
function numberShown(value, digits = 3) {
  if (!Number.isFinite(value)) return "not finite";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
  const text =
    size >= 1e-3 && size < 1e5
      ? value.toPrecision(digits).includes("e") ? String(Math.round(value)) : value.toPrecision(digits)
      : `${mantissa} × ${powerOfTen(Number(exponent))}`;
  return text.replace("-", "−");
}

// Without trailing zeros, and 1 × 10⁻⁶ as 10⁻⁶: for what somebody chose.
function choiceShown(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e-3 && size < 1e6) return String(value).replace("-", "−");
  const [mantissa, exponent] = value.toExponential().split("e");
  const power = powerOfTen(Number(exponent));
  return (mantissa === "1" ? power : `${mantissa} × ${power}`).replace(/^-/, "−");
}

// As a screen reader is to say it.
function numberSaid(value, digits = 2) {
  if (!Number.isFinite(value)) return "not finite";
  if (value === 0) return "0";
  const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
  const size = Math.abs(value);
  if (size >= 1e-3 && size < 1e5) return String(Number(value.toPrecision(digits))).replace("-", "minus ");
  const power = `10 to the ${String(Number(exponent)).replace("-", "minus ")}`;
  return (Number(mantissa) === 1 ? power : `${Number(mantissa)} times ${power}`).replace(/^-/, "minus ");
}

function percentShown(share) {
  return `${Math.round(100 * share)} %`;
}

// A small share, with two digits: 0.11 %.
function shareShown(share) {
  return `${numberShown(100 * share, 2)} %`;
}

function countShown(count) {
  return String(count).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

// The smallest of 1, 2, 5 times a power of ten that is not exceeded: the end of a scale.
function scaleFor(largest) {
  if (!(largest > 0) || !Number.isFinite(largest)) return 0;
  const power = 10 ** Math.floor(Math.log10(largest));
  return [1, 2, 5, 10].map((step) => Number((step * power).toPrecision(1))).find((end) => end >= largest) ?? 10 * power;
}
