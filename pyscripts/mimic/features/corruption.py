"""What happens to each utterance of a clean corpus: which noise, which room, which SNR. Reads the recordings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mimic.data.audio import AudioReader
from mimic.data.kaldi_dir import read_table
from mimic.errors import UserError
from mimic.features import mixing

SUFFIXES = {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".w64", ".sph"}
KEPT_SAMPLES = 128 * 2**20 // 4
BABBLE = "babble"
BABBLE_VOICES = (4, 8)  # fewest, most


class Recordings(AudioReader):
    """Audio files by name, float32 (samples,): {name: file}, or a folder or wav.scp (see `list_recordings`).

    Of several channels the first is taken. What was decoded last is kept, up to 128 MB: a noise serves many mixtures.
    """

    def __init__(self, source: str | Path | Mapping[str, str], rate: int = mixing.RATE) -> None:
        listed = isinstance(source, Mapping)
        self.data_dir = Path("." if listed else source)
        self.rate, self.allow_pipes, self.channel, self.segments = rate, False, 0, None
        self.wavs = dict(source) if listed else list_recordings(source)
        self.utts = sorted(self.wavs)
        self._kept: dict[str, np.ndarray] = {}  # longest unused first

    def __getitem__(self, name: str) -> np.ndarray:
        x = self._kept.pop(name) if name in self._kept else super().__getitem__(name)
        free = KEPT_SAMPLES - len(x) - sum(map(len, self._kept.values()))
        while free < 0 and self._kept:
            free += len(self._kept.pop(next(iter(self._kept))))
        x.flags.writeable = False
        self._kept[name] = x
        return x


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
    ) -> None:
        self.speech, self.speaker_of, self.noises, self.snrs, self.seed = speech, speaker_of, noises, list(snrs), seed
        self.active = active
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

    def draw(self, utt: str) -> Draw:
        """Decide what the utterance gets; no audio is read."""
        rng = mixing.utterance_rng(self.seed, f"{utt} draw")
        snr = self.snrs[rng.integers(len(self.snrs))]
        kind = sorted(self.kinds)[rng.integers(len(self.kinds))]
        if self.kinds[kind]:
            noises = [self.kinds[kind][rng.integers(len(self.kinds[kind]))]]
        else:
            others = sorted(set(self.utts_of) - {self.speaker_of[utt]})
            number = min(len(others), int(rng.integers(BABBLE_VOICES[0], BABBLE_VOICES[1] + 1)))
            speakers = rng.choice(others, number, replace=False)
            noises = [self.utts_of[speaker][rng.integers(len(self.utts_of[speaker]))] for speaker in speakers]
        room = ""
        if self.rooms and rng.random() < self.rir_prob:
            room = sorted(self.rooms)[rng.integers(len(self.rooms))]
        return Draw(snr, kind, tuple(noises), room)

    def __call__(self, utt: str) -> mixing.Mixture:
        """Make the mixture. Raises UserError naming the utterance where a signal is missing, broken or silent."""
        draw = self.draw(utt)
        rng = mixing.utterance_rng(self.seed, f"{utt} mix")
        speech = self.speech[utt]
        try:
            if self.kinds[draw.kind]:
                noise = mixing.fit_length(self.noises[draw.noises[0]], len(speech), rng)
            else:
                noise = mixing.babble([self.voices[name] for name in draw.noises], len(speech), rng)
            return mixing.mix(speech, noise, draw.snr, self.rooms[draw.room] if draw.room else None, active=self.active)
        except ValueError as error:
            used = " ".join([*draw.noises, draw.room]).strip()
            raise UserError(f"{utt} with {used}: {error}: remove the silent recording") from None
