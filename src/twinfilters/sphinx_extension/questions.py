r"""Questions: the reader chooses an answer, then sees what is right about it and what is not.

In a chapter, a question is Markdown that reads the same in JupyterLab, where the answers are folded away::

    :::{question}
    :label: q-equal

    Two filters are equal. Which of their gradients are?

    1. All of them.
    2. None.

    <details><summary>Answer</summary>

    1. [ ] Tempting, but the readouts differ.
    2. [x] Each comes back through a readout of its own.

    What everybody sees once they have chosen.

    </details>
    :::

The options are the last list before the answers. The answers begin with a list that has one entry for each option,
``[x]`` for a right one; where several are right, the reader may choose several. The page is plain HTML that works
without a script: a closed ``details`` element keeps the answers from eyes, keyboard and screen reader alike, and style
sheets show the answer that belongs to the choice. Enter opens it where scripts run (book/scripts/question.js).
"""

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

# The style sheet has a rule for each.
MOST_OPTIONS = 6
LISTS = (nodes.bullet_list, nodes.enumerated_list)


class question(nodes.container):  # noqa: N801
    """A form: text, options, answers. Attributes: ``title``, ``several``."""


class question_text(nodes.container):  # noqa: N801
    """What is asked."""


class question_option(nodes.inline):  # noqa: N801
    """An option. Attributes: ``name`` of the group, ``number``, ``several``."""


class question_answers(nodes.container):  # noqa: N801
    """What is folded away."""


class question_answer(nodes.container):  # noqa: N801
    """What is said about one option. Attributes: ``number``, ``right``."""


class question_explanation(nodes.container):  # noqa: N801
    """What is said to everybody."""


def setup(app: Sphinx) -> None:
    """Register the directive and its nodes."""
    app.add_directive("question", QuestionDirective)
    for node, visit, depart in (
        (question, visit_question, depart_question),
        (question_text, visit_text, depart_block),
        (question_option, visit_option, depart_option),
        (question_answers, visit_answers, depart_answers),
        (question_answer, visit_answer, depart_block),
        (question_explanation, visit_explanation, depart_block),
    ):
        app.add_node(node, html=(visit, depart))


class QuestionDirective(SphinxDirective):
    """``question``: its title is "Predict first" unless another one is given."""

    has_content = True
    optional_arguments = 1
    final_argument_whitespace = True
    option_spec = {"label": directives.unchanged_required}  # noqa: RUF012

    def run(self) -> list[nodes.Node]:
        """Parse the content and take it apart."""
        if "label" not in self.options:
            raise self.error("a question needs a label, ':label: q-...'")
        parsed = nodes.container()
        self.state.nested_parse(self.content, self.content_offset, parsed)
        try:
            text, options, answers, explanation = taken_apart(parsed.children)
        except ValueError as error:
            raise self.error(f"question {self.options['label']}: {error}") from error
        title = self.arguments[0] if self.arguments else "Predict first"
        node = assembled(self.options["label"], title, text, options, answers, explanation)
        node["names"].append(self.options["label"])
        self.set_source_info(node)
        self.state.document.note_explicit_target(node)
        return [node]


def taken_apart(children: list[nodes.Node]) -> tuple[list, list, list, list]:
    """Take the parsed content apart.

    Returns
    -------
    text, options (inline content of each), answers (content and whether it is right), explanation.

    Raises
    ------
    ValueError : the content is no question with options and as many answers.
    """
    children = list(children)
    folds = [i for i, child in enumerate(children) if isinstance(child, nodes.raw)]
    if len(folds) != 2:
        raise ValueError(
            f"the answers must stand between <details> and </details>, each in a paragraph of its own, "
            f"got {len(folds)} such lines"
        )
    asked, folded, rest = children[: folds[0]], children[folds[0] + 1 : folds[1]], children[folds[1] + 1 :]
    if rest or len(asked) < 2 or not isinstance(asked[-1], LISTS):
        raise ValueError("a text, a list of options and the answers must follow each other, and nothing else")
    if not folded or not isinstance(folded[0], LISTS):
        raise ValueError("the answers must begin with a list, one entry for each option")
    options = [option_content(item) for item in asked[-1]]
    answers = [answer_content(item) for item in folded[0]]
    if not 2 <= len(options) <= MOST_OPTIONS or len(answers) != len(options):
        raise ValueError(
            f"there must be 2 to {MOST_OPTIONS} options and as many answers, "
            f"got {len(options)} options and {len(answers)} answers"
        )
    if not any(right for _, right in answers):
        raise ValueError("one answer at least must be right, '[x]'")
    return asked[:-1], options, answers, folded[1:]


def option_content(item: nodes.list_item) -> list[nodes.Node]:
    """Give what an option says: a label of a control holds no paragraphs."""
    if len(item) != 1 or not isinstance(item[0], nodes.paragraph):
        raise ValueError(f"an option must be one paragraph, got {item.astext()!r}")
    return item[0].children


def answer_content(item: nodes.list_item) -> tuple[list[nodes.Node], bool]:
    """Give what is said about an option, and whether it is right."""
    boxes = [raw for raw in item.findall(nodes.raw) if "task-list-item-checkbox" in raw.astext()]
    if not boxes:
        raise ValueError(f"an answer must begin with [ ] or [x], got {item.astext()!r}")
    boxes[0].parent.remove(boxes[0])
    return item.children, "checked=" in boxes[0].astext()


def assembled(label: str, title: str, text, options, answers, explanation) -> question:
    """Put the node of a question together."""
    several = sum(right for _, right in answers) > 1
    folded = [
        question_answer("", *content, number=number, right=right)
        for number, (content, right) in enumerate(answers, 1)
    ]
    if explanation:
        folded.append(question_explanation("", *explanation))
    choices = [
        question_option("", "", *content, name=label, number=number, several=several)
        for number, content in enumerate(options, 1)
    ]
    return question(
        "",
        question_text("", *text, ids=[f"{label}-text"]),
        *choices,
        question_answers("", *folded),
        title=title,
        several=several,
    )


# --- HTML


def visit_question(translator, node: question) -> None:
    """Open the form. Its method keeps Enter from sending it anywhere, also where no scripts run."""
    several = {"data-several": ""} if node["several"] else {}
    form = translator.starttag(
        node, "form", CLASS="tf-question", method="dialog", autocomplete="off", **several
    )
    translator.body.append(form)
    title = translator.encode(node["title"])
    translator.body.append(f'<fieldset aria-describedby="{node["ids"][0]}-text"><legend>{title}</legend>\n')


def depart_question(translator, node: question) -> None:
    """Close the form."""
    translator.body.append("</fieldset></form>\n")


def visit_text(translator, node: question_text) -> None:
    """Open the text, which describes the group of options."""
    translator.body.append(translator.starttag(node, "div", CLASS="tf-question-text"))


def visit_option(translator, node: question_option) -> None:
    """Write the control of an option and open its label."""
    kind = "checkbox" if node["several"] else "radio"
    translator.body.append(
        f'<label class="tf-option"><input type="{kind}" name="{node["name"]}" value="{node["number"]}">'
        f'<span class="tf-number">{node["number"]}</span><span>'
    )


def depart_option(translator, node: question_option) -> None:
    """Close the label."""
    translator.body.append("</span></label>\n")


def visit_answers(translator, node: question_answers) -> None:
    """Open what is folded away. The choice decides what of it is shown, and a change of it is announced."""
    translator.body.append(
        '<details class="tf-answers"><summary><span class="tf-when-closed">Check my answer</span>'
        '<span class="tf-when-open">Hide the answer</span></summary>\n'
        '<div role="status"><p class="tf-unchosen">Choose an answer first.</p>\n'
    )


def depart_answers(translator, node: question_answers) -> None:
    """Close what is folded away."""
    translator.body.append('</div><button type="reset">Try again</button></details>\n')


def visit_answer(translator, node: question_answer) -> None:
    """Open what is said about an option with the verdict."""
    right = " data-right" if node["right"] else ""
    verdict = "right" if node["right"] else "wrong"
    translator.body.append(
        f'<div class="tf-answer" data-option="{node["number"]}"{right}>'
        f'<p class="tf-verdict">{node["number"]} is {verdict}.</p>\n'
    )


def visit_explanation(translator, node: question_explanation) -> None:
    """Open what is said to everybody."""
    translator.body.append('<div class="tf-explanation">')


def depart_block(translator, node: nodes.container) -> None:
    """Close a block."""
    translator.body.append("</div>\n")
