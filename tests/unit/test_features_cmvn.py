"""Mean and variance statistics and the normalisation with them."""

import kaldi_native_io
import numpy as np
import pytest
import torch

from mimic.errors import UserError
from mimic.frontend.cmvn import Cmvn
from mimic.io.feature_dir import GLOBAL_KEY, CmvnStats, read_global, write_stats


@pytest.fixture
def utterances() -> list[tuple[str, np.ndarray]]:
    draw = np.random.default_rng(0)
    return [(spk, draw.normal(5, 3, (n, 7)).astype(np.float32)) for spk, n in [("a", 10), ("b", 31), ("a", 1)]]


def collected(utterances) -> CmvnStats:
    stats = CmvnStats()
    for speaker, feats in utterances:
        stats.add(speaker, feats)
    return stats


def test_statistics_equal_numpy(utterances):
    stats = collected(utterances)
    rows = {spk: np.concatenate([f for s, f in utterances if s == spk]).astype(np.float64) for spk in "ab"}
    assert stats.by_key.keys() == rows.keys()
    for speaker, x in rows.items():
        expected = np.stack([np.append(x.sum(0), len(x)), np.append((x**2).sum(0), 0)])
        np.testing.assert_allclose(stats.by_key[speaker], expected, rtol=1e-12)
    np.testing.assert_allclose(stats.total(), stats.by_key["a"] + stats.by_key["b"])


def test_parts_add_up(utterances):
    whole, parts = collected(utterances), CmvnStats()
    for part in (collected(utterances[:2]), collected(utterances[2:])):
        for speaker, matrix in part.by_key.items():
            parts.add_stats(speaker, matrix)
    for speaker in "ab":
        np.testing.assert_allclose(parts.by_key[speaker], whole.by_key[speaker], rtol=1e-12)


def test_normalised_features_have_mean_0_and_variance_1(utterances):
    stats = collected(utterances).total()
    x = np.concatenate([feats for _, feats in utterances])
    centred = Cmvn(stats)(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(centred, x - x.mean(0), atol=1e-5)
    y = Cmvn(stats, norm_vars=True)(torch.from_numpy(x)[None]).numpy()[0]
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(y.std(0), 1, atol=1e-5)


def test_a_bin_that_never_changes_stays_small():
    x = np.full((1000, 1), np.log(1.1920929e-07), np.float32)
    stats = CmvnStats()
    stats.add("a", x)
    assert Cmvn(stats.total(), norm_vars=True)(torch.from_numpy(x)).abs().max() < 1e-3


def test_kaldi_reads_the_archive(utterances, tmp_path):
    stats = collected(utterances)
    stats.write(tmp_path / "cmvn.ark", tmp_path / "cmvn.scp")
    with kaldi_native_io.SequentialDoubleMatrixReader(f"scp:{tmp_path}/cmvn.scp") as reader:
        kaldi_values = {key: np.array(value) for key, value in reader}
    assert list(kaldi_values) == ["a", "b"]
    assert all(np.array_equal(kaldi_values[key], stats.by_key[key]) for key in "ab")


def test_global_statistics_survive_a_move(utterances, tmp_path):
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    total = collected(utterances).total()
    write_stats(before / "global_cmvn.ark", before / "global_cmvn.scp", [(GLOBAL_KEY, total)])
    before.rename(after)
    assert np.array_equal(read_global(after), total)


def test_mistakes_are_named(utterances):
    stats = collected(utterances)
    with pytest.raises(UserError, match="a: features of 3 dimensions beside 7"):
        stats.add("a", np.zeros((2, 3), np.float32))
    with pytest.raises(UserError, match="no frames"):
        Cmvn(np.zeros((2, 8)))
