"""Scores of an enhancer on development speech, while it is trained."""

import os
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing.context import ForkContext, ForkProcess
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from mimic.errors import NotScored
from mimic.io.audio import AudioReader
from mimic.metrics.pesq import pesq
from mimic.metrics.stoi import stoi_estoi
from mimic.training import parallel
from mimic.training.processes import rank_info
from mimic.training.stop import leave_signals_to_parent


class Enhancing(Protocol):
    """A network with `enhance(waveforms, front)`, where `front` is the STFT, or what else it takes."""

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def enhance(self, waveforms: list[Tensor], front: Any, /) -> list[Tensor]: ...


class _Worker(ForkProcess):
    """A worker leaves SIGTERM to its parent, so that is not how its pool can end it."""

    terminate = ForkProcess.kill


class _Workers(ForkContext):
    Process = _Worker


class DevScores:
    """wb-PESQ, STOI and eSTOI of enhanced waveforms.

    Args:
        noisy, clean: data directories with the same utterances.
        utterances: of the development set.
        most: how many of them, evenly spread, are scored; 0: all.
    """

    def __init__(self, noisy: str, clean: str, utterances: Iterable[str], most: int):
        self.noisy, self.clean = AudioReader(noisy), AudioReader(clean)
        self.utterances = sorted(utterances)
        if 0 < most < len(self.utterances):
            self.utterances = self.utterances[:: -(-len(self.utterances) // most)]
        # Scoring runs beside the network, in processes that start now: later there are threads, and forking a
        # process with threads is not safe.
        workers = max(1, (os.cpu_count() or 1) // rank_info().local_world)
        self._pool = ProcessPoolExecutor(workers, _Workers(), initializer=leave_signals_to_parent)
        self._pool.submit(abs, 0).result()

    def close(self) -> None:
        """End the processes; scores that are not computed yet are given up.

        Called before Python ends: dropped at that moment, the pool's thread closes what Python's exit still writes to.
        Not by a finaliser: garbage is collected in a thread that begins, too, which holds the lock that waiting for
        another thread takes.
        """
        self._pool.shutdown(cancel_futures=True)

    def start(self, model: Enhancing, front: Any, batch: int) -> dict[int, Future]:
        """Enhance, `batch` utterances at a time; the scores are computed in the background.

        Of several processes, each does its part. Gives the scores by the utterance's number.
        """
        device = next(model.parameters()).device
        scores = {}
        for start in parallel.shard(range(0, len(self.utterances), batch)):
            utterances = self.utterances[start : start + batch]
            waveforms = model.enhance([torch.from_numpy(self.noisy[utt]).to(device) for utt in utterances], front)
            for number, (utt, waveform) in enumerate(zip(utterances, waveforms, strict=True), start):
                scores[number] = self._pool.submit(_scores, self.clean[utt], waveform.cpu().numpy())
        return scores

    @property
    def sides(self) -> tuple[AudioReader, AudioReader]:
        """Of noisy and of clean speech."""
        return self.noisy, self.clean

    def pesq(self, pairs: list[tuple[np.ndarray, np.ndarray]]) -> list[float]:
        """wb-PESQ of (clean, degraded) waveforms, NaN where it cannot be computed."""
        return list(self._pool.map(_pesq, *zip(*pairs, strict=True)))

    @staticmethod
    def means(scores: dict[int, Future]) -> dict[str, float]:
        """Mean wb-PESQ, STOI and eSTOI (percent); utterances without a score are left out of its mean."""
        results = parallel.all_gather({number: score.result() for number, score in scores.items()})
        with warnings.catch_warnings():  # a score that no utterance has is NaN
            warnings.simplefilter("ignore", RuntimeWarning)
            means = np.nanmean(results, axis=0)
        return dict(zip(("pesq", "stoi", "estoi"), (means * (1, 100, 100)).tolist(), strict=True))


def _scores(clean: np.ndarray, enhanced: np.ndarray) -> tuple[float, ...]:
    """wb-PESQ, STOI and eSTOI, NaN where one cannot be computed."""
    try:
        stois = stoi_estoi(clean, enhanced)
    except NotScored:
        stois = (np.nan, np.nan)
    return (_pesq(clean, enhanced), *stois)


def _pesq(clean: np.ndarray, enhanced: np.ndarray) -> float:
    try:
        return pesq(clean, enhanced, "wb")
    except NotScored:
        return np.nan
