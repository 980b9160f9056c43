"""Kaldi's own C++ table code (kaldi_native_io) reads our archives and tables, and we read what it writes."""

import kaldi_native_io as kaldi
import numpy as np
import pytest

from mimic.io.archives import ArkWriter, load, read_scp
from mimic.io.audio import AudioReader
from mimic.io.recording import write_wav
from mimic.io.tables import read_table, write_data_dir

ROWS = (1, 2, 3, 4, 5, 8, 100)


def matrices() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {f"s-{n:03}": (10 + 3 * rng.standard_normal((n, 80))).astype(np.float32) for n in ROWS}


@pytest.mark.parametrize("compress", ["none", "int16", "uint8"])
def test_kaldi_reads_the_same_numbers_as_we_do(tmp_path, compress):
    with ArkWriter(tmp_path / "f.ark", tmp_path / "f.scp", compress) as writer:
        for utt, matrix in matrices().items():
            writer.write(utt, matrix)
    loaded = {utt: load(entry) for utt, entry in read_scp(tmp_path / "f.scp").items()}
    with kaldi.SequentialFloatMatrixReader(f"ark:{tmp_path}/f.ark") as reader:
        sequential = {utt: np.array(matrix) for utt, matrix in reader}
    with kaldi.RandomAccessFloatMatrixReader(f"scp:{tmp_path}/f.scp") as reader:
        assert all(utt in reader for utt in loaded) and "gone" not in reader
        random = {utt: np.array(reader[utt]) for utt in loaded}
    assert list(sequential) == list(loaded)
    for utt, matrix in loaded.items():
        # The two decompress in another order of operations: a rounding error of float32 is allowed.
        np.testing.assert_allclose(sequential[utt], matrix, rtol=0, atol=0 if compress == "none" else 2e-5)
        assert np.array_equal(random[utt], sequential[utt])


@pytest.mark.parametrize(
    "method", ["kNoCompression", "kAutomaticMethod", "kSpeechFeature", "kTwoByteAuto", "kOneByteAuto"]
)
def test_we_read_what_kaldi_writes(tmp_path, method):
    specifier = f"ark,scp:{tmp_path}/k.ark,{tmp_path}/k.scp"
    expected = {}
    if method == "kNoCompression":
        with kaldi.FloatMatrixWriter(specifier) as writer:
            for utt, matrix in matrices().items():
                writer[utt] = matrix
        expected = matrices()
    else:
        with kaldi.CompressedMatrixWriter(specifier) as writer:
            for utt, matrix in matrices().items():
                writer[utt] = matrix, getattr(kaldi.CompressionMethod, method)
        with kaldi.SequentialFloatMatrixReader(f"scp:{tmp_path}/k.scp") as reader:
            expected = {utt: np.array(matrix) for utt, matrix in reader}
    scp = read_scp(tmp_path / "k.scp")
    assert list(scp) == list(expected)
    for utt, entry in scp.items():
        np.testing.assert_allclose(load(entry), expected[utt], rtol=0, atol=2e-5)


def test_vectors_of_both_kinds(tmp_path):
    with ArkWriter(tmp_path / "v.ark", tmp_path / "v.scp") as writer:
        writer.write("a", np.linspace(0, 1, 5, dtype=np.float32))
    with kaldi.RandomAccessFloatVectorReader(f"scp:{tmp_path}/v.scp") as reader:
        assert np.array_equal(reader["a"], np.linspace(0, 1, 5, dtype=np.float32))
    with ArkWriter(tmp_path / "i.ark", tmp_path / "i.scp") as writer:
        writer.write("a", np.arange(7, dtype=np.int32))
    with kaldi.RandomAccessInt32VectorReader(f"scp:{tmp_path}/i.scp") as reader:
        assert list(reader["a"]) == list(range(7))


def test_kaldi_reads_our_waveforms_and_tables(tmp_path):
    x = np.random.default_rng(0).uniform(-1, 1, 16000).astype(np.float32)
    write_wav(tmp_path / "a.wav", x)
    tables = {"wav.scp": {"s-1": str(tmp_path / "a.wav")}, "utt2spk": {"s-1": "s"}, "text": {"s-1": "ONE TWO"}}
    write_data_dir(tmp_path, tables)
    with kaldi.SequentialWaveReader(f"scp:{tmp_path}/wav.scp") as reader:
        for utt, waveform in reader:
            assert utt == "s-1" and waveform.sample_freq == 16000
            assert np.array_equal(np.array(waveform.data)[0] / 32768, AudioReader(tmp_path)["s-1"])
    with kaldi.SequentialTokenVectorReader(f"ark,t:{tmp_path}/text") as reader:
        assert [(utt, list(words)) for utt, words in reader] == [("s-1", ["ONE", "TWO"])]
    assert read_table(tmp_path / "spk2utt") == {"s": "s-1"}
