"""Mel frequency cepstra as Kaldi computes them: the cosine transform of the filterbank of fbank.py."""

from dataclasses import asdict, fields

import torch
from torch import Tensor

from mimic.frontend.configs import FbankConfig, MfccConfig
from mimic.frontend.fbank import Fbank
from mimic.frontend.front_end import FrontEnd, Lengths


class Mfcc(FrontEnd):
    """Cepstra: float samples in [-1, 1), (samples,) or (batch, samples) -> (frames, num_ceps) or with batch."""

    def __init__(self, config: MfccConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or MfccConfig()
        known = {field.name for field in fields(FbankConfig)}
        self.fbank = Fbank(FbankConfig(**{name: value for name, value in asdict(config).items() if name in known}))
        self.rate, self.frame_shift_s, self.dim = self.fbank.rate, self.fbank.frame_shift_s, config.num_ceps
        dct = torch.from_numpy(config.dct())
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
