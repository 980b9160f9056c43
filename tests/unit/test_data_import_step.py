"""local/import_corpus.sh: reruns, kills, full disks, wrong options, real speech."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import soundfile
from data_maker import LEXICON, ROOT, UTTS, audio, edit, in_tmpfs, last_line, make_corpus, make_dir, run, snapshot, tone

from mimic.io.audio import AudioReader
from mimic.io.tables import read_table, write_table

IMPORT = "local/import_corpus.sh"


def test_the_command_imports_skips_what_is_done_and_redoes_what_changed(tmp_path):
    corpus, data = make_corpus(tmp_path / "corpus", ("train", "test")), tmp_path / "data"
    for path in (corpus / "test_clean_audio").iterdir():
        x = tone(1.0, 22050, seed=5)
        soundfile.write(path, x, 22050)
        soundfile.write(corpus / "test_noisy_audio" / path.name, x, 22050)
    call = [IMPORT, "--nj", "2", "--corpus", corpus, data]
    first = run(*call)
    assert first.returncode == 0, first.stderr
    assert sorted(p.name for p in data.iterdir()) == ["lang", "test_clean", "test_noisy", "train_clean", "train_noisy"]
    assert run("steps/validate_data.sh", data / "test_clean", data / "test_noisy").returncode == 0
    before = snapshot(data)
    again = run(*call)
    assert again.returncode == 0 and again.stdout.count("is done and unchanged: skipping") == 5
    assert snapshot(data) == before
    assert {len(x) for x in AudioReader(data / "test_clean").values()} == {16000}
    for side in ("clean", "noisy"):
        edit(corpus / f"train_{side}" / "text", "ONE TWO", "ONE ONE")
    changed = run(*call)
    assert changed.returncode == 0 and "to do again" in changed.stdout
    assert read_table(data / "train_noisy" / "text")["p1-001"] == "ONE ONE"


def test_single_sets_and_wrong_options(tmp_path):
    corpus = make_corpus(tmp_path / "corpus")
    words = ["--train-clean", corpus / "train_clean", "--lexicon", corpus / "lang" / "lexicon.txt"]
    done = run(IMPORT, *words, tmp_path / "data")
    assert done.returncode == 0 and sorted(os.listdir(tmp_path / "data")) == ["lang", "train_clean"]
    for options, line in (
        (["--corpus", tmp_path / "gone", "d"], "--corpus .*/gone: no such directory"),
        (["--train-noisy", corpus / "train_noisy", "d"], "has no clean speech: give --train-clean"),
        (["--corpus", tmp_path, "d"], "nothing to import: no {train,dev,test}_clean in"),
        (["--corpus", corpus, "--lexicon", "gone", "d"], "--lexicon gone: no such file"),
        (["--corpus", corpus], "expected <data-dir>, got 0 words"),
    ):
        failed = run(IMPORT, *options)
        assert failed.returncode == 1 and len(failed.stderr.splitlines()) == 1
        assert re.search(line, failed.stderr)
    assert not (ROOT / "d").exists()


def test_speakers_of_the_training_set_become_the_dev_set(tmp_path):
    corpus, data = make_corpus(tmp_path / "corpus", ("train", "test")), tmp_path / "data"
    done = run(IMPORT, "--valid-speakers", "p10", "--corpus", corpus, data)
    assert done.returncode == 0, done.stderr
    for side in ("clean", "noisy"):
        for name, speaker in (("train", "p1"), ("dev", "p10")):
            utt2spk = read_table(data / f"{name}_{side}/utt2spk")
            assert utt2spk == {f"{speaker}-001": speaker, f"{speaker}-002": speaker}
    assert read_table(data / "dev_noisy/utt2snr") == {"p10-001": "5", "p10-002": "5"}
    twice = run(IMPORT, "--valid-speakers", "p1", "--dev-clean", corpus / "test_clean", "--corpus", corpus, data)
    assert "there is one already" in twice.stderr


def test_utterances_are_left_out_by_duration(tmp_path):
    """On both sides, listed as skipped ones are, and not counted to --max-skip."""
    corpus, data = make_corpus(tmp_path / "corpus"), tmp_path / "data"
    call = [IMPORT, "--max-skip", "0", "--corpus", corpus]
    done = run(*call, "--min-dur", "1.05", "--max-dur", "1.2", data)
    assert done.returncode == 0, done.stderr
    assert f"left out by duration: 2 of 4 utterances, listed in {data}/train_clean/skipped.tsv; p1-001: " in done.stderr
    for side in ("clean", "noisy"):
        assert list(read_table(data / f"train_{side}/wav.scp")) == ["p1-002", "p10-001"]
        assert (data / f"train_{side}/skipped.tsv").read_text().splitlines() == [
            "p1-001\t1.000 s, shorter than --min-dur 1.05",
            "p10-002\t1.300 s, longer than --max-dur 1.2",
        ]
    assert "is done and unchanged" in run(*call, "--min-dur", "1.05", "--max-dur", "1.2", data).stdout
    assert run(*call, data).returncode == 0 and len(read_table(data / "train_noisy/text")) == 4
    for words, line in (
        (["--min-dur", "9"], "--min-dur and --max-dur leave no utterance, listed in "),
        (["--min-dur", "2", "--max-dur", "1"], "--min-dur 2 is above --max-dur 1"),
        (["--max-dur", "-1"], "--max-dur takes a number of at least 0, got '-1'"),
    ):
        failed = run(*call, *words, tmp_path / "none")
        assert failed.returncode == 1 and line in failed.stderr.splitlines()[-1]


NOISY = ("train_clean", "train_noisy", "dev_clean", "dev_noisy", "test_clean", "test_noisy")


@pytest.mark.parametrize(
    ("recipe", "made"),
    [
        (["local/run_pretrain_ssl.sh"], ("train_clean", "dev_clean")),
        (["local/run_deepspeech2.sh"], NOISY),
        (["local/run_denoise.sh", "--noise-dir", "NOISES"], ("train_clean", "dev_clean", "test_clean", "test_noisy")),
        (["local/run_ligru.sh", "--stop-stage", "1"], NOISY),
    ],
    ids=["ssl", "deepspeech2", "denoise", "ligru"],
)
def test_recipes_that_read_a_corpus_where_it_lies(tmp_path, recipe, made):
    """Durations and the dev set, without a change of the corpus; noisy speech has the utterances of clean speech."""
    corpus = make_corpus(tmp_path / "corpus", ("train", "test"))
    for name in ("train", "test"):  # as of tables of another program
        write_table(corpus / f"{name}_noisy/utt2dur", dict.fromkeys(UTTS, "1.2"))
    for number, name in enumerate(("train/hiss", "test/hum")):
        (tmp_path / "noises" / name).parent.mkdir(parents=True)
        soundfile.write(tmp_path / f"noises/{name}-1.wav", tone(3.0, seed=number), 16000)
    words = [str(tmp_path / "noises") if word == "NOISES" else word for word in recipe]
    before, exp = snapshot(corpus), tmp_path / "exp"
    options = ["--corpus", corpus, "--exp", exp, "--data", tmp_path / "data", "--nj", "1", "--stop-stage", "1"]
    options += ["--valid-speakers", "p10", "--min-dur", "1.05"]
    dry = run(*words, *options, "--dry-run", "true")
    assert dry.returncode == 0 and f"{exp}/data/corpus/dev_clean: to do" in dry.stdout, dry.stdout + dry.stderr
    done = run(*words, *options)
    assert done.returncode == 0 and snapshot(corpus) == before, done.stdout + done.stderr
    assert sorted(path.name for path in (exp / "data/corpus").iterdir() if path.name != "lang") == sorted(made)
    wanted = {"train": ["p1-002"], "dev": ["p10-001", "p10-002"], "test": ["p1-002", "p10-001", "p10-002"]}
    for name in made:
        assert list(read_table(exp / f"data/corpus/{name}/wav.scp")) == wanted[name.partition("_")[0]], name
    skipped = (exp / "data/corpus/train_clean/skipped.tsv").read_text()
    assert skipped == "p1-001\t1.000 s, shorter than --min-dur 1.05\n"
    make_dir(corpus / "dev_clean")
    twice = run(*words, *options)
    assert "there is one already" in last_line(twice)
    own = run(words[0], "--corpus", "demo", "--min-dur", "1", "--exp", tmp_path / "none")
    assert last_line(own).endswith("are for your own data: give --corpus DIR")


def test_a_failing_import_says_why_and_is_not_done(tmp_path):
    corpus = make_corpus(tmp_path / "corpus")
    audio(corpus / "train_noisy").unlink()
    before = snapshot(corpus)
    done = run(IMPORT, "--corpus", corpus, tmp_path / "data")
    assert done.returncode == 1 and snapshot(corpus) == before
    last = done.stderr.strip().splitlines()[-1]
    assert "p1-002: " in last and "cannot be opened" in last and "skipped.tsv" in last
    for side in ("clean", "noisy"):
        assert not (tmp_path / "data" / f"train_{side}" / ".done").exists()
        assert not (tmp_path / "data" / f"train_{side}" / "wav.scp").exists()


def test_unknown_words_by_policy(tmp_path):
    corpus = make_corpus(tmp_path / "corpus")
    (corpus / "lang" / "lexicon.txt").write_text(LEXICON.replace("FIVE F AY V\n", "FIV F AY V\nFO F AO\n"))
    done = run(IMPORT, "--corpus", corpus, tmp_path / "data")
    assert done.returncode == 1 and "1 words are not in" in done.stderr and "lexicon_oov.txt" in done.stderr
    assert done.stderr.count(f"{corpus}/lang/lexicon.txt: read as lexicon.txt: 6 words, 6 pronunciations") == 1
    silprob = (
        f"{word} 0.98 0.21 1.03 0.97 {phones}" for word, phones in read_table(corpus / "lang/lexicon.txt").items()
    )
    (corpus / "lang/lexicon.txt").write_text("\n".join([*silprob, ""]))
    words = ("--oov-policy", "g2p", "--lexicon-type", "silprob")
    spelled = run(IMPORT, *words, "--corpus", corpus, tmp_path / "data")
    assert (tmp_path / "data/lang/phones.txt").read_text().split() == "AH AO AY F IY N R T TH UW V W".split()
    assert spelled.returncode == 0 and len(read_table(tmp_path / "data" / "train_clean" / "text.phn")) == 4


MOMENTS = {
    "words": lambda data: (data / "lang" / ".fingerprint").exists(),
    "audio": lambda data: len(list(data.glob("train_*/wav/*.wav"))) > 10,
    "tables": lambda data: (data / "train_clean" / "utt2spk").exists(),
}


def test_kill_9_then_a_rerun_gives_the_same(tmp_path):
    corpus = make_corpus(tmp_path / "corpus")
    for name in ("clean", "noisy"):
        make_dir(corpus / f"train_{name}", rate=48000, utts=[f"p{i % 7}-{i:03}" for i in range(60)])
    (corpus / "train_noisy" / "utt2snr").unlink()
    call = [str(ROOT / IMPORT), "--nj", "2", "--corpus", str(corpus)]
    assert run(*call, tmp_path / "whole").returncode == 0
    for moment in MOMENTS.values():
        started = subprocess.Popen([*call, tmp_path / "data"], cwd=ROOT, stdout=-3, stderr=-3, start_new_session=True)
        while started.poll() is None and not moment(tmp_path / "data"):
            time.sleep(0.002)
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()
    done = run(*call, tmp_path / "data")
    assert done.returncode == 0, done.stderr

    def content(path: Path) -> dict[str, bytes]:
        kept = {n: raw for n, raw in snapshot(path).items() if "log/" not in n and "/." not in n}
        return {name: raw.replace(str(path).encode(), b"") for name, raw in kept.items()}

    assert content(tmp_path / "data") == content(tmp_path / "whole")


def test_a_place_that_cannot_be_written(tmp_path):
    corpus = make_corpus(tmp_path / "corpus")
    before = snapshot(corpus)
    (tmp_path / "data").mkdir()
    script = f"mount -o remount,ro {tmp_path}/data; {IMPORT} --corpus {corpus} {tmp_path}/data"
    done = run(*in_tmpfs(tmp_path / "data", "1m", script))
    if done.returncode == 77:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    assert done.returncode == 1 and "Read-only file system" in done.stderr and f"{tmp_path}/data" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and snapshot(corpus) == before


def test_a_full_disk_is_named_and_the_import_resumes_where_there_is_space(tmp_path):
    corpus = make_corpus(tmp_path / "corpus")
    for name in ("clean", "noisy"):
        for file in (corpus / f"train_{name}_audio").iterdir():
            soundfile.write(file, tone(4, 48000), 48000)
    (tmp_path / "data").mkdir()
    call = f"{IMPORT} --nj 1 --corpus {corpus} {tmp_path}/data"
    script = f"""
      {call} > /dev/null; echo $?; find {tmp_path}/data -name .done -o -name wav.scp -o -name '*.tmp'
      mount -o remount,size=8m {tmp_path}/data; {call} > /dev/null 2>&1; echo $?
      steps/validate_data.sh {tmp_path}/data/train_clean {tmp_path}/data/train_noisy | tail -n 1"""
    done = run(*in_tmpfs(tmp_path / "data", "500k", script))
    if done.returncode == 77:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    lines = done.stdout.splitlines()
    assert lines[0] == "1" and lines[1] == f"{tmp_path}/data/lang/.done" and lines[2] == "0"
    assert lines[-1] == f"Successfully validated data-directory {tmp_path}/data/train_noisy"
    assert "disk full: free space in" in done.stderr


def test_import_of_real_speech_in_opus(real_data, tmp_path):
    assert run("local/speechocean762/prepare.sh", real_data / "speechocean762", tmp_path / "so").returncode == 0
    sizes = {name: len(read_table(tmp_path / "so" / f"{name}_clean" / "text")) for name in ("train", "dev", "test")}
    assert sizes == {"train": 2020, "dev": 220, "test": 260}
    words = ["--dev-clean", tmp_path / "so" / "dev_clean", "--lexicon", tmp_path / "so" / "lang" / "lexicon.txt"]
    done = run(IMPORT, "--nj", "2", *words, tmp_path / "data")
    assert done.returncode == 0, done.stderr
    assert len(read_table(tmp_path / "data" / "dev_clean" / "text.phn")) == 220
    phones = (tmp_path / "data" / "lang" / "phones.txt").read_text().split()
    assert phones == sorted(phones) and len(phones) == 38
