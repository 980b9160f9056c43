"""Streaming recognisers as ONNX graphs: every chunking gives what torch gives for the whole; sherpa-onnx runs them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from data_maker import ROOT
from model_maker import make_recogniser
from peers import needs
from torch import nn

from mimic.decoding.ctc.prefix import greedy
from mimic.frontend.fbank import Fbank, FbankConfig
from mimic.frontend.front_end import front_end
from mimic.frontend.logmel import LogMel, LogMelConfig
from mimic.models.recogniser import Recogniser
from mimic.nets import deepspeech2

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: steps/setup.sh")
from mimic.deploy import ctc_graph, graph_file, onnx_ctc
from mimic.deploy.onnx import export

SIZES = "channels: [2, 3], kernels: [[5, 7], [3, 5]], strides: [[2, 2], [1, 2]], rnn_layers: 2, rnn_units: 6"
NETS = {
    "gru": f"{{{SIZES}, padding: true, norm: true, lookahead: 3, limit: 20, dense: 0}}",
    "lstm": f"{{{SIZES}, padding: false, rnn: lstm, dense: 5}}",
}
EQUAL = 1e-5  # what users ask of a stream; of probabilities


def make(folder: Path, net: str, features: str = "fbank", options: str = "--num-mel-bins=20\n") -> Path:
    """A recogniser of one direction whose weights and statistics are not those of the beginning."""
    make_recogniser(folder, "deepspeech2", features=features)
    config = (folder / "config.yaml").read_text()
    before = config[config.index("model: ") : config.index("\ndecoder")]
    (folder / "config.yaml").write_text(config.replace(before, f"model: {NETS[net]}"))
    (folder / "features.conf").write_text(f"--type={features}\n{options}")
    from mimic.models.recogniser import network
    from mimic.tasks import config as configuration
    from mimic.training import checkpoint

    torch.manual_seed(2)
    model = network(configuration.read(folder / "config.yaml"), onnx_ctc_normaliser(), 8)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
    for weight in model.parameters():
        weight.data *= 1.5
    checkpoint.save(model.state_dict(), folder / "model.pt")
    return folder


def onnx_ctc_normaliser():
    from mimic.frontend.cmvn import Cmvn

    normaliser = Cmvn(20)
    normaliser.mean += 8
    normaliser.scale *= 0.3
    return normaliser
