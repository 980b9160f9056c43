"""Graphs of 8 bit: only the network's products change, scores before and after are printed, a worse WER is refused."""

import runpy
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
from data_maker import ROOT
from model_maker import make_enhancer, make_recogniser, program

from mimic.errors import UserError

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: steps/setup.sh")
from mimic.deploy.onnx import export
from mimic.deploy.quantise import OUTSIDE, Exported


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """asr/ and fast/, exported; data/ with transcripts, clean/ with the same utterances."""
    root = tmp_path_factory.mktemp("quantise")
    export(make_recogniser(root / "model/asr", "crdnn"), root / "asr")
    export(make_enhancer(root / "model/fast", "fast"), root / "fast")
    draw = np.random.default_rng(1)
    for side in ("data", "clean"):
        (root / side).mkdir()
        utts = [f"u{i}" for i in range(6)]
        for utt in utts:
            soundfile.write(root / side / f"{utt}.wav", draw.normal(0, 0.1, 9000), 16000)
        (root / side / "wav.scp").write_text("".join(f"{utt} {root / side / utt}.wav\n" for utt in utts))
        (root / side / "text").write_text("".join(f"{utt} AB CA\n" for utt in utts))
    return root


def eight_bit(path: Path) -> int:
    return sum(w.data_type == onnx.TensorProto.INT8 and len(w.dims) > 1 for w in onnx.load(path).graph.initializer)


@pytest.mark.parametrize("kind", ["dynamic", "static"])
def test_a_recogniser(root, caplog, kind):
    caplog.set_level("INFO")
    words = ("--method", kind, "--max-wer-rise", "1000", root / "asr", root / "data")  # nobody has trained it
    assert program("quantise.py", *words) == 0
    assert "WER" in caplog.text and "4 utterances" in caplog.text and f"{kind}: " in caplog.text
    graph = onnx.load(root / "asr/model.int8.onnx").graph
    assert eight_bit(root / "asr/model.int8.onnx") > 0
    kept = {node.name: node.op_type for node in graph.node}
    before = onnx.load(root / "asr/model.onnx").graph.node
    front = [node.name for node in before if node.op_type in ("Conv", "MatMul") and OUTSIDE.fullmatch(node.name)]
    assert len(front) == 2 and all(kept[name] in ("Conv", "MatMul") for name in front)
    inputs = {node.name: list(node.input) for node in graph.node}
    originals = {node.name: list(node.input) for node in before}
    assert all(inputs[name] == originals[name] for name in front)


@pytest.mark.parametrize("kind", ["dynamic", "static"])
def test_a_stream_of_an_enhancer(root, caplog, kind):
    caplog.set_level("INFO")
    assert program("quantise.py", "--method", kind, root / "fast", root / "data", root / "clean") == 0
    assert "eSTOI" in caplog.text and "PESQ" in caplog.text and eight_bit(root / "fast/waveform.int8.onnx")


def test_what_is_refused(root, tmp_path, caplog):
    compare = runpy.run_path(str(ROOT / "pyscripts/quantise.py"))["compare_wer"]
    compare(0.5, 0.509, 10, 2.0)
    for before, after, line in ((0.5, 0.52, "rises by 4.0 %"), (0.0, 0.1, "rises by 100.0 %")):
        with pytest.raises(UserError, match=f"WER {line} of it, more than --max-wer-rise 2: nothing is written"):
            compare(before, after, 10, 2.0)
    for words, line in (
        ((root / "asr", root / "data", root / "clean"), "give a data directory with transcripts"),
        ((root / "fast", root / "data"), "give the noisy and the clean data directory"),
        ((tmp_path, root / "data"), "no model.onnx with model.json: steps/export.sh makes them"),
        (("--num-utts", "4", root / "asr", root / "data"), "--num-utts: 4 is out of its range"),
    ):
        assert program("quantise.py", *words) == 1 and line in caplog.messages[-1]
    assert not list(root.glob("*/.int8-*"))


def test_words_are_spelt_as_the_example_does(root):
    exported = Exported(root / "asr")

    class Session:
        """Gives these tokens: blank, A, A, blank, A, a space, an end."""

        def run(self, _: None, __: dict) -> list[np.ndarray]:
            path = [0, 3, 3, 0, 3, exported.tokens.index("\u2581"), 2]
            return [np.eye(len(exported.tokens), dtype=np.float32)[path][None]]

    letter = exported.tokens[3]
    assert exported.words(Session(), np.zeros(9000, np.float32)) == [letter + letter]  # type: ignore[arg-type]
