"""Clean and enhanced audio side by side, from two data directories or two plain folders of audio files."""

from math import ceil
from pathlib import Path

import numpy as np
import soxr

from mimic.errors import AudioError, NotScored, UserError
from mimic.io.audio import SUFFIXES, AudioReader
from mimic.io.tables import audio_table, frame_count, read_table

RATE = 16000  # Hz, at which everything is scored
NARROW = 8000  # Hz, of telephone speech, for which some scores are defined, too
UNUSABLE = {"nan": "NaN or infinite samples", "empty": "no samples"}  # kinds of AudioError that cost one score only


class FolderReader(AudioReader):
    """An AudioReader for a folder of audio files; the utterance id is the name of the file without its ending."""

    def __init__(self, folder: str | Path, channel: int | None = None) -> None:
        self.data_dir, self.rate, self.allow_pipes, self.channel = Path(folder), RATE, False, channel
        self.wavs: dict[str, str] = {}
        for path in sorted(self.data_dir.iterdir()):
            if path.suffix.lower() in SUFFIXES:
                if path.stem in self.wavs:
                    raise UserError(f"{path}: {self.wavs[path.stem]} has the same name: keep one of them")
                self.wavs[path.stem] = str(path)
        if not self.wavs:
            raise UserError(
                f"{folder}: neither a data directory (no wav.scp or spk1.scp) nor a folder with audio files"
            )
        self.segments = None
        self.utts = sorted(self.wavs)


def open_audio(
    path: str | Path, allow_pipes: bool = False, channel: int | None = None, clean: bool = False
) -> AudioReader:
    """A reader for a data directory, or for a folder of audio files where there is no wav.scp or spk1.scp.

    Where a directory has both, noisy speech is in wav.scp and its `clean` side in spk1.scp.
    """
    if not Path(path).is_dir():
        raise UserError(f"{path}: no such directory")
    if table := audio_table(path, clean):
        return AudioReader(path, RATE, allow_pipes, channel, table)
    return FolderReader(path, channel)


class Pairs:
    """Two readers whose utterances go together; `utts` are those of the clean speech, in C order.

    UserError where an enhanced utterance has no clean one.
    """

    def __init__(
        self, clean: str | Path, enhanced: str | Path, allow_pipes: bool = False, channel: int | None = None
    ) -> None:
        self.clean = open_audio(clean, allow_pipes, channel, clean=True)
        self.enhanced = open_audio(enhanced, allow_pipes, channel)
        self.rates = next((path for side in (clean, enhanced) if (path := Path(side) / "utt2fs").exists()), None)
        self._rates = read_table(self.rates) if self.rates else {}
        self.utts = self.clean.utts
        unknown = [utt for utt in self.enhanced.utts if utt not in self.clean]
        if unknown:
            raise UserError(
                f"{unknown[0]}: in {enhanced} but not in {clean} ({len(unknown)} such): are these of one set?"
            )

    def load(self, utt: str) -> tuple[np.ndarray, np.ndarray, int]:
        """Clean and enhanced samples, (samples,) float32 of equal length, and their rate: 16 kHz, or 8 kHz where the
        audio has less than 16 kHz. Of audio with a line in utt2fs each side may have a rate of its own.

        NotScored: no enhanced audio, no samples, NaN. UserError: unreadable audio, lengths or rates that differ.
        """
        if utt not in self.enhanced:
            raise NotScored("no enhanced audio")
        x, rate = _native(self.clean, utt, "clean")
        y, enhanced_rate = _native(self.enhanced, utt, "enhanced")
        declared = self._declared(utt)
        if rate != enhanced_rate and not declared:
            raise UserError(
                f"{utt}: the clean audio is at {rate} Hz, the enhanced at {enhanced_rate} Hz: resample one of them, or "
                "write utt2fs, which says the rate to compare them at"
            )
        wanted = _rate_of_scores(utt, declared or rate)
        if rate == enhanced_rate:
            apart, slack = abs(len(x) - len(y)), 0
        x, y = _resampled(x, rate, wanted), _resampled(y, enhanced_rate, wanted)
        if rate != enhanced_rate:  # whoever resampled one of them has rounded its length
            apart, slack = abs(len(x) - len(y)), ceil(wanted / min(rate, enhanced_rate))
        if apart > slack:
            raise UserError(
                f"{utt}: the clean audio has {len(x)} samples, the enhanced {len(y)}: an enhancer must keep the length"
            )
        return x[: len(y)], y[: len(x)], wanted

    def _declared(self, utt: str) -> int | None:
        """The rate of an utterance by utt2fs, Hz. UserError for anything but a whole number above 0."""
        value = self._rates.get(utt)
        if value is None:
            return None
        if frame_count(value):
            return int(value)
        raise UserError(f"{utt}: {self.rates}: expected Hz, a whole number above 0, got {value!r}: correct it")


class Single:
    """The enhanced side alone, for measures without a reference; used as Pairs is."""

    def __init__(self, enhanced: str | Path, allow_pipes: bool = False, channel: int | None = None) -> None:
        self.enhanced = open_audio(enhanced, allow_pipes, channel)
        self.utts = self.enhanced.utts

    def load(self, utt: str) -> tuple[np.ndarray, np.ndarray, int]:
        """The samples (samples,) twice, and their rate. NotScored and UserError as of Pairs."""
        x, rate = _native(self.enhanced, utt, "enhanced")
        wanted = _rate_of_scores(utt, rate)
        x = _resampled(x, rate, wanted)
        return x, x, wanted


def _resampled(x: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    return x if rate == wanted else soxr.resample(x, rate, wanted, quality="HQ")


def _rate_of_scores(utt: str, rate: int) -> int:
    """The rate at which audio of this rate is scored."""
    if rate < NARROW:
        raise UserError(f"{utt}: audio at {rate} Hz: the scores are defined for {NARROW} Hz and more")
    return RATE if rate >= RATE else NARROW


def _native(reader: AudioReader, utt: str, side: str) -> tuple[np.ndarray, int]:
    try:
        return reader.native(utt)
    except AudioError as error:
        if error.kind in UNUSABLE:
            raise NotScored(f"{UNUSABLE[error.kind]} in the {side} audio") from None
        raise
