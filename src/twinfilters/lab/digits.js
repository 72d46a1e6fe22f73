// The digits, unpacked from what digits.py packed: grey values between 0 (paper) and 1 (ink), 64 an image, row by row.

function unpackedDigits({ labels, pixels }) {
  const paper = "A".charCodeAt(0);
  return {
    labels: Uint8Array.from(labels, Number),
    images: Float64Array.from(pixels, (letter) => (letter.charCodeAt(0) - paper) / 16),
  };
}
