"""Importing a corpus: every kind of source becomes the same kind of directory; bad input is named and loses nothing."""

from pathlib import Path

import kaldiio
import numpy as np
import pytest
import soundfile
from data_maker import UTTS, audio, edit, make_corpus, snapshot, tone

from mimic.corpus.importing import Side, convert, finish, plan
from mimic.corpus.lexicon import read_lexicon
from mimic.corpus.validate import Options, validate_pair
from mimic.errors import UserError
from mimic.io.audio import AudioReader
from mimic.io.tables import read_table, write_data_dir, write_table


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
