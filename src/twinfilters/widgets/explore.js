// Front end of `explore`. In a notebook it is an anywidget; in the built page host.js gives it a model of its own.
// Python writes the markup. This file switches the controls on, asks the model for pictures, and shows them.

function render({ model, el }) {
  const markup = model.get("_markup");
  if (markup) {
    el.classList.add("tf-explore");
    el.innerHTML = markup;
  }
  const inputs = [...el.querySelectorAll("[data-control]")];
  const reset = el.querySelector(".tf-reset");
  const picture = el.querySelector(".tf-picture");
  const status = el.querySelector(".tf-status");
  const error = el.querySelector(".tf-error");
  const start = read();
  const view = Math.random().toString(36).slice(2);
  let count = 0;
  let waitingFor = "";
  let movedMeanwhile = false;

  function read() {
    return Object.fromEntries(
      inputs.map((input) => [
        input.dataset.control,
        input.type === "checkbox" ? Number(input.checked) : Number(input.value),
      ]),
    );
  }

  function write(index) {
    for (const input of inputs) {
      const position = index[input.dataset.control];
      if (input.type === "checkbox") input.checked = position === 1;
      else input.value = String(position);
    }
    speak();
  }

  // The texts of a slider's positions: the same list Python has, so numbers are written once.
  function speak() {
    for (const input of inputs) {
      if (input.type !== "range") continue;
      const text = JSON.parse(input.dataset.texts)[Number(input.value)];
      input.setAttribute("aria-valuetext", text);
      input.parentElement.querySelector("output").textContent = text;
    }
  }

  // One request at a time: a move made while a picture is being drawn waits, and only the last of them counts.
  function ask() {
    speak();
    if (waitingFor) {
      movedMeanwhile = true;
      return;
    }
    count += 1;
    waitingFor = `${view}:${count}`;
    picture.setAttribute("aria-busy", "true");
    model.set("_request", { serial: waitingFor, index: read() });
    model.save_changes();
  }

  function show() {
    const answer = model.get("_picture");
    if (!answer || answer.svg === undefined) return;
    if (answer.serial === waitingFor) waitingFor = "";
    picture.innerHTML = answer.svg;
    const svg = picture.querySelector("svg");
    if (svg) {
      svg.setAttribute("role", "img");
      svg.setAttribute("aria-label", answer.description);
    }
    status.textContent = answer.description;
    error.textContent = answer.error;
    error.hidden = !answer.error;
    if (waitingFor) return;
    picture.removeAttribute("aria-busy");
    if (movedMeanwhile) {
      movedMeanwhile = false;
      ask();
    } else {
      write(answer.index);
    }
  }

  for (const input of inputs) {
    input.disabled = false;
    input.addEventListener("input", ask);
  }
  reset.disabled = false;
  reset.addEventListener("click", () => {
    write(start);
    ask();
  });
  model.on("change:_picture", show);
  show();
  return () => model.off("change:_picture", show);
}

export default { render };
