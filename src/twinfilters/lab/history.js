// What a run has been through. Every step is noted at first, then ever fewer, so that a note is never further from its
// neighbour than a 64th of the run. Which steps are noted depends on nothing else: the same run gives the same notes.

const DENSE = 128;

function strideAt(step) {
  return step < DENSE ? 1 : 2 ** Math.floor(Math.log2(step / DENSE));
}

// The next step after this one that is to be noted.
function nextNoted(step) {
  const stride = strideAt(step);
  return step - (step % stride) + stride;
}

// Place of the last note that is not after a step.
function placeOf(notes, step) {
  let low = 0;
  let high = notes.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (notes[middle].step <= step) low = middle;
    else high = middle - 1;
  }
  return low;
}

// How fast a positive quantity grows a step, as its logarithm does over the last notes; NaN if that cannot be said.
function growthOf(notes, place, read, steps) {
  const now = notes[place];
  const before = notes[placeOf(notes, now.step - steps)];
  if (before.step === now.step || !(read(before) > 0) || !(read(now) > 0)) return NaN;
  return Math.log(read(now) / read(before)) / (now.step - before.step);
}
