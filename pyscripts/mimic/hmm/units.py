"""Targets from alignments, for encoders that predict the unit of a frame: the HMM state of its phone (as in PBERT, Wang
et al., "Supervision-Guided Codebooks for Masked Prediction in Speech Pre-Training", 2022)."""

import re
from collections.abc import Mapping

import numpy as np

from mimic.hmm.model import Model

_POSITION = re.compile(r"_[BIES]$")


class PhoneStates:
    """Units of a model: HMM states of phones, whatever their place in the word.

    Args:
        model: of the alignments.
        phones: {phone: number}, as phones.txt has them.

    Attributes:
        names: PHONE_STATE of each unit.
    """

    def __init__(self, model: Model, phones: Mapping[str, int]) -> None:
        base = {number: _POSITION.sub("", phone) for phone, number in phones.items()}
        states = [(base[phone], state) for phone, state, *_ in model.tuples]
        units = {unit: i for i, unit in enumerate(sorted(set(states)))}
        self.names = [f"{phone}_{state}" for phone, state in units]
        self._of_tid = np.array([0, *map(units.__getitem__, states)], np.int32)[model.tid_tuple]

    def __call__(self, ali: np.ndarray, factor: int) -> np.ndarray:
        """Transition ids (frames,) -> units (frames / factor, rounded up): those of frames 0, factor, 2 factor ..."""
        return self._of_tid[ali[::factor]]
