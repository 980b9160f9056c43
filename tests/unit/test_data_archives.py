"""Our archives: what is written is what is read, and nothing half-written gets a name."""

import os
import pickle

import numpy as np
import pytest

from mimic.errors import UserError
from mimic.io.archives import ArkWriter, load, read_scp

ROWS = (1, 2, 3, 4, 5, 7, 50, 400)


def matrices() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {f"u{n:03}": (10 + 3 * rng.standard_normal((n, 80))).astype(np.float32) for n in ROWS}


@pytest.mark.parametrize(("compress", "error"), [("none", 0.0), ("int16", 6e-4), ("uint8", 0.25)])
def test_matrices_come_back(tmp_path, compress, error):
    with ArkWriter(tmp_path / "f.ark", tmp_path / "f.scp", compress) as writer:
        for utt, matrix in matrices().items():
            writer.write(utt, matrix)
    scp = read_scp(tmp_path / "f.scp")
    assert list(scp) == list(matrices()) and all(os.path.isabs(entry) for entry in scp.values())
    for utt, matrix in matrices().items():
        got = load(scp[utt])
        assert got.shape == matrix.shape and np.abs(got - matrix).max() <= error
    sizes = {"none": 4, "int16": 2, "uint8": 1}
    values = sum(ROWS) * 80
    assert values * sizes[compress] < (tmp_path / "f.ark").stat().st_size < values * sizes[compress] + 8000


def test_vectors_and_types(tmp_path):
    arrays = {
        "a": np.arange(5, dtype=np.int32),
        "b": np.linspace(0, 1, 7),
        "c": np.ones((2, 81)),
        "d": np.eye(3)[:, ::-1],
    }
    with ArkWriter(tmp_path / "f.ark", tmp_path / "f.scp") as writer:
        for key, array in arrays.items():
            writer.write(key, array)
    for key, entry in read_scp(tmp_path / "f.scp").items():
        assert np.array_equal(load(entry), arrays[key]) and load(entry).dtype == arrays[key].dtype


def test_an_error_leaves_the_old_archive(tmp_path):
    for value in (1.0, 2.0):
        try:
            with ArkWriter(tmp_path / "f.ark", tmp_path / "f.scp") as writer:
                writer.write("u", np.full((3, 2), value, np.float32))
                if value == 2.0:
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            pass
    assert sorted(os.listdir(tmp_path)) == ["f.ark", "f.scp"]
    assert load(read_scp(tmp_path / "f.scp")["u"])[0, 0] == 1.0


def test_nan_is_refused_by_id(tmp_path):
    with pytest.raises(UserError, match="u7: NaN"), ArkWriter(tmp_path / "f.ark", tmp_path / "f.scp") as writer:
        writer.write("u7", np.array([[1.0, np.nan]], np.float32))
    assert os.listdir(tmp_path) == []


def test_text_archives_are_read(tmp_path):
    (tmp_path / "t.ark").write_text("u  [\n  1 2.5\n  3 4 ]\n")
    assert np.array_equal(load(f"{tmp_path}/t.ark:2"), [[1, 2.5], [3, 4]])


def test_damaged_and_hostile_archives_are_refused(tmp_path):
    with ArkWriter(tmp_path / "f.ark", tmp_path / "f.scp") as writer:
        writer.write("u", np.ones((50, 40), np.float32))
    entry = read_scp(tmp_path / "f.scp")["u"]
    whole = (tmp_path / "f.ark").read_bytes()
    (tmp_path / "f.ark").write_bytes(whole[:1000])
    with pytest.raises(UserError, match="damaged archive"):
        load(entry)
    with pytest.raises(UserError, match="No such file"):
        load(f"{tmp_path}/gone.ark:5")

    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "ran"),))

    (tmp_path / "p.ark").write_bytes(b"u PKL" + pickle.dumps(Bomb()))
    with pytest.raises(UserError, match="damaged archive"):
        load(f"{tmp_path}/p.ark:2")
    (tmp_path / "f.scp").write_text(f"u touch {tmp_path}/ran |\n")
    with pytest.raises(UserError, match="u: expected `file.ark:offset`"):
        read_scp(tmp_path / "f.scp")
    assert not (tmp_path / "ran").exists()
