"""Padded batches: what makes an utterance's result independent of the utterances beside it."""

import torch
from torch import Tensor, nn


def valid_frames(lengths: Tensor, frames: int) -> Tensor:
    """Lengths (batch,) -> boolean mask (batch, frames), true on real frames."""
    return torch.arange(frames, device=lengths.device) < lengths[:, None]


def tracing() -> bool:
    """Whether a network is being traced for export: as a graph of one utterance, of any length, without padding."""
    return torch.jit.is_tracing()


def pack(x: Tensor, lengths: Tensor) -> Tensor:
    """(batch, frames, ...) -> (all real frames, ...), so that statistics and work leave padding out."""
    if tracing():
        return x.squeeze(0)
    return x[valid_frames(lengths, x.shape[1])]


def unpack(packed: Tensor, lengths: Tensor, frames: int) -> Tensor:
    """The inverse of `pack`; padding is zero."""
    if tracing():
        return packed.unsqueeze(0)
    x = packed.new_zeros(len(lengths), frames, *packed.shape[1:])
    x[valid_frames(lengths, frames)] = packed
    return x


def frames_at(places: Tensor, x: Tensor, lengths: Tensor) -> Tensor:
    """The frames of x (batch, frames, features) at these places (n,), and an utterance's last real one beyond it."""
    places = places.minimum((lengths - 1).unsqueeze(1))  # (batch, n)
    return x.gather(1, places.unsqueeze(2).expand(-1, -1, x.shape[2]))


def reverse(x: Tensor, lengths: Tensor) -> Tensor:
    """Reverses each utterance within its own length; padding stays where it is. (batch, frames, features)"""
    if tracing():
        return x.flip(1)
    time = torch.arange(x.shape[1], device=x.device)
    index = torch.where(time < lengths[:, None], lengths[:, None] - 1 - time, time)
    return x.gather(1, index[:, :, None].expand_as(x))


def normalise_channels(norm: nn.Module, x: Tensor, lengths: Tensor) -> Tensor:
    """`norm`, a batch normalisation, of each channel of (batch, frames, bins, channels) over real frames and bins."""
    if not norm.training:  # fixed numbers: padding changes nothing
        return norm(x.flatten(0, 2)).view_as(x)
    real = pack(x, lengths)  # (real frames, bins, channels)
    return unpack(norm(real.flatten(0, 1)).view_as(real), lengths, x.shape[1])


def masked_mean(values: Tensor, lengths: Tensor) -> Tensor:
    """Mean over the real frames and all features of (batch, frames, ...)."""
    mask = valid_frames(lengths, values.shape[1])
    per_frame = values.flatten(2).mean(2)  # (batch, frames)
    return (per_frame * mask).sum() / mask.sum()


def reflect_edges(x: Tensor, lengths: Tensor) -> Tensor:
    """Pads (batch, frames, ...) by one mirrored frame on both sides of each utterance's own length.

    A convolution of width 3 over the result sees at an utterance's end what it would see without padding.
    """
    if tracing():
        return torch.cat([x[:, 1:2], x, x[:, -2:-1]], dim=1)
    rows = torch.arange(len(lengths), device=x.device)
    before = x[rows, (lengths - 1).clamp(max=1)].unsqueeze(1)  # an utterance of one frame mirrors itself
    after = x[rows, (lengths - 2).clamp(min=0)]
    x = torch.cat([before, x, after.unsqueeze(1)], dim=1)
    if bool((lengths < x.shape[1] - 2).any()):
        x[rows, lengths + 1] = after
    return x


def mirrored_border(x: Tensor, lengths: Tensor) -> Tensor:
    """`reflect_edges` over time and a mirrored border over frequency: (batch, frames, bins, channels)."""
    if tracing():
        x = torch.cat([x[:, :, 1:2], x, x[:, :, -2:-1]], dim=2)
        return torch.cat([x[:, 1:2], x, x[:, -2:-1]], dim=1)
    return MirroredBorder.apply(x, lengths)


class MirroredBorder(torch.autograd.Function):
    """`mirrored_border` in one pass.

    Composed of slices, the backward pass would fill and add a full-size array of zeros for each of the four borders.
    """

    @staticmethod
    def forward(ctx, x: Tensor, lengths: Tensor) -> Tensor:
        batch, frames, bins, channels = x.shape
        rows = torch.arange(batch, device=x.device)
        before, after = (lengths - 1).clamp(max=1), (lengths - 2).clamp(min=0)
        out = x.new_empty(batch, frames + 2, bins + 2, channels)
        out[:, 1:-1, 1:-1] = x
        out[:, 1:-1, 0], out[:, 1:-1, -1] = x[:, :, 1], x[:, :, -2]
        out[:, frames + 1] = 0
        out[:, 0] = out[rows, before + 1]
        out[rows, lengths + 1] = out[rows, after + 1]
        ctx.save_for_backward(rows, lengths, before, after)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad: Tensor):
        rows, lengths, before, after = ctx.saved_tensors
        frames = grad.shape[1] - 2

        def fold(g: Tensor) -> Tensor:
            """Gradient of a frame's bins from that of its bordered bins: (..., bins + 2, channels)."""
            x = g[..., 1:-1, :].clone(memory_format=torch.contiguous_format)
            x[..., 1, :] += g[..., 0, :]
            x[..., -2, :] += g[..., -1, :]
            return x

        x = fold(grad[:, 1:-1])
        inside = lengths < frames
        x[rows[inside], lengths[inside]] = 0  # these frames were overwritten by the border
        x[rows, before] += fold(grad[:, 0])
        x[rows, after] += fold(grad[rows, lengths + 1])
        return x, None
