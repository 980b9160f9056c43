"""Import and export with Lhotse and `datasets` themselves, which tests/foreign.sh installs."""

import io
import resource
from pathlib import Path

import numpy as np
import pytest
import soundfile
from formats_maker import RATE, content, exported, imported, random_corpus, recording

from mimic.corpus.formats.directory import write_directory
from mimic.corpus.formats.utterance import Reading
from mimic.errors import UserError
from mimic.io.audio import AudioReader
from mimic.io.tables import read_table

WHY = "is not installed here: tests/foreign.sh"


@pytest.fixture(scope="module")
def lhotse():
    return pytest.importorskip("lhotse", reason=f"lhotse {WHY}")


@pytest.fixture(scope="module")
def datasets():
    return pytest.importorskip("datasets", reason=f"datasets {WHY}")


@pytest.fixture(scope="module")
def pa():
    return pytest.importorskip("pyarrow", reason=f"pyarrow {WHY}")


@pytest.fixture(params=[True, False], ids=["files", "segments"])
def data(request, tmp_path) -> Path:
    utterances = random_corpus(tmp_path / "audio", 5, request.param)
    write_directory(utterances, tmp_path / "data", tmp_path, Reading(), False, 0)
    return tmp_path / "data"


def test_lhotse_reads_what_is_exported(lhotse, data, tmp_path):
    """Its own checks pass, audio included, and its cuts have the utterances, times, words and samples."""
    out = exported(data, "lhotse", tmp_path / "lhotse")
    recordings, supervisions, cuts = (
        lhotse.load_manifest(out / f"{part}.jsonl.gz") for part in ("recordings", "supervisions", "cuts")
    )
    lhotse.validate_recordings_and_supervisions(recordings, supervisions, read_data=True)
    lhotse.validate(cuts, read_data=True)
    expected = content(data)
    assert {cut.id for cut in cuts} == {one.id for one in supervisions} == expected.keys()
    reader = AudioReader(data, rate=RATE)
    kaldi = {name: utt for utt, name in zip(reader, expected, strict=True)}
    for cut in lhotse.CutSet.from_manifests(recordings, supervisions).trim_to_supervisions(keep_overlapping=False):
        name = cut.supervisions[0].id
        _, start, end, channel, text, speaker, gender = expected[name]
        own = cuts[name]
        assert (own.start, own.end) == (pytest.approx(start, abs=1e-8), pytest.approx(end, abs=1e-8))
        assert (own.supervisions[0].text, own.supervisions[0].speaker) == (text, speaker)
        assert own.supervisions[0].gender == (gender or None) and channel in (None, own.channel)
        x = own.load_audio()[0]
        assert np.abs(x - reader[kaldi[name]][: len(x)]).max() == 0 and abs(len(x) - len(reader[kaldi[name]])) <= 1
        assert np.array_equal(x, cut.load_audio()[0])


@pytest.mark.parametrize("suffix", ["jsonl.gz", "json", "yaml"])
def test_what_lhotse_writes_is_imported(lhotse, data, tmp_path, suffix):
    """The same from its cuts and from its recordings and supervisions, and after it has read a data directory."""
    out = exported(data, "lhotse", tmp_path / "lhotse")
    again = tmp_path / "again"
    again.mkdir()
    for part in ("recordings", "supervisions", "cuts"):
        lhotse.load_manifest(out / f"{part}.jsonl.gz").to_eager().to_file(again / f"my_{part}_dev.{suffix}")
    for source in (again / f"my_cuts_dev.{suffix}", again):
        imported(source, tmp_path / source.name / "data")
        assert content(tmp_path / source.name / "data") == content(data)


def test_cuts_that_lhotse_makes_of_cuts(lhotse, data, tmp_path):
    """Windows of long cuts, with what is left of their supervisions; mixed, padded and changed ones are refused."""
    out = exported(data, "lhotse", tmp_path / "lhotse")
    cuts = lhotse.load_manifest(out / "cuts.jsonl.gz").to_eager()
    name = max(cuts.ids, key=lambda name: cuts[name].duration)
    cut = cuts[name].truncate(offset=0.1, duration=0.2)
    lhotse.CutSet.from_cuts([cut]).to_file(tmp_path / "one.jsonl.gz")
    imported(tmp_path / "one.jsonl.gz", tmp_path / "one")
    (found,) = content(tmp_path / "one").values()
    assert found[2] > cut.start and found[1] == pytest.approx(cut.start + cut.supervisions[0].start, abs=1e-8)
    for changed, line in (
        (cut.mix(cut, snr=10), "the cut is mixed when it is read"),
        (cut.pad(5), "the cut is mixed when it is read"),
        (cut.perturb_speed(0.9), "its recording is changed when it is read .Speed"),
        (cut.perturb_volume(2.0), "its recording is changed when it is read .Volume"),
    ):
        lhotse.CutSet.from_cuts([changed]).to_file(tmp_path / "changed.jsonl")
        with pytest.raises(UserError, match=line):
            imported(tmp_path / "changed.jsonl", tmp_path / "changed")
    lhotse.CutSet.from_cuts([cut.resample(16000)]).to_file(tmp_path / "rate.jsonl")
    imported(tmp_path / "rate.jsonl", tmp_path / "rate")
    assert content(tmp_path / "rate") == content(tmp_path / "one")


def rows(folder: Path, count: int) -> dict[str, list]:
    paths = [str(recording(folder / f"{i:02d}.flac", 0.5 + i / 10, seed=i)) for i in range(count)]
    words = [f"word {i}" for i in range(count)]
    sounds = [{"bytes": Path(path).read_bytes(), "path": path} for path in paths]
    sides = [i % 2 for i in range(count)]
    return {"audio": sounds, "sentence": words, "speaker_id": sides, "gender": sides}


@pytest.mark.parametrize("form", ["disk", "splits", "parquet", "folder"])
def test_what_datasets_writes_is_imported(datasets, tmp_path, form):
    """Audio is embedded, byte for byte; names of classes are those of the features; one of several splits."""
    table = rows(tmp_path / "audio", 20)
    whole = datasets.Dataset.from_dict(table).cast_column("audio", datasets.Audio(decode=False))
    whole = whole.cast_column("gender", datasets.ClassLabel(names=["female", "male"]))
    source, options = tmp_path / form, {}
    if form == "disk":
        whole.save_to_disk(source, num_shards=3)
    elif form == "splits":
        options = {"split": "train"}
        datasets.DatasetDict({"train": whole, "test": whole.select([0])}).save_to_disk(source)
        with pytest.raises(UserError, match="has the splits train test: name one with --split"):
            imported(source, tmp_path / "d")
    elif form == "parquet":
        source = tmp_path / "x.parquet"
        whole.to_parquet(source, batch_size=7)
    else:
        (source / "data").mkdir(parents=True)
        for i in range(2):
            part = whole.shard(2, i, contiguous=True)
            part.to_parquet(source / "data" / f"train-{i:05d}-of-00002-abc.parquet")
    done = imported(source, tmp_path / "d", **options)
    assert done.utterances == 20 and done.speakers == 2
    found = content(tmp_path / "d")
    for i, name in enumerate(sorted(found)):
        assert name == f"{i:02d}" and found[name][4:] == (f"word {i}", str(i % 2), "fm"[i % 2])
        assert np.array_equal(soundfile.read(found[name][0])[0], soundfile.read(table["audio"][i]["path"])[0])


def test_a_dataset_of_manifests_with_times_and_of_samples(datasets, pa, tmp_path):
    """Paths in place of bytes, times within them; decoded samples; rows without id or name get their number."""
    path = str(recording(tmp_path / "long.wav", 3))
    table = {"file": [path, path], "start": [0.5, 1.0], "end": [1.0, 2.5], "text": ["a", "b"], "id": ["x", "y"]}
    datasets.Dataset.from_dict(table).save_to_disk(tmp_path / "paths")
    imported(tmp_path / "paths", tmp_path / "p")
    assert {name: entry[1:3] for name, entry in content(tmp_path / "p").items()} == {"x": (0.5, 1), "y": (1, 2.5)}
    samples = [{"array": [0.25, -0.5] * 4000, "sampling_rate": 8000, "path": None}]
    pa.parquet = pytest.importorskip("pyarrow.parquet")
    pa.parquet.write_table(pa.table({"speech": samples, "text": ["hi"]}), tmp_path / "s.parquet")
    imported(tmp_path / "s.parquet", tmp_path / "s")
    assert AudioReader(tmp_path / "s", rate=8000)["0000000"][:2].tolist() == [0.25, -0.5]


def test_bad_datasets_are_one_line(pa, tmp_path):
    import pyarrow.parquet as pq

    def source(name: str, **columns) -> Path:
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
        return tmp_path / f"{name}.parquet"

    wav = recording(tmp_path / "a.wav").read_bytes()
    sound = {"bytes": wav, "path": "a.wav"}
    cases = {
        source("none", audio=pa.array([], pa.struct({"bytes": pa.binary()})), text=pa.array([], "string")): "no rows",
        source("null", audio=[sound, None], text=["a", "b"]): "row 1: the audio is None, expected a path or",
        source("column", sound=[1, 2], text=["a", "b"]): "nothing here is the audio .sound text.: --columns audio=NAME",
        source("twice", audio=[sound, sound], id=["a", "a"]): "row 1: the id 'a' is there twice",
        source("cut", audio=[{"bytes": wav[:999], "path": "a.wav"}], text=["a"]): "row 0: .* is truncated",
    }
    (tmp_path / "short.parquet").write_bytes((tmp_path / "twice.parquet").read_bytes()[:-9])
    cases[tmp_path / "short.parquet"] = "short.parquet: damaged or cut short .*: copy or save it again"
    for path, line in cases.items():
        with pytest.raises(UserError, match=line) as error:
            imported(path, tmp_path / "d")
        assert "\n" not in str(error.value)


def test_memory_does_not_grow_with_embedded_audio(pa, tmp_path):
    """200 MB of audio in row groups of 4 MB take less than a quarter of that."""
    import pyarrow.parquet as pq

    wav = io.BytesIO()
    soundfile.write(wav, np.random.default_rng(0).normal(0, 0.1, 250_000), RATE, format="WAV")  # 0.5 MB
    sound = pa.array([{"bytes": wav.getvalue()}] * 8)
    with pq.ParquetWriter(tmp_path / "x.parquet", pa.schema([("audio", sound.type)]), compression="none") as writer:
        for _ in range(50):
            writer.write_table(pa.table({"audio": sound}), row_group_size=8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert imported(tmp_path / "x.parquet", tmp_path / "d").utterances == 400
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 50, f"{grown:.0f} MB"
    assert len(read_table(tmp_path / "d" / "wav.scp")) == 400
