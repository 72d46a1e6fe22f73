// Frames: trains as many steps between two pictures as the speed asks for and the time allows.

// Milliseconds of a frame that training may take, so that 60 pictures a second remain.
const BUDGET = 10;
const SPEEDS = { slow: 6, steady: 60, fast: 600, fastest: Infinity };
// Who asked for less motion sees two pictures a second; the training goes on at its speed.
const STILL = 500;

// `advance(steps)` trains; `draw()` shows; `more()` says how many steps there are still to be made,
// `idle()` whether to wait.
function frames({ advance, draw, more, idle, ended }) {
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let request = 0;
  let last = 0;
  let owed = 0;
  let drawn = -Infinity;
  let rate = SPEEDS.steady;

  function frame(now) {
    request = requestAnimationFrame(frame);
    const passed = Math.min(100, now - last);
    last = now;
    // Nobody looks.
    if (idle()) return;
    owed = Math.min(more(), Number.isFinite(rate) ? owed + (rate * passed) / 1000 : Infinity);
    const until = performance.now() + BUDGET;
    // One by one, each is looked at: a step of many images takes as long as a hundred small ones.
    while (owed >= 1 && more() > 0 && performance.now() < until) {
      advance(1);
      owed -= 1;
    }
    // What time did not allow is not made up for.
    if (Number.isFinite(rate)) owed = Math.min(owed, 1 + rate / 60);
    const over = more() <= 0;
    if (over || !still.matches || now - drawn > STILL) {
      draw();
      drawn = now;
    }
    if (over) {
      stop();
      ended();
    }
  }

  function stop() {
    cancelAnimationFrame(request);
    request = 0;
  }

  return {
    start(stepsASecond) {
      rate = stepsASecond;
      owed = 1;
      if (request) return;
      last = performance.now();
      drawn = -Infinity;
      request = requestAnimationFrame(frame);
    },
    stop,
    running: () => request !== 0,
  };
}
