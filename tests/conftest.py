"""What all tests share."""

import os
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest
import selection

from mimic import cli

ROOT = Path(__file__).resolve().parents[1]
CHOICES = {"fast": selection.is_fast, "numerical": selection.is_numerical}
cli.leave = sys.exit  # a program that a test runs in its own process does not end that


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--only", choices=CHOICES, help="tests/selection.py says which tests those are")


def pytest_configure(config: pytest.Config) -> None:
    """Programs that tests start are forked from one that has loaded torch, unless MIMIC_FORKS is set, as to nothing."""
    if "MIMIC_FORKS" in os.environ:  # by the user, or by the process that has started this one (pytest-xdist)
        return
    folder = tempfile.mkdtemp(prefix="forks-")
    config.add_cleanup(lambda: shutil.rmtree(folder))  # its servers end
    os.environ |= {"MIMIC_FORKS": folder, "MIMIC_FORKS_VENV": sys.prefix}
    os.environ["PATH"] = f"{ROOT}/tests/forks:{ROOT}/steps/lib:{sys.prefix}/bin:{os.environ['PATH']}"


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """The last line says why tests were skipped."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:  # a process of pytest-xdist
        return
    build = reporter.build_summary_stats_line

    def with_reasons() -> tuple[list[tuple[str, dict[str, bool]]], str]:
        parts, colour = build()
        reports = (report.longrepr for report in reporter.stats.get("skipped", []))
        count = Counter(r[2].removeprefix("Skipped: ") if isinstance(r, tuple) else str(r) for r in reports)
        why = "; ".join(f"{number}: {reason}" for reason, number in count.most_common())
        return [(f"{text} ({why})" if text.endswith(" skipped") else text, markup) for text, markup in parts], colour

    reporter.build_summary_stats_line = with_reasons


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.option.only:
        return
    chosen = [item for item in items if CHOICES[config.option.only](item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = chosen


@pytest.fixture(scope="session")
def repository() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Real speech, noise and RIRs, where the machine has them."""
    path = Path(os.environ.get("MIMIC_REAL_DATA", ROOT.parent / "shared" / "data"))
    if not (path / "speechocean762").is_dir():
        pytest.skip(f"no real speech at {path}: set MIMIC_REAL_DATA")
    return path
