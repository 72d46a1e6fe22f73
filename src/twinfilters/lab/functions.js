// Functions of the engine: activations, losses, eigenvalues. They are those of the package, tested against it.

// Error function to the last bits: x T(x^2)/U(x^2) up to 1, and 1 - exp(-x^2) P(x)/Q(x) above
// (the rational approximations of S. Moshier's Cephes library).
const ERF_T = [9.60497373987051638749, 90.0260197203842689217, 2232.00534594684319226, 7003.32514112805075473,
  55592.3013010394962768];
const ERF_U = [1, 33.5617141647503099647, 521.357949780152679795, 4594.32382970980127987, 22629.0000613890934246,
  49267.3942608635921086];
const ERF_P = [2.46196981473530512524e-10, 0.564189564831068821977, 7.46321056442269912687, 48.6371970985681366614,
  196.520832956077098242, 526.445194995477358631, 934.52852717195760754, 1027.55188689515710272,
  557.535335369399327526];
const ERF_Q = [1, 13.2281951154744992508, 86.7072140885989742329, 354.937778887819891062, 975.708501743205489753,
  1823.90916687909736289, 2246.33760818710981792, 1656.66309194161350182, 557.535340817727675546];

function polynomial(coefficients, x) {
  let value = 0;
  for (let n = 0; n < coefficients.length; n++) value = value * x + coefficients[n];
  return value;
}

function erf(x) {
  const size = Math.abs(x);
  if (size <= 1) return (x * polynomial(ERF_T, x * x)) / polynomial(ERF_U, x * x);
  if (size > 6) return Math.sign(x);
  const rest = (Math.exp(-x * x) * polynomial(ERF_P, size)) / polynomial(ERF_Q, size);
  return Math.sign(x) * (1 - rest);
}

const normalDensity = (z) => Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);

// Each one turns z into sigma(z), entry by entry, and writes sigma'(z) and sigma''(z) beside it.
const ACTIVATIONS = {
  identity(z, slope, curvature) {
    slope.fill(1);
    curvature.fill(0);
  },
  relu(z, slope, curvature) {
    for (let p = 0; p < z.length; p++) {
      slope[p] = z[p] > 0 ? 1 : 0;
      curvature[p] = 0;
      z[p] = Math.max(z[p], 0);
    }
  },
  softplus(z, slope, curvature) {
    for (let p = 0; p < z.length; p++) {
      const small = Math.exp(-Math.abs(z[p]));
      slope[p] = (z[p] > 0 ? 1 : small) / (1 + small);
      curvature[p] = small / (1 + small) ** 2;
      z[p] = Math.max(z[p], 0) + Math.log1p(small);
    }
  },
  tanh(z, slope, curvature) {
    for (let p = 0; p < z.length; p++) {
      const value = Math.tanh(z[p]);
      slope[p] = 1 - value * value;
      curvature[p] = -2 * value * slope[p];
      z[p] = value;
    }
  },
  erf(z, slope, curvature) {
    for (let p = 0; p < z.length; p++) {
      slope[p] = 2 * normalDensity(z[p]);
      curvature[p] = -z[p] * slope[p];
      z[p] = erf(Math.SQRT1_2 * z[p]);
    }
  },
  gelu(z, slope, curvature) {
    for (let p = 0; p < z.length; p++) {
      const below = (1 + erf(Math.SQRT1_2 * z[p])) / 2;
      const density = normalDensity(z[p]);
      slope[p] = below + z[p] * density;
      curvature[p] = (2 - z[p] * z[p]) * density;
      z[p] *= below;
    }
  },
};

// The loss of one image; `residual` receives its derivative by the outputs, r (chapter 3). `bend` turns a change of
// the outputs into that of the residual: it multiplies by the second derivative, in place.
const LOSSES = {
  squared: {
    outputs: 1,
    value(outputs, target, residual) {
      let loss = 0;
      for (let o = 0; o < outputs.length; o++) {
        residual[o] = outputs[o] - target[o];
        loss += 0.5 * residual[o] * residual[o];
      }
      return loss;
    },
    bend() {},
  },
  cross_entropy: {
    outputs: 2,
    value(outputs, target, residual) {
      const largest = Math.max(...outputs);
      let sum = 0;
      for (const output of outputs) sum += Math.exp(output - largest);
      let loss = 0;
      for (let o = 0; o < outputs.length; o++) {
        const logProbability = outputs[o] - largest - Math.log(sum);
        residual[o] = Math.exp(logProbability) - target[o];
        loss -= target[o] * logProbability;
      }
      return loss;
    },
    bend(change, target, residual) {
      let mean = 0;
      for (let o = 0; o < change.length; o++) mean += (residual[o] + target[o]) * change[o];
      for (let o = 0; o < change.length; o++) change[o] = (residual[o] + target[o]) * (change[o] - mean);
    },
  },
};

// Eigenvalues of a symmetric matrix (rows of numbers), ascending: Jacobi's rotations, until nothing is left beside the
// diagonal.
function eigenvalues(matrix) {
  const a = matrix.map((row) => Float64Array.from(row));
  const size = a.length;
  for (let sweep = 0; sweep < 50; sweep++) {
    let rotated = false;
    for (let i = 0; i < size; i++) {
      for (let j = i + 1; j < size; j++) rotated = rotate(a, i, j) || rotated;
    }
    if (!rotated) break;
  }
  return Float64Array.from(a, (row, i) => row[i]).sort();
}

// Turn the axes i and j so that the entry between them vanishes; false if it is nothing beside the diagonal already.
function rotate(a, i, j) {
  if (Math.abs(a[i][j]) <= 1e-17 * (Math.abs(a[i][i]) + Math.abs(a[j][j]))) return false;
  const half = (a[j][j] - a[i][i]) / (2 * a[i][j]);
  const tangent = (half < 0 ? -1 : 1) / (Math.abs(half) + Math.hypot(half, 1));
  const cosine = 1 / Math.hypot(tangent, 1);
  const sine = tangent * cosine;
  a[i][i] -= tangent * a[i][j];
  a[j][j] += tangent * a[i][j];
  a[i][j] = a[j][i] = 0;
  for (let k = 0; k < a.length; k++) {
    if (k === i || k === j) continue;
    const [x, y] = [a[k][i], a[k][j]];
    a[k][i] = a[i][k] = cosine * x - sine * y;
    a[k][j] = a[j][k] = sine * x + cosine * y;
  }
  return true;
}
