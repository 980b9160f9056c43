"""Clean and enhanced audio side by side, from two data directories or two plain folders of audio files."""

from pathlib import Path

import numpy as np
import soxr

from mimic.data.audio import SUFFIXES, AudioReader
from mimic.errors import AudioError, UserError
from mimic.score.reason import NotScored

RATE = 16000  # Hz, at which everything is scored
UNUSABLE = {"nan": "NaN or infinite samples", "empty": "no samples"}  # kinds of AudioError that cost one score only


class FolderReader(AudioReader):
    """An AudioReader for a folder of audio files; the utterance id is the name of the file without its ending."""

    def __init__(self, folder: str | Path) -> None:
        self.data_dir, self.rate, self.allow_pipes, self.channel = Path(folder), RATE, False, None
        self.wavs: dict[str, str] = {}
        for path in sorted(self.data_dir.iterdir()):
            if path.suffix.lower() in SUFFIXES:
                if path.stem in self.wavs:
                    raise UserError(f"{path}: {self.wavs[path.stem]} has the same name: keep one of them")
                self.wavs[path.stem] = str(path)
        if not self.wavs:
            raise UserError(f"{folder}: neither a data directory (no wav.scp) nor a folder with audio files")
        self.segments = None
        self.utts = sorted(self.wavs)


def open_audio(path: str | Path, allow_pipes: bool = False) -> AudioReader:
    """A reader for a data directory, or for a folder of audio files where there is no wav.scp."""
    if not Path(path).is_dir():
        raise UserError(f"{path}: no such directory")
    return AudioReader(path, RATE, allow_pipes) if (Path(path) / "wav.scp").exists() else FolderReader(path)


class Pairs:
    """Two readers whose utterances go together; `utts` are those of the clean side, in C order.

    UserError where the enhanced side has an utterance that the clean side lacks, or none that it has.
    """

    def __init__(self, clean: str | Path, enhanced: str | Path, allow_pipes: bool = False) -> None:
        self.clean, self.enhanced = open_audio(clean, allow_pipes), open_audio(enhanced, allow_pipes)
        self.utts = self.clean.utts
        unknown = [utt for utt in self.enhanced.utts if utt not in self.clean]
        if unknown:
            raise UserError(
                f"{unknown[0]}: in {enhanced} but not in {clean} ({len(unknown)} such): are these of one set?"
            )

    def load(self, utt: str) -> tuple[np.ndarray, np.ndarray]:
        """Clean and enhanced samples, (samples,) float32 at 16 kHz, of equal length.

        NotScored: no enhanced audio, no samples, NaN. UserError: unreadable audio, lengths or rates that differ.
        """
        if utt not in self.enhanced:
            raise NotScored("no enhanced audio")
        x, rate = _native(self.clean, utt, "clean")
        y, enhanced_rate = _native(self.enhanced, utt, "enhanced")
        if rate != enhanced_rate:
            raise UserError(
                f"{utt}: the clean audio is at {rate} Hz, the enhanced at {enhanced_rate} Hz: resample one of them"
            )
        if rate < RATE:
            raise UserError(f"{utt}: audio at {rate} Hz: the scores are defined for {RATE} Hz and more")
        if len(x) != len(y):
            raise UserError(
                f"{utt}: the clean audio has {len(x)} samples, the enhanced {len(y)}: an enhancer must keep the length"
            )
        if rate != RATE:
            x, y = (soxr.resample(signal, rate, RATE, quality="HQ") for signal in (x, y))
        return x, y


def _native(reader: AudioReader, utt: str, side: str) -> tuple[np.ndarray, int]:
    try:
        return reader.native(utt)
    except AudioError as error:
        if error.kind in UNUSABLE:
            raise NotScored(f"{UNUSABLE[error.kind]} in the {side} audio") from None
        raise
