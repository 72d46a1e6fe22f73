// Between the view of a lab in a notebook and Python, whose widget is the model (widget.py).
//
// The run is the engine's, here in the page. Python knows it as a recipe, { settings, start, changes }: what makes the
// same run again; changes are pairs of a step and of the settings that changed there. Of the run itself Python hears
// rows, at each `every`-th step and wherever the run comes to rest: one message at a time, which it has to have seen
// before the next one goes. Of several views of one widget the latest is the one that Python hears, and talks to.

// Rows that may wait while Python is busy; of more, every second one is left out.
const MOST_ROWS = 1000;

// The run of a recipe, up to a step.
function runOfRecipe({ settings, start, changes }, steps, digits) {
  const run = createRun(settings, digits);
  if (start) run.load(start);
  let made = 0;
  for (const [at, changed] of [...changes, [steps, {}]]) {
    run.step(at - made);
    run.change(changed);
    made = at;
  }
  return run;
}

function notebookLink(model, digits) {
  const name = Math.random().toString(36).slice(2);
  const leads = () => model.get("_leader") === name;
  let recipe, run, steps, hooks;
  let rows = [];
  // Where the steps end that Python has asked for.
  let goal = 0;

  function tell(trait, value) {
    model.set(trait, value);
    model.save_changes();
  }

  // --- rows for Python

  function note() {
    if (rows.at(-1)?.step === steps) rows.pop();
    rows.push({ ...run.measured(), parameters: run.parameters() });
    if (rows.length > MOST_ROWS) rows = rows.filter((_, index) => index % 2 === 0 || index === MOST_ROWS);
  }

  function send() {
    const { serial = 0 } = model.get("_report");
    if (!leads() || !rows.length || serial !== model.get("_seen")) return;
    const report = { serial: serial + 1, order: model.get("_command").serial ?? 0, recipe, rows };
    rows = [];
    tell("_report", report);
  }

  function rest() {
    note();
    send();
  }

  // --- the run that the view is given: it tells what happens to it

  // In pieces that end where a row is due.
  function step(count = 1) {
    const [end, every] = [steps + count, model.get("every")];
    while (steps < end && !run.diverged) {
      const due = Math.min(end, (Math.floor(steps / every) + 1) * every);
      run.step(due - steps);
      steps = run.diverged ? run.measured().step : due;
      if (steps % every === 0) note();
    }
    if ((model.get("playing") || steps < goal) && !run.diverged) send();
    else rest();
  }

  function change(changes) {
    run.change(changes);
    recipe = { ...recipe, changes: [...recipe.changes, [steps, changes]] };
    rest();
  }

  function begin(start) {
    recipe = { settings: run.settings(), start, changes: [] };
    [steps, goal, rows] = [0, 0, []];
    rest();
  }

  function rewind() {
    run.rewind();
    begin(recipe.start);
  }

  function load(parameters) {
    run.load(parameters);
    begin(parameters);
  }

  // Other settings, or without any the run that Python has.
  function newRun(settings) {
    if (settings) {
      run = createRun(settings, digits);
      begin(null);
    } else {
      [recipe, steps, goal, rows] = [model.get("_recipe"), model.get("steps"), 0, []];
      run = runOfRecipe(recipe, steps, digits);
    }
    return Object.defineProperties({}, {
      ...Object.getOwnPropertyDescriptors(run),
      ...Object.getOwnPropertyDescriptors({ step, change, rewind, load }),
    });
  }

  // --- what Python asks for

  const orders = {
    restart() {
      hooks.restart(newRun());
      rest();
    },
    change: ({ changes }) => hooks.change(changes),
    step({ count }) {
      goal = steps + count;
      hooks.step(count);
    },
    rewind: () => hooks.rewind(),
  };

  function obey() {
    const { name: order, ...what } = model.get("_command");
    if (leads()) orders[order](what);
  }

  function play() {
    if (!leads()) return;
    hooks.setPlaying(model.get("playing"));
    if (!model.get("playing")) rest();
  }

  function listen(given) {
    hooks = given;
    const listeners = { "change:_command": obey, "change:_seen": send, "change:playing": play };
    for (const [event, listener] of Object.entries(listeners)) model.on(event, listener);
    tell("_leader", name);
    if (model.get("playing")) hooks.setPlaying(true);
    return () => {
      for (const [event, listener] of Object.entries(listeners)) model.off(event, listener);
      if (leads()) tell("_leader", "");
    };
  }

  function setPlaying(on) {
    if (!on) goal = 0;
    if (on === model.get("playing")) rest();
    else if (leads()) tell("playing", on);
  }

  return { createRun: newRun, setPlaying, listen };
}
