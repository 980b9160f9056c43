"""Scores by models that users give: TorchScript, ONNX, a program; what is neither is refused with a line."""

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import score_enhancement
import torch
from onnx import TensorProto, helper
from score_maker import write_pair

from mimic.errors import NotScored, UserError
from mimic.metrics.mos_models import MosModel, mos_models
from mimic.metrics.scores import read_rows


class Loudness(torch.nn.Module):
    """A waveform (1, samples) and its rate -> five numbers, as NISQA's; the first depends on both."""

    def forward(self, x: torch.Tensor, rate: int) -> torch.Tensor:
        return torch.stack([x.abs().max() + rate / 1000, x.sum(), x.sum(), x.sum(), x.sum()])[None]


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("mos")
    torch.jit.script(Loudness()).save(folder / "nisqa.pt")
    torch.save({"weights": torch.zeros(3)}, folder / "checkpoint.pt")
    waveform = helper.make_tensor_value_info("wav", TensorProto.FLOAT, [1, "samples"])
    score = helper.make_tensor_value_info("mos", TensorProto.FLOAT, [1, 1])
    node = helper.make_node("ReduceMax", ["wav"], ["mos"], keepdims=1)
    graph = helper.make_graph([node], "g", [waveform], [score])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), folder / "scoreq.onnx"
    )
    code = "import sys, soundfile\nfor line in sys.stdin:\n    x, rate = soundfile.read(line.strip())\n"
    code += "    print(len(x) if len(x) > 3200 else 'too short', flush=True)\n"
    (folder / "count.py").write_text(code)
    return folder


def test_each_form_of_model(files):
    x = 0.5 * np.sin(np.linspace(0, np.pi, 16000)) ** 2  # far below the filter of the resampler: its largest stays
    (found,) = MosModel(f"nisqa={files / 'nisqa.pt'}")(x, x)
    assert abs(found - 48.5) < 1e-3  # 48 kHz, and the largest sample
    assert MosModel(f"scoreq={files / 'scoreq.onnx'}")(x, x) == [float(x.max().astype(np.float32))]
    count = MosModel(f"n=cmd:{sys.executable} {files / 'count.py'}")
    assert count(x, x[:6401]) == [6720] and count(x, x) == [16000]  # a multiple of 320
    with pytest.raises(NotScored, match="n failed .*too short"):
        count(x, x[:320])


def test_what_is_refused(files, tmp_path):
    for text, words in (
        ("utmos", "write NAME=FILE"),
        ("stoi=x.onnx", "not of another measure"),
        ("utmos=nowhere.pt", "there is no file nowhere.pt"),
        ("'", "quotation"),
        (f"a={files / 'scoreq.onnx'} a={files / 'scoreq.onnx'}", "a is given twice"),
    ):
        with pytest.raises(UserError, match=words):
            mos_models(text)
    (tmp_path / "bad.onnx").write_text("no graph")
    for text, words in (
        (f"utmos={files / 'checkpoint.pt'}", "neither ONNX .* nor TorchScript: a checkpoint needs its own code"),
        (f"a={tmp_path / 'bad.onnx'}", "onnxruntime cannot open it"),
        ("a=cmd:/no/such/program", "No such file"),
    ):
        with pytest.raises(UserError, match=words):
            mos_models(text)[0].model  # noqa: B018
    with pytest.raises(NotScored, match="false ended with 1"):
        MosModel("a=cmd:false")(np.zeros(320), np.zeros(320))


@pytest.mark.parametrize("reference", ["clean", "none"])
def test_the_program_has_them_as_columns(files, tmp_path, monkeypatch, capsys, reference):
    clean, data = write_pair(tmp_path, 2)
    words = ["--measures", "si-sdr", clean]
    words = words if reference == "clean" else ["--reference", "none", "--measures", "none"]
    given = f"scoreq={files / 'scoreq.onnx'} utmos={files / 'nisqa.pt'}"
    monkeypatch.setattr(
        sys, "argv", ["score_enhancement.py", "--mos-models", given, *map(str, [*words, data, tmp_path / "scoring"])]
    )
    score_enhancement.main()
    rows = read_rows(tmp_path / "scoring")
    assert all(list(row.scores)[-2:] == ["scoreq", "utmos"] and row.scores["utmos"] > 16 for row in rows.values())
    assert "scoreq: " in capsys.readouterr().out
