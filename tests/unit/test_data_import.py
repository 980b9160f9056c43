"""Importing a corpus: every kind of source becomes the same kind of directory; bad input is named and loses nothing."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import kaldiio
import numpy as np
import pytest
import soundfile
from data_maker import LEXICON, ROOT, UTTS, edit, in_tmpfs, make_corpus, make_dir, run, snapshot, tone

from mimic.corpus.importing import Side, convert, finish, plan
from mimic.corpus.lexicon import read_lexicon
from mimic.corpus.validate import Options, validate_pair
from mimic.errors import UserError
from mimic.io.audio import AudioReader
from mimic.io.tables import read_table, write_data_dir, write_table

IMPORT = "local/import_corpus.sh"


def sides(tmp_path: Path, **options) -> list[Side]:
    names = ("train_clean", "train_noisy")
    return [Side(tmp_path / "corpus" / name, tmp_path / "data" / name, **options) for name in names]


def import_set(tmp_path: Path, nj: int = 1, max_skip: float = 0.01, normaliser: str = "upper", **options) -> Path:
    """The sub-commands of local/import_corpus.sh without the shell around them; gives the output directory."""
    both = sides(tmp_path, **options)
    plan(both, read_lexicon(tmp_path / "corpus" / "lang" / "lexicon.txt"), normaliser)
    for job in range(1, nj + 1):
        list(convert(both, job, nj))
    finish(both, nj, max_skip)
    return tmp_path / "data"


@pytest.fixture
def corpus(tmp_path) -> Path:
    return make_corpus(tmp_path / "corpus")


def test_plain_audio_stays_where_it_is(corpus, tmp_path):
    data = import_set(tmp_path, nj=3)
    for name in ("train_clean", "train_noisy"):
        assert read_table(data / name / "wav.scp") == read_table(corpus / name / "wav.scp")
        assert not (data / name / "wav").exists() and not (data / name / "skipped.tsv").exists()
    assert (data / "train_noisy" / "text.phn").read_text().splitlines()[1] == "p1-002 TH R IY F AO R F AY V"
    assert (data / "train_noisy" / "utt2snr").read_bytes() == (corpus / "train_noisy" / "utt2snr").read_bytes()
    assert read_table(data / "train_clean" / "utt2dur")["p1-002"] == "1.100000"
    assert read_table(data / "train_clean" / "spk2gender") == {"p1": "f", "p10": "f"}


@pytest.mark.parametrize("kind", ["rate", "ark", "segments", "pipe", "channel", "flac"])
def test_everything_else_becomes_16_khz_wav(corpus, tmp_path, kind):
    options = {}
    for name in ("train_clean", "train_noisy"):
        source = corpus / name
        paths = read_table(source / "wav.scp")
        sounds = {utt: soundfile.read(path)[0] for utt, path in paths.items()}
        if kind == "rate":
            for i, path in enumerate(paths.values()):
                soundfile.write(path, tone(1 + i / 10, 44100, i), 44100)
        elif kind == "ark":
            integers = {utt: (16000, (x * 32768).astype(np.int16)) for utt, x in sounds.items()}
            kaldiio.save_ark(str(tmp_path / f"{name}.ark"), integers, scp=str(source / "wav.scp"))
        elif kind == "segments":
            soundfile.write(tmp_path / f"{name}.wav", np.concatenate([*sounds.values()]), 16000)
            ends = np.cumsum([len(x) for x in sounds.values()]) / 16000
            starts = [0.0, *ends[:-1]]
            lines = {utt: f"all {a:g} {b:g}" for utt, a, b in zip(sounds, starts, ends, strict=True)}
            write_table(source / "wav.scp", {"all": str(tmp_path / f"{name}.wav")})
            write_table(source / "segments", lines)
        elif kind == "pipe":
            write_table(source / "wav.scp", {utt: f"cat {path} |" for utt, path in paths.items()})
            options = {"allow_pipes": True}
        elif kind == "channel":
            for utt, path in paths.items():
                soundfile.write(path, np.stack([0 * sounds[utt], sounds[utt]], axis=1), 16000)
            options = {"channel": 1}
        else:
            for utt, path in paths.items():
                soundfile.write(path + ".flac", sounds[utt], 16000)
            write_table(source / "wav.scp", {utt: path + ".flac" for utt, path in paths.items()})
    data = import_set(tmp_path, nj=2, **options)
    for name in ("train_clean", "train_noisy"):
        before, after = AudioReader(corpus / name, **options), AudioReader(data / name)
        assert after.utts == UTTS and all(after.info(utt).rate == 16000 for utt in UTTS)
        for utt in UTTS:
            path = tmp_path / "data" / name / "wav" / f"{utt}.wav"
            assert read_table(data / name / "wav.scp")[utt] == (f"{before.entry(utt)}" if kind == "flac" else str(path))
            assert np.abs(before[utt] - after[utt]).max() <= (0.6 / 32768 if kind == "rate" else 0)
        assert not list((data / name).rglob("*.tmp")) and not (data / name / "segments").exists()
    found = validate_pair(data / "train_clean", data / "train_noisy", Options())
    assert not [p.line for one in found for p in one.problems]


def test_speakers_are_put_in_front_of_ids_on_both_sides(corpus, tmp_path):
    for name in ("train_clean", "train_noisy"):
        tables = {t: read_table(corpus / name / t) for t in ("wav.scp", "text", "utt2spk")}
        tables["utt2spk"] = {utt: f"spk{utt[1:3].rstrip('-')}" for utt in UTTS}
        write_data_dir(corpus / name, tables)
        (corpus / name / "spk2gender").unlink()
    data = import_set(tmp_path)
    expected = ["spk1-p1-001", "spk1-p1-002", "spk10-p10-001", "spk10-p10-002"]
    for name in ("train_clean", "train_noisy"):
        for table in ("wav.scp", "text", "text.phn", "utt2spk", "utt2dur"):
            assert list(read_table(data / name / table)) == expected
    assert list(read_table(data / "train_noisy" / "utt2snr")) == expected
    assert read_table(data / "train_clean" / "text")["spk10-p10-001"] == "TWO TWO"


# what is done to the corpus, the report on p1-002
BAD = {
    "missing": (lambda clean, noisy: audio(noisy).unlink(), "cannot be opened (No such file or directory): correct"),
    "truncated": (lambda clean, noisy: audio(clean).write_bytes(audio(clean).read_bytes()[:9000]), "is truncated ("),
    "zero-length": (lambda clean, noisy: audio(clean).write_bytes(b""), "is not readable audio (it is empty): replace"),
    "NaN": (lambda clean, noisy: write(noisy, np.r_[tone(), np.nan]), "holds NaN or infinite samples: write"),
    "silence": (lambda clean, noisy: write(noisy, np.zeros(17600)), "is all zero: replace the file"),
    "stereo": (lambda clean, noisy: write(clean, np.ones((17600, 2)) / 3), "has 2 channels: pick one with --channel"),
    "lengths": (lambda clean, noisy: write(noisy, tone(1.11)), "17600 samples at 16 kHz, noisy 17760: cut both"),
    "wrong rate": (
        lambda clean, noisy: write(noisy, tone(1.1), 8000),
        "clean has 17600 samples at 16 kHz, noisy 35200",
    ),
    "ids": (lambda clean, noisy: edit(noisy / "utt2spk", "p1-002", "p1-003"), "not in utt2spk or wav.scp (segments)"),
    "empty": (lambda clean, noisy: edit(clean / "text", "p1-002 THREE FOUR FIVE", "p1-002"), "transcript is empty"),
    "texts": (lambda clean, noisy: edit(noisy / "text", "FOUR", "ONE"), "have different transcripts"),
    "unknown word": (lambda clean, noisy: [edit(d / "text", "FOUR", "Forty") for d in (clean, noisy)], "FORTY"),
    "labels": (lambda clean, noisy: [write(d, tone(0.1)) for d in (clean, noisy)], "16 frames needed for 15 labels"),
}


def audio(data: Path) -> Path:
    return Path(read_table(data / "wav.scp")["p1-002"])


def write(data: Path, x: np.ndarray, rate: int = 16000) -> None:
    soundfile.write(audio(data), x, rate, subtype="FLOAT")


@pytest.mark.parametrize("name", BAD)
def test_bad_utterances_are_named_and_fail_the_import(corpus, tmp_path, name):
    break_it, what = BAD[name]
    break_it(corpus / "train_clean", corpus / "train_noisy")
    before = snapshot(corpus)
    with pytest.raises(UserError) as error:
        import_set(tmp_path)
    text = str(error.value)
    count = 2 if name == "ids" else 1
    listed = f"listed in {tmp_path}/data/train_clean/skipped.tsv"
    assert text.startswith(f"{count} of {3 + count} utterances cannot be used, {listed}; p1-002: ")
    assert what in text and "--max-skip 0.01" in text and "\n" not in text
    for side in ("train_clean", "train_noisy"):
        skipped = (tmp_path / "data" / side / "skipped.tsv").read_text().splitlines()
        assert len(skipped) == count and skipped[0].startswith("p1-002\t") and what in skipped[0]
        assert not (tmp_path / "data" / side / "wav.scp").exists()
    assert snapshot(corpus) == before
    data = import_set(tmp_path, max_skip=0.5)
    for side in ("train_clean", "train_noisy"):
        assert list(read_table(data / side / "text")) == ["p1-001", "p10-001", "p10-002"]
        assert "p1-002\t" in (data / side / "skipped.tsv").read_text()


@pytest.mark.parametrize(
    ("name", "change", "line"),
    [
        ("wav.scp", ("p1-002.wav", "p1-002.wav |"), "wav.scp: p1-002: .* is a shell pipe, .*: pass --allow-pipes true"),
        ("text", ("ONE TWO", "ONE\xe9 TWO"), "text:1: not UTF-8: convert the file, e.g. iconv"),
        ("text", ("ONE TWO\n", "ONE\rTWO\n"), "text:1: carriage return within the line"),
        ("text", ("ONE", "\0"), "text:1: NUL byte"),
        ("utt2spk", ("p1-002 ", "p1-001 "), "utt2spk:2: p1-001 is there twice: remove one of its lines"),
        ("utt2spk", ("p1-002 p1", "p1-002"), "train_clean/utt2spk:2: p1-002: expected one speaker, got none: correct"),
        ("utt2spk", ("p1-002 p1", "p1-002 p1 p2"), "train_clean/utt2spk:2: p1-002: expected one speaker, got 'p1 p2'"),
        ("segments", "p1-001 p1-001 0 inf\n", "segments:1: p1-001: expected `utterance recording start end`"),
        ("segments", "p1-001 p1-001 0\n", "segments:1: p1-001: expected `utterance recording start end`"),
    ],
)
def test_bad_tables_stop_the_import_at_once(corpus, tmp_path, name, change, line):
    table = corpus / "train_clean" / name
    if isinstance(change, tuple):
        table.write_text(table.read_text().replace(*change, 1), encoding="latin1", newline="")
    else:
        table.write_text(change)
    with pytest.raises(UserError, match=line):
        import_set(tmp_path)
    assert not (tmp_path / "data").exists()


def test_a_corpus_without_utterances_is_one_line(corpus, tmp_path):
    for name in ("train_clean", "train_noisy"):
        for table in ("utt2spk", "text", "wav.scp"):
            (corpus / name / table).write_text("")
    with pytest.raises(UserError, match="train_clean/utt2spk: no utterances: there is nothing to import"):
        import_set(tmp_path)


def test_a_source_from_windows_is_imported_as_any_other(corpus, tmp_path):
    truth = snapshot(import_set(tmp_path))
    for name in ("train_clean", "train_noisy"):
        for table in ("utt2spk", "text", "wav.scp", "utt2snr"):
            file = corpus / name / table
            if file.exists():
                file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b" ", b"\t", 1).replace(b"\n", b"\r\n"))
    assert snapshot(import_set(tmp_path)) == truth


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
        (["--train-noisy", corpus / "train_noisy", "d"], "has no clean side: give --train-clean"),
        (["--corpus", tmp_path, "d"], "nothing to import: no {train,dev,test}_clean in"),
        (["--corpus", corpus, "--lexicon", "gone", "d"], "--lexicon gone: no such file"),
        (["--corpus", corpus], "expected <data-dir>, got 0 words"),
    ):
        failed = run(IMPORT, *options)
        assert failed.returncode == 1 and len(failed.stderr.splitlines()) == 1
        assert re.search(line, failed.stderr)
    assert not (ROOT / "d").exists()


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
