"""Prediction questions: on the pages of the book, and as a reader meets them with and without scripts."""

import subprocess
import sys

import pytest
from axe_playwright_python.sync_playwright import Axe

from contents import PAGES, ROOT

# Chapters ask before they show. The appendix shows how things are used, and predicts nothing.
CHAPTERS = [name for name in PAGES if not name.startswith("book/appendix/")]

UNANNOUNCED = """() => {
  const found = [];
  let asked = false;
  for (const node of document.querySelectorAll(".tf-question, .tf-explore")) {
    if (node.matches(".tf-question")) asked = true;
    else if (asked) asked = false;
    else found.push(node.textContent.trim().slice(0, 60));
  }
  return found;
}"""

CONFIGURATION = f"""
extensions = ["myst_parser", "twinfilters.sphinx_extension.mathematics", "twinfilters.sphinx_extension.questions"]
myst_enable_extensions = ["colon_fence", "dollarmath", "tasklist"]
html_math_renderer = "typeset"
html_static_path = [{str(ROOT / "book/styles")!r}, {str(ROOT / "book/scripts")!r}]
html_css_files = ["question.css"]
html_js_files = [("question.js", {{"defer": "defer"}})]
"""

BOOK = r"""# Twins

:::{question} Which of these?
:label: q-one

Two filters are $w$ and $w$. What is their difference? See {ref}`there <place>`.

1. It is $0$.
2. It is *large*.

<details><summary>Answer</summary>

1. [x] As $w-w=0$.

   A second paragraph.
2. [ ] They are equal, {ref}`there <place>`.

For everybody.

</details>
:::

:::{question}
:label: q-several

Which are even?

- Two
- Three
- Four

<details>
<summary>Answer</summary>

- [x] It is.
- [ ] It is not.
- [x] Twice two.

</details>
:::

(place)=
## There

A widget.
"""


# --- every page of the book


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_widget_of_a_chapter_is_preceded_by_a_question(name, bases, visit):
    page, troubles = visit(f"{bases['http']}/{name}.html")
    assert page.evaluate(UNANNOUNCED) == []
    assert troubles == []


@pytest.mark.parametrize("way", ["http", "file"])
@pytest.mark.parametrize("name", PAGES)
def test_questions_of_the_book_are_answered(name, way, bases, visit):
    page, troubles = visit(f"{bases[way]}/{name}.html")
    for question in page.locator(".tf-question").all():
        for number in range(1, question.locator("input").count() + 1):
            assert answers(question) == []
            option(question, number).focus()
            page.keyboard.press("Space")
            page.keyboard.press("Enter")
            assert number in answers(question)
            question.get_by_role("button", name="Try again").press("Enter")
    assert troubles == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_opened_questions_are_accessible(name, scheme, bases, visit):
    page, _ = visit(f"{bases['http']}/{name}.html", color_scheme=scheme)
    for question in page.locator(".tf-question").all():
        question.locator("details").evaluate("details => details.open = true")
        for kind in ("[data-right]", ":not([data-right])"):
            number = question.locator(f".tf-answer{kind}").first.get_attribute("data-option")
            option(question, number).check()
            found = Axe().run(page, context=f"#{question.get_attribute('id')}")
            assert found.violations_count == 0, found.generate_report()


def answers(question):
    """Numbers of the options about which something is said."""
    said = question.locator(".tf-answer").all()
    return [int(answer.get_attribute("data-option")) for answer in said if answer.is_visible()]


def option(question, number):
    return question.locator(f"input[value='{number}']")


# --- a book of its own


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """Build a page with nothing but the questions' module; give the page's file and what was said."""

    def built(text):
        source = tmp_path_factory.mktemp("questions")
        (source / "index.md").write_text(text, encoding="utf-8")
        (source / "conf.py").write_text(CONFIGURATION, encoding="utf-8")
        command = [sys.executable, "-m", "sphinx", "-q", "-n", ".", "html"]
        done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
        return source / "html" / "index.html", done.stderr

    return built


@pytest.fixture(scope="module")
def address(build):
    file, said = build(BOOK)
    assert said == ""
    return file.as_uri()


@pytest.fixture(params=[True, False], ids=["with scripts", "without scripts"])
def page(request, address, visit):
    opened, _ = visit(address, java_script_enabled=request.param)
    opened.scripted = request.param
    return opened


def test_the_choice_decides_what_is_said(page):
    question = page.locator("#q-one")
    assert answers(question) == []
    option(question, 2).check()
    assert answers(question) == []
    question.get_by_text("Check my answer").click()
    assert answers(question) == [2]
    assert question.get_by_text("For everybody.").is_visible()
    option(question, 1).check()
    assert answers(question) == [1]
    assert question.get_by_text("A second paragraph.").is_visible()


def test_nothing_is_said_before_a_choice(page):
    question = page.locator("#q-one")
    question.get_by_text("Check my answer").click()
    assert question.get_by_text("Choose an answer first.").is_visible()
    assert answers(question) == []
    assert not question.get_by_text("For everybody.").is_visible()


def test_a_closed_answer_is_out_of_reach(page):
    question = page.locator("#q-one")
    option(question, 2).check()
    spoken = question.aria_snapshot()
    assert 'group "Which of these?"' in spoken
    assert 'radio "2 It is large." [checked]' in spoken
    assert "right" not in spoken
    assert "For everybody" not in spoken


def test_the_group_is_described_by_what_is_asked(page):
    group = page.locator("#q-one fieldset")
    (described,) = page.locator(f"#{group.get_attribute('aria-describedby')}").all()
    assert "What is their difference?" in described.inner_text()


def test_enter_leads_nowhere_else(page, address):
    question = page.locator("#q-one")
    option(question, 1).check()
    option(question, 1).press("Enter")
    assert page.url == address
    assert answers(question) == ([1] if page.scripted else [])


def test_trying_again_starts_over(page):
    question = page.locator("#q-one")
    option(question, 1).check()
    question.get_by_text("Check my answer").click()
    question.get_by_role("button", name="Try again").click()
    assert question.locator(":checked").count() == 0
    assert answers(question) == []
    assert question.locator("details[open]").count() == (0 if page.scripted else 1)
    if page.scripted:
        assert question.locator("input").first.evaluate("input => input === document.activeElement")


def test_several_answers_may_be_right(page):
    question = page.locator("#q-several")
    option(question, 2).check()
    question.get_by_text("Check my answer").click()
    assert answers(question) == [1, 2, 3]
    option(question, 2).uncheck()
    option(question, 1).check()
    assert answers(question) == [1, 3]


def test_an_opened_answer_moves_nothing_above_it(page):
    question = page.locator("#q-one")
    option(question, 1).check()
    places = [option.bounding_box() for option in question.locator(".tf-option").all()]
    question.get_by_text("Check my answer").click()
    assert [option.bounding_box() for option in question.locator(".tf-option").all()] == places


def test_print_shows_question_options_and_then_every_answer(page):
    page.emulate_media(media="print")
    for question in page.locator(".tf-question").all():
        assert not any(control.is_visible() for control in question.locator("input, button, summary").all())
    one = page.locator("#q-one")
    assert answers(one) == [1, 2]
    shown = one.inner_text()
    order = ["What is their difference?", "It is large.", "1 is right.", "2 is wrong.", "For everybody."]
    assert [shown.index(text) for text in order] == sorted(shown.index(text) for text in order)
    assert "Choose" not in shown


def test_text_options_and_answers_may_hold_mathematics_and_references(build, address, visit):
    page, _ = visit(address)
    assert page.locator("#q-one .math").count() == 4
    assert page.locator("#q-one .tf-question-text a[href='#place']").count() == 1
    assert page.locator("#q-one .tf-answer a[href='#place']").count() == 1


def asked(text="What?", options="- A\n- B", answers="- [x] a\n- [ ] b", label=":label: q\n"):
    return f":::{{question}}\n{label}{text}\n\n{options}\n\n<details>\n\n{answers}\n\n</details>\n:::"


WRONG = {
    "needs a label": asked(label=""),
    "between <details> and </details>": ":::{question}\n:label: q\nWhat?\n\n- A\n- B\n:::",
    "must follow each other": asked(text=""),
    "must begin with a list": asked(answers="It is A."),
    "got 2 options and 1 answers": asked(answers="- [x] a"),
    "must begin with [ ] or [x], got 'b'": asked(answers="- [x] a\n- b"),
    "one answer at least must be right": asked(answers="- [ ] a\n- [ ] b"),
    "an option must be one paragraph": asked(options="- A\n\n  more\n- B"),
}


def test_what_is_no_question_is_refused(build):
    _, said = build("# Wrong\n\n" + "\n\n".join(WRONG.values()) + "\n")
    assert [reason for reason in WRONG if reason not in said] == []
    assert said.count("ERROR") + said.count("WARNING") == len(WRONG), said
