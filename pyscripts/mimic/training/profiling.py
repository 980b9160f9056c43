"""Where the time of training goes: some of its steps in torch's profiler."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import profiler

from mimic.io import atomic

log = logging.getLogger(__name__)
FIRST = 10  # steps before: caches and threads are not warm yet
ROWS = 30


@contextmanager
def profiled(steps: int, folder: Path) -> Iterator[Callable[[], None]]:
    """Gives what is to be called after each step. After FIRST + `steps` of them `folder` has table.txt, operations by
    the time of their own, and trace.json for chrome://tracing. 0 steps: nothing is done."""
    if not steps:
        yield lambda: None
        return
    folder.mkdir(parents=True, exist_ok=True)

    def write(found: profiler.profile) -> None:
        with atomic.replace(folder / "table.txt") as f:
            f.write(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=ROWS))
        found.export_chrome_trace(str(folder / "trace.json"))
        log.info("profile of %d steps: %s", steps, folder / "table.txt")

    times = profiler.schedule(wait=FIRST - 1, warmup=1, active=steps, repeat=1)
    with profiler.profile(schedule=times, on_trace_ready=write, acc_events=True) as running:
        yield running.step
