// Random numbers from a seed, by sfc32 (C. Doty-Humphrey, PractRand): sums, shifts and exclusive ors of 32-bit integers,
// so that every browser draws the same ones, and stream.py too.

// The numbers of a seed come in parts that do not disturb each other: what a network starts from, what training draws.
function stream(seed, part) {
  let [a, b, c, counter] = [0, seed | 0, part | 0, 1];

  function next() {
    const drawn = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + drawn) | 0;
    return drawn >>> 0;
  }

  // In [0, 1), with 32 bits.
  const uniform = () => next() / 2 ** 32;
  // Box and Muller's cosine; its sine is left out, so that there is nothing to remember.
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  const below = (count) => Math.floor(uniform() * count);

  // The numbers 0 .. count - 1 in random order (Fisher and Yates).
  function shuffled(count) {
    const order = Array.from({ length: count }, (_, index) => index);
    for (let last = count - 1; last > 0; last--) {
      const other = below(last + 1);
      [order[last], order[other]] = [order[other], order[last]];
    }
    return order;
  }

  for (let round = 0; round < 12; round++) next();
  return { uniform, normal, below, shuffled };
}
