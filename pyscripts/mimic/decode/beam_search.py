"""Joint CTC / attention beam search over a batch of utterances at once."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from mimic.data.tokens import BLANK, BOS, EOS
from mimic.decode.ctc import PrefixScorer, PrefixState, select
from mimic.models.attention_decoder import AttentionDecoder, Memory, State


@dataclass
class DecodeConfig:
    """Beam search.

    Attributes:
        beam: hypotheses kept per utterance.
        ctc_weight: weight of the CTC prefix score, from 0 to 1; the attention decoder has the rest. 1 takes its
            candidates from the decoder all the same.
        max_ratio: most tokens of a hypothesis per encoder frame.
        length_bonus: added to the score for every token.
        nbest: hypotheses returned per utterance.
        valid_beam: beam of the validation during training.
    """

    beam: int = 10
    ctc_weight: float = 0.5
    max_ratio: float = 1.0
    length_bonus: float = 0.0
    nbest: int = 1
    valid_beam: int = 1


class Hypothesis(NamedTuple):
    """A finished transcript: token ids without sentence ends, and its weighted log-probability."""

    tokens: list[int]
    score: float


class _Beam(NamedTuple):
    """The running hypotheses of all active utterances, best first."""

    score: Tensor  # (batch, beam): weighted total
    decoder_score: Tensor  # (batch, beam)
    token: Tensor  # (batch, beam): last token
    state: State  # rows batch * beam
    prefix: PrefixState | None


@torch.inference_mode()
def search(
    decoder: AttentionDecoder, encoded: Tensor, lengths: Tensor, ctc_log_probs: Tensor | None, config: DecodeConfig
) -> list[list[Hypothesis]]:
    """Decode a batch; the result of an utterance is the same in any batch.

    Args:
        encoded: (batch, frames, features) and lengths (batch,) of the encoder.
        ctc_log_probs: (batch, frames, tokens); may be None where ctc_weight is 0.

    Returns: for each utterance up to `nbest` hypotheses, best first.

    All scores are log-probabilities, so a hypothesis only gets worse as it grows (but for the length bonus). An
    utterance is finished when no running hypothesis can still overtake its nbest-th finished one: exact, not a
    heuristic.
    """
    memory = decoder.remember(encoded, lengths)
    scorer = PrefixScorer(ctc_log_probs, lengths) if config.ctc_weight > 0 else None
    width, tokens = config.beam, decoder.output.out_features
    candidates = min(tokens - 3, width + width // 2 + 1)
    limits = (lengths * config.max_ratio).long().clamp(min=1)
    batch = len(lengths)
    active = torch.arange(batch, device=lengths.device)  # utterances that rows of the beam belong to
    score = torch.full((batch, width), -torch.inf, dtype=torch.float64, device=lengths.device)
    score[:, 0] = 0.0
    beam = _Beam(
        score,
        score.clone(),
        torch.full((batch, width), BOS, device=lengths.device),
        decoder.start(memory, width),
        scorer.start(width) if scorer else None,
    )
    history: list[tuple[Tensor, Tensor]] = []  # per length: parents and tokens, (all utterances, beam)
    finished: list[list[tuple[float, int, int]]] = [[] for _ in range(batch)]  # score, length, row of the beam
    for length in range(int(limits.max()) + 1):
        log_probs, state = decoder.step(beam.token.flatten(), memory, beam.state)
        log_probs = log_probs.double().view(len(active), width, tokens)
        _finish(finished, active, beam, log_probs[..., EOS], length, limits, config)
        log_probs[..., [BLANK, BOS, EOS]] = -torch.inf
        going = _unfinished(finished, active, beam, length, limits, config)
        if not bool(going.any()):
            break
        if int(going.sum()) <= len(active) // 2:  # half of the work would be for nothing
            kept = going.nonzero().squeeze(1)
            active, log_probs, memory = active[kept], log_probs[kept], Memory(*(part[kept] for part in memory))
            state = State(*(part.view(-1, width, *part.shape[1:])[kept].flatten(0, 1) for part in state))
            prefix = PrefixState(*(part[kept] for part in beam.prefix)) if beam.prefix else None
            beam = _Beam(*(part[kept] for part in beam[:3]), state, prefix)
            if scorer:
                scorer.keep(kept)
        beam, parent = _extend(beam, state, log_probs, scorer, candidates, length, config)
        parents, chosen = (torch.zeros(batch, width, dtype=torch.long, device=lengths.device) for _ in range(2))
        parents[active], chosen[active] = parent, beam.token
        history.append((parents.cpu(), chosen.cpu()))
    return [
        [Hypothesis(_trace(history, utt, length, row), score) for score, length, row in ended]
        for utt, ended in enumerate(finished)
    ]


def _finish(
    finished: list, active: Tensor, beam: _Beam, end: Tensor, length: int, limits: Tensor, config: DecodeConfig
) -> None:
    """Consider the end of the sentence for every running hypothesis; keep the nbest of each utterance."""
    total = (1 - config.ctc_weight) * (beam.decoder_score + end) + config.length_bonus * length
    if beam.prefix:
        total = total + config.ctc_weight * PrefixScorer.end(beam.prefix)
    total = total.masked_fill((length > limits[active]).unsqueeze(1), -torch.inf)
    for utt, row_scores in zip(active.tolist(), total.tolist(), strict=True):
        ended = [(score, length, row) for row, score in enumerate(row_scores) if score > -torch.inf]
        finished[utt] = sorted(finished[utt] + ended, key=lambda e: (-e[0], e[1], e[2]))[: config.nbest]


def _unfinished(
    finished: list, active: Tensor, beam: _Beam, length: int, limits: Tensor, config: DecodeConfig
) -> Tensor:
    worst = torch.tensor(
        [finished[u][-1][0] if len(finished[u]) == config.nbest else -torch.inf for u in active.tolist()],
        dtype=torch.float64,
        device=beam.score.device,
    )
    bonus = max(config.length_bonus, 0.0) * (limits[active] - length)
    return (beam.score[:, 0] + bonus > worst) & (length < limits[active])


def _extend(
    beam: _Beam,
    state: State,
    log_probs: Tensor,
    scorer: PrefixScorer | None,
    candidates: int,
    length: int,
    config: DecodeConfig,
) -> tuple[_Beam, Tensor]:
    """Append the likeliest tokens to every hypothesis and keep the best `beam` of all. Returns their parents too."""
    batch, width, _ = log_probs.shape
    best, tokens = log_probs.topk(candidates, dim=2)  # (batch, beam, candidates)
    decoder_score = beam.decoder_score.unsqueeze(2) + best
    total = (1 - config.ctc_weight) * decoder_score + config.length_bonus * (length + 1)
    if scorer:
        prefix_score, prefix = scorer.extend(beam.prefix, tokens)
        total = total + config.ctc_weight * prefix_score
    total = total.masked_fill(beam.score.unsqueeze(2) == -torch.inf, -torch.inf)
    score, flat = total.flatten(1).topk(width, dim=1)  # (batch, beam)
    parent, candidate = flat // candidates, flat % candidates
    rows = (torch.arange(batch, device=parent.device).unsqueeze(1) * width + parent).flatten()
    return _Beam(
        score,
        decoder_score.flatten(1).gather(1, flat),
        tokens.flatten(1).gather(1, flat),
        State(*(part[rows] for part in state)),
        select(prefix, parent, candidate) if scorer else None,
    ), parent


def _trace(history: list[tuple[Tensor, Tensor]], utt: int, length: int, row: int) -> list[int]:
    tokens = []
    for parents, chosen in reversed(history[:length]):
        tokens.append(int(chosen[utt, row]))
        row = int(parents[utt, row])
    return tokens[::-1]
