"""Connected digits: strings of three synthetic voices, their noises, and what cannot be used."""

import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from data_maker import ROOT, run, snapshot
from model_maker import program
from served import Server, write_listing, write_tar

from mimic.corpus.lexicon import read_lexicon
from mimic.io.audio import AudioReader
from mimic.io.tables import read_table, read_utt2spk, write_table
from mimic.metrics.kaldi_files import by_condition, score_files, write_files
from mimic.metrics.wer import align_set, words
from mimic.reporting.plots import snr_levels
from mimic.reporting.records import read_record

sys.path.insert(0, str(ROOT / "local/demo"))
from espeak import Espeak
from voices import VOICES

RATE = 8000
PREPARE = "../local/digits/prepare.py"  # from pyscripts
STRINGS = ("--train-strings", "6", "--dev-strings", "2", "--test-strings", "4")
DIGITS = "ZERO ONE TWO THREE FOUR FIVE SIX SEVEN EIGHT NINE".split()

pytestmark = pytest.mark.xdist_group("digits")


@pytest.fixture(scope="module")
def voices(tmp_path_factory) -> Path:
    """<digit>_<speaker>_<index>.wav of three voices."""
    folder, espeak = tmp_path_factory.mktemp("voices"), Espeak()
    for voice in VOICES[:3]:
        for digit, word in enumerate(DIGITS):
            x = espeak.speak(word.lower(), voice, voice.pitch, voice.rate, 1) / 32768
            soundfile.write(folder / f"{digit}_{voice.speaker}_0.wav", soxr.resample(x, espeak.rate, RATE), RATE)
    return folder


@pytest.fixture(scope="module")
def noises(tmp_path_factory) -> Path:
    """Recordings at 16 kHz: five hums and a hiss to train with, another type and again a hiss to test with."""
    folder, rng = tmp_path_factory.mktemp("noises"), np.random.default_rng(0)
    for name in [*(f"train/hum-{k}" for k in range(5)), "train/hiss-a", "test/hiss-b", "test/knocks-a"]:
        (folder / name).parent.mkdir(exist_ok=True)
        soundfile.write(folder / f"{name}.wav", 0.1 * rng.standard_normal(16000), 16000)
    return folder


def strings(out: Path, voices: Path, noises: Path, *options: str) -> int:
    return program(PREPARE, *STRINGS, *options, voices, noises, out)


def test_a_corpus_that_run_sh_takes(voices, noises, tmp_path):
    words = ["--nj", "1", *STRINGS, "--test-snrs", "clean 5", "--speeds", "0.9 1.0", voices, noises, tmp_path]
    done = run("local/digits/prepare.sh", *words)
    assert done.returncode == 0, done.stderr
    speakers: dict[str, set[str]] = {}
    for name, utterances in {"train": 6, "dev": 2, "test": 8}.items():
        clean, noisy = (tmp_path / f"{name}_{side}" for side in ("clean", "noisy"))
        texts = read_table(clean / "text")
        assert len(texts) == utterances and texts == read_table(noisy / "text")
        assert all(1 <= len(text.split()) <= 7 and set(text.split()) <= set(DIGITS) for text in texts.values())
        speakers[name] = {spk.rpartition("sp0.9-")[2] for spk in read_utt2spk(clean / "utt2spk").values()}
    assert speakers == {"train": {"d01"}, "dev": {"d02"}, "test": {"d03"}}
    assert {utt[:6] for utt in read_table(tmp_path / "train_clean/utt2spk")} == {"d01-tr", "sp0.9-"}
    snr, noise, sets = (read_table(tmp_path / "test_noisy" / f"utt2{name}") for name in ("snr", "noise", "set"))
    assert set(snr.values()) == {"clean", "5"} and set(sets.values()) == {"A", "B"}
    assert {sets[utt]: noise[utt] for utt in snr if snr[utt] == "5"} == {"A": "hum", "B": "knocks"}
    assert {noise[utt] for utt in snr if snr[utt] == "clean"} == {"none"}
    clean, noisy = (AudioReader(tmp_path / f"test_{side}") for side in ("clean", "noisy"))
    for utt, level in snr.items():
        if level == "clean":
            assert np.array_equal(clean[utt], noisy[utt])
            continue
        spectrum = np.abs(np.fft.rfft(noisy[utt])) ** 2  # bins of 0 to 8 kHz
        high = spectrum[len(spectrum) * 9 // 16 :].sum() / spectrum.sum()  # 4.5 kHz and more
        assert high < 1e-4  # 40 dB: rounding to 16 bits and the slope of the resampler
    lexicon = read_lexicon(tmp_path / "lang/lexicon.txt")
    assert set(lexicon) == set(DIGITS)
    arpa = [line.split() for line in (tmp_path / "lang/digit_loop.arpa").read_text().splitlines()]
    log_p = {line[1]: float(line[0]) for line in arpa if len(line) == 2 and line[0].startswith("-")}
    assert set(log_p) == {*DIGITS, "<s>", "</s>"} and 10 ** log_p["ONE"] == pytest.approx(0.08, abs=1e-5)
    assert sum(10**p for word, p in log_p.items() if word != "<s>") == pytest.approx(1, abs=12e-6)  # six digits each


def test_strings_depend_on_the_seed_alone_and_speakers_can_be_chosen(voices, noises, tmp_path):
    assert strings(tmp_path / "a", voices, noises) == 0
    before = snapshot(tmp_path / "a")
    assert strings(tmp_path / "a", voices, noises) == 0 and snapshot(tmp_path / "a") == before
    assert (
        strings(tmp_path / "b", voices, noises, "--seed", "2", "--test-speakers", "d01", "--dev-speakers", "d03") == 0
    )
    texts = [(tmp_path / name / "speech/train_clean/text").read_text() for name in ("a", "b")]
    assert texts[0].startswith("d01-") and texts[1].startswith("d02-") and texts[0].split()[1:] != texts[1].split()[1:]
    names = {
        name: sorted(path.name for path in (tmp_path / "a/noises" / name).iterdir())
        for name in ("train", "seen", "unseen")
    }
    assert names["seen"] == ["hum-4.wav"] and names["unseen"] == ["knocks-a.wav"] and len(names["train"]) == 5


def other_name(folder: Path) -> None:
    (folder / "3_d01_0.wav").rename(folder / "three_d01.wav")


def no_seven(folder: Path) -> None:
    (folder / "7_d02_0.wav").unlink()


def two_voices(folder: Path) -> None:
    for path in folder.glob("*_d03_*"):
        path.unlink()


@pytest.mark.parametrize(
    ("change", "options", "problem"),
    [
        (other_name, (), "three_d01.wav: expected a name such as 7_george_12.wav"),
        (no_seven, (), "d02 has no recording of 7"),
        (two_voices, (), "2 speakers, and none is left for training"),
        (None, ("--test-speakers", "bob"), "--test-speakers: no speaker 'bob', there are d01, d02, d03"),
        (None, ("--test-speakers", "d01", "--dev-speakers", "d01"), "d01 is in --dev-speakers and --test-speakers"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    voices, noises, tmp_path, caplog, change: Callable[[Path], None] | None, options, problem
):
    folder = tmp_path / "voices"
    folder.mkdir()
    for path in voices.iterdir():
        (folder / path.name).symlink_to(path)
    if change:
        change(folder)
    assert strings(tmp_path / "out", folder, noises, *options) == 1
    assert problem in caplog.text and not (tmp_path / "out").exists()


def test_noise_types_of_set_b_are_not_those_of_the_training(voices, noises, tmp_path, caplog):
    for name in ("train/hum-0", "train/hiss-a", "test/hiss-b"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.wav").symlink_to(noises / f"{name}.wav")
    assert strings(tmp_path / "out", voices, tmp_path) == 1
    assert "set B needs others" in caplog.text


def test_the_corpus_does_not_lie_in_what_it_is_made_from(voices, noises):
    for out in (voices, noises / "train/digits"):
        done = run("local/digits/prepare.sh", voices, noises, out)
        assert done.returncode == 1 and "lies in <src> or <noise>: name another directory" in done.stderr


def test_real_recordings(real_data, noises, tmp_path):
    if not (real_data / "fsdd").is_dir():
        pytest.skip(f"no recordings of digits at {real_data}/fsdd")
    assert strings(tmp_path / "out", real_data / "fsdd", noises) == 0
    texts = read_table(tmp_path / "out/speech/train_clean/text")
    assert {utt.split("-")[0] for utt in texts} == {"george", "jackson", "lucas", "nicolas"}
    audio = AudioReader(tmp_path / "out/speech/train_clean", RATE)
    for utt, text in texts.items():  # no digit of these speakers is shorter than 0.14 s or longer than 1.4 s
        assert 0.14 * len(text.split()) < len(audio[utt]) / RATE < 0.5 + 1.6 * len(text.split())


def test_download_unpacks_the_archive_where_prepare_looks_for_it(voices, tmp_path):
    inside = "free-spoken-digit-dataset-1.0.10/recordings"
    members = {f"{inside}/{path.name}": path.read_bytes() for path in sorted(voices.iterdir())}
    write_tar(tmp_path / "v1.0.10.tar.gz", members)
    files = write_listing(tmp_path / "files.tsv", tmp_path, ["v1.0.10.tar.gz"])
    with Server(tmp_path) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = run("local/digits/download.sh", "--files", files, "--url", f"{server.url}/", tmp_path / "got")
        server.shutdown()
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "got" / inside).iterdir())) == 30


def test_word_errors_are_drawn_against_snr_for_each_test_set(tmp_path):
    utts = [f"d03-{k:02d}" for k in range(16)]
    snrs = dict(zip(utts, ["clean", "-5", "5", "20"] * 4, strict=True))
    write_table(tmp_path / "utt2snr", snrs)
    write_table(tmp_path / "utt2set", {utt: "AB"[k // 8] for k, utt in enumerate(utts)})
    assert list(snr_levels(snrs)) == ["-5", "5", "20", "clean"]
    refs = dict.fromkeys(utts, "ONE TWO")
    hyps = {utt: "ONE" if snrs[utt] == "-5" else "ONE TWO" for utt in utts}
    aligned = {"wer": align_set(refs, hyps, words)}
    conditions = by_condition(aligned, [tmp_path])
    found = {(c.condition, c.value): c.figures["wer"].mean for c in conditions}
    assert [found["snr_B", level] for level in ("-5", "5", "20", "clean")] == [50, 0, 0, 0]
    scored(tmp_path / "asr", refs, hyps)
    table = ["--data", tmp_path, "--output", tmp_path / "table.md"]
    assert program("breakdown_table.py", f"clean training={tmp_path}/asr", *table) == 0
    rates = dict(zip(*read_record(tmp_path / "table.json").rows, strict=True))
    assert rates["snr_B -5"] == "50.00 [50.00, 50.00]" and rates["snr 20"] == "0.00 [0.00, 0.00]"
    plots = sorted(path.name for path in tmp_path.glob("*.svg"))
    assert plots == ["table_snr.svg", "table_snr_A.svg", "table_snr_B.svg"]
    svg = (tmp_path / "table_snr_A.svg").read_text()
    levels = [svg.index(f'text-anchor="middle">{level}<') for level in ("-5", "5", "20", "clean")]
    assert levels == sorted(levels) and ">clean training<" in svg


def scored(directory: Path, refs: dict[str, str], hyps: dict[str, str]) -> None:
    """Words of a decoding, as steps/score_asr.sh leaves them."""
    files = score_files(align_set(refs, hyps, words), dict.fromkeys(refs, "d03"), "wer", "x", {})
    (directory / "decode_test").mkdir(parents=True)
    write_files(files, directory / "decode_test", directory / "scoring/test")


def test_word_errors_by_snr_of_several_seeds(tmp_path):
    """The mean over seeds, and in each SNR the difference that mimic loss makes; noisy speech has no seed."""
    utts = [f"d03-{k:02d}" for k in range(40)]
    write_table(tmp_path / "utt2snr", {utt: "0" if k % 2 else "10" for k, utt in enumerate(utts)})
    refs = dict.fromkeys(utts, "ONE TWO")
    scored(tmp_path / "noisy", refs, dict.fromkeys(utts, "ONE"))
    for suffix in ("", "_seed2"):
        scored(tmp_path / f"mse{suffix}", refs, dict.fromkeys(utts, "ONE TWO" if suffix else "ONE"))
        mimic = {utt: "ONE" if k % 2 and not suffix else "ONE TWO" for k, utt in enumerate(utts)}
        scored(tmp_path / f"mimic{suffix}", refs, mimic)
    rows = [f"noisy={tmp_path}/noisy", f"MSE={tmp_path}/mse<seed>", f"MSE + mimic={tmp_path}/mimic<seed>"]
    options = ["--seeds", "2", "--data", tmp_path, "--conditions", "snr,noise", "--output", tmp_path / "by.md"]
    assert program("breakdown_table.py", *options, *rows) == 0
    record = read_record(tmp_path / "by.json")
    assert record.rows[0] == ["system", "snr 0", "snr 10"] and record.facts["seeds"] == "1, 2"
    means = {name: [float(cell.split()[0]) for cell in cells] for name, *cells in record.rows[1:]}
    assert means == {"noisy": [50, 50], "MSE": [25, 25], "MSE + mimic": [25, 0]}
    same, better = record.comparisons
    assert same["column"] == "snr 0" and float(same["difference"]) == 0 and same["verdict"] == "undecided"
    assert better["column"] == "snr 10" and float(better["difference"]) == -25
    assert program("breakdown_table.py", *options, f"MSE={tmp_path}/nowhere<seed>") == 1
