"""Development utterances as an enhancer in training leaves them, see `mimic.training.samples`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from mimic.frontend.stft import Stft
from mimic.io.audio import AudioReader
from mimic.io.tables import evenly
from mimic.tasks.dev_scores import Enhancing
from mimic.training.samples import Sample

LONGEST_S = 10.0  # of longer utterances the beginning is taken
RANGE_DB = 80.0  # below the loudest bin of the noisy speech: black
BORDER = 2  # white pixels between two spectra


@torch.inference_mode()
def dev_samples(
    sides: tuple[AudioReader, AudioReader], utts: Sequence[str], model: Enhancing, front: Any, count: int
) -> list[Sample]:
    """Some of these utterances, evenly spread, at the rate of `front`: (noisy, clean) and what `model` makes of it."""
    device, found = next(model.parameters()).device, []
    readers = [AudioReader(side.data_dir, front.rate) for side in sides]
    for utt in evenly(utts, count):
        noisy, clean = (reader[utt][: round(LONGEST_S * front.rate)] for reader in readers)
        enhanced = model.enhance([torch.from_numpy(noisy).to(device)], front)[0].float().cpu().numpy()
        enhanced = np.nan_to_num(enhanced, nan=0, posinf=0, neginf=0)  # of a model that has diverged
        stft = front if isinstance(front, Stft) else Stft()
        found.append(Sample(utt, front.rate, noisy, clean, enhanced, spectra(noisy, enhanced, clean, stft)))
    return found


def spectra(noisy: np.ndarray, enhanced: np.ndarray, clean: np.ndarray, stft: Stft) -> np.ndarray:
    """A picture (rows, columns), uint8: above noisy and enhanced, below clean and mask, high frequencies on top.

    Magnitudes are in dB. The mask is what is left of each bin, 0 to 1, also of an enhancer that works without masks.
    """
    device = stft.window.device
    sides = [stft(torch.from_numpy(x).to(device)).expm1().cpu().numpy().T[::-1] for x in (noisy, enhanced, clean)]
    sides = [side[:, : min(side.shape[1] for side in sides)] for side in sides]  # (bins, frames)
    loudest = max(float(sides[0].max()), 1e-6)
    shades = [1 + 20 * np.log10(np.maximum(side / loudest, 1e-6)) / RANGE_DB for side in sides]
    shades.append(sides[1] / np.maximum(sides[0], 1e-6 * loudest))
    bins, frames = shades[0].shape
    picture = np.full((2 * bins + BORDER, 2 * frames + BORDER), 255, np.uint8)
    for i, shade in enumerate(shades):
        row, column = i // 2 * (bins + BORDER), i % 2 * (frames + BORDER)
        picture[row : row + bins, column : column + frames] = np.rint(255 * np.clip(shade, 0, 1))
    return picture
