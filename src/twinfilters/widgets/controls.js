// Controls of one widget: native inputs, each read and written as a position in the list of its options.

function controlPanel(root) {
  const inputs = Object.fromEntries(
    [...root.querySelectorAll("[data-control]")].map((input) => [input.dataset.control, input]),
  );
  const words = (input, kind) => JSON.parse(input.dataset[kind] ?? input.dataset.texts);
  const position = (input) => (input.type === "checkbox" ? Number(input.checked) : Number(input.value));

  function read() {
    return Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, position(input)]));
  }

  function write(index) {
    for (const [name, input] of Object.entries(inputs)) {
      if (input.type === "checkbox") input.checked = index[name] === 1;
      else input.value = String(index[name]);
    }
    speak();
  }

  // Python wrote down how each value looks and sounds, so numbers are formatted in one place.
  function speak() {
    for (const input of Object.values(inputs)) {
      if (input.type !== "range") continue;
      input.setAttribute("aria-valuetext", words(input, "said")[position(input)]);
      input.closest(".tf-control").querySelector(".tf-value").textContent = words(input, "texts")[position(input)];
    }
  }

  return {
    inputs,
    read,
    write,
    speak,
    size: (name) => words(inputs[name], "texts").length,
    nameOf: (name, index) => words(inputs[name], "names")[index],
    // Position of a value as an address names it; -1 if there is none.
    find(name, text) {
      const names = words(inputs[name], "names");
      const exact = names.indexOf(text);
      if (exact >= 0 || text.trim() === "") return exact;
      return names.findIndex((other) => other.trim() !== "" && Number(other) === Number(text));
    },
  };
}
