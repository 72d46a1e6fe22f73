// Swipe: a finger that moves sideways over the pictures moves a slider; up and down it scrolls the page as ever.
// The style sheet says so to the browser (touch-action: pan-y), which takes the vertical movements away from here.

const START = 8;

function swipe(row, input, move) {
  let from = null;

  row.addEventListener("pointerdown", (event) => {
    // Arrow keys go to the slider then: the picture itself needs no place in the order of the keyboard.
    if (event.pointerType === "mouse") setTimeout(() => input.focus({ preventScroll: true }));
    else from = { x: event.clientX, value: Number(input.value), id: event.pointerId };
  });
  row.addEventListener("pointermove", (event) => {
    if (from?.id !== event.pointerId) return;
    const way = event.clientX - from.x;
    if (Math.abs(way) < START) return;
    const steps = Math.round((way / row.clientWidth) * Number(input.max));
    const before = input.value;
    // The input keeps it between its ends.
    input.value = String(from.value + steps);
    if (input.value !== before) move();
  });
  for (const kind of ["pointerup", "pointercancel"]) row.addEventListener(kind, () => (from = null));
}
