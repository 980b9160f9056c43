"""The report in a real Chromium: it sorts, filters, plays and opens, by mouse and by keyboard, on a phone, a desk."""

from pathlib import Path

import pytest
from report_maker import PESQ, UTTS, write_tree

from mimic.reporting.build import build
from mimic.reporting.tree import Tree

pytestmark = pytest.mark.xdist_group("browser")
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    exp = write_tree(tmp_path_factory.mktemp("a tree"), seconds=1.5)
    build([Tree(exp, exp.parent / "data")], exp / "report", 2, [])
    return exp / "report"


@pytest.fixture
def visit(chromium, report):
    """visit("index.html") opens a page of the report; what it says on the console fails the test at its end."""
    problems, contexts = [], []

    def visit(name: str, size: dict[str, int] = DESK, scheme: str = "light"):
        contexts.append(chromium.new_context(viewport=size, color_scheme=scheme, offline=True))
        page = contexts[-1].new_page()
        page.on("console", lambda message: problems.append(f"{name}: {message.text}"))
        page.on("pageerror", lambda error: problems.append(f"{name}: {error}"))
        page.on("requestfailed", lambda request: problems.append(f"{name}: {request.url} failed"))
        page.goto((report / name).as_uri())
        return page

    yield visit
    for context in contexts:
        context.close()
    assert problems == []


def column(page, title: str) -> list[str]:
    """The cells of a column of the table of utterances that are shown, by the words of its header."""
    heads = [" ".join(text.split()) for text in page.locator("#utt-table thead th").all_inner_texts()]
    place = next(k for k, text in enumerate(heads) if text.startswith(title))
    rows = page.locator("#utt-table tbody tr:visible")
    return [row.locator("th, td").nth(place).inner_text().strip() for row in rows.all()]


def picked(report: Path) -> str:
    """The page of an utterance that has audio."""
    return next(f"utt/{p.name}" for p in sorted(report.glob("utt/*.html")) if "<audio" in p.read_text())


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_fits_and_can_be_read(visit, report, size, scheme):
    for name in ("index.html", picked(report)):
        page = visit(name, size, scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], "the page scrolls sideways"
        for text in ("--ink", "--soft", "--accent", "--sub", "--gone", "--extra"):
            for ground in ("--page", "--card"):
                assert page.evaluate(CONTRAST, [text, ground]) >= 4.5, (text, ground)
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every((c) => c < 64)")
        assert dark == (scheme == "dark")
        images = page.locator("svg image")
        assert all(box["width"] > 100 and box["height"] > 40 for box in map(bounding, images.all()))
        assert page.evaluate(LOADED)


CONTRAST = """([text, ground]) => {
  const light = (name) => {
    const hex = getComputedStyle(document.documentElement).getPropertyValue(name).trim().slice(1);
    const parts = [0, 2, 4].map((k) => parseInt(hex.slice(k, k + 2), 16) / 255);
    const [r, g, b] = parts.map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const [a, b] = [light(text), light(ground)];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}"""
LOADED = """async () => (await Promise.all([...document.querySelectorAll("svg image")].map(async (image) => {
  const loaded = new Image();
  loaded.src = image.href.baseVal;
  await loaded.decode();
  return loaded.naturalHeight === 257;
}))).every(Boolean)"""


def bounding(locator) -> dict[str, float]:
    return locator.bounding_box()


def test_sorting(visit):
    page = visit("index.html")
    button = page.get_by_role("button", name="PESQ MSE + mimic")
    button.click()
    known = sorted(v for v in PESQ["mimic"] if v is not None)
    assert column(page, "PESQ MSE + mimic") == [*(f"{v:.2f}" for v in known), "NA"]
    assert button.locator("..").get_attribute("aria-sort") == "ascending"
    button.press("Enter")
    assert column(page, "PESQ MSE + mimic") == [*(f"{v:.2f}" for v in known[::-1]), "NA"]  # NA is last both ways
    assert page.locator("#utt-table [aria-sort]").count() == 1
    page.get_by_role("button", name="utterance").click()
    assert column(page, "utterance") == UTTS


def test_filtering(visit):
    page = visit("index.html", PHONE)
    search, count = page.get_by_label("Search"), page.locator("#f-count")
    search.fill("P1-<B>")
    assert column(page, "utterance") == [UTTS[-1]] and count.inner_text() == f"1 of {len(UTTS)} utterances"
    search.fill("stop")  # a word of every reference
    assert len(column(page, "utterance")) == len(UTTS)
    page.get_by_label("Noise").select_option("rock & roll")
    assert set(column(page, "noise")) == {"rock & roll"} and count.inner_text().startswith("4 of")
    page.get_by_label("Noise").select_option("")
    page.get_by_label("Show").select_option("errors")
    assert column(page, "utterance") == UTTS[1::2]
    page.get_by_label("Show").select_option("worst")
    assert all("worst" in why for why in column(page, "audio")) and len(column(page, "audio")) == 2
    search.fill("nothing like it")
    assert column(page, "utterance") == []


def test_a_click_on_a_point_opens_its_utterance(visit):
    page = visit("index.html")
    point = page.locator(".scatter a").last
    name = point.get_attribute("aria-label")
    point.locator("use").click()  # a real one, in the middle of the point, wherever the page must scroll to
    page.wait_for_url("**/utt/*.html")
    assert name.startswith(page.locator("h1").inner_text() + ": noisy")


def test_points_by_keyboard(visit):
    page = visit("index.html")
    plot = page.locator(".scatter .plot").last
    page.get_by_role("link", name="table of utterances").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")  # one stop for each plot, not one for each point
    focused = "document.activeElement.getAttribute('aria-label')"
    labels = [link.get_attribute("aria-label") for link in plot.locator("a").all()]
    assert page.evaluate(focused) == labels[0]
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(focused) == labels[1]
    page.keyboard.press("End")
    assert page.evaluate(focused) == labels[-1]
    page.keyboard.press("Enter")
    page.wait_for_url("**/utt/*.html")
    assert labels[-1].startswith(page.locator("h1").inner_text() + ":")


def test_players(visit, report):
    page = visit(picked(report))
    clean, noisy = page.locator("audio").nth(0), page.locator("audio").nth(1)
    assert page.locator("audio").count() == 4
    clean.evaluate("player => { player.playbackRate = 0.0625; player.focus(); }")  # slow: it must not end too early
    page.keyboard.press("Space")
    page.wait_for_function("document.querySelectorAll('audio')[0].currentTime > 0.05")
    assert page.locator(".version").first.locator(".cursor.on").count() == 1
    noisy.evaluate("player => player.play()")
    page.wait_for_function("document.querySelectorAll('audio')[0].paused")
    assert noisy.evaluate("player => player.currentTime") >= 0.05  # it continues where the other one was
    page.wait_for_function("document.querySelectorAll('audio')[1].ended")
    image = page.locator(".version").nth(2).locator("image").first
    box = bounding(image)
    image.click(position={"x": box["width"] / 2, "y": 5})
    assert page.locator("audio").nth(2).evaluate("player => player.currentTime") == pytest.approx(0.75, abs=0.03)


def test_keyboard_reaches_everything(visit, report):
    page = visit(picked(report))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    assert page.locator(".skip").bounding_box()["x"] >= 0  # it shows itself
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.tagName"))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none" or page.evaluate("document.activeElement.tagName") in ("BODY", "AUDIO")
    assert {"A", "AUDIO", "INPUT", "DIV"} <= reached
    page.goto((report / "index.html").as_uri())
    page.get_by_role("link", name="Cost").press("Enter")
    assert page.url.endswith("#cost")
