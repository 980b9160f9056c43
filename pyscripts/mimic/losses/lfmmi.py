"""Lattice-free MMI (Povey et al., 2016): how much likelier the reference phones are than all phone sequences together.

    F = log sum over alignments of the reference phones - log sum over all paths of a phone language model

of exp(sum over frames of the network's output for the path's pdf). Both sums are found by the forward-backward
algorithm; their posteriors, one less the other, are the gradient. Transition probabilities are left out: every path
has the same number of them, and all are 0.5 (mimic.hmm.chain).
"""

import warnings
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mimic.hmm.chain import PhoneGraph

LIMIT = 30.0  # of a network's outputs in the denominator, as in Kaldi
NEVER = -1e30  # logarithm of 0 whose sums and gradients stay finite


class Spans(NamedTuple):
    """The phones of a batch of utterances, padded.

    pdfs (batch, phones, 2): of a phone's first frame, and of its others.
    first, last (batch, phones): the frames in which the phone may be: first <= t < last.
    counts (batch,): phones of each utterance.
    """

    pdfs: Tensor
    first: Tensor
    last: Tensor
    counts: Tensor


def numerator(outputs: Tensor, lengths: Tensor, spans: Spans) -> Tensor:
    """Log-sums (batch,) over the alignments of the reference phones.

    outputs (batch, frames, pdfs), lengths (batch,). The probability of these phones, a constant, is left out.
    """
    batch, frames, _ = outputs.shape
    phones = spans.pdfs.shape[1]
    index = spans.pdfs.flatten(1).unsqueeze(1).expand(-1, frames, -1)
    at_pdfs = outputs.gather(2, index).view(batch, frames, phones, 2)
    time = torch.arange(frames, device=outputs.device)[None, :, None]
    outside = (time < spans.first.unsqueeze(1)) | (time >= spans.last.unsqueeze(1))
    entering, staying = at_pdfs.masked_fill(outside.unsqueeze(3), NEVER).unbind(3)  # (batch, frames, phones)
    never = outputs.new_full((batch, 1), NEVER)
    alpha = torch.cat([entering[:, 0, :1], never.expand(-1, phones - 1)], dim=1)
    history = [alpha]
    for t in range(1, frames):
        before = torch.cat([never, alpha[:, :-1]], dim=1)
        alpha = torch.logaddexp(before + entering[:, t], alpha + staying[:, t]).clamp(min=NEVER)
        history.append(alpha)
    rows = torch.arange(batch, device=outputs.device)
    return torch.stack(history)[lengths - 1, rows, spans.counts - 1]


class Denominator(nn.Module):
    """The sum over all paths of a phone language model.

    Args:
        graph: its states and arcs.
        pdfs: number of outputs of the network.
    """

    entered_by: Tensor  # (states, states), sparse, as the two that follow
    leads_to: Tensor
    to_pdfs: Tensor  # (pdfs, 2 * states)
    of_states: Tensor  # (2 * states,)
    start: Tensor  # (states, 1)
    end: Tensor

    def __init__(self, graph: PhoneGraph, pdfs: int) -> None:
        super().__init__()
        states = len(graph.end)
        place = torch.stack([torch.from_numpy(graph.source), torch.from_numpy(graph.target)])
        prob = torch.from_numpy(graph.prob).float()
        of_states = torch.from_numpy(graph.pdfs.T.reshape(-1).copy())  # first frames, then the others
        to_pdfs = torch.stack([of_states, torch.arange(2 * states)])
        for name, index, values, size in (
            ("entered_by", place.flip(0), prob, (states, states)),
            ("leads_to", place, prob, (states, states)),
            ("to_pdfs", to_pdfs, torch.ones(2 * states), (pdfs, 2 * states)),
        ):
            self.register_buffer(name, _sparse(index, values, size), persistent=False)
        self.register_buffer("of_states", of_states, persistent=False)
        self.register_buffer("start", torch.from_numpy(graph.start).float()[:, None], persistent=False)
        self.register_buffer("end", torch.from_numpy(graph.end).float()[:, None], persistent=False)

    @torch.no_grad()
    def forward(self, outputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Log-sums (batch,) and posteriors (batch, frames, pdfs); outputs (batch, frames, pdfs), lengths (batch,)."""
        batch, frames, _ = outputs.shape
        states = len(self.start)
        outputs = outputs.float().clamp(-LIMIT, LIMIT)
        highest = outputs.amax(2, keepdim=True)
        likely = (outputs - highest).exp_().permute(1, 2, 0).contiguous()  # (frames, pdfs, batch)
        real = torch.arange(frames, device=outputs.device)[:, None] < lengths  # (frames, batch)

        def scores(t: int) -> tuple[Tensor, Tensor]:
            """What entering and staying in each state (states, batch) multiplies by, in frame t."""
            first, others = likely[t].index_select(0, self.of_states).view(2, states, batch)
            return first, others

        alpha = outputs.new_empty(frames, states, batch)  # of each frame, with sum 1
        came = outputs.new_empty(frames, states, batch)  # what enters a state, without the frame itself
        scale = outputs.new_empty(frames, batch)
        for t in range(frames):
            entering, staying = scores(t)
            came[t] = self.entered_by @ alpha[t - 1] if t else self.start
            torch.mul(came[t], entering, out=alpha[t])
            if t:
                alpha[t].addcmul_(alpha[t - 1], staying)
            scale[t] = alpha[t].sum(0)
            alpha[t] /= scale[t]
        last = alpha[lengths - 1, :, torch.arange(batch, device=outputs.device)].T  # (states, batch)
        ended = (last * self.end).sum(0)
        total = ((scale.log() + highest.squeeze(2).T) * real).sum(0) + ended.log()

        final = self.end / ended  # alpha * beta is a posterior
        beta = torch.zeros_like(final)
        posteriors = torch.empty_like(likely)
        both = outputs.new_zeros(2, states, batch)
        for t in range(frames - 1, -1, -1):
            beta = torch.where(lengths - 1 == t, final, beta)
            beta = beta / scale[t]
            entering, staying = scores(t)
            entering *= beta
            staying *= beta
            torch.mul(came[t], entering, out=both[0])
            if t:
                torch.mul(alpha[t - 1], staying, out=both[1])
            else:
                both[1].zero_()
            posteriors[t] = self.to_pdfs @ both.view(2 * states, batch)
            beta = (self.leads_to @ entering).add_(staying)
        return total, posteriors.permute(2, 0, 1) * real.T.unsqueeze(2)


def _sparse(index: Tensor, values: Tensor, size: tuple[int, int]) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse")  # this format is in beta, torch says; of it products alone are used
        return torch.sparse_coo_tensor(index, values, size).coalesce().to_sparse_csr()


class _Known(torch.autograd.Function):
    """A value whose gradient is known."""

    @staticmethod
    def forward(ctx, outputs: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return value.clone()

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        (gradient,) = ctx.saved_tensors
        return grad * gradient, None, None


def lfmmi(outputs: Tensor, lengths: Tensor, spans: Spans, denominator: Denominator) -> tuple[Tensor, Tensor]:
    """-F, summed over a batch, and the posteriors (batch, frames, pdfs) of the reference phones.

    outputs (batch, frames, pdfs), lengths (batch,) in frames of the network.
    """
    leaf = outputs.detach().float().requires_grad_()
    with torch.enable_grad():
        reference = numerator(leaf, lengths, spans).sum()
        (posteriors,) = torch.autograd.grad(reference, leaf)
    with torch.autocast(outputs.device.type, enabled=False):  # sums of probabilities, in 32 bits
        everything, others = denominator(outputs.detach(), lengths)
    value = everything.sum() - reference.detach()
    return _Known.apply(outputs, value, (others - posteriors).to(outputs.dtype)), posteriors
