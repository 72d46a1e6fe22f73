"""The widget in a page of its own: two of them, drawn by `explore` itself, and text around."""

import json

import pytest
from axe_playwright_python.sync_playwright import Axe
from matplotlib.figure import Figure
from playwright.sync_api import expect

from twinfilters import plotting
from twinfilters.widgets import decades, explore
from twinfilters.widgets.explore import front_end, style
from twinfilters.widgets.snapshot import SNAPSHOT_VARIABLE
from twinfilters.widgets.sphinx import NAME, page_script

TOUCH = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
FAR = "<div style='height: 4000px'></div>"
TEXT = "<p>Twins that start equal stay equal.</p>" * 8


def draw(steps, gap, tied):
    figure = Figure(figsize=(4, 2))
    figure.subplots().plot([n**steps for n in range(9)], color=plotting.TWIN_A)
    words = " The gap is large, and that has to be said at length, in a line that wraps." * (gap == 1)
    return figure, f"Steps {steps}, gap {gap:g}, {'tied' if tied else 'free'}.{words}"


def side_by_side(steps):
    wide, high = Figure(figsize=(4, 2)), Figure(figsize=(3, 1 + steps))
    wide.subplots().plot([0, steps])
    high.subplots().plot([steps, 0])
    return [(wide, f"Rising by {steps}."), (high, f"Falling by {steps}.")]


def diagram(gap, decay):
    figure = Figure(figsize=(4, 3))
    axes = figure.subplots()
    axes.plot(gap, decay, "o", color=plotting.TWIN_A)
    axes.set(xscale="log", xlim=(1e-7, 10), ylim=(-0.1, 0.5))
    return figure, f"Gap {gap:g}, decay {decay:g}."


def write_page(file, body):
    file.write_text(
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>Twins</title>"
        "<meta name='viewport' content='width=device-width'><link rel='stylesheet' href='explore.css'>"
        "<script defer src='explore.js'></script><script>document.documentElement.dataset.theme ="
        "matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'</script>"
        "<style>body { background: var(--tf-paper); color: var(--tf-ink) }</style><main>"
        f"<h1>Twins</h1>{body}</main></html>",
        encoding="utf-8",
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Write the pages as a build does."""
    folder = tmp_path_factory.mktemp("widgets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(SNAPSHOT_VARIABLE, str(folder / NAME))
        shown = [
            explore(draw, steps=(1, 6), gap=decades(1e-6, 1), tied=True, play="steps", units={"gap": "px"}),
            explore(side_by_side, steps=(1, 3)),
            explore(diagram, gap=decades(1e-6, 1), decay=(0.0, 0.4, 0.1), point=("gap", "decay")),
        ]
        first, second, third = (widget._repr_mimebundle_()["text/html"] for widget in shown)
    (folder / "explore.css").write_text(style(), encoding="utf-8")
    (folder / "explore.js").write_text(page_script(), encoding="utf-8")
    (folder / "favicon.ico").write_bytes(b"")
    body = f"{TEXT}{first}<p id='below'>Below.</p>{FAR}{second}<h2 id='end'>End</h2>{TEXT * 4}"
    write_page(folder / "page.html", body)
    write_page(folder / "diagram.html", third)
    return folder


@pytest.fixture(params=["http", "file"])
def address(request, folder, serve):
    base = serve(folder) if request.param == "http" else folder.as_uri()
    return f"{base}/page.html"


@pytest.fixture
def url(folder, serve):
    return f"{serve(folder)}/page.html"


def parts(page, number=0):
    widget = page.locator(".tf-explore").nth(number)
    return widget, widget.locator(".tf-status")


def control(page, name, number=0):
    return page.locator(".tf-explore").nth(number).locator(f"[data-control={name}]")


# --- controls


def test_values_are_shown_and_spoken(url, visit):
    page, troubles = visit(url)
    gap = page.get_by_role("slider", name="gap", exact=True)
    value = gap.locator("xpath=ancestor::div[1]").locator(".tf-value")
    gap.press("Home")
    expect(value).to_have_text("10⁻⁶\N{NO-BREAK SPACE}px")
    expect(gap).to_have_attribute("aria-valuetext", "10 to the minus 6\N{NO-BREAK SPACE}px")
    gap.press("End")
    expect(value).to_have_text("1\N{NO-BREAK SPACE}px")
    expect(parts(page)[1]).to_contain_text("gap 1, tied")
    assert troubles == []


def test_pictures_stand_side_by_side_with_their_own_alternative_text_and_wrap_on_a_phone(url, visit):
    for options, beside in (({}, True), (TOUCH, False)):
        page, troubles = visit(url, **options)
        control(page, "steps", 1).press("End")
        pictures = page.locator(".tf-explore").nth(1).locator(".tf-picture")
        labels = [f"{way} by 3." for way in ("Rising", "Falling")]
        for number, label in enumerate(labels):
            expect(pictures.nth(number).locator("svg")).to_have_attribute("aria-label", label)
        expect(parts(page, 1)[1]).to_have_text(" ".join(labels))
        first, second = (pictures.nth(number).bounding_box() for number in (0, 1))
        assert (second["x"] > first["x"] + first["width"] - 1) is beside
        assert (second["y"] >= first["y"] + first["height"]) is not beside
        assert troubles == []


def test_identifiers_stay_unique_when_pictures_change(url, visit):
    page, _ = visit(url)
    for number in (0, 1):
        control(page, "steps", number).press("ArrowRight")
        expect(parts(page, number)[1]).to_contain_text(f"{4 - number}")
    ids = page.locator("[id]").evaluate_all("all => all.map(one => one.id)")
    assert len(ids) == len(set(ids)) > 20
    hrefs = page.locator("use").evaluate_all("all => all.map(one => one.getAttribute('xlink:href').slice(1))")
    assert set(hrefs) <= set(ids)


def test_reset_brings_back_the_start(url, visit):
    page, _ = visit(url)
    widget, status = parts(page)
    before = status.inner_text()
    control(page, "tied").press("Space")
    control(page, "gap").press("Home")
    expect(status).to_contain_text("gap 1e-06, free")
    widget.get_by_role("button", name="Reset").press("Enter")
    expect(status).to_have_text(before)
    expect(control(page, "tied")).to_be_checked()


def test_frames_are_fetched_when_their_widget_comes_near(url, visit):
    page, _ = visit(url)
    page.wait_for_function("Object.keys(self.tfExplore ?? {}).length === 1")
    page.locator(".tf-explore").nth(1).scroll_into_view_if_needed()
    page.wait_for_function("Object.keys(tfExplore).length === 2")


def test_frames_that_cannot_be_loaded_are_said_and_the_next_move_tries_again(url, visit):
    page, _ = visit(url)
    page.route(f"**/{NAME}/*", lambda route: route.abort())
    error = page.locator(".tf-error").nth(1)
    control(page, "steps", 1).press("End")
    expect(error).to_have_text("the pictures of this figure could not be loaded")
    expect(parts(page, 1)[1]).to_contain_text("Rising by 2.")
    page.unroute(f"**/{NAME}/*")
    control(page, "steps", 1).press("Home")
    expect(parts(page, 1)[1]).to_contain_text("Rising by 1.")
    expect(error).to_be_hidden()


# --- with a kernel, which here is a model that answers when it is told to

NOTEBOOK = """<!doctype html><title>Notebook</title><div id="view"></div><script type="module">
import front from "./front.mjs";
const state = { _markup: MARKUP, _shown: {} };
const listeners = [];
window.asked = [];
const model = {
  get: name => state[name],
  set: (name, value) => (state[name] = value),
  save_changes: () => asked.push(state._request),
  on: (_, listener) => listeners.push(listener),
  off: () => {},
};
window.answer = (error = "") => {
  const { serial, index } = asked.at(-1);
  const pictures = [{ html: "<svg></svg>", width: 9, height: 9, description: "Steps " + index.steps }];
  state._shown = { serial, index, pictures: error ? undefined : pictures, error };
  for (const listener of listeners) listener();
};
front.render({ model, el: document.querySelector("#view") });
</script>"""


@pytest.fixture
def notebook(tmp_path, serve, visit):
    widget = explore(draw, steps=(1, 6), gap=decades(1e-6, 1), tied=True)
    content = NOTEBOOK.replace("MARKUP", json.dumps(widget._markup))
    (tmp_path / "notebook.html").write_text(content, encoding="utf-8")
    (tmp_path / "front.mjs").write_text(front_end(), encoding="utf-8")
    (tmp_path / "favicon.ico").write_bytes(b"")
    page, troubles = visit(f"{serve(tmp_path)}/notebook.html")
    yield page
    assert troubles == []


def test_a_kernel_is_never_more_than_one_move_behind(notebook):
    steps, status = control(notebook, "steps"), parts(notebook)[1]
    steps.press("Home")
    for _ in range(4):
        steps.press("ArrowRight")
    assert [one["index"]["steps"] for one in notebook.evaluate("asked")] == [0]
    notebook.evaluate("answer()")
    expect(status).to_have_text("Steps 0")
    # Of the moves made meanwhile only the last counts, and the slider stays where the reader has put it.
    assert [one["index"]["steps"] for one in notebook.evaluate("asked")] == [0, 4]
    expect(steps).to_have_value("4")
    notebook.evaluate("answer()")
    expect(status).to_have_text("Steps 4")
    assert len(notebook.evaluate("asked")) == 2


def test_an_error_of_draw_is_shown_and_the_next_move_goes_on(notebook):
    steps, (widget, status) = control(notebook, "steps"), parts(notebook)
    steps.press("Home")
    notebook.evaluate("answer()")
    steps.press("End")
    notebook.evaluate("answer('RuntimeError: no (drawing steps = 6)')")
    expect(widget.locator(".tf-error")).to_have_text("RuntimeError: no (drawing steps = 6)")
    expect(status).to_have_text("Steps 0")
    steps.press("ArrowLeft")
    notebook.evaluate("answer()")
    expect(widget.locator(".tf-error")).to_be_hidden()
    expect(status).to_have_text("Steps 4")


def test_jupyterlab_is_told_to_leave_the_keys_alone(notebook):
    targets = notebook.locator(".tf-explore :is(input, select, button)")
    assert targets.count() == notebook.locator("[data-lm-suppress-shortcuts]").count() > 0


# --- play

RECORD = """
window.seen = [];
const status = document.querySelector(".tf-status");
new MutationObserver(() => seen.push(status.textContent)).observe(status, { childList: true });
"""


def test_play_goes_to_the_end_and_starts_again_from_there(url, visit):
    page, troubles = visit(url)
    widget, status = parts(page)
    page.evaluate(RECORD)
    play = widget.get_by_role("button", name="Play steps")
    widget.get_by_label("Speed of steps").select_option("fast")
    assert status.inner_text().startswith("Steps 3")
    play.press("Space")
    expect(widget.get_by_role("button", name="Pause steps")).to_be_visible()
    expect(status).to_have_attribute("aria-live", "off")
    expect(play).to_be_visible()
    expect(status).to_have_attribute("aria-live", "polite")
    play.press("Space")
    expect(widget.get_by_role("button", name="Pause steps")).to_be_visible()
    expect(play).to_be_visible()
    seen = page.evaluate("seen.map(text => Number(text[6]))")
    # The last one of each run is said once more, when it is over.
    assert seen == [4, 5, 6, 6, 1, 2, 3, 4, 5, 6, 6]
    assert troubles == []


@pytest.mark.parametrize("touch", ["picture", "control", "button"])
def test_play_stops_when_anything_is_touched(touch, url, visit):
    page, _ = visit(url)
    widget, _ = parts(page)
    widget.get_by_label("Speed of steps").select_option("slow")
    widget.get_by_role("button", name="Play steps").click()
    pause = widget.get_by_role("button", name="Pause steps")
    expect(pause).to_be_visible()
    if touch == "button":
        pause.click()
    else:
        (widget.locator(".tf-picture") if touch == "picture" else control(page, "tied")).click()
    expect(widget.get_by_role("button", name="Play steps")).to_be_visible()


PAUSES = """
window.pauses = [];
const wait = window.setTimeout;
window.setTimeout = (then, pause) => { pauses.push(pause); return wait(then, pause / 100); };
"""


@pytest.mark.parametrize(
    ("motion", "pauses"), [("reduce", {1000}), ("no-preference", {125})], ids=["less motion", "any motion"]
)
def test_play_never_starts_by_itself_and_is_slow_for_who_wants_less_motion(motion, pauses, url, visit):
    page, _ = visit(url, reduced_motion=motion)
    page.evaluate(PAUSES)
    widget, status = parts(page)
    assert status.inner_text().startswith("Steps 3")
    widget.get_by_label("Speed of steps").select_option("fast")
    widget.get_by_role("button", name="Play steps").click()
    expect(status).to_contain_text("Steps 6")
    expect(widget.get_by_role("button", name="Play steps")).to_be_visible()
    assert {1000, 125} & set(page.evaluate("pauses")) == pauses


# --- fingers, and the focus


def drag(page, box, way, down=0):
    """Move a finger over a box, in steps; whether the page scrolls is up to the browser."""
    client = page.context.new_cdp_session(page)
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    client.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    for part in range(1, 11):
        point = {"x": x + way * part / 10, "y": y + down * part / 10}
        client.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
    client.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_a_finger_that_moves_sideways_moves_the_slider(url, visit):
    page, troubles = visit(url, **TOUCH)
    picture = page.locator(".tf-picture").first
    picture.scroll_into_view_if_needed()
    scrolled = page.evaluate("scrollY")
    drag(page, picture.bounding_box(), 100)
    expect(control(page, "steps")).not_to_have_value("2")
    further = int(control(page, "steps").input_value())
    expect(parts(page)[1]).to_contain_text(f"Steps {further + 1}")
    assert further > 2
    drag(page, picture.bounding_box(), -120)
    expect(parts(page)[1]).not_to_contain_text(f"Steps {further + 1}")
    assert page.evaluate("scrollY") == scrolled
    assert troubles == []


def test_a_finger_that_moves_up_scrolls_the_page(url, visit):
    page, _ = visit(url, **TOUCH)
    picture = page.locator(".tf-picture").first
    picture.scroll_into_view_if_needed()
    scrolled = page.evaluate("scrollY")
    drag(page, picture.bounding_box(), 5, down=-150)
    page.wait_for_function("before => scrollY > before + 50", arg=scrolled)
    expect(control(page, "steps")).to_have_value("2")


def test_a_click_on_the_picture_leads_to_its_slider(url, visit):
    page, _ = visit(url)
    page.locator(".tf-picture").first.click()
    expect(control(page, "steps")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(parts(page)[1]).to_contain_text("Steps 4")


# --- pointing


def middle_of_the_dot(page):
    """Where the diagram shows its values."""
    box = page.locator(".tf-picture use, .tf-picture path[style*='twin-a']").last.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def move_by_keyboard(page, **values):
    for name, value in values.items():
        slider = control(page, name)
        while int(slider.input_value()) != value:
            slider.press("ArrowRight" if int(slider.input_value()) < value else "ArrowLeft")


@pytest.mark.parametrize("options", [{"viewport": {"width": 1280, "height": 800}}, TOUCH])
def test_pointing_into_a_diagram_sets_both_its_controls(options, folder, serve, visit):
    page, troubles = visit(f"{serve(folder)}/diagram.html", **options)
    move_by_keyboard(page, gap=5, decay=3)
    expect(parts(page)[1]).to_have_text("Gap 0.1, decay 0.3.")
    there = middle_of_the_dot(page)
    move_by_keyboard(page, gap=1, decay=0)
    expect(parts(page)[1]).to_have_text("Gap 1e-05, decay 0.")
    if options is TOUCH:
        page.touchscreen.tap(*there)
    else:
        page.mouse.click(there[0] + 3, there[1] - 3)
    expect(parts(page)[1]).to_have_text("Gap 0.1, decay 0.3.")
    assert [control(page, name).input_value() for name in ("gap", "decay")] == ["5", "3"]
    assert troubles == []


def test_dragging_through_a_diagram(folder, serve, visit):
    page, troubles = visit(f"{serve(folder)}/diagram.html")
    move_by_keyboard(page, gap=0, decay=0)
    start = middle_of_the_dot(page)
    move_by_keyboard(page, gap=6, decay=4)
    end = middle_of_the_dot(page)
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=9)
    page.mouse.up()
    expect(parts(page)[1]).to_have_text("Gap 1, decay 0.4.")
    page.wait_for_url("**#gap=1&decay=0.4")
    assert troubles == []


# --- the address


def test_the_address_holds_the_setting_and_brings_it_back(address, visit):
    page, troubles = visit(address)
    control(page, "gap").press("Home")
    control(page, "steps", 1).press("End")
    page.wait_for_url("**/page.html#steps=3&gap=1e-6&tied=yes&2.steps=3")
    again, more = visit(page.url)
    expect(parts(again)[1]).to_contain_text("gap 1e-06")
    expect(parts(again, 1)[1]).to_contain_text("Rising by 3.")
    assert troubles + more == []


def test_a_widget_at_its_start_leaves_no_trace_in_the_address(address, visit):
    page, _ = visit(f"{address}#steps=5")
    expect(parts(page)[1]).to_contain_text("Steps 5")
    page.locator(".tf-reset").first.click()
    page.wait_for_url(address)


def test_a_changed_address_moves_the_widget_and_shows_it(url, visit):
    page, _ = visit(url)
    page.evaluate("location.hash = '2.steps=3'")
    expect(parts(page, 1)[1]).to_contain_text("Rising by 3.")
    assert page.locator(".tf-explore").nth(1).evaluate("one => one.getBoundingClientRect().top < innerHeight")
    page.evaluate("location.hash = 'gap=0.0001'")
    expect(parts(page)[1]).to_contain_text("gap 0.0001")


@pytest.mark.parametrize(
    "fragment",
    [
        "steps=99",
        "steps=",
        "stps=3",
        "=3",
        "steps=%E0%A4%A",
        "3.steps=1",
        "0.steps=1",
        "__proto__=1",
        "2.toString=1",
        "a=b&&&c",
    ],
)
def test_what_an_address_cannot_mean_is_passed_over(fragment, url, visit):
    page, troubles = visit(f"{url}#{fragment}")
    expect(parts(page)[1]).to_contain_text("Steps 3, gap 0.001, tied.")
    expect(page.locator(".tf-error").first).to_be_hidden()
    assert troubles == []


def test_ordinary_anchors_work_as_ever(address, visit):
    page, troubles = visit(f"{address}#end")
    assert page.locator("#end").evaluate("end => Math.abs(end.getBoundingClientRect().top) < innerHeight")
    expect(parts(page)[1]).to_contain_text("Steps 3")
    assert page.url.endswith("#end")
    assert troubles == []


def test_a_link_to_one_widget_can_be_copied(url, visit):
    page, troubles = visit(url, permissions=["clipboard-read", "clipboard-write"])
    control(page, "steps", 1).press("Home")
    button = page.locator(".tf-link").nth(1)
    button.click()
    expect(button).to_have_text("Link copied")
    assert page.evaluate("navigator.clipboard.readText()") == f"{url}#2.steps=1"
    assert troubles == []


def test_where_the_clipboard_is_closed_the_link_is_in_the_address(url, visit):
    page, _ = visit(url)
    page.evaluate("void (navigator.clipboard.writeText = () => Promise.reject(new Error('closed')))")
    page.locator(".tf-link").nth(1).click()
    page.wait_for_url("**/page.html#2.steps=2")


# --- the page around it

SHIFT = """
window.shifted = [];
const box = ({ x, y, width, height }) => [x, y, width, height].map(Math.round).join(" ");
const told = ({ node, previousRect, currentRect }) =>
  `${node?.outerHTML?.slice(0, 80) ?? node?.textContent}: ${box(previousRect)} -> ${box(currentRect)}`;
// Inside of a widget, a value that changes may move its unit.
const around = ({ node }) => !(node?.nodeType === Node.TEXT_NODE ? node.parentElement : node)?.closest(".tf-explore");
const add = (list) => {
  for (const entry of list.getEntries()) shifted.push(...entry.sources.filter(around).map(told));
};
new PerformanceObserver(add).observe({ type: "layout-shift", buffered: true });
"""


@pytest.mark.parametrize("options", [{}, TOUCH], ids=["wide", "phone"])
def test_nothing_around_a_widget_ever_moves(options, url, visit):
    page, _ = visit(url, **options)
    page.evaluate(SHIFT)
    place = page.locator("#below").evaluate("one => one.getBoundingClientRect().top + scrollY")
    for name in ("gap", "steps"):
        for key in ("End", "Home", "ArrowRight"):
            control(page, name).press(key)
            expect(page.locator(".tf-pictures").first).not_to_have_attribute("aria-busy", "true")
            assert (
                page.locator("#below").evaluate("one => one.getBoundingClientRect().top + scrollY") == place
            )
    end = page.locator("#end").evaluate("one => one.getBoundingClientRect().top + scrollY")
    for key in ("End", "Home"):
        control(page, "steps", 1).press(key)
        expect(page.locator(".tf-pictures").nth(1)).not_to_have_attribute("aria-busy", "true")
        assert page.locator("#end").evaluate("one => one.getBoundingClientRect().top + scrollY") == end
    assert page.evaluate("shifted") == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("options", [{}, TOUCH], ids=["wide", "phone"])
def test_axe_finds_nothing(scheme, options, url, visit):
    page, _ = visit(url, color_scheme=scheme, **options)
    found = Axe().run(page, options={"rules": {"target-size": {"enabled": True}}}).response
    assert [(rule["id"], rule["nodes"][0]["html"]) for rule in found["violations"]] == []


def test_a_finger_can_hit_everything(url, visit):
    page, _ = visit(url, **TOUCH)
    for target in page.locator(".tf-explore :is(input, select, button)").all():
        box = target.bounding_box()
        assert min(box["width"], box["height"]) >= 24, target.evaluate("one => one.outerHTML")


@pytest.mark.parametrize("width", [320, 360, 390, 768])
def test_it_fits_into_narrow_windows(width, url, visit):
    page, _ = visit(url, viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_on_paper_the_picture_stays_and_the_controls_are_gone(url, visit):
    page, _ = visit(url)
    expect(page.locator(".tf-print-note").first).to_be_hidden()
    page.emulate_media(media="print")
    expect(page.locator(".tf-print-note").first).to_contain_text("web edition")
    expect(page.locator(".tf-controls").first).to_be_hidden()
    expect(page.locator(".tf-picture").first).to_be_visible()


def test_without_scripts_the_first_picture_and_its_description_stay(folder, url, visit):
    page, _ = visit(url, java_script_enabled=False)
    expect(page.get_by_role("img", name="Steps 3, gap 0.001, tied.")).to_be_visible()
    # Chromium's way of switching scripts off leaves noscript hidden.
    assert '<noscript><p class="tf-note">The controls need' in (folder / "page.html").read_text("utf-8")
    expect(control(page, "steps")).to_be_disabled()
