"""benchmarks/enhancers.py: pairs, judges, findings, sizes, tables; peers where they are installed."""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
from data_maker import ROOT
from model_maker import make_enhancer, make_recogniser
from score_maker import RATE, speechlike, write_pair

from mimic.deploy.fit_ratio import read_errors
from mimic.errors import UserError
from mimic.io.english import words
from mimic.io.tables import read_table
from mimic.models.enhancer import Enhancer
from mimic.models.ratio import RATIO

sys.path.insert(0, str(ROOT / "benchmarks"))

import enhancers
from enhancement import material, onnx_size
from enhancement.judges import Cache, Quality
from enhancement.peers import PEERS
from enhancement.signals import by_spectra
from enhancement.systems import System, lag
from enhancement.table import tables


@pytest.mark.parametrize(
    ("text", "counted"),
    [
        ("IT\u2019S JUST SO HARD", "it is just so hard"),
        ("Don't, John's t-shirt!", "do not john's t shirt"),
        ("We'll pay $1,500 on the 21st", "we will pay one thousand five hundred dollars on the twenty first"),
        ("2,000,042 at 7:30; 3.5% 40th", "two million forty two at seven thirty three point five percent fortieth"),
        ("007 'cause I can't", "zero zero seven cause i can not"),
        (" ... ", ""),
    ],
)
def test_words(text, counted):
    assert " ".join(words(text)) == counted
    assert words(" ".join(words(text)).upper()) == words(text)  # a reference in capitals is counted alike


def test_frames_give_the_signal_back_and_lags_are_found():
    x = speechlike(0.7)[:10001]
    for window in (512, 320):
        y = by_spectra(x, window, lambda spectra: spectra)
        np.testing.assert_allclose(y, x, rtol=0, atol=1e-6)  # spectra are complex64
    for late in (0, 384, -7):
        assert lag(x, np.roll(np.pad(x, 500), late)[500:-500]) == late


def test_sizes_of_a_graph(tmp_path):
    """Multiply-accumulates by hand: of 10 frames of 6 inputs."""
    draw = np.random.default_rng(0)

    def tensor(name: str, *shape: int) -> onnx.TensorProto:
        return onnx.numpy_helper.from_array(draw.normal(size=shape).astype(np.float32), name)

    node, shape = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    nodes = [
        node("MatMul", ["x", "w"], ["a"]),  # 10 x 6 x 8
        node("Transpose", ["a"], ["b"], perm=[1, 0, 2]),
        node("GRU", ["b", "gw", "gr"], ["c"], hidden_size=4),  # 10 x 12 x (8 + 4)
        node("Squeeze", ["c", "one"], ["d"]),
        node("Transpose", ["d"], ["e"], perm=[1, 2, 0]),
        node("Conv", ["e", "k"], ["f"], pads=[1, 1], group=2),  # 6 channels x 10 places x (2 x 3)
        node("Einsum", ["f", "m"], ["y"], equation="bct,cd->bdt"),  # 10 x 6 x 5
    ]
    weights = [
        tensor("w", 6, 8),
        tensor("gw", 1, 12, 8),
        tensor("gr", 1, 12, 4),
        tensor("k", 6, 2, 3),
        tensor("m", 6, 5),
    ]
    weights.append(onnx.numpy_helper.from_array(np.array([1]), "one"))
    inputs = [shape("x", onnx.TensorProto.FLOAT, ["batch", "frames", 6])]
    graph = onnx.helper.make_graph(nodes, "g", inputs, [shape("y", onnx.TensorProto.FLOAT, None)], weights)
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9), tmp_path / "g"
    )
    size = onnx_size.size(tmp_path / "g", 100, frames=10)
    assert size.parameters == 48 + 96 + 48 + 36 + 30
    assert size.macs == pytest.approx(10 * (6 * 8 + 12 * 12 + 6 * 6 + 30) * 10)


def test_findings_outlive_a_kill(tmp_path):
    x = speechlike(1.0)
    with open(tmp_path / "f", "w") as f:
        f.write('{"judge": "j", "key": "k", "found": {"x": 1}}\n{"judge": "j", "key"')
    cache = Cache(tmp_path / "f")
    assert cache.found.known == {("j", "k"): {"x": 1}}
    cache.run(Quality(), x, x)
    assert len(Cache(tmp_path / "f").found.known) == 2


@pytest.fixture
def corpora(tmp_path) -> Path:
    """Three sentences of two speakers, three noises and two RIRs for test."""
    folder, draw = tmp_path / "corpora", np.random.default_rng(1)
    for name in ("speechocean762/audio", "noise/test", "noise2/test", "rooms/test"):
        (folder / name).mkdir(parents=True)
    rows = ["utt\tspeaker\tgender\tage\tsplit\ttext"]
    for k in range(3):
        rows.append(f"{k}0\t{k % 2}\tf\t9\ttest\tAB CA")
        soundfile.write(folder / f"speechocean762/audio/{k}0.opus", speechlike(1.0, k), RATE, format="WAV")
    (folder / "speechocean762/utterances.tsv").write_text("\n".join([*rows, "9\t9\tf\t9\ttrain\tAB\n"]))
    for name in ("noise/test/rooster-1", "noise/test/babble_test_0", "noise2/test/moodist-urban_road", "rooms/test/a"):
        soundfile.write(folder / f"{name}.wav", 0.1 * draw.normal(size=8000), RATE)
    return folder


def test_mixtures_depend_on_names_and_seed_alone(corpora, tmp_path):
    def options(count: int, seed: int = 1) -> material.MixtureOptions:
        return material.MixtureOptions(count=count, seed=seed)

    few = material.mixtures(corpora, tmp_path / "a", options(2))
    before = {utt: few.audio("noisy", utt) for utt in few.utts}
    noisy = tmp_path / "a/noisy"  # what steps/judge.sh reads
    assert read_table(noisy / "text") == {utt: few.texts[utt] for utt in few.utts}
    assert read_table(noisy / "utt2snr") == {utt: str(few.facts[utt]["snr"]) for utt in few.utts}
    more = material.mixtures(corpora, tmp_path / "a", options(6))  # each sentence twice
    assert len(more.utts) == 6 and set(few.utts) < set(more.utts)
    assert all(np.array_equal(more.audio("noisy", utt), x) for utt, x in before.items())
    noises = {facts["noise"] for facts in more.facts.values()}
    assert noises <= {"rooster", "crowd", "urban_road"} and set(more.texts.values()) == {"AB CA"}
    assert sum(map(len, more.groups("snr").values())) == 6
    with pytest.raises(UserError, match="give another --work"):
        material.mixtures(corpora, tmp_path / "a", options(6, seed=2))
    with pytest.raises(UserError, match="folder of all corpora"):
        material.mixtures(tmp_path, tmp_path / "b", options(2))


@pytest.fixture
def judge(tmp_path, monkeypatch):
    """Run the program on a folder pair, with mimic's own judges; its results, or those of --ratios."""
    write_pair(tmp_path, 3)
    (tmp_path / "texts").mkdir()
    for utt in ("p0-00", "p1-01"):  # one sentence has no transcript
        (tmp_path / f"texts/{utt}.txt").write_text("Ab, ca\n")

    def run(*more: str, result: str = "results", **sides: Path) -> dict:
        folders = {"noisy": tmp_path / "noisy_wav", "clean": tmp_path / "clean_wav", "text": tmp_path / "texts"} | sides
        command = ["enhancers.py", "--work", tmp_path / "work", "--judges", "quality", "--rounds", "0"]
        command += [word for name, folder in folders.items() for word in (f"--{name}", folder)]
        monkeypatch.setattr(sys, "argv", [*map(str, command), *more])
        enhancers.main()
        return json.loads((tmp_path / f"work/{result}.json").read_text())

    return run


def test_a_model_beside_noisy_speech(judge, tmp_path, capsys):
    model = make_enhancer(tmp_path / "model", "causal")
    recogniser = ["--recogniser", str(make_recogniser(tmp_path / "asr"))]
    (model / RATIO).write_text('{"curve": {"low": 0, "high": 1, "at_low": 0, "at_high": 0}}')  # always noisy
    options = ["--systems", f"mine={model} mine={model}@auto", *recogniser]
    found = judge(*options)["systems"]
    assert list(found) == ["noisy", "mine", "mine@auto"]
    mine, noisy = found["mine"], found["noisy"]
    assert mine["parameters"] > 0 and mine["identity"].startswith("mimic ")
    assert found["mine@auto"]["utterances"] == noisy["utterances"]
    assert mine["utterances"]["p0-00"]["si-sdr"] != noisy["utterances"]["p0-00"]["si-sdr"]
    assert [row["words"] for row in mine["utterances"].values()] == [2, 0, 2]
    assert [set(row["errors"]) for row in mine["utterances"].values()] == [{"recogniser"}, set(), {"recogniser"}]
    table = capsys.readouterr().out
    assert "| system | PESQ | eSTOI | SI-SDR |" in table and "| change [95 %] recogniser |" in table
    assert table == (tmp_path / "work/table.md").read_text() + "\n"

    findings = (tmp_path / "work/findings.jsonl").read_bytes()
    wavs = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*.wav")}
    assert judge(*options)["systems"] == found and (tmp_path / "work/findings.jsonl").read_bytes() == findings
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*.wav")} == wavs

    ratios = judge("--systems", f"mine={model}", *recogniser, "--ratios", "0 1", result="ratios")
    assert ratios["ratios"] == [0, 1] and ratios["utterances"]["p0-00"]["words"] == 2
    sides = zip(noisy["utterances"].values(), mine["utterances"].values(), strict=True)
    errors = [[row["errors"].get("recogniser") for row in rows] for rows in sides]
    assert list(ratios["errors"]["mine"]["recogniser"].values()) == errors
    scorings = {ratio: tmp_path / f"work/ratios/mine/recogniser/{ratio}" for ratio in (0, 1)}
    fitted = read_errors(Enhancer.load(model), tmp_path / "work/noisy", scorings)
    counted = [[min(error, 2) for error in pair] for pair in errors if None not in pair]  # each has two words
    assert fitted.errors.T.tolist() == counted and fitted.words.tolist() == [2, 2]


def test_data_directories_tell_conditions(judge, tmp_path, capsys):
    judge("--systems", "noisy", noisy=tmp_path / "data/test_noisy", clean=tmp_path / "data/test_clean")
    assert "| PESQ by snr | 2.5 (n=2) | 7.5 (n=1) |" in capsys.readouterr().out


def test_mistakes_are_one_line(judge, tmp_path):
    for options, message in {
        ("--systems", "nosuch"): "no system nosuch: there are clean, noisy, noisereduce",
        ("--systems", "noisy@2"): "write NAME or NAME=DIRECTORY",
        ("--systems", "rnnoise@auto"): "write NAME or NAME=DIRECTORY",
        ("--systems", "noisy noisy"): "noisy is there twice",
        ("--judges", "me"): "no judge me",
        ("--corpora", "x"): "give --corpora, or --noisy and --clean",
    }.items():
        with pytest.raises(UserError, match=message):
            judge(*options)
    judge("--systems", "noisy")
    with pytest.raises(UserError, match="give another --work"):
        judge(noisy=tmp_path / "clean_wav")
    soundfile.write(tmp_path / "noisy_wav/p0-00.wav", np.zeros(99), RATE)
    with pytest.raises(UserError, match="p0-00: 99 samples are noisy and"):
        judge("--work", str(tmp_path / "other"))


@pytest.mark.parametrize("name", PEERS)
def test_peers_are_aligned(name):
    try:
        peer = PEERS[name]()
    except UserError:
        pytest.skip("no peers: steps/setup.sh --benchmarks true, and run in benchmarks/.venv")
    x = speechlike(1.5)
    y = peer.enhance(x)
    assert y.shape == x.shape and y.dtype == np.float32 and abs(lag(x, y)) <= 1
    assert np.array_equal(peer.enhance(x), y)  # nothing is left of the signal before
    assert peer.size().parameters is not None


def test_a_peer_that_is_not_installed(monkeypatch):
    monkeypatch.setattr("mimic.registry.find_spec", lambda name: None)
    with pytest.raises(UserError, match="package pyrnnoise is not installed: steps/setup.sh --benchmarks true"):
        System("rnnoise").load()


def test_pairs_are_compared_also_capped_and_below_5_db(judge, tmp_path):
    def of(*errors: int) -> dict:
        return {"utterances": {f"u{i}": {"words": 2, "errors": {"w": n}} for i, n in enumerate(errors)}}

    results = {"noisy": of(0, 0, 0, 0), "a": of(0, 1, 10, 1), "b": of(0, 1, 1, 0)}
    text = tables(results, {"snr": {"0": ["u2"], "10": ["u0", "u1", "u3"]}}, [("a", "b")])
    cells = {row[1].strip(): row[8:10] for line in text.splitlines() if "against" in line for row in [line.split("|")]}
    found = {title: [cell.strip(" *").split()[0] for cell in row] for title, row in cells.items()}
    assert found == {"b against a (n=4)": ["-125.0", "-25.0"], "b against a, below 5 dB (n=1)": ["-450.0", "-50.0"]}
    with pytest.raises(UserError, match="--pair: no system mine: one of noisy, clean"):
        judge("--systems", "clean", "--pair", "noisy", "mine")
