"""A tiny corpus of noise with transcripts, and how to train on it."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from tolerance import assert_near, of_network

from mimic.frontend.fbank import Fbank
from mimic.frontend.stft import Stft
from mimic.io.archives import ArkWriter
from mimic.io.feature_dir import GLOBAL_KEY, CmvnStats
from mimic.io.tables import write_data_dir
from mimic.models.config import Config
from mimic.tasks import TASKS
from mimic.tasks import config as configuration
from mimic.training import checkpoint
from mimic.training.loop import fit
from mimic.training.run import Run
from mimic.training.step import gradients, set_seed
from mimic.training.stop import Stop
from mimic.training.task import Task

SIZES = "channels: [2, 2], rnn_layers: 1, rnn_units: 4, dnn_layers: 1, dnn_units: 8"
DECODER = "{embedding: 4, units: 6, attention: 5, channels: 2, kernel: 2}"
PERCEPTUAL = f"""
task: asr
net: crdnn
model: {{{SIZES}, dropout: 0.2}}
decoder: {DECODER}
data: {{token_type: phn, normalise: none}}
loss: {{ctc_weight: 0.7, attention_weight: 0.3}}
decode: {{ctc_weight: 0.5}}
train: {{epochs: 3, batch_size: 3, lr: 0.01, best_metric: ter, num_avg_ckpts: 2, avg_policy: last}}
"""
ENHANCE = """
task: enhance
net: cnn_transformer
model: {channels: [6, 4], layers: 1, heads: 2, feedforward: 8, dropout: 0.2}
loss: {mimic_weight: 0.15}
train: {epochs: 2, batch_size: 3, lr: 0.01, best_metric: loss}
"""


DENOISE = """
task: denoise
net: bilstm
model: {units: 4, bottleneck: 3}
augment: {rir_prob: 0.0, babble: false, speeds: [0.9, 1.0, 1.1], gain_db: 3.0, crop_s: 0.4}
train: {epochs: 2, batch_size: 3, lr: 0.01, best_metric: stoi, workers: 2}
"""
PROBE_ENHANCE = """
task: probe_enhance
net: probe
model: {units: 4, rnn_layers: 1, rnn_units: 3}
mask: {domain: complex}
augment: {rir_prob: 0.0, babble: false, crop_s: 0.4}
data: {valid_utterances: 1}
train: {epochs: 2, batch_size: 3, lr: 0.01, best_metric: loss, validate_every: 2}
"""
DISTILL = """
task: distill
net: student
model: {layers: 2, units: 128, heads: 2, feedforward: 24, channels: 16, position_kernel: 16, position_groups: 4,
  head_units: 6}
teacher: {layers: [1, 2, 3]}
augment: {noise_prob: 0.5, white_prob: 0.5, rir_prob: 0.0, babble: false, crop_s: 0.4}
loss: {enhance_weight: 0.5}
train: {epochs: 2, batch_size: 3, optimiser: adamw, lr: 0.001, schedule: linear, warmup: 1, workers: 2}
"""
PRETRAIN = """
task: pretrain_ssl
net: hubert
model: {layers: 1, units: 8, heads: 2, feedforward: 12, channels: 4, position_kernel: 4, position_groups: 2,
  clusters: 5, projection: 6, mask_starts: 0.1, mask_length: 3}
train: {epochs: 2, batch_size: 3, lr: 0.01, best_metric: accuracy}
"""
CLASSIFY = """
task: classify
net: probe
model: {states: 2, units: 6}
train: {epochs: 2, batch_size: 3, lr: 0.01, best_metric: accuracy}
"""
RECOGNISER = PERCEPTUAL.replace("normalise: none", "normalise: global").replace("best_metric: ter", "best_metric: wer")
JOINT = (
    RECOGNISER.replace("task: asr", "task: joint")
    + """
joint: {unfreeze_epoch: 2}
enhance_loss: {spectral_weight: 0.0}
"""
)


def make_set(root: Path, name: str, prefix: str, utterances: int) -> None:
    """Data directories root/name_{clean,noisy} with STFT features in them; root/fbank/name_* have fbank features."""
    for kind, extract in (("stft", Stft()), ("fbank", Fbank())):
        for side in ("clean", "noisy"):
            draw = np.random.default_rng(len(prefix))
            directory = (root if kind == "stft" else root / kind) / f"{name}_{side}"
            directory.mkdir(parents=True)
            names = ("wav.scp", "text", "text.phn", "utt2spk", "utt2num_frames")
            tables: dict[str, dict[str, str]] = {n: {} for n in names}
            stats = CmvnStats()
            with ArkWriter(directory / "feats.ark", directory / "feats.scp") as writer:
                for i in range(utterances):
                    utt = f"{prefix}-{i:02d}"
                    waveform = draw.normal(0, 0.05, 5000 + 700 * i).astype(np.float32)
                    waveform += draw.normal(0, 0.02, len(waveform)).astype(np.float32) * (side == "noisy")
                    soundfile.write(directory / f"{utt}.wav", waveform, 16000)
                    features = extract(torch.from_numpy(waveform)).numpy()
                    writer.write(utt, features)
                    stats.add(GLOBAL_KEY, features)
                    tables["wav.scp"][utt] = str(directory / f"{utt}.wav")
                    tables["text.phn"][utt] = " ".join("AA B K".split()[: 1 + i % 3])
                    tables["text"][utt], tables["utt2spk"][utt] = "WORD", prefix
                    tables["utt2num_frames"][utt] = str(len(features))
            write_data_dir(directory, tables)
            stats.write(directory / "global_cmvn.ark", directory / "global_cmvn.scp")
            (directory / "conf").mkdir()
            (directory / "conf" / f"{kind}.conf").write_text("--n-fft=512\n" if kind == "stft" else "")


def make_noises(root: Path) -> None:
    """Two noise types in root/noises."""
    draw = np.random.default_rng(5)
    (root / "noises").mkdir()
    for name in ("hiss-1", "hiss-2", "wind-1"):
        soundfile.write(root / "noises" / f"{name}.wav", draw.normal(0, 0.05, 9000), 16000)


def overrides(root: Path, kind: str) -> list[str]:
    """The directories of perceptual.yaml, recogniser.yaml, enhance.yaml, segan.yaml, denoise.yaml ... in `root`."""
    if kind in ("perceptual", "recogniser", "lm", "classify"):
        features = root / "fbank" if kind in ("recogniser", "classify") else root
        return ["--data.train", f"{features}/train_clean", "--data.dev", f"{features}/dev_clean"]
    if kind in ("denoise", "demucs", "metricgan", "distill", "probe_enhance"):
        names = {"train": "train_clean", "noises": "noises", "dev_noisy": "dev_noisy", "dev_clean": "dev_clean"}
        names |= {"features": "fbank/train_clean"} if kind == "probe_enhance" else {}
        teacher = ["--teacher.path", f"{root}/teacher.pt"] if kind == "distill" else []
        return teacher + [word for name, data in names.items() for word in (f"--data.{name}", f"{root}/{data}")]
    if kind == "pretrain":
        names = {"train": "train_clean", "targets": "units/train", "dev": "dev_clean", "dev_targets": "units/dev"}
        return [word for name, data in names.items() for word in (f"--data.{name}", f"{root}/{data}")]
    sets = [f"{part}_{side}" for part in ("train", "dev") for side in ("noisy", "clean")]
    if kind in ("enhance", "segan"):
        pairs = [word for name in sets for word in (f"--data.{name}", f"{root}/{name}")]
        return pairs if kind == "segan" else [*pairs, "--loss.perceptual", f"{root}/exp_perceptual"]
    names = ("train", "train_clean", "dev", "dev_clean")
    pairs = [word for name, data in zip(names, sets, strict=True) for word in (f"--data.{name}", f"{root}/{data}")]
    start = ["--data.init", f"{root}/exp_recogniser", "--joint.enhancer", f"{root}/exp_enhance"]
    return [*pairs, *start, "--enhance_loss.perceptual", f"{root}/exp_perceptual"]


def build(root: Path, kind: str, directory: Path, *extra: str) -> tuple[Task, Config]:
    """The task of {kind}.yaml before training."""
    config = configuration.read(root / f"{kind}.yaml", [*overrides(root, kind), *extra])
    directory.mkdir(parents=True, exist_ok=True)
    configuration.write(config, directory / "config.yaml")
    set_seed(config.train.seed, -1)
    return TASKS[config.task](config, directory), config


def run(root: Path, kind: str, directory: Path, *extra: str, stop: Stop | None = None) -> dict[str, torch.Tensor]:
    """Train, and give the final weights."""
    task, config = build(root, kind, directory, *extra)
    fit(task, config.train, directory, torch.device("cpu"), stop)
    return checkpoint.load(directory / "model.pt")


def assert_pieces_are_the_batch(root: Path, kind: str, directory: Path, *extra: str) -> dict[str, torch.Tensor]:
    """Losses and gradients of a batch of five do not depend on the pieces it is cut into; gives those in one piece.

    Without dropout and batch statistics.
    """
    found, errors = {}, {}
    for pieces in (1, 2, 7):  # more pieces than utterances
        task, config = build(root, kind, directory / str(pieces), "--train.accum_grad", str(pieces), *extra)
        run = Run(task, config.train, directory / str(pieces), torch.device("cpu"))
        task.eval()
        evaluate = partial(_losses_and_gradients, run)
        found[pieces] = evaluate()
        errors = errors or of_network(task, evaluate)
        assert_near(found[pieces], found[1], errors)
    return found[1]


def _losses_and_gradients(run: Run) -> dict[str, torch.Tensor]:
    utterances = sorted(run.task.lengths)[:5]
    ((_, losses),) = gradients(run, utterances, run.batches.load(utterances))
    grads = {f"gradient of {n}": p.grad for n, p in run.task.model.named_parameters() if p.grad is not None}
    return {name: value.detach().clone() for name, value in (losses | grads).items()}


def assert_equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


def enhanced_alone_as_together(model: torch.nn.Module, stft: Stft, lengths: tuple[int, ...]) -> list[torch.Tensor]:
    """What an enhancer makes of a batch of noise: waveforms of these lengths, which do not depend on the batch."""
    waveforms = [0.1 * torch.randn(n) for n in lengths]
    with torch.inference_mode():
        together = model.enhance(waveforms, stft)
        assert [enhanced.shape for enhanced in together] == [waveform.shape for waveform in waveforms]
        errors = of_network(model, lambda: dict(enumerate(model.enhance(waveforms, stft))))
        single = [model.enhance([waveform], stft)[0] for waveform in waveforms]
        errors = dict.fromkeys(errors, max(errors.values()))  # a single sample is not a measure
        assert_near(dict(enumerate(single)), dict(enumerate(together)), errors)
    return together


class Killed(Exception):
    pass


def run_and_kill(monkeypatch, every: int, root: Path, kind: str, directory: Path) -> dict[str, torch.Tensor]:
    """`run` with a checkpoint after every step, ended by an error whenever `every` batches have been loaded."""
    task = TASKS[configuration.read(root / f"{kind}.yaml").task]
    loaded, load = 0, task.load

    def counting(self, utterances):
        nonlocal loaded
        loaded += 1
        if loaded % every == 0:
            raise Killed
        return load(self, utterances)

    monkeypatch.setattr(task, "load", counting)
    for _ in range(30):
        try:
            weights = run(root, kind, directory, "--train.checkpoint_interval", "0")
        except Killed:
            continue
        assert loaded > 2 * every, "the run was never cut"
        return weights
    raise AssertionError("the run never came to its end")


def make_corpus(root: Path, **texts: str) -> Path:
    """A training and a development set, and configurations name.yaml with these texts."""
    make_set(root, "train", "aa", 8)
    make_set(root, "dev", "b", 3)
    for name, text in texts.items():
        (root / f"{name}.yaml").write_text(text)
    return root


def make_mimic_corpus(root: Path) -> Path:
    """The same with a perceptual model, which is trained, and an enhancer, which is not."""
    make_corpus(root, perceptual=PERCEPTUAL, enhance=ENHANCE)
    run(root, "perceptual", root / "exp_perceptual")
    return root


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpus"), perceptual=PERCEPTUAL)


def log(directory: Path) -> list[dict]:
    """The epochs of a training."""
    return [json.loads(line) for line in (directory / "train_log.jsonl").open()]


def saved(directory: Path) -> int:
    """The last step that a checkpoint holds."""
    return max((int(path.stem[5:]) for path in (directory / "checkpoints").glob("step-*.pt")), default=-1)
