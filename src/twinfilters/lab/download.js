// A run to take along: its notes as a table, and what is seen as a picture.

const COLUMNS = {
  step: "step", loss: "loss", accuracy: "accuracy", gap: "gap", gapFilter: "gap_filter", gapBias: "gap_bias",
  gapReadout: "gap_readout", predicted: "gap_predicted",
};

// Numbers with all their digits. The first line is a comment: the settings, and the address that makes the run again.
function csvOf(notes, settings, address) {
  const eigenvalues = notes[0].eigenvalues.length;
  const head = [...Object.values(COLUMNS), ...Array.from({ length: eigenvalues }, (_, number) => `eigenvalue_${number + 1}`)];
  const rows = notes.map((note) => [...Object.keys(COLUMNS).map((name) => note[name]), ...note.eigenvalues]);
  return [`# TwinLab ${JSON.stringify(settings)} ${address}`, head.join(","), ...rows.map((row) => row.join(","))].join("\n") + "\n";
}

function saveAs(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// The images and plots as they stand, with the words above them.
function pictureOf(root, { colours, font }, title, words, keys) {
  const plots = [...root.querySelectorAll(".tf-lab-plot")];
  const scale = 2;
  const left = 250;
  const inner = 620;
  const heights = plots.map((plot) => (plot.height / plot.width) * inner);
  const canvas = document.createElement("canvas");
  canvas.width = scale * (left + inner + 40);
  canvas.height = scale * (110 + heights.reduce((sum, height) => sum + height + 34, 0));
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  context.fillStyle = colours.paper;
  context.fillRect(0, 0, canvas.width, canvas.height);
  const write = (text, x, y, size, colour = colours.ink, weight = 400) => {
    context.font = `${weight} ${size}px ${font}`;
    context.fillStyle = colour;
    context.fillText(text, x, y);
  };
  write(title, 24, 40, 20, colours.ink, 650);
  write(words, 24, 66, 14, colours.muted);
  let top = 110;
  plots.forEach((plot, number) => {
    write(keys[number], left + 20, top - 8, 13, colours.muted);
    context.drawImage(plot, left + 20, top, inner, heights[number]);
    top += heights[number] + 34;
  });
  drawUnitsInto(context, root, write, colours);
  return canvas;
}

function drawUnitsInto(context, root, write, colours) {
  context.imageSmoothingEnabled = false;
  const rows = [["filter", "Filters"], ["gradient", "Gradients"]];
  rows.forEach(([kind, label], row) => {
    const top = 110 + row * 130;
    const scales = ["scale", "difference-scale"].map((part) => root.querySelector(`[data-show="${kind}-${part}"]`).textContent);
    write(label, 24, top - 8, 13, colours.muted);
    ["a", "b", "difference"].forEach((unit, column) => {
      context.drawImage(root.querySelector(`[data-image="${kind}-${unit}"]`), 24 + column * 74, top, 66, 66);
      write(["twin A", "twin B", "difference"][column], 24 + column * 74, top + 80, 11, colours.muted);
    });
    write(scales[0], 24, top + 96, 11, colours.muted);
    write(scales[1], 172, top + 96, 11, colours.muted);
  });
}
