"""Lattices: paths, archives in Kaldi's formats, determinisation."""

import gzip
import struct

import numpy as np
import pytest
from lattice_maker import all_paths, cost, random_lattice

from mimic.decoding.wfst.determinize import determinize
from mimic.decoding.wfst.lattice_io import read_decode_dir, read_lattices, write_lattices
from mimic.errors import UserError


def test_best_and_n_best_paths_are_those_of_a_full_search():
    lattice = random_lattice()
    paths = all_paths(lattice)
    pairs = [(lmwt, wip) for lmwt in (1, 7, 20) for wip in (-2.0, 0.0, 5.0)]
    for (lmwt, wip), path in zip(pairs, lattice.best_paths(*zip(*pairs, strict=True)), strict=True):
        assert cost(lattice, path, lmwt, wip) == pytest.approx(min(cost(lattice, p, lmwt, wip) for p in paths))
    by_words: dict[tuple[int, ...], float] = {}
    for path in paths:
        words = tuple(lattice.words(path))
        by_words[words] = min(by_words.get(words, np.inf), cost(lattice, path, 10, 0.5))
    nbest = lattice.nbest(5, 10, 0.5)
    best = sorted((value, words) for words, value in by_words.items())[:5]
    assert [tuple(words) for _, words in nbest] == [words for _, words in best]
    np.testing.assert_allclose([value for value, _ in nbest], [value for value, _ in best], atol=1e-3)


def test_archives_of_lattices(tmp_path):
    lattices = [("a", random_lattice(1)), ("b", None), ("c", random_lattice(2))]
    assert write_lattices(tmp_path / "lat.1.gz", iter(lattices)) == 2
    (tmp_path / "num_jobs").write_text("1\n")
    found = dict(read_decode_dir(tmp_path))
    assert list(found) == ["a", "c"]
    order = np.argsort(lattices[2][1].source, kind="stable")  # arcs follow their states
    np.testing.assert_allclose(found["c"].acoustic, lattices[2][1].acoustic[order], rtol=1e-6)
    assert found["c"].tids == [lattices[2][1].tids[arc] for arc in order]
    assert found["c"].final == lattices[2][1].final
    with pytest.raises(UserError, match="no num_jobs"):
        list(read_decode_dir(tmp_path / "none"))


# One lattice in the four forms that Kaldi's tools write: (word 4, ids 1 2), then (no word, id 3 on the arc) or the end.
PLAIN = "u \n0\t1\t1\t4\t0.5,2\n1\t2\t2\t0\n2\t3\t3\t0\t1,0.25\n2\t0.125,0\n3\n\n"
COMPACT = "u \n0\t1\t4\t0.5,2,1_2\n1\t2\t0\t1,0.25,3\n1\t0.125,0,\n2\n\n"


def binary(kind: bytes, states: list[bytes], start: int = 0) -> bytes:
    head = struct.pack("<ii6si", 2125659606, 6, b"vector", len(kind)) + kind
    return b"u " + head + struct.pack("<iiQqqq", 2, 0, 0, start, len(states), 0) + b"".join(states)


def plain_state(final: tuple[float, float], *arcs: tuple) -> bytes:
    packed = [struct.pack("<iiffi", tid, word, graph, acoustic, to) for to, tid, word, graph, acoustic in arcs]
    return struct.pack("<ffq", *final, len(arcs)) + b"".join(packed)


NEVER = (np.inf, np.inf)
PLAIN_STATES = [  # the start is the third state
    plain_state((0.125, 0), (1, 3, 0, 1, 0.25)), plain_state((0, 0)), plain_state(NEVER, (3, 1, 4, 0.5, 2)),
    plain_state(NEVER, (0, 2, 0, 0, 0)),
]  # fmt: skip


@pytest.mark.parametrize(
    "archive",
    [PLAIN.encode(), COMPACT.encode(), binary(b"lattice4", PLAIN_STATES, 2)],
    ids=["plain", "compact", "binary"],
)
def test_all_forms_of_kaldis_lattices_are_read(tmp_path, archive):
    (tmp_path / "lat.1.gz").write_bytes(gzip.compress(archive + archive))
    (utt, lattice), (again, _) = read_lattices(tmp_path / "lat.1.gz")
    assert utt == again == "u"
    paths = all_paths(lattice)
    assert sorted(lattice.alignment(path).tolist() for path in paths) == [[1, 2], [1, 2, 3]]
    assert all(lattice.words(path) == [4] for path in paths)
    assert sorted(cost(lattice, path, 2, 0) for path in paths) == [1.625, 2.625]


def test_damaged_lattices_are_one_line(tmp_path):
    whole = binary(b"lattice4", PLAIN_STATES, 2)
    elsewhere = binary(b"lattice4", [plain_state(NEVER, (9, 1, 4, 0, 0)), plain_state((0, 0))])
    cycle = binary(b"lattice4", [plain_state((0, 0), (0, 1, 4, 0, 0))])
    archives = {"text": b"u \n0 x\n\n", "cut": whole[:-5], "open": COMPACT[:-1].encode(), "cycle": cycle,
                "elsewhere": elsewhere, "other": binary(b"standard", []), "no end": b"u \n0 1 4\n\n"}  # fmt: skip
    for name, data in archives.items():
        (tmp_path / name).write_bytes(gzip.compress(data))
        with pytest.raises(UserError, match=f"{name}: damaged or missing lattices"):
            list(read_lattices(tmp_path / name))
    (tmp_path / "plain").write_bytes(whole)
    with pytest.raises(UserError, match="plain: damaged or missing lattices"):
        list(read_lattices(tmp_path / "plain"))


@pytest.mark.parametrize("seed", range(4))
def test_determinised_lattices_have_every_sequence_once_with_its_best_alignment(seed):
    lattice, acwt, beam = random_lattice(seed, 5), 0.5, 12.0
    best: dict[tuple[int, ...], tuple[float, list[int]]] = {}
    for path in all_paths(lattice):
        found = cost(lattice, path, 1 / acwt, 0), lattice.alignment(path).tolist()
        words = tuple(lattice.words(path))
        best[words] = min(best.get(words, found), found)
    out, effective = determinize(lattice, beam, acwt, 10**6)
    assert effective == beam and (out.word > 0).all()
    pairs = list(zip(out.source.tolist(), out.word.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)  # at most one arc of a word leaves a state
    found = {tuple(out.words(p)): (cost(out, p, 1 / acwt, 0), out.alignment(p).tolist()) for p in all_paths(out)}
    least = min(best.values())[0]
    assert found.keys() >= {words for words, (total, _) in best.items() if total <= least + beam - 1e-6}
    for words, (total, alignment) in found.items():
        assert total == pytest.approx(best[words][0]) and alignment == best[words][1]
    few, effective = determinize(lattice, beam, acwt, 12)
    assert effective < beam and len(few.source) < len(out.source)
    kept = {tuple(few.words(path)) for path in all_paths(few)}
    assert kept and kept < found.keys()
