"""Mel frequency cepstra as Kaldi computes them: the cosine transform of the filterbank of fbank.py."""

import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from torch import Tensor

from mimic.errors import UserError
from mimic.frontend.fbank import ONLY, Fbank, FbankConfig
from mimic.frontend.front_end import FrontEnd, Lengths
from mimic.frontend.options import read_options
from mimic.settings import Count, NotNegative


@dataclass(frozen=True)
class MfccConfig(FbankConfig):
    """Options of Kaldi's compute-mfcc-feats: those of the filterbank, and

    Attributes:
        num_ceps: cepstra, C0 included.
        cepstral_lifter: Q of the liftering 1 + Q / 2 sin(pi k / Q); 0 for none.
        use_energy: the log energy in place of C0.
    """

    num_mel_bins: Count = 23
    use_energy: bool = True
    num_ceps: Count = 13
    cepstral_lifter: NotNegative = 22.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.num_ceps <= self.num_mel_bins:
            raise UserError(f"--num-ceps={self.num_ceps}: must be from 1 to --num-mel-bins={self.num_mel_bins}")

    @classmethod
    def read(cls, path: str | Path) -> "MfccConfig":
        """Read an option file; raises UserError naming file, line and the nearest option."""
        return read_options(path, cls, ONLY)


class Mfcc(FrontEnd):
    """Cepstra: float samples in [-1, 1), (samples,) or (batch, samples) -> (frames, num_ceps) or with batch."""

    def __init__(self, config: MfccConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or MfccConfig()
        known = {field.name for field in fields(FbankConfig)}
        self.fbank = Fbank(FbankConfig(**{name: value for name, value in asdict(config).items() if name in known}))
        self.rate, self.frame_shift_s, self.dim = self.fbank.rate, self.fbank.frame_shift_s, config.num_ceps
        bins = config.num_mel_bins
        k = torch.arange(config.num_ceps, dtype=torch.float64)
        dct = math.sqrt(2 / bins) * torch.cos(math.pi / bins * (torch.arange(bins).double() + 0.5)[:, None] * k)
        dct[:, 0] = math.sqrt(1 / bins)
        if config.cepstral_lifter:
            dct *= 1 + config.cepstral_lifter / 2 * torch.sin(math.pi * k / config.cepstral_lifter)
        self.register_buffer("dct", dct.float(), persistent=False)  # (mels, ceps)

    def num_frames(self, samples: Lengths) -> Lengths:
        """Number of frames of `samples` samples: an int or a tensor of lengths."""
        return self.fbank.num_frames(samples)

    def forward(self, waveform: Tensor) -> Tensor:
        mel = self.fbank(waveform)  # (..., frames, mels), the energy before them where it is used
        if not self.config.use_energy:
            return mel @ self.dct
        ceps = mel[..., 1:] @ self.dct
        return torch.cat([mel[..., :1], ceps[..., 1:]], dim=-1)
