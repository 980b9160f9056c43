"""Trained acoustic models of hybrid recognisers: features to scores of tied HMM states (pdfs)."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from mimic.errors import UserError
from mimic.frontend.front_end import FEATURE_CONFIG
from mimic.hmm.chain import FACTOR
from mimic.models import trained
from mimic.models.config import Config
from mimic.models.trained import Trained
from mimic.nets import BODIES
from mimic.nets.acoustic import AcousticNet, MmiNet

COUNTS = "ali_train_pdf.counts"  # Kaldi's name
_FIRST = {
    "ligru": "body.project.0.weight",
    "lstm": "body.layers.0.weight_ih_l0",
    "gru": "body.layers.0.weight_ih_l0",
    "mlp": "body.layers.0.weight",
    "tdnnf": "body.layers.0.narrow.weight",
}


def network(config: Config, inputs: int, pdfs: int, phones: int) -> AcousticNet:
    """The network before training, for features of size `inputs`. UserError where it leaves frames out."""
    body, _ = BODIES[config.net]
    if getattr(config.model, "subsampling", 1) > 1:
        raise UserError(f"--model.subsampling {config.model.subsampling}: task hybrid has a label for each frame: 1")
    return AcousticNet(body(inputs, config.model), pdfs, phones)


def mmi_network(config: Config, inputs: int, pdfs: int) -> MmiNet:
    """The same for LF-MMI."""
    body, _ = BODIES[config.net]
    return MmiNet(body(inputs, config.model), pdfs, config.loss.hidden, config.loss.bottleneck)


def log_priors(counts: np.ndarray, floor: float) -> np.ndarray:
    """Counts of pdfs in the alignments -> log-priors float32; what was (nearly) never seen gets `floor`."""
    return np.log(np.maximum(counts / counts.sum(), floor)).astype(np.float32)


def _inputs(state: dict[str, torch.Tensor], config: Config, directory: Path) -> int:
    """Size of the features, from the weights of the first layer, which may see some frames at once."""
    size, model = trained.size(state, _FIRST[config.net], directory, config, dim=1), config.model
    if config.net == "mlp":
        return size // (2 * model.context + 1)
    return size // 2 if config.net == "tdnnf" and model.strides[0] else size


class AcousticModel(Trained):
    """Scores features, which are normalised by speaker (mimic.hmm.feats).

    priors: log-priors (pdfs,) of the training alignments, natural logarithms; 0 where scores are not divided by any.
    """

    TASKS: ClassVar[tuple[str, ...]] = ("hybrid",)
    WHAT = "an acoustic model"
    FILES: ClassVar[tuple[str, ...]] = (FEATURE_CONFIG, "final.mdl", "tree", COUNTS)

    def __init__(self, config: Config, net: AcousticNet | MmiNet, priors: np.ndarray, directory: Path):
        super().__init__(config, net, directory)
        self.priors = priors

    @classmethod
    def from_directory(cls, config: Config, directory: Path) -> "AcousticModel":
        state = trained.read_weights(directory)
        pdfs, phones = (trained.size(state, f"{name}.bias", directory, config) for name in ("pdf", "phone"))
        net = trained.fill(network(config, _inputs(state, config, directory), pdfs, phones), state, directory, config)
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

        Less `priors` they are log-likelihoods up to a constant, which a search with HCLG takes. Of LF-MMI: what stands
        for log-likelihoods, of each third frame (mimic.hmm.chain.FACTOR).
        """
        x = torch.from_numpy(features).to(self.device)
        scores = self.net(x[None], torch.tensor([len(x)], device=self.device))[0]
        return scores[0].cpu().numpy()


class MmiModel(AcousticModel):
    """The same, trained by LF-MMI: its scores have no priors, and are of fewer frames."""

    TASKS = ("lfmmi",)
    FILES = (FEATURE_CONFIG, "final.mdl", "tree", FACTOR)

    @classmethod
    def from_directory(cls, config: Config, directory: Path) -> "MmiModel":
        state = trained.read_weights(directory)
        pdfs = trained.size(state, "pdf.out.bias", directory, config)
        net = trained.fill(mmi_network(config, _inputs(state, config, directory), pdfs), state, directory, config)
        return cls(config, net, np.zeros(pdfs, np.float32), directory)
