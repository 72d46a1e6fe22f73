// Questions work without this. With it, Enter checks the answer, the answer is announced when it opens, and trying
// again folds it away and leads back to the options.
for (const question of document.querySelectorAll(".tf-question")) {
  const answers = question.querySelector(".tf-answers");
  const said = answers.querySelector("[role=status]");
  question.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !event.target.matches("input")) return;
    event.preventDefault();
    if (question.querySelector(":checked")) answers.open = true;
  });
  // A live region that was hidden announces only what changes after it has come to light.
  answers.addEventListener("toggle", () => {
    if (answers.open) said.replaceChildren(...said.childNodes);
  });
  question.addEventListener("reset", () => {
    answers.open = false;
    question.querySelector("input").focus();
  });
}
