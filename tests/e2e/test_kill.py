"""kill -9 in every stage, then a rerun: the results are those of the run that nothing disturbed."""

import os
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from recipe import Recipe, difference, kill, results

pytestmark = pytest.mark.xdist_group("recipe")

# Each stage is killed once at a moment when its work is half done, and so often at a random one.
RANDOM_KILLS = int(os.environ.get("MIMIC_KILLS", "1"))


@dataclass
class Stage:
    """What of a stage's output is made again, and when that is half done.

    `later`: what other stages have put into the directories that are removed.
    """

    removed: list[str]
    half_done: Callable[[Path], bool]
    later: str = "$nothing"


def some(pattern: str, number: int = 1) -> Callable[[Path], bool]:
    return lambda root: len(list(root.glob(pattern))) >= number


STAGES = {
    1: Stage(["data"], some("data/train_noisy/wav/*.wav", 5)),
    2: Stage(["exp/stft/train_noisy", "exp/fbank/train_clean"], some("exp/stft/train_noisy/archives/feats.1.ark.tmp")),
    3: Stage(["exp/perceptual"], some("exp/perceptual/checkpoints/*.pt")),
    4: Stage(
        ["exp/enhance_mimic"],
        some("exp/enhance_mimic/weights/*.pt"),
        later="exp/enhance_mimic/(wav|enhanced|scoring)/",
    ),
    5: Stage(
        ["exp/enhance_mimic/wav/train", "exp/enhance_mimic/enhanced/train"],
        some("exp/enhance_mimic/wav/train/wav/*.wav", 3),
    ),
    6: Stage(
        ["exp/asr_clean"],
        some("exp/asr_clean/weights/*.pt"),
        later=r"exp/asr_clean/(scoring/|decode_\w+/(wer|cer|scoring_kaldi))",
    ),
    7: Stage(
        [
            "exp/asr_mimic/scoring",
            "exp/asr_mimic/decode_dev/scoring_kaldi",
            "exp/enhance_mimic/scoring",
            "exp/RESULTS.md",
        ],
        some("exp/enhance_mimic/scoring/test/shares"),
    ),
}


def everything(root: Path) -> dict[str, object]:
    return {f"{top}/{name}": value for top in ("data", "exp") for name, value in results(root / top).items()}


def seconds(recipe: Recipe, removed: list[str]) -> float:
    """How long the undisturbed run has worked on these directories."""
    marks = [path for name in removed for path in (recipe.saved / name).rglob(".done")]
    return sum(path.stat().st_mtime - path.with_name(".fingerprint").stat().st_mtime for path in marks)


def table(root: Path) -> list[str]:
    return [line for line in (root / "exp/RESULTS.md").read_text().splitlines() if line.startswith("|")]


@pytest.mark.parametrize("number", STAGES)
def test_the_rerun_ends_with_the_same(recipe, number):
    stage, root = STAGES[number], recipe.root
    words = ("--stage", str(number), "--stop-stage", str(number))
    wanted = {name: value for name, value in everything(root).items() if not re.match(stage.later, name)}
    wanted_table = table(root)
    draw, normal = random.Random(number), seconds(recipe, stage.removed)
    recipe.remove(*stage.removed)

    process = recipe.start(*words)
    while process.poll() is None and not stage.half_done(root):
        time.sleep(0.002)
    assert kill(process), "it has ended before it was half done"
    for _ in range(RANDOM_KILLS):
        process = recipe.start(*words)
        time.sleep(normal * draw.random())
        kill(process)
    said = recipe.run(*words)

    assert not difference(everything(root), wanted), said
    assert table(root) == wanted_table
