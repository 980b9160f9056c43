"""What happens to each utterance of a clean corpus: which noise, which RIR, which SNR. Reads the recordings."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from mimic.augment import mixing
from mimic.errors import UserError
from mimic.io.audio import SUFFIXES, AudioReader
from mimic.io.tables import read_table

CACHED_SAMPLES = 128 * 2**20 // 4
CACHED_RIRS = 256
BABBLE = "babble"
WHITE, QUIET = "white", "quiet"  # types that need no recording: Gaussian noise, and none (an RIR alone)
BABBLE_VOICES = (4, 8)  # fewest, most


class CachedAudio(AudioReader):
    """An AudioReader that caches what it decoded last, up to 128 MB. Threads may share it. Arrays are read-only."""

    def __init__(self, *arguments, **options) -> None:
        super().__init__(*arguments, **options)
        self._start_cache()

    def _start_cache(self) -> None:
        self._cached: dict[str, np.ndarray] = {}  # longest unused first
        self._free, self._lock = CACHED_SAMPLES, threading.Lock()

    def __getitem__(self, name: str) -> np.ndarray:
        with self._lock:
            x = self._cached.pop(name, None)
            if x is not None:
                self._cached[name] = x
                return x
        x = super().__getitem__(name)
        x.flags.writeable = False
        with self._lock:
            if name not in self._cached:
                self._free -= len(x)
            self._cached[name] = x
            while self._free < 0 and len(self._cached) > 1:
                self._free += len(self._cached.pop(next(iter(self._cached))))
        return x


class Recordings(CachedAudio):
    """Audio files by name, float32 (samples,): {name: file}, or a folder or wav.scp (see `list_recordings`).

    Of several channels the first is taken.
    """

    def __init__(self, source: str | Path | Mapping[str, str], rate: int = mixing.RATE) -> None:
        self.rate, self.allow_pipes, self.channel, self.segments = rate, False, 0, None
        if isinstance(source, Mapping):
            self.data_dir, self.wavs = Path("."), dict(source)
        else:
            self.data_dir, self.wavs = Path(source), list_recordings(source)
        self.utts = sorted(self.wavs)
        self._start_cache()


def list_recordings(source: str | Path) -> dict[str, str]:
    """Give {name: file} of a wav.scp, or of all audio files in a folder and the folders in it (name without suffix).

    A folder that holds a wav.scp stands for it. Raises UserError for an empty folder or a name that is there twice.
    """
    path = Path(source)
    if (path / "wav.scp").is_file():
        path = path / "wav.scp"
    if path.is_file():
        return dict(read_table(path))
    if not path.is_dir():
        raise UserError(f"{source}: no such folder or wav.scp")
    found: dict[str, str] = {}
    for file in sorted(path.rglob("*")):
        if file.suffix.lower() not in SUFFIXES or not file.is_file():
            continue
        if file.stem in found:
            raise UserError(f"{file} and {found[file.stem]} have the same name: rename one")
        found[file.stem] = str(file)
    if not found:
        raise UserError(f"{source}: no audio files in it (looked for {' '.join(sorted(SUFFIXES))})")
    return found


def noise_type_of(name: str) -> str:
    """The type of a noise is its name up to the first `-`."""
    return name.partition("-")[0]


def split_recordings(folder: Path, by_type: bool) -> dict[str, dict[str, str]]:
    """Give {set: {name: file}} of a user's noises or RIRs.

    folder/train and folder/test (and folder/dev) are taken where they are there. Otherwise every fourth noise type,
    or with by_type=False every fourth file, is for test alone. Without folder/dev, dev gets every fifth file of each
    type in train, or all of train when nothing would be left.
    """
    if (folder / "train").is_dir() and (folder / "test").is_dir():
        sets = {name: list_recordings(folder / name) for name in ("train", "dev", "test") if (folder / name).is_dir()}
    else:
        names = list_recordings(folder)
        groups = sorted({noise_type_of(name) if by_type else name for name in names})
        if len(groups) < 2:
            raise UserError(f"{folder}: one noise type only: make {folder}/train and {folder}/test")
        held = set(groups[3::4] or groups[-1:])
        sets = {"train": {}, "test": {}}
        for name, file in names.items():
            sets["test" if (noise_type_of(name) if by_type else name) in held else "train"][name] = file
    if "dev" not in sets:
        by_name: dict[str, list[str]] = {}
        for name in sorted(sets["train"]):
            by_name.setdefault(noise_type_of(name) if by_type else "", []).append(name)
        dev = {name for files in by_name.values() for name in files[4::5]} or set(sets["train"])
        sets["dev"] = {name: sets["train"][name] for name in dev}
        sets["train"] = {name: file for name, file in sets["train"].items() if name not in dev} or sets["train"]
    return sets


@dataclass(frozen=True)
class Draw:
    """What an utterance gets: SNR in dB, noise type, name of the noise (babble: utterances), of the RIR or ""."""

    snr: float
    noise_type: str
    noises: tuple[str, ...]
    rir: str


class Corruption:
    """Draws and makes the mixture of each utterance, from its id and `seed` alone.

    snrs: dB, drawn evenly. noises: types are drawn evenly, then a recording of the type. rirs: an impulse response
    with probability `rir_prob`. voices: clean speech by utterance id that adds the type "babble", 4 to 8 speakers
    other than the utterance's own; speaker_of: utterance id to speaker, for both. active: see `mixing.scale_to_snr`.
    rate: of all signals, Hz. early_s: seconds of an RIR after the direct path that the target has too. align: see
    `mixing.Rir`.
    """

    def __init__(
        self,
        speech: Mapping[str, np.ndarray],
        speaker_of: Mapping[str, str],
        noises: Mapping[str, np.ndarray],
        snrs: Sequence[float],
        seed: int = 0,
        rirs: Mapping[str, np.ndarray] | None = None,
        rir_prob: float = 0.5,
        voices: Mapping[str, np.ndarray] | None = None,
        active: bool = True,
        rate: int = mixing.RATE,
        early_s: float = 0.0,
        align: bool = True,
    ) -> None:
        early = round(early_s * rate)
        self.speech, self.speaker_of, self.noises, self.snrs, self.seed = speech, speaker_of, noises, list(snrs), seed
        self.active, self.rate = active, rate
        self.rirs, self.rir_prob, self.voices = rirs or {}, rir_prob if rirs else 0.0, voices or {}
        self.noise_types: dict[str, list[str]] = {}
        for name in sorted(noises):
            self.noise_types.setdefault(noise_type_of(name), []).append(name)
        self.utts_of: dict[str, list[str]] = {}
        for utt in sorted(self.voices):
            self.utts_of.setdefault(speaker_of[utt], []).append(utt)
        if self.utts_of:
            if BABBLE in self.noise_types or len(self.utts_of) <= BABBLE_VOICES[0]:
                raise UserError(f"babble needs more than {BABBLE_VOICES[0]} speakers and no noise of that name")
            self.noise_types[BABBLE] = []
        if not self.noise_types:
            raise UserError("there are no noises to mix in")
        self._noise_types, self._rirs = sorted(self.noise_types), sorted(self.rirs)
        self._speakers = sorted(self.utts_of)
        self._rir = lru_cache(CACHED_RIRS)(lambda name: mixing.Rir(self.rirs[name], early, align))
        self._power = lru_cache(None)(lambda name: mixing.power(self.noises[name]))

    def draw(self, utt: str) -> Draw:
        """Decide what the utterance gets; no audio is read."""
        rng = mixing.utterance_rng(self.seed, f"{utt} draw")
        return self.choose(utt, self.snrs[rng.integers(len(self.snrs))], rng)

    def choose_rir(self, rng: np.random.Generator) -> Draw:
        """An RIR without noise."""
        return Draw(float("inf"), QUIET, (), self._rirs[rng.integers(len(self._rirs))])

    def choose(self, utt: str, snr: float, rng: np.random.Generator) -> Draw:
        """Draw all but the SNR."""
        noise_type = self._noise_types[rng.integers(len(self._noise_types))]
        if self.noise_types[noise_type]:
            noises = [self.noise_types[noise_type][rng.integers(len(self.noise_types[noise_type]))]]
        else:
            others = [speaker for speaker in self._speakers if speaker != self.speaker_of[utt]]
            number = min(len(others), int(rng.integers(BABBLE_VOICES[0], BABBLE_VOICES[1] + 1)))
            speakers = rng.choice(others, number, replace=False)
            noises = [self.utts_of[speaker][rng.integers(len(self.utts_of[speaker]))] for speaker in speakers]
        rir = ""
        if self._rirs and rng.random() < self.rir_prob:
            rir = self._rirs[rng.integers(len(self._rirs))]
        return Draw(snr, noise_type, tuple(noises), rir)

    def __call__(self, utt: str) -> mixing.Mixture:
        """Make the mixture. Raises UserError naming the utterance where a signal is missing, broken or silent."""
        return self.mix(utt, self.speech[utt], self.draw(utt), mixing.utterance_rng(self.seed, f"{utt} mix"))

    def mix(self, utt: str, speech: np.ndarray, draw: Draw, rng: np.random.Generator) -> mixing.Mixture:
        """Do what was drawn to `speech` (samples,), which is all or a part of the utterance; `rng` draws places."""
        try:
            rir = self._rir(draw.rir) if draw.rir else None
            if not draw.noises:  # types of recordings may have the names of what is made here
                if draw.noise_type == QUIET:
                    assert rir is not None  # see `choose_rir`
                    return mixing.reverberant_mixture(speech, rir)
                noise = rng.standard_normal(len(speech), dtype=np.float32)
            elif self.noise_types[draw.noise_type]:
                (name,) = draw.noises
                noise = mixing.fit_length(self.noises[name], len(speech), rng, self.rate, self._power(name))
            else:
                noise = mixing.babble([self.voices[name] for name in draw.noises], len(speech), rng, self.rate)
            return mixing.mix(speech, noise, draw.snr, rir, self.rate, self.active)
        except ValueError as error:
            used = " ".join([*draw.noises, draw.rir]).strip()
            raise UserError(f"{utt} with {used}: {error}: remove the silent recording") from None
