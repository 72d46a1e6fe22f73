// Pointing: where a picture has two controls for its axes, a click or a drag in it sets both to the nearest values.
// Python wrote down where each value lies, in parts of the picture. A finger taps; when it moves, it swipes or scrolls.

function point(row, go) {
  let last = "";

  function nearest(places, part) {
    const distances = places.map((place) => Math.abs(place - part));
    return distances.indexOf(Math.min(...distances));
  }

  function follow(event) {
    const target = event.target.closest("[data-places]");
    if (!target) return;
    const box = target.getBoundingClientRect();
    const parts = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    const places = Object.entries(JSON.parse(target.dataset.places));
    const index = Object.fromEntries(places.map(([name, values], axis) => [name, nearest(values, parts[axis])]));
    if (event.type === "pointermove" && JSON.stringify(index) === last) return;
    last = JSON.stringify(index);
    go(index);
  }

  row.addEventListener("click", follow);
  row.addEventListener("pointermove", (event) => {
    if (event.pointerType === "mouse" && event.buttons === 1) follow(event);
  });
}
