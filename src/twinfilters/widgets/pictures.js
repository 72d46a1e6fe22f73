// Pictures: each stands in a box that is as large as the largest picture that comes to stand there.

let rows = 0;

function pictureRow(root) {
  const row = root.querySelector(".tf-pictures");
  const prefix = `tf${(rows += 1)}`;

  function grow(box, property, size) {
    const before = Number(box.style.getPropertyValue(property));
    if (size > before) box.style.setProperty(property, size);
  }

  function fill(box, { html, width, height, description }, number) {
    grow(box, "--w", width);
    grow(box, "--h", height);
    // @@ stands where identifiers begin; no two pictures of a page may share one.
    box.innerHTML = html.replaceAll("@@", `${prefix}-${number}`);
    for (const svg of box.querySelectorAll("svg")) {
      svg.setAttribute("role", "img");
      svg.setAttribute("aria-label", description);
    }
    for (const image of box.querySelectorAll("img")) image.alt = description;
  }

  function newBox() {
    const box = document.createElement("div");
    box.className = "tf-picture";
    return row.appendChild(box);
  }

  return {
    row,
    show(pictures) {
      while (row.children.length > pictures.length) row.lastChild.remove();
      pictures.forEach((picture, number) => fill(row.children[number] ?? newBox(), picture, number));
    },
  };
}
