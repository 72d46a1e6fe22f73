// Front end of `explore`: asks a model for pictures and shows them. In a notebook the model is that of an anywidget, in
// the built page host.js gives it one of its own. Python writes the markup; here the controls are switched on.

function mount(model, root) {
  const panel = controlPanel(root);
  const pictures = pictureRow(root);
  const words = root.querySelector(".tf-words");
  const status = root.querySelector(".tf-status");
  const error = root.querySelector(".tf-error");
  const start = panel.read();
  const view = Math.random().toString(36).slice(2);
  let count = 0;
  let waitingFor = "";
  let movedMeanwhile = false;
  let whenShown = [];
  const play = player(root, ask);

  // One request at a time: a move made while a picture is being drawn waits, and only the last of them counts.
  function ask() {
    panel.speak();
    const shown = new Promise((resolve) => whenShown.push(resolve));
    if (waitingFor) movedMeanwhile = true;
    else send();
    return shown;
  }

  function send() {
    count += 1;
    waitingFor = `${view}:${count}`;
    pictures.row.setAttribute("aria-busy", "true");
    model.set("_request", { serial: waitingFor, index: panel.read() });
    model.save_changes();
  }

  function show() {
    const answer = model.get("_shown");
    if (!answer?.index) return;
    if (answer.pictures) {
      pictures.show(answer.pictures);
      say(answer.pictures.map((picture) => picture.description).join(" "));
    }
    error.textContent = answer.error;
    error.hidden = !answer.error;
    if (answer.serial === waitingFor) waitingFor = "";
    if (waitingFor) return;
    if (movedMeanwhile) {
      movedMeanwhile = false;
      send();
    } else {
      rest(answer);
    }
  }

  function say(description) {
    status.textContent = description;
    if (description.length > words.dataset.longest.length) words.dataset.longest = description;
  }

  function rest(answer) {
    panel.write(answer.index);
    pictures.row.removeAttribute("aria-busy");
    for (const resolve of whenShown.splice(0)) resolve();
    if (answer.error) play.stop();
    if (!play.playing()) root.dispatchEvent(new CustomEvent("tf-rest"));
  }

  function go(index) {
    play.stop();
    panel.write(index);
    return ask();
  }

  for (const input of Object.values(panel.inputs)) {
    input.disabled = false;
    input.addEventListener("input", ask);
  }
  const reset = root.querySelector(".tf-reset");
  reset.disabled = false;
  reset.addEventListener("click", () => go(start));
  const slider = (root.querySelector(".tf-play")?.closest(".tf-control") ?? root).querySelector("[type=range]");
  if (slider) swipe(pictures.row, slider, ask);
  point(pictures.row, (index) => go({ ...panel.read(), ...index }));
  model.on("change:_shown", show);
  show();
  return { root, panel, start, go, close: () => model.off("change:_shown", show) };
}

function render({ model, el }) {
  el.classList.add("tf-explore");
  el.innerHTML = model.get("_markup");
  // JupyterLab would take their arrow keys for commands to the notebook.
  for (const target of el.querySelectorAll("input, select, button")) target.dataset.lmSuppressShortcuts = "true";
  return mount(model, el).close;
}

export default { render };
