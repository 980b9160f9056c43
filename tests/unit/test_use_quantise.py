"""Graphs of 8 bit: only the network's products change, scores before and after are printed, a worse WER is refused."""

import runpy
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
from data_maker import ROOT
from model_maker import ENHANCERS, make_enhancer, make_recogniser, program
from peers import needs

from mimic.errors import UserError
from mimic.judging.recognisers import make

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: steps/setup.sh")
from mimic.deploy.exported import exported
from mimic.deploy.graph_file import session
from mimic.deploy.onnx import export
from mimic.deploy.quantise import OUTSIDE, Scores

CRDNN = "{channels: [2, 2], rnn: ligru, rnn_layers: 1, rnn_units: 64, dnn_layers: 1, dnn_units: 128}"
FAST = "{channels: 32, units: 64, positions: 5, heads: 2}"
DIRECTION = (
    "{channels: [2], kernels: [[5, 7]], strides: [[2, 2]], padding: true, rnn_layers: 1, rnn_units: 64, dense: 64}"
)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """asr/, stream/, fast/ and tiny/, exported; data/ with transcripts, clean/ with the same utterances.

    Their weights, tiny/ excepted, are many enough for 8 bit to pay.
    """
    root = tmp_path_factory.mktemp("quantise")
    export(make_recogniser(root / "model/asr", "crdnn", sizes=CRDNN), root / "asr")
    stream = make_recogniser(root / "model/stream", "deepspeech2", sizes=DIRECTION)
    (stream / "features.conf").write_text("--type=fbank\n--num-mel-bins=20\n--snip-edges=false\n--high-freq=-400\n")
    export(stream, root / "stream")
    export(make_enhancer(root / "model/tiny", "fast"), root / "tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ENHANCERS, "fast", FAST)
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


def test_a_stream_of_an_enhancer(root, caplog):
    caplog.set_level("INFO")
    assert program("quantise.py", "--method", "static", root / "fast", root / "data", root / "clean") == 0
    assert "eSTOI" in caplog.text and "PESQ" in caplog.text and eight_bit(root / "fast/waveform.int8.onnx")


@needs("sherpa_onnx")
@pytest.mark.parametrize("kind", ["dynamic", "static"])
def test_a_recogniser_of_streams(root, tmp_path, caplog, kind):
    """All graphs of the folder, recurrences too, and sherpa-onnx takes what is written."""
    caplog.set_level("INFO")
    folder = shutil.copytree(root / "stream", tmp_path / "stream")
    words = ("--method", kind, "--max-wer-rise", "1000", folder, root / "data")
    assert program("quantise.py", *words) == 0
    for name in ("model", "stream_ctc", "sherpa_ctc"):
        before, after = folder / f"{name}.onnx", folder / f"{name}.int8.onnx"
        assert f"{name}.onnx, {kind}: " in caplog.text and f"wrote {after}" in caplog.text
        assert after.stat().st_size < before.stat().st_size - 20000  # the GRU has 27000 weights
        (gru,) = [node for node in onnx.load(after).graph.node if node.op_type == "GRU"]
        dequantised = {node.output[0] for node in onnx.load(after).graph.node if node.op_type == "DequantizeLinear"}
        assert dequantised >= set(gru.input[1:3])
        kept = [node.name for node in onnx.load(after).graph.node if node.op_type == "Conv" and "front" in node.name]
        assert kept == (["/front/Conv"] if name == "stream_ctc" else [])
    assert caplog.text.count("4 utterances") == 3 == caplog.text.count("WER ")
    (folder / "sherpa_ctc.onnx").unlink()
    recogniser, (x, _) = make(f"sherpa:{folder}", "en"), soundfile.read(root / "data/u0.wav", dtype="float32")
    assert recogniser.streaming and "hyp" in dict(recogniser.words([("u", x)]))["u"]


def test_streams_are_fed_as_they_are_meant_to_be(root):
    """Three graphs of one network; the end, which sherpa-onnx does not know, is left out."""
    x, _ = soundfile.read(root / "data/u0.wav", dtype="float32")
    graphs = exported(root / "stream")
    whole, stream, sherpa = (np.concatenate([out for _, out in g.feeds(session(g.graph), x)]) for g in graphs)
    first = graphs[1].facts["delay"]
    np.testing.assert_allclose(np.exp(stream[first : first + len(whole)]), np.exp(whole), atol=1e-5)
    first -= 1  # for it is given features, which are an output of this network late in the other
    np.testing.assert_allclose(np.exp(sherpa[first : first + 20]), np.exp(whole[:20]), atol=1e-4)


def test_one_graph_that_is_refused_leaves_the_others(root, tmp_path, caplog, monkeypatch):
    folder = shutil.copytree(root / "stream", tmp_path / "stream")
    scores = {"stream_ctc.int8.onnx": 0.52}
    monkeypatch.setattr("mimic.deploy.quantise.score", lambda graph, path, *_: Scores(wer=scores.get(path.name, 0.5)))
    assert program("quantise.py", folder, root / "data") == 1
    refused = "stream/stream_ctc.onnx: WER rises by 4.0 % of it, more than --max-wer-rise 2: nothing is written"
    assert caplog.messages[-1].endswith(refused)
    assert sorted(path.name for path in folder.glob("*.int8.onnx")) == ["model.int8.onnx", "sherpa_ctc.int8.onnx"]


def test_what_is_refused(root, tmp_path, caplog):
    compare = runpy.run_path(str(ROOT / "pyscripts/quantise.py"))["compare_wer"]
    compare(Path("g"), 0.5, 0.509, 10, 2.0)
    for before, after, line in ((0.5, 0.52, "rises by 4.0 %"), (0.0, 0.1, "rises by 100.0 %")):
        with pytest.raises(UserError, match=f"g: WER {line} of it, more than --max-wer-rise 2: nothing is written"):
            compare(Path("g"), before, after, 10, 2.0)
    for words, line in (
        ((root / "asr", root / "data", root / "clean"), "give a data directory with transcripts"),
        ((root / "tiny", root / "data", root / "clean"), "waveform.onnx: no smaller with --method dynamic, "),
        ((root / "fast", root / "data"), "give the noisy and the clean data directory"),
        ((tmp_path, root / "data"), "no model.onnx with model.json: steps/export.sh makes them"),
        (("--num-utts", "4", root / "asr", root / "data"), "--num-utts: 4 is out of its range"),
    ):
        assert program("quantise.py", *words) == 1 and line in caplog.messages[-1]
    assert not list(root.glob("*/.int8-*")) and not list((root / "tiny").glob("*.int8.onnx"))


def test_words_are_spelt_as_the_example_does(root):
    (asr,) = exported(root / "asr")

    class Session:
        """Gives these tokens: blank, A, A, blank, A, a space, an end."""

        def run(self, _: None, __: dict) -> list[np.ndarray]:
            path = [0, 3, 3, 0, 3, asr.tokens.index("\u2581"), 2]
            return [np.eye(len(asr.tokens), dtype=np.float32)[path][None]]

    letter = asr.tokens[3]
    assert asr.words(Session(), np.zeros(9000, np.float32)) == [letter + letter]  # type: ignore[arg-type]
