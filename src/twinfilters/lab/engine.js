// Engine of the lab: a convolutional layer of two to four filters with mean pooling and a linear readout, trained on
// digits by hand-made gradients, and what theory says of the gap between its first two units, the twins.
//
// Unit k has the parameters theta_k: filter, bias, readout, in this order, of which filter and bias are w_k. The bias
// is a weight whose input is 1. From the patches x_np of image n it makes (chapter 2)
//
//   h_nk = 1/P sum_p sigma(w_k . x_np),      f_no = sum_k A_ok h_nk + c_o,      L = 1/N sum_n l(f_n, y_n),
//
// and with the residual r_no = dl/df_no the chain rule gives (chapter 3)
//
//   dL/dw_k = 1/N sum_n (sum_o r_no A_ok) grad h_nk,      dL/dA_ok = 1/N sum_n r_no h_nk,      dL/dc_o = 1/N sum_n r_no.
//
// All numbers have double precision. Every unit is computed by the same loops in the same order, so that exact twins
// stay equal to the last bit (chapter 6).

// Parts of a seed's random numbers: what a network starts from, what training draws.
const START = 0;
const TRAINING = 1;
// Spread of the bias that an untied twin has for itself; all others start at 0.
const OWN_BIAS = 0.5;
// A loss or parameter of this size counts as infinite, so that everything shown remains finite.
const BEYOND = 1e30;
// A predicted gap of this size says nothing any more; from LARGE on, the linear theory is no longer trusted.
const LOST = 1e3;
const LARGE = 0.1;

// --- vectors

const difference = (a, b) => a.map((value, index) => value - b[index]);
const centre = (a, b) => a.map((value, index) => b[index] + (value - b[index]) / 2);
const norm = (a) => Math.sqrt(a.reduce((sum, value) => sum + value * value, 0));
const isBounded = (a) => a.every((value) => Math.abs(value) < BEYOND);

function dot(a, aFirst, b, bFirst, count) {
  let sum = 0;
  for (let m = 0; m < count; m++) sum += a[aFirst + m] * b[bFirst + m];
  return sum;
}

function addScaled(a, aFirst, scale, b, bFirst, count) {
  for (let m = 0; m < count; m++) a[aFirst + m] += scale * b[bFirst + m];
}

// --- data

// The first images of two classes: their patches, each with a 1 for the bias behind it, and the targets.
function trainingData({ digits: classes, images, kernel, loss, activation }, { labels, images: pixels }) {
  const chosen = [...labels.keys()].filter((n) => classes.includes(labels[n])).slice(0, images);
  const side = 8 - kernel + 1;
  const inputs = [];
  for (const n of chosen) {
    for (let y = 0; y < side; y++) {
      for (let x = 0; x < side; x++) {
        for (let row = 0; row < kernel; row++) {
          for (let column = 0; column < kernel; column++)
            inputs.push(pixels[64 * n + 8 * (y + row) + x + column]);
        }
        inputs.push(1);
      }
    }
  }
  // One output answers +1 for the first class and -1 for the second; of two outputs each stands for a class.
  const isFirst = (n) => labels[n] === classes[0];
  const targets = chosen.flatMap((n) =>
    LOSSES[loss].outputs === 1 ? [isFirst(n) ? 1 : -1] : [isFirst(n) ? 1 : 0, isFirst(n) ? 0 : 1],
  );
  return {
    inputs: Float64Array.from(inputs),
    targets: Float64Array.from(targets),
    images: chosen.length,
    positions: side * side,
    length: kernel * kernel + 1,
    outputs: LOSSES[loss].outputs,
    loss: LOSSES[loss],
    activate: ACTIVATIONS[activation],
  };
}

// --- start

// Weights as FilterNet.random draws them, then twins as twins.make_twins makes them: theta_0 and theta_1 lie at m + v
// and m - v, with 2 |v| = gap. What is not tied keeps the values that were drawn.
function startingNetwork(settings, { length, outputs }) {
  const random = stream(settings.seed, START);
  const normals = (count, scale) => Array.from({ length: count }, () => scale * random.normal());
  const every = Array.from({ length: settings.filters });
  const filters = every.map(() => normals(length - 1, 1 / Math.sqrt(length - 1)));
  const readout = Array.from({ length: outputs }, () => normals(settings.filters, 1 / Math.sqrt(settings.filters)));
  const units = every.map((_, k) => Float64Array.of(...filters[k], 0, ...readout.map((row) => row[k])));
  const direction = normals(length + outputs, 1).map((value, at) => (isTied(settings, at, length) ? value : 0));
  const size = norm(direction);
  const middle = units[0].slice();
  units[1][length - 1] = normals(1, OWN_BIAS)[0];
  for (let at = 0; at < middle.length; at++) {
    if (!isTied(settings, at, length)) continue;
    const half = (0.5 * settings.gap * direction[at]) / size;
    units[0][at] = middle[at] + half;
    units[1][at] = middle[at] - half;
  }
  return { units, bias: new Float64Array(outputs) };
}

function isTied(settings, at, length) {
  if (at < length - 1) return settings.tied_filter;
  return at === length - 1 ? settings.tied_bias : settings.tied_readout;
}

// --- forward and backward

// What a unit makes of images: its feature h_n, the slope grad h_n = 1/P sum_p sigma'(z_p) x_p by filter and bias, and
// in a direction v the bend (grad grad h_n) v = 1/P sum_p sigma''(z_p) x_p (x_p . v).
function sensed(theta, data, batch, direction) {
  const { inputs, positions, length } = data;
  const [z, slopes, curvatures] = [0, 0, 0].map(() => new Float64Array(positions));
  const feature = new Float64Array(batch.length);
  const slope = new Float64Array(batch.length * length);
  const bend = new Float64Array(direction ? batch.length * length : 0);
  for (let n = 0; n < batch.length; n++) {
    const first = batch[n] * positions * length;
    combine(theta, inputs, first, length, z);
    data.activate(z, slopes, curvatures);
    for (let p = 0; p < positions; p++) feature[n] += z[p] / positions;
    average(slopes, inputs, first, length, slope, n * length);
    if (!direction) continue;
    combine(direction, inputs, first, length, z);
    for (let p = 0; p < positions; p++) curvatures[p] *= z[p];
    average(curvatures, inputs, first, length, bend, n * length);
  }
  return { feature, slope, bend };
}

// z_p = w . x_p at all positions of an image, whose inputs begin at `first`.
function combine(w, inputs, first, length, z) {
  for (let p = 0, at = first; p < z.length; p++) {
    let sum = 0;
    for (let m = 0; m < length; m++, at++) sum += w[m] * inputs[at];
    z[p] = sum;
  }
}

// 1/P sum_p s_p x_p, into `means` from an entry on.
function average(s, inputs, first, length, means, entry) {
  for (let p = 0, at = first; p < s.length; p++) {
    const share = s[p] / s.length;
    for (let m = entry; m < entry + length; m++, at++) means[m] += share * inputs[at];
  }
}

// Outputs f of the network, in which a unit counts as often as `copies` says, and what the loss makes of them: its mean,
// and the residuals r.
function answered({ units, bias }, senses, { length, outputs, loss }, targets, copies) {
  const images = senses[0].feature.length;
  const residuals = new Float64Array(images * outputs);
  const [answer, target, residual] = [0, 0, 0].map(() => new Float64Array(outputs));
  let [total, right] = [0, 0];
  for (let n = 0; n < images; n++) {
    for (let o = 0; o < outputs; o++) {
      answer[o] = bias[o];
      for (let k = 0; k < units.length; k++)
        answer[o] += copies[k] * units[k][length + o] * senses[k].feature[n];
      target[o] = targets[n * outputs + o];
    }
    total += loss.value(answer, target, residual);
    right += isRight(answer, target);
    residuals.set(residual, n * outputs);
  }
  return { loss: total / images, accuracy: right / images, residuals };
}

const isRight = (answer, target) =>
  answer.length === 1
    ? Math.sign(answer[0]) === Math.sign(target[0])
    : (answer[0] >= answer[1]) === (target[0] >= target[1]);

// Gradient of a unit; given a change of the residuals instead of them, the change of the gradient through them.
function gradientOf(theta, { feature, slope }, residuals, { length, outputs }) {
  const gradient = new Float64Array(theta.length);
  for (let n = 0; n < feature.length; n++) {
    const signal = dot(residuals, n * outputs, theta, length, outputs);
    addScaled(gradient, 0, signal, slope, n * length, length);
    addScaled(gradient, length, feature[n], residuals, n * outputs, outputs);
  }
  return gradient.map((sum) => sum / feature.length);
}

function biasGradientOf(residuals, images, outputs) {
  const gradient = new Float64Array(outputs);
  for (let n = 0; n < images; n++) addScaled(gradient, 0, 1, residuals, n * outputs, outputs);
  return gradient.map((sum) => sum / images);
}

// --- theory

// The gap's equation of motion (chapter 7): v' = -T v, with
//   T = 1/N sum_n sum_o r_no grad grad (A_o h_n) at the centre. Here T v.
function transversePull(theta, { slope, bend }, residuals, v, { length, outputs }) {
  const pull = new Float64Array(theta.length);
  const images = bend.length / length;
  for (let n = 0; n < images; n++) {
    addScaled(pull, 0, dot(residuals, n * outputs, theta, length, outputs), bend, n * length, length);
    addScaled(pull, 0, dot(residuals, n * outputs, v, length, outputs), slope, n * length, length);
    addScaled(pull, length, dot(slope, n * length, v, 0, length), residuals, n * outputs, outputs);
  }
  return pull.map((sum) => sum / images);
}

// What a unit's own change does to it through the residuals (chapter 9): Gamma v, Gamma = E[grad f l'' grad f^T].
// Between free twins it cancels; a unit whose twin is frozen feels it.
function gaussNewtonPull(theta, sense, residuals, targets, v, data) {
  const { length, outputs, loss } = data;
  const changes = new Float64Array(residuals.length);
  for (let n = 0; n < sense.feature.length; n++) {
    const [change, residual, target] = [changes, residuals, targets].map((all) =>
      all.subarray(n * outputs, (n + 1) * outputs),
    );
    const along = dot(sense.slope, n * length, v, 0, length);
    for (let o = 0; o < outputs; o++) change[o] = theta[length + o] * along + sense.feature[n] * v[length + o];
    loss.bend(change, target, residual);
  }
  return gradientOf(theta, sense, changes, data);
}

// The transverse Hessian itself, T = [[S, G^T], [G, 0]] (chapter 8), over all images.
function transverseHessian(theta, { slope }, residuals, data) {
  const { inputs, images, positions, length, outputs, activate } = data;
  const matrix = Array.from(theta, () => new Float64Array(theta.length));
  const [z, slopes, curvatures] = [0, 0, 0].map(() => new Float64Array(positions));
  for (let n = 0; n < images; n++) {
    const first = n * positions * length;
    combine(theta, inputs, first, length, z);
    activate(z, slopes, curvatures);
    const signal = dot(residuals, n * outputs, theta, length, outputs) / positions / images;
    for (let p = 0; p < positions; p++) {
      const x = first + p * length;
      for (let i = 0; i < length; i++)
        addScaled(matrix[i], 0, signal * curvatures[p] * inputs[x + i], inputs, x, i + 1);
    }
    for (let o = 0; o < outputs; o++)
      addScaled(matrix[length + o], 0, residuals[n * outputs + o] / images, slope, n * length, length);
  }
  return matrix.map((row, i) => row.map((value, j) => (j <= i ? value : matrix[j][i])));
}

// --- the rule

// Descent with momentum and weight decay (chapter 4), s <- mu s + g + lambda theta and theta <- theta - alpha s, for the
// first entries; the others are frozen, and their s fades. The rule is linear: a gap follows it with T v for g.
function descended(theta, speed, gradient, moving, { learning_rate, momentum, weight_decay }) {
  const next = { theta: theta.slice(), speed: speed.map((value) => momentum * value) };
  for (let at = 0; at < moving; at++) {
    next.speed[at] += gradient[at] + weight_decay * theta[at];
    next.theta[at] -= learning_rate * next.speed[at];
  }
  return next;
}

// One step of a whole network: all units and the readout bias.
function stepped(network, speeds, gradients, biasGradient, settings, { length, outputs }) {
  const frozenReadouts = settings.frozen === "readouts";
  const units = network.units.map((theta, k) => {
    const isHeld = settings.frozen === "twin" && k === 1;
    const moving = isHeld ? 0 : frozenReadouts ? length : length + outputs;
    return descended(theta, speeds.units[k], gradients[k], moving, settings);
  });
  const bias = descended(network.bias, speeds.bias, biasGradient, frozenReadouts ? 0 : outputs, settings);
  return {
    network: { units: units.map((unit) => unit.theta), bias: bias.theta },
    speeds: { units: units.map((unit) => unit.speed), bias: bias.speed },
  };
}

const atRest = ({ units, bias }) => ({
  units: units.map((theta) => theta.map(() => 0)),
  bias: bias.map(() => 0),
});

const isBoundedNetwork = ({ units, bias }) => units.every(isBounded) && isBounded(bias);

// The twins as one unit, which counts twice: at their centre, or where the frozen one stands.
function merged({ units: [first, second, ...others], bias }, frozen) {
  return { units: [frozen === "twin" ? second : centre(first, second), ...others], bias };
}

const copiesOf = ({ units }) => units.map((_, k) => (k === 0 ? 2 : 1));

// The gap that theory predicts. Free twins: their merged network is trained beside them, from where they are now, on the
// same images and targets, and the difference d = theta_0 - theta_1 follows (chapter 7, theorem 4)
//   d <- (I - alpha T) d, with momentum the rule's s <- mu s + T d.
// A twin that is frozen: the other one, seen from it, follows its own gradient there, g + (T + Gamma) d (chapter 9).
function createPrediction(network, speeds, data, settings) {
  const isHeld = settings.frozen === "twin";
  let run = { network: merged(network), speeds: merged(speeds) };
  let gap = {
    theta: difference(network.units[0], network.units[1]),
    speed: isHeld ? speeds.units[0] : difference(speeds.units[0], speeds.units[1]),
  };
  let isLost = false;

  function pulls(base, batch, targets, settings) {
    const [theta] = base.units;
    const senses = base.units.map((unit, k) => sensed(unit, data, batch, k === 0 ? gap.theta : null));
    const { loss, residuals } = answered(base, senses, data, targets, copiesOf(base));
    const gradients = base.units.map((unit, k) => gradientOf(unit, senses[k], residuals, data));
    const pull = transversePull(theta, senses[0], residuals, gap.theta, data);
    if (!isHeld) return { loss, residuals, gradients, pull };
    const own = gaussNewtonPull(theta, senses[0], residuals, targets, gap.theta, data);
    const decay = settings.weight_decay;
    return { loss, pull: pull.map((value, u) => value + own[u] + gradients[0][u] + decay * theta[u]) };
  }

  // The step that the network is about to make.
  function step(actual, batch, targets, settings) {
    // Free twins without a gap get none.
    if (isLost || (!isHeld && norm(gap.theta) === 0 && norm(gap.speed) === 0)) return;
    const base = isHeld ? merged(actual, "twin") : run.network;
    const { loss, residuals, gradients, pull } = pulls(base, batch, targets, settings);
    const moving = settings.frozen === "readouts" ? data.length : pull.length;
    gap = descended(gap.theta, gap.speed, pull, moving, settings);
    if (!isHeld) {
      const biasGradient = biasGradientOf(residuals, batch.length, data.outputs);
      run = stepped(run.network, run.speeds, gradients, biasGradient, settings, data);
    }
    isLost = !(loss < BEYOND && norm(gap.theta) < LOST && isBoundedNetwork(run.network));
  }

  return { step, gap: () => (isLost ? null : norm(gap.theta)) };
}

// --- runs

function createRun(given, digits) {
  let settings = checkedSettings(given);
  const data = trainingData(settings, digits);
  const { images, length, outputs } = data;
  const everything = Array.from({ length: images }, (_, n) => n);
  let start = startingNetwork(settings, data);
  let network, speeds, prediction, random, restOfEpoch, steps, isDiverged;
  rewind();

  function rewind() {
    [network, speeds] = [start, atRest(start)];
    random = stream(settings.seed, TRAINING);
    [restOfEpoch, steps, isDiverged] = [[], 0, false];
    predictFromHere();
  }

  function predictFromHere() {
    prediction = createPrediction(network, speeds, data, settings);
  }

  // A minibatch: each epoch in a new order, its last batch as small as it has to be.
  function drawnBatch() {
    if (settings.batch === 0) return everything;
    if (restOfEpoch.length === 0) restOfEpoch = random.shuffled(images);
    return restOfEpoch.splice(0, settings.batch);
  }

  function drawnTargets(batch) {
    const { label_noise: noise } = settings;
    const targets = new Float64Array(batch.length * outputs);
    batch.forEach((n, at) => targets.set(data.targets.subarray(n * outputs, (n + 1) * outputs), at * outputs));
    return noise ? targets.map((target) => target + noise * random.normal()) : targets;
  }

  // Switch features off, drawn for each image and unit, and make up for it: this breaks the tie (chapter 4).
  function drop(senses, count) {
    const { dropout } = settings;
    if (dropout === 0) return;
    for (let n = 0; n < count; n++) {
      for (const { feature, slope } of senses) {
        const factor = random.uniform() >= dropout ? 1 / (1 - dropout) : 0;
        feature[n] *= factor;
        for (let m = 0; m < length; m++) slope[n * length + m] *= factor;
      }
    }
  }

  function step() {
    const batch = drawnBatch();
    const targets = drawnTargets(batch);
    const senses = network.units.map((theta) => sensed(theta, data, batch));
    drop(senses, batch.length);
    const { loss, residuals } = answered(network, senses, data, targets, network.units.map(() => 1));
    const gradients = network.units.map((theta, k) => gradientOf(theta, senses[k], residuals, data));
    const biasGradient = biasGradientOf(residuals, batch.length, outputs);
    const next = stepped(network, speeds, gradients, biasGradient, settings, data);
    isDiverged = !(loss < BEYOND && isBoundedNetwork(next.network));
    if (isDiverged) return;
    prediction.step(network, batch, targets, settings);
    ({ network, speeds } = next);
    steps += 1;
  }

  function look() {
    const senses = network.units.map((theta) => sensed(theta, data, everything));
    return { senses, ...answered(network, senses, data, data.targets, network.units.map(() => 1)) };
  }

  function gaps() {
    const d = difference(network.units[0], network.units[1]);
    const part = (from, to) => norm(d.subarray(from, to));
    return {
      gap: norm(d),
      gapFilter: part(0, length - 1),
      gapBias: part(length - 1, length),
      gapReadout: part(length),
      predicted: prediction.gap(),
    };
  }

  // Why the linear theory does not hold; empty where it does.
  function reason({ gap, predicted }) {
    if (gap === 0 && predicted === 0 && settings.dropout === 0) return "";
    if (settings.dropout > 0) return "dropout";
    if (!(settings.tied_filter && settings.tied_bias && settings.tied_readout)) return "untied";
    if (predicted === null || Math.max(gap, predicted) > LARGE) return "large";
    return settings.activation === "relu" ? "relu" : "";
  }

  // What decides the fate of the twins (chapter 8): T, with frozen readouts its block S, with a frozen twin T + Gamma.
  function fate() {
    const base = merged(network, settings.frozen);
    const [theta] = base.units;
    const senses = base.units.map((unit) => sensed(unit, data, everything));
    const { residuals } = answered(base, senses, data, data.targets, copiesOf(base));
    let matrix = transverseHessian(theta, senses[0], residuals, data);
    if (settings.frozen === "readouts") matrix = matrix.slice(0, length).map((row) => row.subarray(0, length));
    if (settings.frozen === "twin") {
      matrix = matrix.map((row, u) => {
        const unit = theta.map((_, index) => (index === u ? 1 : 0));
        const own = gaussNewtonPull(theta, senses[0], residuals, data.targets, unit, data);
        return row.map((value, index) => value + own[index]);
      });
    }
    // Weight decay adds lambda I.
    const values = eigenvalues(matrix).map((value) => value + settings.weight_decay);
    return { eigenvalues: values, growthRate: -values[0] };
  }

  const parts = (vector) => ({
    filter: vector.slice(0, length - 1),
    bias: vector[length - 1],
    readout: vector.slice(length),
  });

  // A row of the run's history.
  function measured() {
    const { loss, accuracy } = look();
    return { step: steps, loss, accuracy, ...gaps(), diverged: isDiverged };
  }

  function now() {
    const { senses, loss, accuracy, residuals } = look();
    const distance = gaps();
    const why = reason(distance);
    const units = network.units.map((theta, k) => ({
      ...parts(theta),
      gradient: parts(gradientOf(theta, senses[k], residuals, data)),
      frozen: settings.frozen === "twin" && k === 1,
    }));
    return {
      ...{ step: steps, loss, accuracy, ...distance, ...fate(), units },
      ...{ linear: why === "", reason: why, diverged: isDiverged },
      distinct: new Set(network.units.map((theta) => theta.subarray(0, length).map((x) => x + 0).join())).size,
    };
  }

  return {
    // Training steps; stops where the run diverges.
    step(count = 1) {
      for (let made = 0; made < count && !isDiverged; made++) step();
    },
    // What may change while a run goes on. Where it decides whether the twins are alike, prediction starts anew.
    change(changes) {
      const fixed = Object.keys(changes).filter((name) => SETTINGS[name] && !SETTINGS[name].live);
      if (fixed.length) throw new Error(`${fixed.join(", ")} cannot change while a run goes on: start another one`);
      const before = settings;
      settings = checkedSettings({ ...settings, ...changes });
      isDiverged = false;
      if (settings.frozen !== before.frozen || settings.dropout !== before.dropout) predictFromHere();
    },
    rewind,
    measured,
    now,
    settings: () => ({ ...settings }),
    parameters: () => ({
      filters: network.units.map((theta) => Array.from(theta.subarray(0, length - 1))),
      bias: network.units.map((theta) => theta[length - 1]),
      readout: Array.from({ length: outputs }, (_, o) => network.units.map((theta) => theta[length + o])),
      readout_bias: Array.from(network.bias),
    }),
    // Another start: the run begins there, with the same noise.
    load({ filters, bias, readout, readout_bias }) {
      const units = filters.map((w, k) => Float64Array.of(...w.flat(Infinity), bias[k], ...readout.map((row) => row[k])));
      if (units.length !== settings.filters || units.some((theta) => theta.length !== length + outputs))
        throw new Error(`parameters must belong to ${settings.filters} filters of ${settings.kernel} x ${settings.kernel}`);
      start = { units, bias: Float64Array.from(readout_bias) };
      rewind();
    },
    get diverged() {
      return isDiverged;
    },
  };
}
