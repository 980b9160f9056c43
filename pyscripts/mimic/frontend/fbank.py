"""Log mel filterbank energies as Kaldi computes them, in plain torch: fast, differentiable, on any device."""

import torch
from torch import Tensor
from torch.nn import functional as F

from mimic.errors import UserError
from mimic.frontend.configs import FLOOR, INT16_SCALE, FbankConfig
from mimic.frontend.front_end import FrontEnd, Lengths, blocks
from mimic.frontend.onnx import LogFilters, fourier_basis


class Fbank(FrontEnd):
    """Filterbank features: float samples in [-1, 1), (samples,) or (batch, samples) -> (frames, dim) or with batch.

    extraction.FbankExtractor is the definition, frame by frame. What is linear is done here once for the signal and not
    once for each frame.
    With snip_edges a row of a zero-padded batch gives the features that it gives alone, in its first
    `num_frames(length)` frames. Bins agree with Kaldi's to 1e-3 down to 70 dB below the loudest bin of the frame;
    deeper, both hold the rounding errors of their own float32 Fourier transform.
    """

    window: Tensor
    mel_low: Tensor
    mel_high: Tensor

    def __init__(self, config: FbankConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or FbankConfig()
        self.rate = round(config.sample_frequency)
        self.frame_shift_s = config.frame_shift / 1000
        self.length, self.shift, self.n_fft = config.length, config.shift, config.n_fft
        self.dim = config.num_mel_bins + config.use_energy
        window = torch.from_numpy(config.window())
        self.starts_above_zero = bool(window[0] > 1e-6)
        self.register_buffer("window", F.pad(window, (0, self.n_fft - self.length)).float(), persistent=False)
        filters = torch.from_numpy(config.filters())
        self.mel_parts = []  # (name, first, last row): most of one large matrix would be zeros
        low_bins = round(0.6 * config.num_mel_bins)
        for name, part in (("mel_low", filters[:, :low_bins]), ("mel_high", filters[:, low_bins:])):
            used = part.sum(1).nonzero()
            first, last = int(used[0]), int(used[-1]) + 1
            self.mel_parts.append((name, 2 * first, 2 * last))
            # Every row twice: the squares of the real and the imaginary part stand side by side.
            rows = part[first:last].repeat_interleave(2, dim=0)
            self.register_buffer(name, rows.float(), persistent=False)

    def num_frames(self, samples: Lengths) -> Lengths:
        """Number of frames of `samples` samples: an int or a tensor of lengths."""
        if not self.config.snip_edges:
            return (samples + self.shift // 2) // self.shift
        frames = (samples - self.length) // self.shift + 1
        return frames.clamp(min=0) if isinstance(frames, Tensor) else max(0, frames)

    def forward(self, waveform: Tensor) -> Tensor:
        if torch.is_autocast_enabled(waveform.device.type):  # logarithms of 16-bit energies would be useless
            with torch.autocast(waveform.device.type, enabled=False):
                return self.forward(waveform)
        x = waveform[None] if waveform.dim() == 1 else waveform  # (batch, samples)
        frames = self.num_frames(x.shape[1])
        if frames and not self.config.snip_edges:
            x = self._reflect(x, frames)
        # Every frame loses its mean anyway. Where most of it goes before, less is lost to rounding.
        offset = x[:, : self.length].float().mean(1, keepdim=True) if self.config.remove_dc_offset else 0
        parts = []
        for first, last in blocks(frames, x):
            block = x[:, first * self.shift : (last - 1) * self.shift + self.length].float()
            parts.append(self._block(block - offset))
        if len(parts) != 1:
            parts = [torch.cat(parts, dim=1) if parts else x.new_zeros(x.shape[0], 0, self.dim)]
        out = parts[0]
        return out[0] if waveform.dim() == 1 else out  # (batch, frames, dim)

    def onnx(self) -> LogFilters:
        """The same of one signal in operators that ONNX has; not with --use-energy=true."""
        config, n = self.config, self.length
        if config.use_energy:
            raise UserError("features with --use-energy=true cannot be exported yet")
        # Columns of an identity, through all that is linear: offset, pre-emphasis, window, Fourier transform.
        x = torch.eye(n, dtype=torch.float64)
        if config.remove_dc_offset:
            x = x - x.mean(0, keepdim=True)
        x = x - config.preemphasis_coefficient * torch.cat([x[:1], x[:-1]])
        x = F.pad(torch.from_numpy(config.window())[:, None] * x, (0, 0, 0, self.n_fft - n))
        filters = torch.zeros(self.n_fft // 2, self.dim)
        low = self.mel_low.shape[1]
        for (name, first, last), columns in zip(self.mel_parts, (slice(0, low), slice(low, None)), strict=True):
            filters[first // 2 : last // 2, columns] = getattr(self, name)[::2]
        mirrored = (0, 0)
        if not config.snip_edges:  # the end by so much that there are as many frames as `num_frames` says
            before = n // 2 - self.shift // 2
            mirrored = (before, n - self.shift + self.shift // 2 - before)
        return LogFilters(fourier_basis(x, self.n_fft // 2), filters, self.shift, FLOOR, mirrored, repeat=True)

    def _block(self, x: Tensor) -> Tensor:
        """Features of the frames that fit into `x` (batch, samples)."""
        c = self.config.preemphasis_coefficient
        # Pre-emphasis is taken once over the signal instead of per frame, and the mean m of a frame is removed after
        # it, where it has become (1 - c) m.
        x = torch.cat([x[:, :1], x, x.new_zeros(x.shape[0], self.n_fft - self.length)], dim=1)
        y = torch.sub(x[:, 1:], x[:, :-1], alpha=c).unfold(1, self.n_fft, self.shift) * self.window
        if self.starts_above_zero:
            step = (x[:, :-1] - x[:, 1:])[:, : y.shape[1] * self.shift : self.shift]
            y[..., 0] += c * self.window[0] * step
        frames = x[:, 1 : x.shape[1] - self.n_fft + self.length].unfold(1, self.length, self.shift)
        if self.config.remove_dc_offset:
            total = frames.sum(-1, keepdim=True)  # (batch, frames, 1)
            y = y.addcmul_(total, self.window, value=(c - 1) / self.length)
        parts = torch.view_as_real(torch.fft.rfft(y)).flatten(-2)  # (batch, frames, 2 bins): re, im, re, im, ...
        # Without gradients results overwrite what is not needed any more: fresh memory is slow.
        keep = torch.is_grad_enabled() and parts.requires_grad
        power = torch.mul(parts, parts, out=None if keep else parts).flatten(0, 1)
        mel = torch.cat([power[:, first:last] @ getattr(self, name) for name, first, last in self.mel_parts], dim=1)
        mel = torch.clamp(mel, min=FLOOR, out=None if keep else mel)
        mel = torch.log(mel, out=None if keep else mel).view(*y.shape[:2], -1)  # (batch, frames, mels)
        if not self.config.use_energy:
            return mel
        if self.config.raw_energy:
            y = INT16_SCALE * (frames - total / self.length if self.config.remove_dc_offset else frames)
        energy = y.square().sum(-1, keepdim=True).clamp(min=max(FLOOR, self.config.energy_floor)).log()
        return torch.cat([energy, mel], dim=-1)

    def _reflect(self, x: Tensor, frames: int) -> Tensor:
        """Extend (batch, samples) by its mirror image, so that frame i is centred at (i + 1/2) shift."""
        n = x.shape[1]
        left = self.length // 2 - self.shift // 2
        right = max(0, (frames - 1) * self.shift + self.length - left - n)
        i = torch.cat([torch.arange(-left, 0), torch.arange(n, n + right)]).to(x.device) % (2 * n)
        edges = x[:, torch.where(i < n, i, 2 * n - 1 - i)]
        return torch.cat([edges[:, :left], x, edges[:, left:]], dim=1)
