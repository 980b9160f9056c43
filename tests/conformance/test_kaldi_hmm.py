"""Kaldi's own programs on our models, graphs and lattices, where KALDI_ROOT is set and has them compiled.

Needed of bin: align-text, compile-train-graphs, compute-wer, copy-int-vector, copy-tree; of gmmbin: gmm-align-compiled,
gmm-copy, gmm-latgen-faster; of latbin: lattice-align-words, lattice-align-words-lexicon, lattice-best-path,
lattice-copy, lattice-mbr-decode, lattice-prune, lattice-scale, lattice-to-ctm-conf.
"""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from lang_maker import lang  # noqa: F401 (a fixture)
from lattice_maker import graph  # noqa: F401 (a fixture)

from mimic.decoding.wfst.lattice_decoder import Decoder, SearchOptions
from mimic.decoding.wfst.lattice_io import read_lattices, write_lattices
from mimic.decoding.wfst.mbr import decode
from mimic.hmm.alignments import Aligner, read_ali, write_ali
from mimic.hmm.model import Model, read_tree, write_tree
from mimic.io.archives import ArkWriter
from mimic.metrics.wer import align_set, compute_wer, wer_lines

TEXTS = ("ONE TWO", "TWO ONE", "EIGHT TWO", "ONE ONE", "TWO")
ACWT = 0.2


@pytest.fixture(scope="module")
def kaldi():
    """Runs a line of shell with Kaldi's programs in its PATH; its standard output."""
    source = Path(os.environ.get("KALDI_ROOT", "/nonexistent")) / "src"
    if not (source / "gmmbin/gmm-latgen-faster").exists():
        pytest.skip("KALDI_ROOT is not set, or its src/gmmbin/gmm-latgen-faster is not compiled")
    path = ":".join([*(str(source / name) for name in ("bin", "gmmbin", "latbin")), os.environ["PATH"]])

    def run(line: str, cwd: Path) -> str:
        command = ["bash", "-o", "pipefail", "-c", line]
        done = subprocess.run(command, cwd=cwd, env={**os.environ, "PATH": path}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def spoken(graph, lang, tmp_path_factory):  # noqa: F811
    """A directory with a model, its tree, and features of utterances that it might have made, with much noise."""
    root, model, draw = tmp_path_factory.mktemp("spoken"), graph[1], np.random.default_rng(0)
    model.write(root / "final.mdl")
    write_tree(model.tree, root / "tree")
    aligner, feats = Aligner(lang, model), {}
    for number, text in enumerate(4 * TEXTS):
        pdfs = model.tid_pdf[aligner.equal(text, 60)]
        feats[f"u{number:02}"] = (model.gmm.means[pdfs] + draw.normal(0, 1.5, (60, model.gmm.dim))).astype(np.float32)
    with ArkWriter(root / "feats.ark", root / "feats.scp") as writer:
        for utt, x in feats.items():
            writer.write(utt, x)
    return root, Model.read(root / "final.mdl"), feats


def test_alignments_are_kaldis(kaldi, spoken, lang, tmp_path):  # noqa: F811
    root, model, feats = spoken
    texts = dict(zip(feats, 4 * TEXTS, strict=True))
    lines = [f"{utt} {' '.join(map(str, lang.encode(text)))}\n" for utt, text in texts.items()]
    (tmp_path / "text.int").write_text("".join(lines))
    kaldi(
        f"compile-train-graphs --read-disambig-syms={lang.path}/phones/disambig.int {root}/tree {root}/final.mdl "
        f"{lang.path}/L.fst ark:text.int ark:- | gmm-align-compiled --transition-scale=1.0 --acoustic-scale=0.1 "
        f"--self-loop-scale=0.1 --beam=10 --retry-beam=40 {root}/final.mdl ark:- ark:{root}/feats.ark ark:- | "
        "tee ali.ark | copy-int-vector ark:- ark,t:ali.txt && gzip ali.ark ali.txt",
        tmp_path,
    )
    expected = dict(read_ali(tmp_path / "ali.ark.gz"))
    as_text = dict(read_ali(tmp_path / "ali.txt.gz"))
    assert list(expected) == list(as_text) == list(feats)
    aligner = Aligner(lang, model)
    for utt, x in feats.items():
        ali, _ = aligner.align(utt, texts[utt], lambda pdfs, x=x: model.gmm.log_likes(x, pdfs), 10, 40)
        assert ali.tolist() == expected[utt].tolist() == as_text[utt].tolist(), utt
    write_ali(tmp_path / "mimic.gz", expected)
    assert kaldi("copy-int-vector 'ark:gunzip -c mimic.gz |' ark,t:- | cmp - <(gunzip -c ali.txt.gz)", tmp_path) == ""


def lattices(spoken, directory: Path, options: SearchOptions, name: Path) -> None:
    _, model, feats = spoken
    search = Decoder(directory, options, model)
    scores = {utt: model.gmm.log_likes(x) for utt, x in feats.items()}
    assert write_lattices(name, ((utt, search(utt, scores[utt])) for utt in feats)) == len(feats)


@pytest.mark.parametrize("beam,max_active,min_active", [(13, 7000, 200), (3, 7000, 200), (3, 7000, 20), (13, 30, 20)])
def test_lattices_are_kaldis(kaldi, spoken, graph, tmp_path, beam, max_active, min_active):  # noqa: F811
    root, model, feats = spoken
    directory = graph[0]
    lattices(spoken, directory, SearchOptions(beam, 6.0, ACWT, max_active, min_active), tmp_path / "mimic.gz")
    kaldi(
        f"gmm-latgen-faster --beam={beam} --lattice-beam=6 --max-active={max_active} --min-active={min_active} "
        f"--acoustic-scale={ACWT} --allow-partial=true {root}/final.mdl {directory}/HCLG.fst ark:{root}/feats.ark "
        "'ark:| gzip -c > kaldi.gz'",
        tmp_path,
    )
    best = {}
    for name in ("mimic", "kaldi"):
        read = f"'ark:gunzip -c {name}.gz |'"
        kaldi(f"lattice-best-path --acoustic-scale={ACWT} {read} ark,t:{name}.words ark,t:{name}.ali", tmp_path)
        best[name] = [(tmp_path / f"{name}.{kind}").read_text() for kind in ("words", "ali")]
        kaldi(f"lattice-copy {read} ark,t:- | gzip -c > {name}_text.gz", tmp_path)
        kaldi(f"lattice-copy --write-compact=false {read} ark,t:- | gzip -c > {name}_plain.gz", tmp_path)
        kaldi(f"lattice-copy --write-compact=false {read} ark:- | gzip -c > {name}_binary.gz", tmp_path)
    if max_active > 1000:  # which tokens Kaldi keeps of too many depends on their order
        assert best["mimic"] == best["kaldi"]
    for name in ("mimic", "kaldi"):  # our reader sees the same in every form
        found = [dict(read_lattices(tmp_path / f"{name}{form}.gz")) for form in ("", "_text", "_plain", "_binary")]
        for utt in feats:
            nbest = [each[utt].nbest(3, 1 / ACWT, 0.0) for each in found]
            for others in nbest[1:]:  # text has six digits of costs
                assert [words for _, words in others] == [words for _, words in nbest[0]]
                np.testing.assert_allclose([c for c, _ in others], [c for c, _ in nbest[0]], rtol=1e-4)
            paths = [each[utt].alignment(each[utt].best_paths([1 / ACWT], [0.0])[0]).tolist() for each in found]
            assert paths[0] == paths[1] == paths[2] == paths[3]


@pytest.mark.parametrize("by", ["words", "words-lexicon"])
def test_word_times_and_confidences_from_our_lattices(kaldi, spoken, graph, tmp_path, by):  # noqa: F811
    root, model, feats = spoken
    directory = graph[0]
    lattices(spoken, directory, SearchOptions(13.0, 6.0, ACWT), tmp_path / "mimic.gz")
    kaldi(
        f"gmm-latgen-faster --beam=13 --lattice-beam=6 --max-active=7000 --acoustic-scale={ACWT} --allow-partial=true "
        f"{root}/final.mdl {directory}/HCLG.fst ark:{root}/feats.ark 'ark:| gzip -c > kaldi.gz'",
        tmp_path,
    )
    ctm, table = {}, {"words": "word_boundary", "words-lexicon": "align_lexicon"}[by]
    for name in ("mimic", "kaldi"):
        kaldi(
            f"lattice-align-{by} {directory}/phones/{table}.int {root}/final.mdl 'ark:gunzip -c {name}.gz |' "
            f"ark:- | lattice-to-ctm-conf --acoustic-scale={ACWT} ark:- {name}.ctm",
            tmp_path,
        )
        rows = [line.split() for line in (tmp_path / f"{name}.ctm").read_text().splitlines()]
        ctm[name] = [
            (utt, word, float(start), float(length), float(conf)) for utt, _, start, length, word, conf in rows
        ]
    assert [row[:2] for row in ctm["mimic"]] == [row[:2] for row in ctm["kaldi"]]
    np.testing.assert_allclose([row[2:] for row in ctm["mimic"]], [row[2:] for row in ctm["kaldi"]], atol=0.011)


def test_words_with_the_fewest_expected_errors_are_kaldis(kaldi, spoken, graph, tmp_path):  # noqa: F811
    lattices(spoken, graph[0], SearchOptions(13.0, 9.0, ACWT), tmp_path / "mimic.gz")
    kaldi(
        f"lattice-scale --acoustic-scale={ACWT} 'ark:gunzip -c mimic.gz |' ark:- | "
        "lattice-prune --beam=7 ark:- ark:- | lattice-mbr-decode ark:- ark,t:words ark,t:risks ark,t:sausages",
        tmp_path,
    )
    words, sausages = ((tmp_path / name).read_text().splitlines() for name in ("words", "sausages"))
    for (utt, lattice), expected, sausage in zip(read_lattices(tmp_path / "mimic.gz"), words, sausages, strict=True):
        (found,) = decode(lattice, [1 / ACWT], [0.0])
        assert [utt, *(str(word) for word, _ in found)] == expected.split()
        places = [place.split() for place in sausage.replace("]", "[").split("[")[1::2]]
        confidences = [float(place[1]) for place in places if place[0] != "0"]  # after the likeliest word of each place
        np.testing.assert_allclose([confidence for _, confidence in found], confidences, atol=2e-4)


def test_models_and_trees_that_kaldi_writes_as_text(kaldi, spoken, tmp_path):
    root, model, _ = spoken
    kaldi(f"gmm-copy --binary=false {root}/final.mdl final.mdl && copy-tree --binary=false {root}/tree tree", tmp_path)
    model_as_text = Model.read(tmp_path / "final.mdl")
    assert model_as_text.tuples == model.tuples
    np.testing.assert_allclose(model_as_text.gmm.means, model.gmm.means, rtol=1e-4, atol=1e-4)
    trees = read_tree(root / "tree"), read_tree(tmp_path / "tree")
    binary, text = ([tree.compute([phone], 0) for phone in range(1, 9)] for tree in trees)
    assert binary == text


def test_alignments_of_texts_and_error_rates_are_kaldis(kaldi, tmp_path):
    draw = np.random.default_rng(0)
    tables = {
        name: {f"u{i:03}": " ".join(draw.choice(list("ABCDE"), draw.integers(1, 9))) for i in range(300)}
        for name in ("ref", "hyp")
    }
    for name, texts in tables.items():
        (tmp_path / name).write_text("".join(f"{utt} {text}\n" for utt, text in texts.items()))
    alignments = align_set(tables["ref"], tables["hyp"])
    lines = kaldi("align-text --special-symbol='***' ark:ref ark:hyp ark,t:-", tmp_path).splitlines()
    found = [f"{a.utt} {' ; '.join(f'{r} {h}' for r, h in a.pairs)} " for a in alignments]
    assert found == lines
    printed = kaldi("compute-wer --text --mode=present ark:ref ark:hyp", tmp_path)
    assert wer_lines(compute_wer((a.ref, a.hyp, True) for a in alignments)) == printed
