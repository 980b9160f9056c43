"""steps/score_asr.sh: Kaldi's tree of files, reruns, errors."""

# ruff: noqa: F811 (fixtures)

import os
import subprocess
from pathlib import Path

import pytest
from data_maker import ROOT, snapshot
from score_maker import kaldi, random_set, utt2spk  # noqa: F401 (a fixture)

from mimic.io.tables import read_table, write_table
from mimic.metrics.wer import (
    align_set,
    compute_wer,
    totals,
)


def score(*arguments: str | Path) -> subprocess.CompletedProcess:
    return subprocess.run(["steps/score_asr.sh", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True)


@pytest.fixture
def decoded(tmp_path) -> tuple[Path, Path]:
    """A data directory and a decode directory."""
    refs, hyps = random_set(3)
    data, decode = tmp_path / "data/test_noisy", tmp_path / "exp/asr_x/decode_test"
    for path in (data, decode):
        path.mkdir(parents=True)
    write_table(data / "text", refs)
    write_table(data / "utt2spk", utt2spk(refs))
    write_table(data / "utt2snr", {utt: "2.5" if i % 2 else "7.5" for i, utt in enumerate(refs)})
    write_table(decode / "text", hyps)
    return data, decode


def results(path: Path) -> dict[str, bytes]:
    left_out = ("log/", "scoring/test/log/", "scoring/test.old/")  # the last is what a forced run keeps
    return {name: text for name, text in snapshot(path).items() if not name.startswith(left_out)}


def test_the_reference_may_be_another_table(decoded):
    data, decode = decoded
    (data / "text").rename(data / "text.phn")
    assert "text is missing" in score(data, decode).stderr
    done = score("--reference", "text.phn", "--cer", "false", data, decode)
    assert done.returncode == 0 and f"/ {totals(align_set(*random_set(3))).words}, " in done.stdout, done.stderr


def test_step_writes_kaldis_tree_and_the_same_bytes_again(decoded):
    data, decode = decoded
    done = score(data, decode)
    assert done.returncode == 0, done.stderr
    total = compute_wer((a.ref, a.hyp, a.present) for a in align_set(*random_set(3)))
    line = (
        f"%WER {total.rate:.2f} [ {total.errors} / {total.words}, {total.ins} ins, {total.dele} del, {total.sub} sub ]"
    )
    assert (decode / "wer_1_0.0").read_text().splitlines()[0] == f"{line} [PARTIAL]"
    best = f"{line} [PARTIAL] {decode}/wer_1_0.0\n"
    assert (decode / "scoring_kaldi/best_wer").read_text() == best and best in done.stdout
    inner, scoring = snapshot(decode / "scoring_kaldi"), snapshot(decode.parent / "scoring/test")
    names = ("per_utt", "per_spk", "ops", "lmwt", "wip")
    details = {f"{unit}_details/{name}" for unit in ("wer", "cer") for name in names}
    details |= {"wer_details/wer_bootci", "cer_details/cer_bootci", "best_wer", "best_cer"}
    details |= {f"{name}{tokens}.txt" for name in ("test_filt", "penalty_0.0/1") for tokens in ("", ".chars")}
    assert details <= inner.keys()
    assert all(scoring[name] == text for name, text in inner.items())
    assert scoring["wer_1_0.0"] == (decode / "wer_1_0.0").read_bytes()
    rows = [line.split("\t") for line in scoring["breakdown_wer.tsv"].decode().splitlines()[1:]]
    for condition in ("snr", "speaker"):
        assert sum(int(row[3]) for row in rows if row[0] == condition) == total.words
    assert all(float(low) < float(rate) < float(high) for *_, rate, low, high in rows)

    before = results(decode.parent)
    assert "skipping" in score(data, decode).stdout
    assert score("--force", "true", data, decode).returncode == 0
    assert results(decode.parent) == before


def test_step_notices_a_new_decoding_and_options(decoded):
    data, decode = decoded
    score("--cer", "false", data, decode)
    assert not (decode / "cer_1_0.0").exists()
    for name in ("wer_1_0.0", "wer_info"):
        (decode / name).unlink()  # as when decoding runs again and finds the same text
    assert score("--cer", "false", data, decode).returncode == 0 and (decode / "wer_1_0.0").exists()
    assert "normaliser" in score("--cer", "false", "--normaliser", "upper", data, decode).stdout
    assert "normaliser upper\n" in (decode / "wer_info").read_text()


def test_kaldi_users_line_works(decoded, kaldi, tmp_path):
    score(*decoded)
    (tmp_path / "utils").symlink_to(kaldi)
    line = "for x in exp/*/decode*; do [ -d $x ] && grep WER $x/wer_* | utils/best_wer.sh; done"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=True)
    total = compute_wer((a.ref, a.hyp, a.present) for a in align_set(*random_set(3)))
    assert done.stdout.startswith(f"%WER {total.rate:.2f} [ {total.errors} / {total.words}, ")
    assert done.stdout.endswith("exp/asr_x/decode_test/wer_1_0.0\n") and done.stderr == ""


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda data, decode: (decode / "text").open("a").write("zz-nobody A B\n"), "zz-nobody: hypothesis without"),
        (lambda data, decode: (data / "utt2spk").write_text("p0-000 p0\n"), "not in utt2spk"),
        (lambda data, decode: (decode / "text").unlink(), "run steps/decode.sh"),
        (lambda data, decode: (data / "text").unlink(), "run local/*/prepare.sh"),
    ],
)
def test_step_errors_are_one_line(decoded, change, problem):
    change(*decoded)
    done = score(*decoded)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if problem in line]
    assert "Traceback" not in done.stderr
    assert not (decoded[1].parent / "scoring/test/.done").exists()


def test_a_foreign_recogniser_is_any_program(decoded, tmp_path, monkeypatch):
    data, decode = decoded
    (decode / "text").unlink()
    write_table(data / "wav.scp", dict.fromkeys(utt2spk(random_set(3)[0]), "/no/where.wav"))
    for name, line in (
        ("good", "echo $utt HELLO"),
        ("stranger", "echo bob HELLO"),
        ("twice", "echo $utt HELLO; echo $utt"),
        ("broken", "exit 3"),
        ("threads", "echo $utt $OMP_NUM_THREADS"),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\nwhile read -r utt wav; do {line}; done < $1 > $2\n")
    once = "[ ! -e $0.ran ] || exit 0\ntouch $0.ran; sed 's/ .*/ A/' $1 > $2; exit 3\n"
    (tmp_path / "stops").write_text(f"#!/bin/sh\n{once}")
    for name in ("good", "stranger", "twice", "broken", "stops", "threads"):
        (tmp_path / name).chmod(0o755)

    def recognise(command: str, before: str = "", data: Path = data) -> subprocess.CompletedProcess:
        words = ["steps/decode_foreign.sh", f"{before}{tmp_path}/{command}", data, decode]
        return subprocess.run([str(word) for word in words], cwd=ROOT, capture_output=True, text=True)

    for command, problem in (
        ("broken {wav.scp} {text}", "failed on"),
        ("stops {wav.scp} {text}", "failed on"),
        ("stops {wav.scp} {text}", "has written nothing"),  # what the first call left does not count
        ("twice {wav.scp} {text}", "is there twice"),
        ("stranger {wav.scp} {text}", "bob is not an utterance of"),
        ("nowhere {wav.scp} {text}", "no such program"),
        ("good {wav.scp}", "names no {text}"),
    ):
        done = recognise(command)
        assert done.returncode == 1 and problem in done.stderr and not (decode / "text").exists()
    assert recognise("good {wav.scp} {text}").returncode == 0
    assert set(read_table(decode / "text").values()) == {"HELLO"}
    assert "done and unchanged" in recognise("good {wav.scp} {text}").stdout
    (tmp_path / "good").write_text((tmp_path / "good").read_text().replace("HELLO", "GOODBYE"))
    assert recognise("good {wav.scp} {text}").returncode == 0
    assert set(read_table(decode / "text").values()) == {"GOODBYE"}
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    half = max(1, len(os.sched_getaffinity(0)) // 2)  # recipes recognise two sets at a time
    for threads in (str(half), "7"):
        assert recognise("threads {wav.scp} {text}").returncode == 0
        assert set(read_table(decode / "text").values()) == {threads}
        monkeypatch.setenv("OMP_NUM_THREADS", "7")
        (decode / ".done").unlink()
    other = tmp_path / "rock & roll"
    data.rename(other)
    assert recognise("good {wav.scp} {text}", before="cmd:", data=other).returncode == 0
    check = [*"steps/decode_foreign.sh --check true".split(), f"cmd:'{tmp_path}/good {{wav.scp}} {{text}}'"]
    assert subprocess.run(check, cwd=ROOT).returncode == 0
    check[-1] = "whisper:nowhere"
    assert "there is no directory nowhere" in subprocess.run(check, cwd=ROOT, capture_output=True, text=True).stderr
