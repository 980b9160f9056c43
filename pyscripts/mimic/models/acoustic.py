"""Trained acoustic models of hybrid recognisers: features to log-posteriors of tied HMM states (pdfs)."""

from pathlib import Path

import numpy as np
import torch

from mimic.errors import UserError
from mimic.frontend.front_end import FEATURE_CONFIG
from mimic.models import trained
from mimic.models.config import Config
from mimic.models.trained import Trained
from mimic.nets import BODIES
from mimic.nets.acoustic import AcousticNet

COUNTS = "ali_train_pdf.counts"  # Kaldi's name
_FIRST = {"lstm": "body.layers.0.weight_ih_l0", "gru": "body.layers.0.weight_ih_l0", "mlp": "body.layers.0.weight"}


def network(config: Config, inputs: int, pdfs: int, phones: int) -> AcousticNet:
    """The network before training, for features of size `inputs`."""
    body, _ = BODIES[config.net]
    return AcousticNet(body(inputs, config.model), pdfs, phones)


def log_priors(counts: np.ndarray, floor: float) -> np.ndarray:
    """Counts of pdfs in the alignments -> log-priors float32; what was (nearly) never seen gets `floor`."""
    return np.log(np.maximum(counts / counts.sum(), floor)).astype(np.float32)


class AcousticModel(Trained):
    """Scores features, which are normalised by speaker (mimic.hmm.feats).

    priors: log-priors (pdfs,) of the training alignments, natural logarithms.
    """

    TASKS = ("hybrid",)
    WHAT = "an acoustic model"
    FILES = (FEATURE_CONFIG, "final.mdl", "tree", COUNTS)

    def __init__(self, config: Config, net: AcousticNet, priors: np.ndarray, directory: Path):
        super().__init__(config, net, directory)
        self.priors = priors

    @classmethod
    def from_directory(cls, config: Config, directory: Path) -> "AcousticModel":
        state = trained.read_weights(directory)
        first = "body.project.0.weight" if config.net == "ligru" else _FIRST[config.net]
        inputs = trained.size(state, first, directory, config, dim=1)
        inputs //= 2 * config.model.context + 1 if config.net == "mlp" else 1
        pdfs, phones = (trained.size(state, f"{name}.bias", directory, config) for name in ("pdf", "phone"))
        net = trained.fill(network(config, inputs, pdfs, phones), state, directory, config)
        try:
            counts = np.array([float(word) for word in (directory / COUNTS).read_text().split()[1:-1]])
        except (FileNotFoundError, ValueError) as error:
            raise UserError(
                f"{directory / COUNTS}: cannot be read ({error}): copy it from the model's directory again"
            ) from None
        trained.check_count(directory, pdfs, COUNTS, len(counts), "pdfs")
        return cls(config, net, log_priors(counts, config.loss.prior_floor), directory)

    @torch.inference_mode()
    def score(self, features: np.ndarray) -> np.ndarray:
        """Log-posteriors (frames, pdfs) of an utterance's features (frames, dim), natural logarithms.

        Less `priors` they are log-likelihoods up to a constant, which a search with HCLG takes.
        """
        x = torch.from_numpy(features).to(self.device)
        log_post, _ = self.net(x[None], torch.tensor([len(x)], device=self.device))
        return log_post[0].cpu().numpy()
