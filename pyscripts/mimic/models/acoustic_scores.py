"""Acoustic scores for a search: log-likelihoods of all pdfs, from Gaussian mixtures or a neural network."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from mimic.errors import UserError
from mimic.hmm.feats import Features, SpeakerFeatures, read_trans
from mimic.hmm.model import Model, tree_bytes

Scores = Callable[[str], np.ndarray]  # utterance -> (frames, pdfs)


def _model(path: Path, graph: Path | None) -> Model:
    """The model; a graph that was made for another one would give nonsense and is refused."""
    model = Model.read(path)
    if graph and (graph / "num_pdfs").exists():
        expected, pdfs = int((graph / "num_pdfs").read_text()), model.transitions.num_pdfs
        if expected != pdfs:
            raise UserError(
                f"{graph} was made for a model of {expected} pdfs, {path.parent} has {pdfs}: give the graph of the "
                "model that its alignments came from, or run steps/mkgraph.sh for it"
            )
    return model


def gmm_scores(
    model_dir: Path, feats: Path, trans: Path | None = None, alimdl: bool = False, graph: Path | None = None
) -> tuple[Model, Scores]:
    """The model and scores of its mixtures: final.mdl, with `alimdl` final.alimdl, for features before adaptation.

    `trans`: directory with the fMLLR transforms of the speakers. `graph`: to check that it was made for this model.
    """
    model = _model(model_dir / ("final.alimdl" if alimdl else "final.mdl"), graph)
    gmm = model.gmm
    assert gmm is not None  # of such directories
    features = Features(feats, model_dir, read_trans(trans) if trans else None)

    def scores(utt: str) -> np.ndarray:
        x = features(utt)
        if x.shape[1] != gmm.dim:
            raise UserError(f"{feats}: {x.shape[1]} dimensions, but {model_dir} was trained on {gmm.dim}")
        return gmm.log_likes(x)

    return model, scores


def fused(parts: Sequence[tuple[Model, Scores]], names: Sequence[str]) -> tuple[Model, Scores]:
    """The first of some models of one tree, and the mean of all scores, as Kaldi's decode_score_fusion.sh has it.

    UserError names the model whose tree or frames are others.
    """
    model = parts[0][0]
    for (other, _), name in zip(parts, names, strict=True):
        if other.transitions.num_pdfs != model.transitions.num_pdfs or tree_bytes(other.tree) != tree_bytes(model.tree):
            raise UserError(f"{name} has another tree than {names[0]}: their pdfs cannot be averaged")

    def scores(utt: str) -> np.ndarray:
        each = [score(utt) for _, score in parts]
        for found, name in zip(each, names, strict=True):
            if len(found) != len(each[0]):
                raise UserError(f"{utt}: {len(found)} frames by {name}, {len(each[0])} by {names[0]}: other features?")
        return np.stack(each).mean(0, dtype=np.float32)

    return model, scores


def net_scores(
    model_dir: Path, feats: Path, device: str = "cpu", graph: Path | None = None, priors: bool = True
) -> tuple[Model, Scores]:
    """The model and log-posteriors of a network less log-priors of its training alignments; `graph` as above.

    priors: False: the log-posteriors themselves. A network of LF-MMI has no priors.
    """
    # Imported here: Gaussian mixtures do without torch, which takes seconds.
    import torch

    from mimic import models
    from mimic.models.acoustic import AcousticModel

    torch.set_flush_denormal(True)
    acoustic = models.load(model_dir, device=device)
    if not isinstance(acoustic, AcousticModel):
        raise UserError(f"{model_dir}: a model of task {acoustic.config.task}, not {AcousticModel.WHAT}")
    model = _model(model_dir / "final.mdl", graph)
    features = SpeakerFeatures([feats], acoustic.config.data.norm_vars)

    def scores(utt: str) -> np.ndarray:
        posteriors = acoustic.score(features(utt))
        return posteriors - acoustic.priors if priors else posteriors

    return model, scores
