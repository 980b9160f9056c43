"""local/run_pretrained.sh: which models it trains, from which seeds."""

import os
import subprocess
from pathlib import Path

from data_maker import ROOT

from mimic.tasks.overrides import Model, read_trainings

CORPORA = ("speechocean762", "librispeech251", "ljspeech", "noise", "noise2", "rooms")


def trainings(tmp_path: Path, *words: str) -> dict[str, dict[str, str]]:
    """{experiment directory: {setting: value}}, as the recipe itself finds out before its first stage."""
    listed = tmp_path / "trainings"
    listed.unlink(missing_ok=True)
    env = os.environ | {"MIMIC_TRAININGS": str(listed), "MIMIC_RECIPE": "local/run_pretrained.sh"}
    env["BASH_ENV"] = "steps/lib/list_trainings.sh"
    command = ["bash", "local/run_pretrained.sh", "--corpora", str(tmp_path), "--exp", str(tmp_path / "exp")]
    command += ["--data", str(tmp_path / "data"), "--dry-run", "true", *words]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    models = [made for made in read_trainings(listed.read_text()) if isinstance(made, Model)]
    return {
        model.name: dict(zip(model.words[::2], model.words[1::2], strict=True)) | {"config": model.config}
        for model in models
    }


def test_every_model_is_trained_from_its_seed_and_mimic_loss_is_all_that_differs(tmp_path):
    for name in CORPORA:
        (tmp_path / name).mkdir()
    found = trainings(
        tmp_path, "--seed", "3", "--seeds", "2", "--models", "fast gtcrn", "--mimic-options", "--loss.mimic_weight 2"
    )
    assert found.pop("perceptual")["--train.seed"] == "3"
    seeds = {f"{model}{kind}{suffix}": seed for model in ("fast", "gtcrn") for kind in ("", "_tuned", "_mimic")
             for suffix, seed in (("", "3"), ("_seed4", "4"))}  # fmt: skip
    assert {name: settings["--train.seed"] for name, settings in found.items()} == seeds
    for name, settings in found.items():
        model = name.split("_")[0]
        assert settings.pop("config") == f"conf/mask_{model}.yaml"
        if "_mimic" in name:
            twin = found[name.replace("_mimic", "_tuned")]
            assert settings["--data.init"].endswith(f"exp/{name.replace('_mimic', '')}")
            assert settings == twin | {"--loss.perceptual": f"{tmp_path}/exp/perceptual", "--loss.mimic_weight": "2"}
