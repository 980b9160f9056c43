"""What happens to each utterance of a clean corpus: which noise, which room, which SNR. Reads the recordings."""

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

KEPT_SAMPLES = 128 * 2**20 // 4
KEPT_ROOMS = 256
BABBLE = "babble"
WHITE, QUIET = "white", "quiet"  # kinds that need no recording: Gaussian noise, and none but a room
BABBLE_VOICES = (4, 8)  # fewest, most


class KeptAudio(AudioReader):
    """An AudioReader that keeps what it decoded last, up to 128 MB. Threads may share it. It gives read-only arrays."""

    def __init__(self, *arguments, **options) -> None:
        super().__init__(*arguments, **options)
        self._keep()

    def _keep(self) -> None:
        self._kept: dict[str, np.ndarray] = {}  # longest unused first
        self._free, self._lock = KEPT_SAMPLES, threading.Lock()

    def __getitem__(self, name: str) -> np.ndarray:
        with self._lock:
            x = self._kept.pop(name, None)
            if x is not None:
                self._kept[name] = x
                return x
        x = super().__getitem__(name)
        x.flags.writeable = False
        with self._lock:
            if name not in self._kept:
                self._free -= len(x)
            self._kept[name] = x
            while self._free < 0 and len(self._kept) > 1:
                self._free += len(self._kept.pop(next(iter(self._kept))))
        return x


class Recordings(KeptAudio):
    """Audio files by name, float32 (samples,): {name: file}, or a folder or wav.scp (see `list_recordings`).

    Of several channels the first is taken.
    """

    def __init__(self, source: str | Path | Mapping[str, str], rate: int = mixing.RATE) -> None:
        listed = isinstance(source, Mapping)
        self.data_dir = Path("." if listed else source)
        self.rate, self.allow_pipes, self.channel, self.segments = rate, False, 0, None
        self.wavs = dict(source) if listed else list_recordings(source)
        self.utts = sorted(self.wavs)
        self._keep()


def list_recordings(source: str | Path) -> dict[str, str]:
    """Give {name: file} of a wav.scp, or of all audio files in a folder and the folders in it (name without suffix).

    A folder that holds a wav.scp stands for it. Raises UserError for an empty folder or a name that is there twice.
    """
    path = Path(source)
    if (path / "wav.scp").is_file():
        path = path / "wav.scp"
    if path.is_file():
        return read_table(path)
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


def kind_of(name: str) -> str:
    """The kind of a noise is its name up to the first `-`."""
    return name.partition("-")[0]


def share_out(folder: Path, by_kind: bool) -> dict[str, dict[str, str]]:
    """Give {set: {name: file}} of a user's noises or rooms.

    folder/train and folder/test (and folder/dev) are taken where they are there. Otherwise every fourth kind of noise,
    or with by_kind=False every fourth file, is for test alone. Without folder/dev, dev gets every fifth file of each
    kind in train, or all of train when nothing would be left.
    """
    if (folder / "train").is_dir() and (folder / "test").is_dir():
        sets = {name: list_recordings(folder / name) for name in ("train", "dev", "test") if (folder / name).is_dir()}
    else:
        names = list_recordings(folder)
        groups = sorted({kind_of(name) if by_kind else name for name in names})
        if len(groups) < 2:
            raise UserError(f"{folder}: one kind only: make {folder}/train and {folder}/test")
        held = set(groups[3::4] or groups[-1:])
        sets = {"train": {}, "test": {}}
        for name, file in names.items():
            sets["test" if (kind_of(name) if by_kind else name) in held else "train"][name] = file
    if "dev" not in sets:
        kinds: dict[str, list[str]] = {}
        for name in sorted(sets["train"]):
            kinds.setdefault(kind_of(name) if by_kind else "", []).append(name)
        dev = {name for files in kinds.values() for name in files[4::5]} or set(sets["train"])
        sets["dev"] = {name: sets["train"][name] for name in dev}
        sets["train"] = {name: file for name, file in sets["train"].items() if name not in dev} or sets["train"]
    return sets


@dataclass(frozen=True)
class Draw:
    """What an utterance gets: SNR in dB, kind of noise, name of the noise (babble: utterances), of the room or ""."""

    snr: float
    kind: str
    noises: tuple[str, ...]
    room: str


class Corruption:
    """Draws and makes the mixture of each utterance, from its id and `seed` alone.

    snrs: dB, drawn evenly. noises: kinds are drawn evenly, then a recording of the kind. rooms: an impulse response
    with probability `rir_prob`. voices: clean speech by utterance id that adds the kind "babble", 4 to 8 speakers
    other than the utterance's own; speaker_of: utterance id to speaker, for both. active: see `mixing.scale_to_snr`.
    rate: of all signals, Hz. early_s: seconds of a room after the direct path that the target has too.
    """

    def __init__(
        self,
        speech: Mapping[str, np.ndarray],
        speaker_of: Mapping[str, str],
        noises: Mapping[str, np.ndarray],
        snrs: Sequence[float],
        seed: int = 0,
        rooms: Mapping[str, np.ndarray] | None = None,
        rir_prob: float = 0.5,
        voices: Mapping[str, np.ndarray] | None = None,
        active: bool = True,
        rate: int = mixing.RATE,
        early_s: float = 0.0,
    ) -> None:
        early = round(early_s * rate)
        self.speech, self.speaker_of, self.noises, self.snrs, self.seed = speech, speaker_of, noises, list(snrs), seed
        self.active, self.rate = active, rate
        self.rooms, self.rir_prob, self.voices = rooms or {}, rir_prob if rooms else 0.0, voices or {}
        self.kinds: dict[str, list[str]] = {}
        for name in sorted(noises):
            self.kinds.setdefault(kind_of(name), []).append(name)
        self.utts_of: dict[str, list[str]] = {}
        for utt in sorted(self.voices):
            self.utts_of.setdefault(speaker_of[utt], []).append(utt)
        if self.utts_of:
            if BABBLE in self.kinds or len(self.utts_of) <= BABBLE_VOICES[0]:
                raise UserError(f"babble needs more than {BABBLE_VOICES[0]} speakers and no noise of that name")
            self.kinds[BABBLE] = []
        if not self.kinds:
            raise UserError("there are no noises to mix in")
        self._kinds, self._rooms, self._speakers = sorted(self.kinds), sorted(self.rooms), sorted(self.utts_of)
        self._room = lru_cache(KEPT_ROOMS)(lambda name: mixing.Room(self.rooms[name], early))
        self._power = lru_cache(None)(lambda name: mixing.power(self.noises[name]))

    def draw(self, utt: str) -> Draw:
        """Decide what the utterance gets; no audio is read."""
        rng = mixing.utterance_rng(self.seed, f"{utt} draw")
        return self.choose(utt, self.snrs[rng.integers(len(self.snrs))], rng)

    def choose_room(self, rng: np.random.Generator) -> Draw:
        """A room without noise."""
        return Draw(float("inf"), QUIET, (), self._rooms[rng.integers(len(self._rooms))])

    def choose(self, utt: str, snr: float, rng: np.random.Generator) -> Draw:
        """Draw all but the SNR."""
        kind = self._kinds[rng.integers(len(self._kinds))]
        if self.kinds[kind]:
            noises = [self.kinds[kind][rng.integers(len(self.kinds[kind]))]]
        else:
            others = [speaker for speaker in self._speakers if speaker != self.speaker_of[utt]]
            number = min(len(others), int(rng.integers(BABBLE_VOICES[0], BABBLE_VOICES[1] + 1)))
            speakers = rng.choice(others, number, replace=False)
            noises = [self.utts_of[speaker][rng.integers(len(self.utts_of[speaker]))] for speaker in speakers]
        room = ""
        if self._rooms and rng.random() < self.rir_prob:
            room = self._rooms[rng.integers(len(self._rooms))]
        return Draw(snr, kind, tuple(noises), room)

    def __call__(self, utt: str) -> mixing.Mixture:
        """Make the mixture. Raises UserError naming the utterance where a signal is missing, broken or silent."""
        return self.mix(utt, self.speech[utt], self.draw(utt), mixing.utterance_rng(self.seed, f"{utt} mix"))

    def mix(self, utt: str, speech: np.ndarray, draw: Draw, rng: np.random.Generator) -> mixing.Mixture:
        """Do what was drawn to `speech` (samples,), which is all or a part of the utterance; `rng` draws places."""
        try:
            room = self._room(draw.room) if draw.room else None
            if not draw.noises:  # kinds of recordings may have the names of what is made here
                if draw.kind == QUIET:
                    return mixing.in_room(speech, room)
                noise = rng.standard_normal(len(speech), dtype=np.float32)
            elif self.kinds[draw.kind]:
                (name,) = draw.noises
                noise = mixing.fit_length(self.noises[name], len(speech), rng, self.rate, self._power(name))
            else:
                noise = mixing.babble([self.voices[name] for name in draw.noises], len(speech), rng, self.rate)
            return mixing.mix(speech, noise, draw.snr, room, self.rate, self.active)
        except ValueError as error:
            used = " ".join([*draw.noises, draw.room]).strip()
            raise UserError(f"{utt} with {used}: {error}: remove the silent recording") from None
