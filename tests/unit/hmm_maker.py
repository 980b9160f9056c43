"""Words of few phones that espeak-ng speaks, with the times of their phones: enough to train small HMMs on.

Each phone stands beside many others, or nothing would tell a training where one ends and the next one begins.
"""

import ctypes
import json
import math
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile
import soxr
from data_maker import ROOT

from mimic.io.tables import write_data_dir

sys.path.insert(0, str(ROOT / "local/demo"))
import espeak
from voices import Voice

LEXICON = """TEA T IY
TOE T OW
SEE S IY
SO S OW
KNEE N IY
NO N OW
EAT IY T
OAT OW T
NEAT N IY T
SEAT S IY T
NOTE N OW T
TONE T OW N
TEEN T IY N
SEEN S IY N
STONE S T OW N
TEN T EH N
NET N EH T
SET S EH T
SENT S EH N T
NEST N EH S T
TENT T EH N T
NIECE N IY S
MEET M IY T
MOAN M OW N
TEAM T IY M
MEN M EH N
MET M EH T
SEEM S IY M
"""
WORDS = [line.split()[0] for line in LEXICON.splitlines()]
VOICES = ("en-us f1 55", "en-us m1 45", "en-us m3 55", "en-us f3 50")
PAUSE = 0.1  # s of silence at both ends
WORD, PHONEME = 1, 7  # espeakEVENT_WORD, espeakEVENT_PHONEME
Times = list[list[float]]  # of each word, when its phones begin, in s


class Event(ctypes.Structure):
    """espeak_EVENT of speak_lib.h."""

    _fields_ = [
        ("type", ctypes.c_int), ("identifier", ctypes.c_uint), ("text_position", ctypes.c_int),
        ("length", ctypes.c_int), ("audio_position", ctypes.c_int), ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p), ("string", ctypes.c_char * 8),
    ]  # fmt: skip


class TimedEspeak(espeak.Espeak):
    """Tells when the phonemes of each word begin, in ms, too."""

    def __init__(self) -> None:
        before = espeak.INITIALIZE_DONT_EXIT
        espeak.INITIALIZE_DONT_EXIT |= 1  # phoneme events
        super().__init__()
        espeak.INITIALIZE_DONT_EXIT = before

    def timed(self, text: str, voice: Voice, seed: int) -> tuple[np.ndarray, list[list[int]]]:
        data = self.speak(text, voice, voice.pitch, voice.rate, seed).tobytes()
        size = int.from_bytes(data[:8], "little")
        times = json.loads(data[8 : 8 + size])
        return np.frombuffer(data[8 + size :], np.int16), times

    def _synthesise(self, text: str, name: str, pitch: int, rate: int, seed: int) -> bytes:
        chunks: list[bytes] = []
        times: list[list[int]] = []

        @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(Event))
        def collect(samples, count, events):
            n = 0
            while events[n].type:
                if events[n].type == WORD:
                    times.append([])
                elif events[n].type == PHONEME and times and events[n].string.strip(b"_:; ,'"):
                    times[-1].append(events[n].audio_position)
                n += 1
            if samples and count > 0:
                chunks.append(ctypes.string_at(samples, 2 * count))
            return 0

        self.seed(seed)
        self.lib.espeak_SetSynthCallback(collect)
        self.lib.espeak_SetVoiceByName(name.encode())
        for parameter, value in ((espeak.RATE, rate), (espeak.VOLUME, espeak.QUIET), (espeak.PITCH, pitch)):
            self.lib.espeak_SetParameter(parameter, value, 0)
        data = text.encode() + b"\0"
        self.lib.espeak_Synth(data, ctypes.c_size_t(len(data)), 0, 0, 0, espeak.CHARS_UTF8, None, None)
        self.lib.espeak_Synchronize()
        head = json.dumps(times).encode()
        head += b" " * (len(head) % 2)
        return len(head).to_bytes(8, "little") + head + b"".join(chunks)


def make_sets(root: Path, sets: dict[str, int]) -> dict[str, Times]:
    """root/lexicon.txt, root/lm.arpa, and data directories root/NAME of so many utterances of each voice.

    Gives when phones begin, of utterances where that is known.
    """
    (root / "lexicon.txt").write_text(LEXICON)
    speaker = TimedEspeak()
    begins: dict[str, Times] = {}
    texts: list[str] = []
    draw = np.random.default_rng(3)
    for name, number in sets.items():
        tables: dict[str, dict[str, str]] = {"wav.scp": {}, "text": {}, "utt2spk": {}, "spk2age": {}}
        (root / f"{name}_wav").mkdir(parents=True)
        for v, line in enumerate(VOICES):
            accent, variant, pitch = line.split()
            voice = Voice(f"s{v}", name, "f", accent, variant, int(pitch), 160)
            for i in range(number):
                text, utt = " ".join(map(str, draw.choice(WORDS, 4))), f"s{v}-{name}{i:02d}"
                samples, times = speaker.timed(text.lower() + ".", voice, 7)
                x = np.pad(soxr.resample(samples / 32768, speaker.rate, 16000), round(PAUSE * 16000))
                soundfile.write(root / f"{name}_wav/{utt}.wav", x + 1e-4 * draw.standard_normal(len(x)), 16000)
                tables["wav.scp"][utt] = str(root / f"{name}_wav/{utt}.wav")
                tables["text"][utt], tables["utt2spk"][utt] = text, f"s{v}"
                tables["spk2age"][f"s{v}"] = str(8 + 15 * (v % 2))
                if len(times) == len(text.split()):
                    begins[utt] = [[ms / 1000 + PAUSE for ms in word] for word in times]
        write_data_dir(root / name, tables)
        texts += tables["text"].values()
    (root / "lm.arpa").write_text(arpa(texts))
    return begins


def arpa(texts: list[str]) -> str:
    """A bigram model of these sentences, discounted as Witten and Bell do."""
    unigrams: Counter[str] = Counter()
    bigrams: Counter[tuple[str, str]] = Counter()
    for text in texts:
        words = ["<s>", *text.split(), "</s>"]
        unigrams.update(words[1:])
        bigrams.update(pairwise(words))
    history: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for (a, _), count in bigrams.items():
        history[a] += count
        kinds[a] += 1
    total = sum(unigrams.values())
    lines = ["\\data\\", f"ngram 1={len(unigrams) + 1}", f"ngram 2={len(bigrams)}", "", "\\1-grams:"]
    for word in sorted({"<s>", *unigrams}):
        p = math.log10(unigrams[word] / total) if word != "<s>" else -99
        backoff = "" if word == "</s>" else f"\t{math.log10(kinds[word] / (kinds[word] + history[word])):.6f}"
        lines.append(f"{p:.6f}\t{word}{backoff}")
    lines += ["", "\\2-grams:"]
    for (a, b), count in sorted(bigrams.items()):
        p = (count + kinds[a] * unigrams[b] / total) / (history[a] + kinds[a])
        lines.append(f"{math.log10(p):.6f}\t{a} {b}")
    return "\n".join([*lines, "", "\\end\\", ""])
