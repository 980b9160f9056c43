"""A Chromium for the tests of pages: that of CHROMIUM, of the system (apt install chromium) or of `playwright install
chromium`.
"""

import os
import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="module")  # no longer: processes that other tests fork would hold on to its pipes
def chromium():
    reason = "playwright is not installed: steps/setup.sh --dev true"
    sync_api = pytest.importorskip("playwright.sync_api", reason=reason)
    with sync_api.sync_playwright() as playwright:
        names = ("chromium", "chromium-browser", "google-chrome")
        found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
        if found is None and not Path(playwright.chromium.executable_path).exists():
            pytest.skip("no Chromium here: apt install chromium, or name one in CHROMIUM")
        # Where a page records, its input is beeps.
        arguments = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        arguments += ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=found, args=arguments)
        yield browser
        browser.close()
