"""Scores of speaker verification: which pairs of utterances have one speaker."""

from collections.abc import Mapping

import numpy as np


def trials(embeddings: Mapping[str, np.ndarray], speaker_of: Mapping[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """Cosine similarity of every pair of utterances, and whether both are of one speaker."""
    utts = sorted(embeddings)
    x = np.stack([embeddings[utt] for utt in utts]).astype(np.float64)
    x /= np.linalg.norm(x, axis=1, keepdims=True).clip(1e-12)
    speakers = np.array([speaker_of[utt] for utt in utts])
    first, second = np.triu_indices(len(utts), 1)
    return (x @ x.T)[first, second], speakers[first] == speakers[second]


def equal_error_rate(scores: np.ndarray, same: np.ndarray) -> float | None:
    """The rate at which as many `same` pairs are rejected as others are accepted; None unless there are both."""
    if not 0 < same.sum() < len(same):
        return None
    order = np.argsort(scores, kind="stable")
    scores, same = scores[order], same[order]
    rejected = np.append(0, np.cumsum(same)) / same.sum()  # with the threshold after the first, second, ... score
    accepted = 1 - np.append(0, np.cumsum(~same)) / (~same).sum()
    apart = np.append(True, scores[1:] != scores[:-1])
    place = np.append(apart, True).nonzero()[0]  # equal scores are accepted or rejected together
    rejected, accepted = rejected[place], accepted[place]
    right = int(np.argmax(rejected >= accepted))
    left = max(0, right - 1)
    gap = accepted[left] - rejected[left] - (accepted[right] - rejected[right])
    share = (accepted[left] - rejected[left]) / gap if gap else 0.0
    return float(rejected[left] + share * (rejected[right] - rejected[left]))
