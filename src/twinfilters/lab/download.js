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
  const comment = `# TwinLab ${JSON.stringify(settings)} ${address} Every step up to ${DENSE}, then ever fewer.`;
  return [comment, head.join(","), ...rows.map((row) => row.join(","))].join("\n") + "\n";
}

function saveAs(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// What is seen, drawn anew and larger, with the words above it. `drawPlots` draws into copies of the plots.
const PICTURE = { scale: 2, left: 250, width: 660, top: 122, between: 34 };

function pictureOf(root, look, { title, what, address, keys, settings }, drawPlots) {
  const { scale, left, width, top, between } = PICTURE;
  const { colours } = look;
  const heights = { gap: 250, eigenvalues: 110, loss: 120 };
  const canvas = document.createElement("canvas");
  canvas.width = scale * (left + width + 40);
  canvas.height = scale * (top + Object.values(heights).reduce((sum, height) => sum + height + between, 0));
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  context.fillStyle = colours.paper;
  context.fillRect(0, 0, canvas.width, canvas.height);
  const write = (text, x, y, size, colour = colours.ink, weight = 400) => {
    context.font = `${weight} ${size}px ${colours.font}`;
    context.fillStyle = colour;
    context.textAlign = "left";
    context.textBaseline = "alphabetic";
    context.fillText(text, x, y);
  };
  write(title, 24, 36, 20, colours.ink, 650);
  write(`${settings}. ${what}`, 24, 62, 14, colours.muted);
  write(address, 24, 82, 11, colours.muted);
  const copies = Object.fromEntries(
    Object.entries(heights).map(([name, height]) => [name, copyOfPlot(look, width, height)]),
  );
  drawPlots(copies);
  let y = top;
  Object.values(copies).forEach(({ canvas: copy, size }, number) => {
    let x = left + 76;
    for (const { words, colour, dash } of keys[number]) {
      context.strokeStyle = colours[colour];
      context.lineWidth = 2;
      context.setLineDash(dash);
      context.beginPath();
      context.moveTo(x, y - 12);
      context.lineTo(x + 18, y - 12);
      context.stroke();
      write(words, x + 24, y - 8, 13, colours.muted);
      x += 44 + context.measureText(words).width;
    }
    context.drawImage(copy, left + 20, y, size.width, size.height);
    y += size.height + between;
  });
  drawUnitsInto(context, root, write, colours);
  return canvas;
}

function copyOfPlot(look, width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = PICTURE.scale * width;
  canvas.height = PICTURE.scale * height;
  const context = canvas.getContext("2d");
  context.scale(PICTURE.scale, PICTURE.scale);
  return { canvas, context, size: { width, height }, look };
}

function drawUnitsInto(context, root, write, colours) {
  context.imageSmoothingEnabled = false;
  const rows = [["filter", "Filters"], ["gradient", "Gradients"]];
  rows.forEach(([kind, label], row) => {
    const top = PICTURE.top + row * 130;
    const shown = (part) => root.querySelector(`[data-show="${kind}-${part}"]`).textContent;
    const scales = [[shown("low"), shown("scale")].filter(Boolean).join(" to "), shown("difference-scale")];
    write(label, 24, top - 8, 13, colours.muted);
    ["a", "b", "difference"].forEach((unit, column) => {
      context.drawImage(root.querySelector(`[data-image="${kind}-${unit}"]`), 24 + column * 74, top, 66, 66);
      write(["twin A", "twin B", "A − B"][column], 24 + column * 74, top + 80, 11, colours.muted);
    });
    write(scales[0], 24, top + 96, 11, colours.muted);
    write(scales[1], 172, top + 96, 11, colours.muted);
  });
}
