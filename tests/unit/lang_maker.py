"""A lang directory, and models of its phones."""

from pathlib import Path

import numpy as np
import pytest

from mimic.hmm.gmm import AmDiagGmm
from mimic.hmm.kaldi import khg
from mimic.hmm.lang import Lang, LangOptions, make_lang
from mimic.hmm.model import Model, transition_model

LEXICON = "ONE W AH N\nWON W AH N\nTWO T UW\nTOO T UW\nTO T UW\nA AH\nA EY\nEIGHT EY T\n"


@pytest.fixture(scope="module")
def lang(tmp_path_factory) -> Lang:
    return lang_of(LEXICON, tmp_path_factory.mktemp("lang"))


def lang_of(lexicon: str, root: Path) -> Lang:
    """The lang directory of a lexicon's text."""
    (root / "lexicon.txt").write_text(lexicon)
    make_lang(root / "lexicon.txt", root / "lang", LangOptions())
    return Lang(root / "lang")


def monophones(lang: Lang, dim: int = 3) -> Model:
    topo = (lang.path / "topo").read_text()
    topology = khg.HmmTopology()
    topology.read(topo)
    sets = [[lang.phones[phone] for phone in row] for row in lang.rows("sets.txt")]
    tree = khg.monophone_context_dependency_shared(sets, topology.get_phone_to_num_pdf_classes())
    n = tree.num_pdfs
    means = np.random.default_rng(0).normal(size=(n, dim))
    return Model(
        tree, transition_model(tree, topo), AmDiagGmm(np.ones(n), means, np.ones((n, dim)), np.arange(n + 1)), topo
    )


def mixtures(pdfs: int = 3, gauss: int = 2, dim: int = 4) -> AmDiagGmm:
    draw = np.random.default_rng(1)
    n = pdfs * gauss
    offsets = np.arange(pdfs + 1) * gauss
    return AmDiagGmm(np.full(n, 1 / gauss), draw.normal(size=(n, dim)) * 2, draw.uniform(0.5, 2, (n, dim)), offsets)


def samples(gmm: AmDiagGmm, frames: int = 3000, seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    rows = draw.integers(gmm.num_gauss, size=frames)
    x = gmm.means[rows] + draw.normal(size=(frames, gmm.dim)) * np.sqrt(gmm.vars[rows])
    return x.astype(np.float32), np.searchsorted(gmm.offsets, rows, "right") - 1
