"""The compiled lattice search gives what numpy gives, to the byte, and numpy runs where nothing can be compiled."""

# ruff: noqa: F811 (fixtures)

import dataclasses
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from lang_maker import lang  # noqa: F401 (a fixture)
from lattice_maker import graph, random_lattice  # noqa: F401 (a fixture)

from mimic import compiled as build
from mimic.decoding.wfst import determinize, token_passing
from mimic.decoding.wfst.compiled import kernel
from mimic.decoding.wfst.graph_file import ARC, Arcs, Graph
from mimic.decoding.wfst.lattice import Lattice, Strings
from mimic.decoding.wfst.lattice_decoder import Decoder, SearchOptions
from mimic.decoding.wfst.lattice_io import write_lattices
from mimic.errors import UserError

compiled = pytest.mark.skipif(shutil.which("c++") is None, reason="no compiler")


def random_graph(draw: np.random.Generator, states: int, tids: int, step: float) -> Graph:
    """Arcs between any states, words on some; epsilon arcs lead to higher states, several arcs to the same one."""

    def arcs(number: int, epsilon: bool) -> Arcs:
        source = np.sort(draw.integers(0, states - 1, number))
        table = np.zeros(number, ARC)
        table["target"] = draw.integers(source + 1, states) if epsilon else draw.integers(0, states, number)
        table["tid"] = 0 if epsilon else draw.integers(1, tids + 1, number)
        table["word"] = draw.integers(0, 4, number) * draw.integers(0, 2, number)
        table["cost"] = draw.integers(0, 6, number) * step  # many ties
        counts = np.bincount(source, minlength=states)
        return Arcs(np.append(0, counts.cumsum()), counts.astype(np.int32), table)

    final = np.where(draw.random(states) < 0.1, draw.integers(0, 3, states), np.inf).astype(np.float32)
    return Graph(0, final, arcs(4 * states, False), arcs(states, True))


def same(one: Lattice, other: Lattice) -> None:
    for field in dataclasses.fields(Lattice):
        a, b = (getattr(lattice, field.name) for lattice in (one, other))
        if field.name == "final":
            assert list(a.items()) == list(b.items())
        elif field.name == "tids":
            assert list(a) == list(b)
        else:
            assert a.dtype == b.dtype and a.tobytes() == b.tobytes(), field.name


@compiled
@pytest.mark.parametrize("seed", range(16))
def test_searches_and_lattices_have_the_same_bytes(seed):
    draw = np.random.default_rng(seed)
    tids, step = 12, (0.5, 0.3)[seed % 2]
    graph = random_graph(draw, int(draw.integers(2, 60)), tids, step)
    scores = (draw.integers(-4, 0, (int(draw.integers(1, 70)), 5)) * step).astype(np.float32)
    column = draw.integers(0, 5, tids)
    beam, lattice_beam = draw.choice([0.0, 0.5, 2.0, 5.0]), draw.choice([0.0, 0.5, 2.0])
    limits = float(beam), int(draw.choice([1, 4, 20, 7000])), float(lattice_beam), int(draw.choice([0, 3, 200]))
    one, other = token_passing.TokenPassing(graph, *limits), kernel.TokenPassing(graph, *limits)
    alive = one(scores, column)
    assert alive == other(scores, column)
    if not alive:
        return
    assert one.reached_final == other.reached_final
    (columns, final), (columns_too, final_too) = one.paths(), other.paths()
    assert list(final.items()) == list(final_too.items())
    for a, b in zip(columns, columns_too, strict=True):
        assert len(a) == len(b) and (a == b).all()
    source, target, tid, word, weight, acoustic = columns
    strings = Strings(tid[tid > 0].tobytes(), 4 * (tid > 0).cumsum())
    ends = {state: (cost, 0.0, b"") for state, cost in final.items()}
    lattice = Lattice(source, target, word, weight.astype(float), acoustic / 0.3, strings, ends)
    phone = tid % 3
    for most in (10**6, 20):
        expected, beam = determinize.determinize_phones(lattice, phone, limits[2], 0.3, most)
        found, beam_too = kernel.determinize(lattice, limits[2], 0.3, most, phone)
        same(found, expected)
        assert beam_too == beam


@compiled
@pytest.mark.parametrize("seed", range(4))
def test_lattices_of_any_arcs_are_determinised_to_the_same_bytes(seed):
    lattice = random_lattice(seed, 5)
    for beam, most in ((12.0, 10**6), (3.0, 10**6), (12.0, 12)):
        expected, effective = determinize.determinize(lattice, beam, 0.5, most)
        found, effective_too = kernel.determinize(lattice, beam, 0.5, most)
        same(found, expected)
        assert effective_too == effective
    lattice.target[0] = lattice.source[0]
    with pytest.raises(ValueError, match="a lattice with a cycle"):
        kernel.determinize(lattice, 12.0, 0.5, 10**6)


@compiled
def test_decoders_write_the_same_archives_and_refuse_the_same(graph, tmp_path, caplog):
    directory, model = graph
    scores = np.random.default_rng(0).normal(-1, 0.6, (30, model.transitions.num_pdfs)).astype(np.float32)
    found = []
    for with_kernel in (True, False):
        decode = Decoder(directory, SearchOptions(), model)
        assert decode.compiled
        decode.compiled = with_kernel
        caplog.clear()
        lattices = [(str(n), decode(str(n), scores[:n])) for n in (30, 2)]
        assert decode("none", scores[:0]) is None and decode("nan", scores * np.nan) is None
        assert decode("infinite", scores - np.inf) is None
        write_lattices(tmp_path / "lat.gz", lattices)
        best = decode.best_path("30", scores).tolist()
        found.append(((tmp_path / "lat.gz").read_bytes(), best, decode.failed, decode.partial, caplog.text))
        with pytest.raises((UserError, IndexError)):
            decode("narrow", scores[:, :3])
    assert found[0][:4] == found[1][:4] and "nan: empty lattice: no words" in found[0][4]
    assert [line.split("]")[-1] for line in found[0][4].splitlines()] == [
        line.split("]")[-1] for line in found[1][4].splitlines()
    ]


@pytest.fixture
def nothing_built(tmp_path, monkeypatch):
    """An environment without libraries; gives its two folders."""
    kernel.load.cache_clear()
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(build.SWITCH, raising=False)
    yield tmp_path / "venv/lib/mimic", tmp_path / "cache/mimic"
    kernel.load.cache_clear()


def library() -> Path:
    return build.library("decoding/wfst/compiled")


def fake_compiler(path: Path, body: str) -> str:
    path.write_text(f"#!/bin/sh\necho >> {path}.calls\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_without_a_library_numpy_searches_and_one_line_says_why(graph, nothing_built, tmp_path, monkeypatch, caplog):
    folder, _ = nothing_built
    monkeypatch.setenv("CXX", fake_compiler(tmp_path / "cxx", "echo 'x.cpp:1: fatal error: none' >&2; exit 1"))
    decode = Decoder(graph[0], SearchOptions(), graph[1])
    assert not decode.compiled and decode("utt", np.zeros((20, graph[1].transitions.num_pdfs), np.float32)) is not None
    (line,) = caplog.text.splitlines()
    assert "the lattice search runs in numpy, several times slower: " in line and "cxx: x.cpp:1: fatal error" in line
    assert [path.name for path in folder.iterdir()] == ["lock"]
    for body in ('while [ "$1" != -o ]; do shift; done; echo text > "$2"', "kill -9 $$"):  # no library; no message
        kernel.load.cache_clear(), caplog.clear()
        monkeypatch.setenv("CXX", fake_compiler(tmp_path / f"cxx{len(body)}", body))
        assert kernel.load() is None and len(caplog.text.splitlines()) == 1
    kernel.load.cache_clear(), caplog.clear()
    monkeypatch.setenv(build.SWITCH, "false")
    assert kernel.load() is None and not caplog.text
    kernel.load.cache_clear()
    monkeypatch.setenv(build.SWITCH, "no")
    with pytest.raises(UserError, match="MIMIC_COMPILED=no: true or false"):
        kernel.load()


def test_one_of_many_builds_and_a_machine_without_compiler_takes_what_is_there(nothing_built, tmp_path, monkeypatch):
    folder, cache = nothing_built
    slow = 'while [ "$1" != -o ]; do shift; done; printf half > "$2"; sleep 0.1; printf whole > "$2"'
    monkeypatch.setenv("CXX", fake_compiler(tmp_path / "cxx", slow))
    with ThreadPoolExecutor(6) as pool:  # each opens the lock for itself, as a process does
        found = {future.result() for future in [pool.submit(library) for _ in range(6)]}
    (path,) = found
    assert path.parent == folder and path.read_text() == "whole"
    assert (tmp_path / "cxx.calls").read_text() == "\n" and {p.name for p in folder.iterdir()} == {path.name, "lock"}
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert library() == path
    path.unlink()
    with pytest.raises(build.BuildError, match=r"no C\+\+ compiler"):
        library()
    monkeypatch.undo()
    # A checkout that cannot be written: the user's cache; nowhere: one line.
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "cxx"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CXX", str(tmp_path / "cxx"))
    assert library().parent == cache
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cxx"))
    with pytest.raises(build.BuildError, match="can be written"):
        library()
