// The style sheet has blocks laid out when they come near, so that a long chapter appears at once (page.css). Then, while
// nothing else is to be done, the rest is laid out a few blocks at a time.
const sections = document.querySelectorAll(".bd-article > section > section");
const waiting = [...sections, ...document.querySelectorAll(".bd-article > section > section > *")];
const settled = () => {
  document.dispatchEvent(new Event("tf-settled"));
  document.documentElement.dataset.settled = "";
};
const settle = (deadline) => {
  while (waiting.length && deadline.timeRemaining() > 4) {
    const block = waiting.shift();
    block.classList.add("tf-settled");
    // Asking for its height lays it out now, so that the time is known.
    block.offsetHeight;
  }
  if (waiting.length) soon();
  else document.fonts.ready.then(settled);
};
const soon = () => {
  if (globalThis.requestIdleCallback) requestIdleCallback(settle, { timeout: 1000 });
  else setTimeout(() => settle({ timeRemaining: () => waiting.length && 5 }), 0);
};
const settleAll = () => settle({ timeRemaining: () => Infinity });
// A place further down is to stay where it is, and paper has no far away.
if (location.hash || scrollY > 0) settleAll();
else addEventListener("load", soon);
addEventListener("beforeprint", settleAll);
