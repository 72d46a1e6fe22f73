// Between the view of a lab in a notebook and Python, whose widget is the model (widget.py).
//
// The run is the engine's, here in the page. Python knows it as a recipe, { settings, start, changes }: what makes the
// same run again; changes are pairs of a step and of the settings that changed there. Of the run itself Python hears
// rows, at each `every`-th step and wherever the run comes to rest: one message at a time, which it has to have seen
// before the next one goes.

// Rows that may wait while Python is busy; of more, every second one is left out.
const MOST_ROWS = 1000;
// Steps made at a time where a run catches up with Python's.
const CHUNK = 100;

// What makes the run of a recipe, up to a step.
function runOfRecipe({ settings, start, changes }, steps, digits) {
  const run = createRun(settings, digits);
  if (start) run.load(start);
  for (const [at, changed] of changes) {
    run.step(at - run.now().step);
    run.change(changed);
  }
  run.step(steps - run.measured().step);
  return run;
}

function notebookLink(model, digits) {
  let recipe, run, steps;
  let rows = [];
  let hooks = null;
  const set = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };

  // --- rows for Python

  function note() {
    const row = run.measured();
    if (rows.at(-1)?.step !== row.step) rows.push({ ...row, parameters: run.parameters() });
    if (rows.length > MOST_ROWS) rows = rows.filter((_, index) => index % 2);
  }

  function send() {
    const { serial = 0 } = model.get("_report");
    if (!rows.length || serial !== model.get("_seen")) return;
    set("_report", { serial: serial + 1, rows });
    rows = [];
  }

  function rest() {
    note();
    send();
  }

  // --- the run, which tells what happens to it

  function begin(settings, start, changes) {
    recipe = { settings, start, changes };
    rows = [];
    set("_recipe", recipe);
  }

  // Steps in pieces that end where a row is due.
  function step(count = 1) {
    const every = model.get("every");
    for (const goal = steps + count; steps < goal && !run.diverged; ) {
      const due = Math.min(goal, (Math.floor(steps / every) + 1) * every);
      run.step(due - steps);
      steps = run.diverged ? goal : due;
      if (steps % every === 0) note();
    }
    if (run.diverged) steps = run.measured().step;
    if (model.get("playing") && !run.diverged) send();
    else rest();
  }

  function change(changed) {
    run.change(changed);
    recipe = { ...recipe, changes: [...recipe.changes, [steps, changed]] };
    set("_recipe", recipe);
  }

  function rewind() {
    run.rewind();
    steps = 0;
    begin(run.settings(), recipe.start, []);
    rest();
  }

  function load(parameters) {
    run.load(parameters);
    steps = 0;
    begin(run.settings(), parameters, []);
    rest();
  }

  function telling(engine) {
    run = engine;
    steps = run.measured().step;
    const own = { step, change, rewind, load };
    return Object.create(engine, Object.getOwnPropertyDescriptors(own));
  }

  function newRun(settings) {
    if (!settings) {
      recipe = model.get("_recipe");
      return telling(runOfRecipe(recipe, model.get("steps"), digits));
    }
    const told = telling(createRun(settings, digits));
    begin(run.settings(), null, []);
    rest();
    return told;
  }

  // --- what Python asks for

  const orders = {
    restart({ settings, start }) {
      const told = telling(runOfRecipe({ settings, start, changes: [] }, 0, digits));
      begin(settings, start, []);
      rest();
      hooks.restart(told);
    },
    change: ({ changes }) => hooks.change(changes),
    step: ({ count }) => hooks.step(count),
    rewind: () => hooks.rewind(),
  };

  function obey() {
    const { name, ...order } = model.get("_command");
    orders[name](order);
  }

  function listen(given) {
    hooks = given;
    const play = () => {
      hooks.setPlaying(model.get("playing"));
      if (!model.get("playing")) rest();
    };
    model.on("change:_command", obey);
    model.on("change:_seen", send);
    model.on("change:playing", play);
    set("_fronts", model.get("_fronts") + 1);
    if (model.get("playing")) hooks.setPlaying(true);
    return () => {
      model.off("change:_command", obey);
      model.off("change:_seen", send);
      model.off("change:playing", play);
      set("_fronts", model.get("_fronts") - 1);
    };
  }

  return { createRun: newRun, setPlaying: (on) => set("playing", on), listen };
}
