"""The page of steps/serve.sh in a real Chromium: a file is chosen, dropped, recorded; before and after are seen, played
and read.
"""

import io
import threading

import numpy as np
import pytest
import soundfile
from model_maker import make_enhancer, make_recogniser

from mimic.deploy.server import Server
from mimic.deploy.service import Service
from mimic.deploy.transcriber import Transcriber
from mimic.models.enhancer import Enhancer
from mimic.models.recogniser import Recogniser

pytestmark = pytest.mark.xdist_group("browser")
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    enhance = Enhancer.load(make_enhancer(root / "enhancer", "causal")).blocks()
    service = Service(enhance, Transcriber(Recogniser.load(make_recogniser(root / "asr"))), 500_000, 60.0)
    with Server("127.0.0.1", 0, service) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def visit(chromium, server):
    """visit() opens the page; what it says on the console, or asks of another site, fails the test at its end."""
    problems, contexts = [], []

    def visit(size: dict[str, int] = DESK, scheme: str = "light"):
        contexts.append(chromium.new_context(viewport=size, color_scheme=scheme, permissions=["microphone"]))
        page = contexts[-1].new_page()
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: problems.append(request.url) if not own(request.url, server) else None)
        page.goto(server.url)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert [line for line in problems if "status of 4" not in line] == []


def own(url: str, server: Server) -> bool:
    return url.startswith((server.url, f"blob:{server.url}"))


def recording(seconds: float = 1.0) -> bytes:
    file = io.BytesIO()
    x = 0.1 * np.random.default_rng(0).standard_normal(round(seconds * 16000))
    soundfile.write(file, x, 16000, format="WAV")
    return file.getvalue()


def until(page, condition: str) -> None:
    """Playwright's own wait_for_function needs what the page's policy forbids."""
    for _ in range(600):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never: {condition}")


def shown(page, seconds: float) -> None:
    """Both pictures are drawn, both players have the sound, the transcript is there."""
    page.locator("#result").wait_for()
    for side in ("before", "after"):
        until(page, f"document.getElementById('{side}').readyState > 0")
        assert page.locator(f"#{side}").evaluate("p => p.duration") == pytest.approx(seconds, rel=0.02)
        assert page.locator(f"#spectrum-{side}").evaluate(COLOURS) > 100
    assert page.locator("#text").inner_text()
    assert page.locator("#error").inner_text() == ""


COLOURS = """canvas => {
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const seen = new Set();
  for (let i = 0; i < pixels.length; i += 4) seen.add(pixels[i] * 65536 + pixels[i + 1] * 256 + pixels[i + 2]);
  return seen.size;
}"""


def test_a_chosen_file(visit):
    page = visit()
    page.locator("#file").set_input_files({"name": "talk.wav", "mimeType": "audio/wav", "buffer": recording()})
    shown(page, 1.0)
    assert page.locator("#status").inner_text() == "talk.wav: 1.0 s"
    page.locator("#after").evaluate("player => player.play()")
    until(page, "document.getElementById('after').currentTime > 0.05")
    with page.expect_download() as download:
        page.get_by_role("link", name="Save").click()
    assert soundfile.info(download.value.path()).frames == 16000


def test_a_dropped_file_and_one_that_is_no_audio(visit):
    page = visit(PHONE, "dark")
    drop = """([content, name]) => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(content)], name));
      document.getElementById("drop").dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true }));
    }"""
    page.evaluate(drop, [list(recording(0.5)), "a.wav"])
    shown(page, 0.5)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.evaluate(drop, [list(b"hello"), "b.txt"])
    until(page, "document.getElementById('error').textContent.includes('not readable audio')")
    assert page.locator("#result").is_hidden()


def test_a_recording_by_keyboard(visit):
    page = visit()
    button = page.get_by_role("button", name="Record", exact=True)
    button.focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Stop").wait_for()
    page.wait_for_timeout(700)
    page.keyboard.press("Enter")
    page.locator("#result").wait_for()
    assert page.locator("#before").evaluate("p => p.duration") > 0.3
    assert page.locator("#spectrum-before").evaluate(COLOURS) > 10  # the beeps of the device
