// Weights as images: blue is positive, orange negative, as everywhere in the book (twinfilters.plotting.SIGNED).

const SIGNED_STOPS = [[122, 46, 0], [217, 101, 26], [247, 245, 242], [47, 134, 201], [6, 63, 112]];
const SIGNED_COLOURS = Array.from({ length: 256 }, (_, number) => {
  const place = (number / 255) * 4;
  const left = Math.min(3, Math.floor(place));
  return SIGNED_STOPS[left].map((start, channel) => start + (SIGNED_STOPS[left + 1][channel] - start) * (place - left));
});

// One pixel of the canvas for each weight; the style sheet enlarges it without blurring. A limit of 0: all are 0.
function drawWeights(canvas, values, limit) {
  const side = Math.round(Math.sqrt(values.length));
  if (canvas.width !== side) canvas.width = canvas.height = side;
  const context = canvas.getContext("2d");
  const image = context.createImageData(side, side);
  for (let pixel = 0; pixel < values.length; pixel += 1) {
    const share = limit > 0 && Number.isFinite(values[pixel]) ? values[pixel] / limit : 0;
    const colour = SIGNED_COLOURS[Math.round(127.5 * (1 + Math.max(-1, Math.min(1, share))))];
    for (let channel = 0; channel < 3; channel += 1) image.data[4 * pixel + channel] = colour[channel];
    image.data[4 * pixel + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

function largestOf(...lists) {
  let largest = 0;
  for (const list of lists) for (const value of list) largest = Math.max(largest, Math.abs(value));
  return largest;
}

function differenceOf(one, other) {
  return one.map((value, place) => value - other[place]);
}
