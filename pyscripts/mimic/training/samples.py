"""What a model makes of some development utterances while it is trained, to listen to and to look at.

<exp-dir>/samples/<utterance>/ has noisy.wav and clean.wav, and of the first epoch, each `samples_every`-th and the last
one the enhanced speech, epoch-0010.wav, and its spectra, epoch-0010.png. The tracker gets the same.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from mimic.io import atomic
from mimic.io.entries import file_name
from mimic.io.recording import write_wav
from mimic.training.run import Run
from mimic.training.trackers import png_bytes


class Sample(NamedTuple):
    """An utterance: waveforms (samples,) at `rate` Hz, and a picture (rows, columns), uint8, of what was done to it."""

    utt: str
    rate: int
    noisy: np.ndarray
    clean: np.ndarray
    enhanced: np.ndarray
    spectra: np.ndarray


def write_samples(run: Run) -> None:
    """Write those of an epoch that has been trained, if it is one of those. What is there already stays the same."""
    config = run.config
    if not (run.log and config.samples) or not (run.epoch == 1 or run.due(config.samples_every)):
        return
    run.task.eval()
    for sample in run.task.samples(config.samples):
        _write(sample, run.directory / "samples", run)


def _write(sample: Sample, folder: Path, run: Run) -> None:
    assert run.log is not None  # of the first process
    tag, folder = f"samples/{sample.utt}", folder / file_name(sample.utt)
    begin = run.epoch == 1 or not (folder / "clean.wav").exists()
    folder.mkdir(parents=True, exist_ok=True)
    for side in ("noisy", "clean") if begin else ():
        write_wav(folder / f"{side}.wav", getattr(sample, side), sample.rate)
        run.log.tracker.add_audio(f"{tag}/{side}", getattr(sample, side), sample.rate, run.step)
    write_wav(folder / f"epoch-{run.epoch:04d}.wav", sample.enhanced, sample.rate)
    with atomic.replace(folder / f"epoch-{run.epoch:04d}.png", "wb") as f:
        f.write(png_bytes(sample.spectra))
    run.log.tracker.add_audio(f"{tag}/enhanced", sample.enhanced, sample.rate, run.step)
    run.log.tracker.add_image(f"{tag}/spectra", sample.spectra, run.step)


def write_histograms(run: Run) -> None:
    """Weights of what is trained, and the gradients of the last step, of an epoch that is one of those."""
    every = run.config.histograms_every
    if not (run.log and every and run.due(every)):
        return
    for key, optimiser in run.optimisers.items():
        for name, p in optimiser.module.named_parameters():
            for kind, values in (("weights", p), ("gradients", p.grad)):
                if values is not None and values.isfinite().any():
                    run.log.tracker.add_histogram(
                        f"{kind}/{key}/{name}", values.detach().float().cpu().numpy(), run.step
                    )
