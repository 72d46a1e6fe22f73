// Play: moves a slider step by step, at a speed the reader chooses, until its end or until anything is touched.
// It never starts by itself, and a step waits for the picture of the step before.

const SLOW = 1000;
const still = matchMedia("(prefers-reduced-motion: reduce)");

function player(root, move) {
  const button = root.querySelector(".tf-play");
  if (!button) return { stop() {}, playing: () => false };
  const word = button.querySelector(".tf-word");
  const speed = root.querySelector(".tf-speed");
  const input = button.closest(".tf-control").querySelector("[type=range]");
  const status = root.querySelector(".tf-status");
  const last = Number(input.max);
  let run = 0;
  let playing = false;

  // Who asked for less motion gets single pictures, one a second.
  const pause = () => Math.max(SLOW / Number(speed.value), still.matches ? SLOW : 0);

  async function start() {
    const mine = (run += 1);
    playing = true;
    word.textContent = "Pause";
    // A screen reader would never come to the end of a sentence.
    status.setAttribute("aria-live", "off");
    let next = Number(input.value) === last ? 0 : Number(input.value) + 1;
    while (run === mine && next <= last) {
      input.value = String(next);
      await Promise.all([move(), new Promise((done) => setTimeout(done, pause()))]);
      next = Number(input.value) + 1;
    }
    if (run === mine) stop();
  }

  function stop() {
    if (!playing) return;
    run += 1;
    playing = false;
    word.textContent = "Play";
    status.setAttribute("aria-live", "polite");
    // Said now, once.
    status.textContent = `${status.textContent}`;
    root.dispatchEvent(new CustomEvent("tf-rest"));
  }

  button.disabled = speed.disabled = false;
  button.addEventListener("click", () => (playing ? stop() : start()));
  for (const kind of ["pointerdown", "input", "keydown"]) {
    root.addEventListener(kind, (event) => {
      if (!event.target.closest(".tf-player")) stop();
    });
  }
  document.addEventListener("visibilitychange", stop);
  return { stop, playing: () => playing };
}
