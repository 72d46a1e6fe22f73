// Turns the single page of the book into what is printed: title page, contents, and a block for each chapter.
// Called with the words of the title page, and with the parts: page -> caption of the part that it opens.
// Returns the headings in their order, each with its level, as they are going to stand in the outline.
({ title, subtitle, imprint, logo, parts, style: sheet }) => {
  document.documentElement.dataset.theme = "light";
  const article = document.querySelector("article.bd-article");
  for (const link of article.querySelectorAll(".headerlink")) link.remove();
  for (const fold of article.querySelectorAll("details")) fold.open = true;

  const make = (tag, classes, text) => {
    const node = document.createElement(tag);
    node.className = classes;
    if (text) node.textContent = text;
    return node;
  };

  // Sphinx puts a mark before each page and all of them into the first one.
  const chapters = [];
  for (const mark of [...article.querySelectorAll("span[id^='document-']")]) {
    const nodes = [mark];
    while (mark.parentElement && nodes.at(-1).nextElementSibling?.matches(":not(span[id^='document-'])")) {
      const next = nodes.at(-1).nextElementSibling;
      nodes.push(next);
    }
    chapters.push({ page: mark.id.replace("document-", ""), nodes });
  }
  const book = make("main", "tf-book bd-main");
  const blocks = chapters.map(({ page, nodes }) => {
    const block = make("article", "bd-article tf-block");
    if (parts[page]) {
      const part = make("h1", "tf-part", parts[page]);
      part.id = `part-${page}`;
      block.append(part);
    }
    block.append(...nodes);
    return block;
  });
  for (const empty of article.querySelectorAll(".toctree-wrapper")) empty.remove();
  article.classList.add("tf-block");

  const front = make("section", "tf-title");
  const picture = make("img", "");
  picture.src = logo;
  picture.alt = "";
  front.append(picture, make("p", "tf-name", title), make("p", "tf-subtitle", subtitle));
  front.append(make("p", "tf-imprint", imprint));

  const contents = make("nav", "tf-contents");
  const heading = make("h1", "", "Contents");
  heading.id = "contents";
  contents.append(heading, make("ol", ""));
  book.append(front, contents, article, ...blocks);
  document.body.replaceChildren(book);

  for (const block of [article, ...blocks]) {
    const first = block.querySelector("h1:not(.tf-part), h2");
    first.classList.add("tf-chapter-start");
    block.dataset.title = first.textContent.trim();
  }
  const list = contents.querySelector("ol");
  const headings = [...book.querySelectorAll("h1, h2, h3, h4, h5, h6")].map((node) => {
    const id = node.id || node.closest("section[id]").id;
    const start = node.matches(".tf-chapter-start");
    const kind = node.matches(".tf-part") ? "tf-part" : start ? "tf-chapter" : "tf-section";
    const deep = Number(node.tagName[1]) > (node.closest(".tf-block")?.querySelector(".tf-chapter-start").tagName === "H1" ? 2 : 3);
    if (node !== heading && !deep) {
      const entry = make("li", kind);
      const link = make("a", "", node.textContent.trim());
      link.href = `#${id}`;
      link.append(make("span", "tf-page", "0"));
      link.dataset.heading = id;
      entry.append(link);
      list.append(entry);
    }
    return { id, title: node.textContent.trim(), level: Number(node.tagName[1]) };
  });

  // A running head for each chapter: a page style of its own.
  const style = make("style", "");
  const heads = [article, ...blocks]
    .map((block, number) => {
      block.style.page = `block-${number}`;
      const words = JSON.stringify(block.dataset.title);
      return `@page block-${number} { @top-left { content: ${JSON.stringify(title)}; font-size: 9pt; color: #59636e }
        @top-right { content: ${words}; font-size: 9pt; color: #59636e } }`;
    })
    .join("\n");
  style.textContent = sheet + heads;
  document.head.append(style);
  return headings;
};
