"""Feature directories: jobs, bad audio, compression, kills and memory; steps/make_feats.sh as a whole."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import kaldi_native_io
import numpy as np
import pytest
import soundfile
from data_maker import ROOT, make_dir, run, snapshot, tone

from mimic.corpus.features import JobFiles, collect, run_job
from mimic.errors import AudioError, UserError
from mimic.frontend.extraction import make_extractor
from mimic.io.archives import load, read_scp
from mimic.io.audio import AudioReader
from mimic.io.feature_dir import read_global
from mimic.io.tables import read_table

# run_job in a process of its own, as pyscripts/make_feats.py has it: data, output, job, number of jobs; it kills
# itself as kill -9 does before utterance number `victim` of the job, and prints the most memory that it held, in KiB.
JOB = """
import os, signal, sys
from pathlib import Path
from mimic.io.audio import AudioReader
from mimic.corpus.features import JobFiles, run_job
from mimic.frontend.extraction import make_extractor

class Reader(AudioReader):
    left = int(sys.argv[5])
    def __getitem__(self, utt):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(utt)

extractor = make_extractor("fbank", Path("conf/fbank.conf"))
run_job(Reader(sys.argv[1], 16000), extractor, JobFiles(Path(sys.argv[2]), int(sys.argv[3])), int(sys.argv[4]))
status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
peak, files = (int(status[name].split()[0]) for name in ("VmHWM", "RssFile"))
print(peak - files)  # KiB of its own: how much of the libraries is in memory is not its doing
"""


def job(data: Path, output: Path, number: int, nj: int, victim: int = 0) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "pyscripts")}
    words = [sys.executable, "-c", JOB, *map(str, (data, output, number, nj, victim))]
    return subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)


def make(data: Path, output: Path, nj: int = 1, kind: str = "fbank", compress: str = "none", skip: float = 0.01):
    extractor = make_extractor(kind, ROOT / "conf" / f"{kind}.conf")
    for number in range(1, nj + 1):
        run_job(AudioReader(data, extractor.rate), extractor, JobFiles(output / "archives", number), nj, compress)
    collect(data, output, output / "archives", nj, skip)
    return output


def values(directory: Path) -> dict[str, np.ndarray]:
    return {utt: load(entry) for utt, entry in read_scp(directory / "feats.scp").items()}


def assert_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert list(one) == list(other)
    assert all(one[utt].tobytes() == other[utt].tobytes() and one[utt].shape == other[utt].shape for utt in one)


def test_archives_do_not_depend_on_threads(data, tmp_path):
    program = [sys.executable, ROOT / "pyscripts/make_feats.py", "--config", ROOT / "conf/fbank.conf", data]
    for threads in "14":
        names = {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "PYTHONPATH": f"{ROOT}/pyscripts"}
        subprocess.run([*program, tmp_path / threads], env=os.environ | names, check=True)
    assert (tmp_path / "1/feats.1.ark").read_bytes() == (tmp_path / "4/feats.1.ark").read_bytes()


@pytest.fixture
def data(tmp_path) -> Path:
    return make_dir(tmp_path / "data")


@pytest.mark.parametrize(("kind", "shift"), [("fbank", "0.01"), ("stft", "0.016")])
def test_directory_is_complete(data, tmp_path, kind, shift):
    (data / "utt2snr").write_text("".join(f"{utt} 5\n" for utt in read_table(data / "utt2spk")))
    out = make(data, tmp_path / "out", kind=kind)
    reader, extractor = AudioReader(data), make_extractor(kind, ROOT / "conf" / f"{kind}.conf")
    expected = {utt: extractor.extract(reader[utt]) for utt in reader}
    assert_same(values(out), expected)
    assert read_table(out / "utt2num_frames") == {utt: str(len(feats)) for utt, feats in expected.items()}
    assert (out / "frame_shift").read_text() == f"{shift}\n"
    for name in ("wav.scp", "text", "utt2spk", "spk2utt", "utt2snr", "spk2gender"):
        assert (out / name).read_bytes() == (data / name).read_bytes()
    assert (out / "skipped.tsv").read_text() == ""
    with kaldi_native_io.SequentialFloatMatrixReader(f"scp:{out}/feats.scp") as matrices:
        assert_same({utt: np.array(matrix) for utt, matrix in matrices}, expected)
    speakers = {"p1": ("p1-001", "p1-002"), "p10": ("p10-001", "p10-002")}
    for speaker, entry in read_scp(out / "cmvn.scp").items():
        x = np.concatenate([expected[utt] for utt in speakers.pop(speaker)]).astype(np.float64)
        np.testing.assert_allclose(load(entry)[0], np.append(x.sum(0), len(x)), rtol=1e-12)
    assert not speakers
    assert read_global(out)[0, -1] == sum(map(len, expected.values()))


def test_number_of_jobs_changes_nothing(data, tmp_path):
    one, three = make(data, tmp_path / "one"), make(data, tmp_path / "three", nj=3)
    assert_same(values(one), values(three))
    np.testing.assert_allclose(read_global(one), read_global(three), rtol=1e-12)
    assert (one / "utt2num_frames").read_bytes() == (three / "utt2num_frames").read_bytes()


def test_segments(data, tmp_path):
    (data / "segments").write_text("p1-a p1-001 0.1 0.5\np1-b p1-001 0.5 0.9\np10-a p10-001 0 0.3\n")
    (data / "utt2spk").write_text("p1-a p1\np1-b p1\np10-a p10\n")
    (data / "text").write_text("p1-a ONE\np1-b TWO\np10-a FIVE\n")
    out = make(data, tmp_path / "out")
    assert {utt: x.shape for utt, x in values(out).items()} == {"p1-a": (38, 80), "p1-b": (38, 80), "p10-a": (28, 80)}
    assert list(read_table(out / "wav.scp")) == ["p1-001", "p10-001"]
    assert (out / "segments").read_bytes() == (data / "segments").read_bytes()


def test_bad_audio_is_listed_and_fails_past_the_limit(data, tmp_path):
    wavs = read_table(data / "wav.scp")
    Path(wavs["p1-002"]).unlink()
    soundfile.write(wavs["p10-001"], np.zeros(300), 16000)
    with pytest.raises(UserError, match=r"2 of 4 utterances cannot be used.*0.01.*skipped.tsv; the first: p1-002: .*"):
        make(data, tmp_path / "out")
    assert not (tmp_path / "out" / "feats.scp").exists()
    out = make(data, tmp_path / "out", skip=0.5)
    reasons = dict(line.split("\t") for line in (out / "skipped.tsv").read_text().splitlines())
    assert list(reasons) == ["p1-002", "p10-001"]
    assert "No such file" in reasons["p1-002"] and "too short: 300 samples" in reasons["p10-001"]
    for name in ("feats.scp", "wav.scp", "text", "utt2spk", "utt2num_frames"):
        assert list(read_table(out / name)) == ["p1-001", "p10-002"]
    assert read_table(out / "spk2utt") == {"p1": "p1-001", "p10": "p10-002"}
    for utt in reasons:
        soundfile.write(wavs[utt], np.full(4000, 0.1), 16000)
    assert len(values(make(data, tmp_path / "out"))) == 4  # what was put right is taken


def test_what_an_option_would_allow_is_not_skipped(data, tmp_path):
    wavs = read_table(data / "wav.scp")
    soundfile.write(wavs["p1-002"], np.stack([tone(), tone()], axis=1), 16000)
    with pytest.raises(AudioError, match="p1-002: .*--channel"):
        make(data, tmp_path / "stereo", skip=1.0)
    (data / "wav.scp").write_text((data / "wav.scp").read_text().replace(wavs["p10-001"], "cat x.wav |"))
    with pytest.raises(AudioError, match="p10-001: .*--allow-pipes true"):
        run_job(AudioReader(data), make_extractor("fbank", ROOT / "conf/fbank.conf"), JobFiles(tmp_path / "pipe", 2), 2)


def test_speakers_without_audio_are_named(data, tmp_path):
    (data / "utt2spk").write_text((data / "utt2spk").read_text() + "p99-001 p99\n")
    with pytest.raises(UserError, match="p99-001 is in utt2spk or has audio, not both"):
        make(data, tmp_path / "out")


def test_compressed_archives(data, tmp_path):
    exact = values(make(data, tmp_path / "none"))
    size = (tmp_path / "none/archives/feats.1.ark").stat().st_size
    for compress, share, error in (("int16", 0.51, 1e-3), ("uint8", 0.30, 0.3)):
        out = make(data, tmp_path / compress, compress=compress)
        assert (out / "archives/feats.1.ark").stat().st_size < share * size
        for utt, feats in values(out).items():
            assert 0 < np.abs(feats - exact[utt]).max() < error


def test_a_killed_job_is_done_again_and_a_finished_one_is_not(data, tmp_path):
    archives = tmp_path / "out" / "archives"
    assert job(data, archives, 1, 2).returncode == 0
    assert job(data, archives, 2, 2, victim=2).returncode == -signal.SIGKILL
    assert JobFiles(archives, 2).ark.with_suffix(".ark.tmp").exists()
    assert not JobFiles(archives, 2).ark.exists() and not JobFiles(archives, 2).scp.exists()
    finished = JobFiles(archives, 1).ark.stat()
    with pytest.raises(UserError, match="feats.2.scp is missing: job 2 has not ended"):
        collect(data, tmp_path / "out", archives, 2, 0.01)
    out = make(data, tmp_path / "out", nj=2)
    again = JobFiles(archives, 1).ark.stat()
    assert (again.st_ino, again.st_mtime_ns) == (finished.st_ino, finished.st_mtime_ns)
    assert_same(values(out), values(make(data, tmp_path / "undisturbed")))


def test_memory_does_not_grow_with_the_corpus(tmp_path):
    def peak(name: str, repeats: int) -> float:
        directory = tmp_path / name
        directory.mkdir()
        utts = [f"s-{i:03d}" for i in range(repeats)]
        (directory / "wav.scp").write_text("".join(f"{utt} {tmp_path}/long.wav\n" for utt in utts))
        (directory / "utt2spk").write_text("".join(f"{utt} s\n" for utt in utts))
        done = job(directory, tmp_path / f"{name}_out", 1, 1)
        assert done.returncode == 0, done.stderr
        return int(done.stdout) / 1024

    soundfile.write(tmp_path / "long.wav", np.tile(tone(1.0), 10), 16000)
    few, many = peak("few", 10), peak("many", 200)
    # 200 times 10 s are 122 MiB of samples and 61 MiB of features.
    assert many < few + 40, f"{few:.0f} MiB for 10 utterances, {many:.0f} MiB for 200"
    assert many < 1024


def test_the_step_skips_redoes_and_recovers(data, tmp_path):
    conf, out = tmp_path / "my.conf", tmp_path / "exp"
    conf.write_text("--num-mel-bins=40\n")
    step = ["steps/make_feats.sh", "--feat-config", conf, "--nj", "9", data, out]

    # Killed when one of its jobs has ended and the others have not.
    words = [*map(str, step[:-2]), "--cmd", "launch.py --max-jobs-run 1", str(data), str(out)]
    running = subprocess.Popen(words, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 100
    while not (out / "archives/feats.1.scp").exists():
        assert time.monotonic() < until and running.poll() is None
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert not (out / ".done").exists() and not (out / "feats.scp").exists()
    first = (out / "archives/feats.1.ark").stat().st_mtime_ns

    done = run(*step)
    assert done.returncode == 0, done.stderr
    assert (out / ".done").exists() and (out / "num_jobs").read_text() == "4\n"  # as many as utterances
    assert (out / "archives/feats.1.ark").stat().st_mtime_ns == first
    assert (out / "conf/fbank.conf").read_bytes() == conf.read_bytes()
    assert {x.shape[1] for x in values(out).values()} == {40}

    before = snapshot(out)
    skipped = run(*step)
    assert skipped.returncode == 0 and "done and unchanged: skipping" in skipped.stdout
    assert snapshot(out) == before

    shutil.copy(ROOT / "conf/fbank.conf", conf)
    changed = run(*step[:-4], "--nj", "1", data, out)
    assert changed.returncode == 0 and "my.conf" in changed.stdout
    assert_same(values(out), values(make(data, tmp_path / "library")))


def test_options_from_the_command_line(data, tmp_path):
    """Those of this type and directory override the file, and are kept beside the features."""
    conf, out = tmp_path / "my.conf", tmp_path / "exp/dev_clean"
    conf.write_text("--num-mel-bins=40\n--low-freq=50")
    step = ["steps/make_feats.sh", "--feat-config", conf, "--nj", "1"]
    words = "fbank.num_mel_bins=23 dev_*:fbank.snip_edges=false train_*:fbank.low_freq=9 stft.n_fft=64 train.epochs=3"
    done = run(*step, "--set", words, data, out)
    assert done.returncode == 0, done.stderr
    (tmp_path / "same.conf").write_text("--num-mel-bins=23\n--low-freq=50\n--snip-edges=false\n")
    assert run(*step[:1], "--feat-config", tmp_path / "same.conf", "--nj", "1", data, tmp_path / "same").returncode == 0
    assert_same(values(out), values(tmp_path / "same"))
    read = make_extractor("fbank", out / "conf/fbank.conf").config
    assert read == make_extractor("fbank", tmp_path / "same.conf").config
    assert "done and unchanged" in run(*step, "--set", words, data, out).stdout
    changed = run(*step, data, out)
    assert changed.returncode == 0 and {x.shape[1] for x in values(out).values()} == {40}
    wrong = run(*step, "--set", "num_mel_bins=23", data, out)
    assert wrong.returncode == 1 and "--set takes [NAME:]section.key=value, got 'num_mel_bins=23'" in wrong.stderr


def test_the_step_names_what_is_missing(data, tmp_path):
    absent = run("steps/make_feats.sh", tmp_path / "nothing", tmp_path / "exp")
    assert absent.returncode == 1 and "run local/*/prepare.sh or local/import_corpus.sh first" in absent.stderr
    wrong = run("steps/make_feats.sh", "--type", "plp", data, tmp_path / "exp")
    assert wrong.returncode == 1 and "--type takes one of fbank, logmel, mfcc, stft, ssl, got 'plp'" in wrong.stderr
    bad = tmp_path / "bad.conf"
    bad.write_text("--num-mel-bin=40\n")
    broken = run("steps/make_feats.sh", "--feat-config", bad, "--nj", "1", data, tmp_path / "exp")
    assert broken.returncode == 1 and "the nearest is --num-mel-bins" in broken.stderr
    assert not (tmp_path / "exp/.done").exists()
