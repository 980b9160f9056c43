"""Experiment directories of very small models that nobody has trained, and how to run a program on them."""

import runpy
import sys
from pathlib import Path

import numpy as np
import torch
from data_maker import ROOT

from mimic.frontend.cmvn import Cmvn
from mimic.frontend.stft import Stft, StftConfig
from mimic.io import weights
from mimic.io.archives import ArkWriter
from mimic.io.tables import write_table
from mimic.io.tokens import BLANK, Tokens
from mimic.models.enhancer import network as enhancer
from mimic.models.recogniser import network as recogniser
from mimic.nets.segan import Segan
from mimic.tasks import config as configuration
from mimic.training import checkpoint

ENHANCERS = {
    "cnn_transformer": "{channels: [12, 8], layers: 2, heads: 2, feedforward: 8}",
    "crdnn": "{channels: [2, 2], rnn: ligru, rnn_layers: 1, rnn_units: 6, dnn_layers: 1, dnn_units: 8}",
    "wide_resnet": "{channels: [2, 3, 4], dnn_layers: 1, dnn_units: 8}",
    "causal": "{units: 12, layers: 2}",
    "fast": "{channels: 4, units: 4, positions: 5, heads: 2}",
}
ENCODERS = {
    "crdnn": "{channels: [2, 2], time_pooling: 4, rnn: RNN, rnn_layers: 1, rnn_units: 6, dnn_layers: 1, dnn_units: 8}",
    "conformer": "{channels: 2, layers: 1, units: 8, heads: 2, feedforward: 8, kernel: 5}",
    "deepspeech2": "{channels: [2], kernels: [[5, 7]], strides: [[2, 2]], padding: true, rnn_layers: 2, rnn_units: 4,"
    " bidirectional: true, sum_directions: true, norm: true, dense: 6}",
    "quartznet": "{modules: 2, channels: [4, 5, 6, 7], kernels: [5, 5, 7]}",
}
CTC_ALONE = ("deepspeech2", "quartznet")


def program(name: str, *words: object) -> int:
    """Run a program of pyscripts/ in this process, which spares the seconds that loading torch takes: its exit code."""
    before = sys.argv
    sys.argv = [str(ROOT / "pyscripts" / name), *map(str, words)]
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as ended:
        return int(ended.code or 0)
    finally:
        sys.argv = before
    raise AssertionError("the program has not come to its end")


def make_enhancer(directory: Path, net: str, mask: str = "{}") -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.yaml").write_text(f"task: enhance\nnet: {net}\nmodel: {ENHANCERS[net]}\nmask: {mask}\n")
    window = "--window-type=hann\n--pad-end=true\n" if net == "fast" else ""
    (directory / "features.conf").write_text(f"--n-fft=512\n{window}")
    torch.manual_seed(1)
    model = enhancer(configuration.read(directory / "config.yaml"), Stft(StftConfig()))
    checkpoint.save(model.state_dict(), directory / "model.pt")
    return directory


def make_shipped(folder: Path, name: str = "tiny") -> Path:
    """The folder pretrained/ with an enhancer in it, which is the default."""
    directory = make_enhancer(folder / name, "causal")
    weights.save_safetensors(weights.load(directory / "model.pt"), directory / "model.safetensors")
    (directory / "model.pt").unlink()
    (folder / "default").write_text(f"{name}\n")
    return folder


def make_recogniser(
    directory: Path,
    net: str = "crdnn",
    rnn: str = "ligru",
    normalise: str = "none",
    features: str = "fbank",
    sizes: str = "",
) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.yaml").write_text(
        f"task: asr\nnet: {net}\nmodel: {sizes or ENCODERS[net].replace('RNN', rnn)}\n"
        "decoder: {embedding: 4, units: 6, attention: 5, channels: 2, kernel: 2}\n"
        f"data: {{token_type: char, normalise: {normalise}}}\ndecode: {{beam: 2, ctc_weight: 1.0}}\n"
        f"loss: {{attention_weight: {0 if net in CTC_ALONE else 0.7}}}\n"
    )
    bins = "--n-fft=38\n--win-length=38\n--hop-length=19" if features == "stft" else "--num-mel-bins=20"
    (directory / "features.conf").write_text(f"--type={features}\n{bins}\n")
    tokens = Tokens.build("char", ["AB CA"])
    tokens.save(directory)
    torch.manual_seed(1)
    model = recogniser(configuration.read(directory / "config.yaml"), Cmvn(20), len(tokens))
    if net in CTC_ALONE:
        model.ctc.bias.data[BLANK] -= 3  # so that the output is not empty
    checkpoint.save(model.state_dict(), directory / "model.pt")
    return directory


def make_features(directory: Path, utterances: int) -> Path:
    """A feature directory of noise, for `make_recogniser`."""
    directory.mkdir(parents=True)
    draw, frames = np.random.default_rng(3), {f"utt{i}": 60 + 25 * i for i in range(utterances)}
    with ArkWriter(directory / "feats.ark", directory / "feats.scp") as writer:
        for utt, n in frames.items():
            writer.write(utt, (3 * draw.normal(size=(n, 20))).astype(np.float32))
    write_table(directory / "utt2num_frames", {utt: str(n) for utt, n in frames.items()})
    write_table(directory / "text", dict.fromkeys(frames, "AB CA"))
    (directory / "frame_shift").write_text("0.01\n")
    return directory


def make_segan(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    sizes = "{channels: [4, 6], kernel: 7, stride: 4, window: 4096}"
    (directory / "config.yaml").write_text(f"task: segan\nnet: segan\nmodel: {sizes}\n")
    torch.manual_seed(1)
    model = Segan(configuration.read(directory / "config.yaml").model)
    for parameter in model.parameters():
        parameter.data *= 10  # at the start SEGAN's weights let little through
    checkpoint.save(model.state_dict(), directory / "model.pt")
    return directory
