"""Recognisers of packages that need not be there: faster-whisper, sherpa-onnx, pocketsphinx. Nothing is downloaded."""

import logging
import math
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from mimic.errors import UserError
from mimic.judging.findings import RATE, Found, Signals, digest, directory_digest, mean
from mimic.registry import installed

STREAMING = ("decode_chunk_len", "chunk_size", "window_size")  # metadata of graphs that keep a state


class Whisper:
    """A Whisper model for CTranslate2: int8, beam 5, temperature 0, so that nothing is drawn.

    Tokens of a segment of at most 30 s are limited to 16 and 8 a second, more than anyone utters: on noise Whisper may
    repeat a word without end. Confidence: mean probability of the tokens.
    """

    TOKENS, TOKENS_S, SEGMENT_S = 16, 8, 30

    def __init__(self, name: str, directory: str, language: str) -> None:
        installed("faster_whisper")
        from faster_whisper import WhisperModel  # here, for it is optional

        logging.getLogger("faster_whisper").setLevel(logging.WARNING)  # else a line for each utterance
        weights = Path(directory) / "model.bin"
        if not weights.is_file():
            raise UserError(f"{directory}: not a Whisper model for CTranslate2: there is no model.bin")
        self.model: Any = WhisperModel(directory, "cpu", compute_type="int8", cpu_threads=1, local_files_only=True)
        self.name, self.language = name, language
        software = f"faster-whisper {version('faster-whisper')}, int8, beam 5, {language}"
        self.identity = f"Whisper {digest(weights.read_bytes())}; {software}"

    def words(self, signals: Signals) -> Iterator[tuple[str, Found]]:
        for utt, x in signals:
            segments, _ = self.model.transcribe(
                x,
                language=self.language,
                beam_size=5,
                temperature=0.0,
                condition_on_previous_text=False,
                without_timestamps=True,
                max_new_tokens=self.TOKENS + int(self.TOKENS_S * min(len(x) / RATE, self.SEGMENT_S)),
            )
            found = list(segments)
            text = " ".join(segment.text.strip() for segment in found)
            yield utt, {"hyp": text, "confidence": mean([math.exp(segment.avg_logprob) for segment in found])}


class Sherpa:
    """A model directory of sherpa-onnx: tokens.txt and encoder, decoder and joiner (transducer) or one graph (CTC).

    Files have the names of its releases. Streaming ones have a chunk length in their metadata. No confidences.
    """

    def __init__(self, name: str, directory: str, language: str) -> None:
        installed("sherpa_onnx")
        import sherpa_onnx  # here, for it is optional

        folder = Path(directory)
        graphs = {part: pick(folder, part) for part in ("encoder", "decoder", "joiner", "model")}
        tokens = folder / "tokens.txt"
        first = graphs["encoder"] or graphs["model"]
        if not first or not tokens.is_file():
            raise UserError(
                f"{directory}: not a model of sherpa-onnx: expected tokens.txt and encoder*.onnx or model*.onnx"
            )
        facts = metadata(first)
        self.streaming = any(key in facts for key in STREAMING)
        recogniser = sherpa_onnx.OnlineRecognizer if self.streaming else sherpa_onnx.OfflineRecognizer
        options = {"tokens": str(tokens), "num_threads": 1}
        if graphs["encoder"]:
            if not graphs["decoder"] or not graphs["joiner"]:
                raise UserError(f"{directory}: an encoder without decoder*.onnx and joiner*.onnx")
            parts = {part: str(graphs[part]) for part in ("encoder", "decoder", "joiner")}
            self.model: Any = recogniser.from_transducer(**parts, **options)
        else:
            self.model = ctc(recogniser, facts, self.streaming, directory)(model=str(first), **options)
        self.name = name
        self.identity = f"sherpa-onnx {version('sherpa-onnx')} {directory_digest(folder)}"

    def words(self, signals: Signals) -> Iterator[tuple[str, Found]]:
        for utt, x in signals:
            stream = self.model.create_stream()
            stream.accept_waveform(RATE, x)
            if not self.streaming:
                self.model.decode_stream(stream)
                yield utt, {"hyp": stream.result.text.strip(), "confidence": None}
                continue
            stream.accept_waveform(RATE, np.zeros(RATE, np.float32))  # so that the last chunk is full
            stream.input_finished()
            while self.model.is_ready(stream):
                self.model.decode_stream(stream)
            yield utt, {"hyp": self.model.get_result(stream).strip(), "confidence": None}


def pick(folder: Path, part: str) -> Path | None:
    """The graph of a part; of several the one in full precision with the shortest name."""
    found = sorted(folder.glob(f"{part}*.onnx"), key=lambda path: (".int8" in path.name, len(path.name), path.name))
    return found[0] if found else None


def metadata(graph: Path) -> dict[str, str]:
    """The metadata of an ONNX graph, by which sherpa-onnx knows its kind."""
    import onnxruntime  # slow to load

    try:
        session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a class of its own for each mistake
        raise UserError(f"{graph}: not an ONNX graph: {str(error).splitlines()[0]}") from None
    return session.get_modelmeta().custom_metadata_map


def ctc(recogniser: Any, facts: dict[str, str], streaming: bool, directory: str) -> Any:
    """What loads a CTC graph of this model type. UserError for one that is not known here."""
    kind = facts.get("model_type", "").lower()
    known = {
        "zipformer": "from_zipformer2_ctc" if streaming else "from_zipformer_ctc",
        "wenet": "from_wenet_ctc",
        "encdec": "from_nemo_ctc",  # EncDecCTCModelBPE and its relatives
        "nemo": "from_nemo_ctc",
    }
    for word, method in known.items():
        if word in kind:
            return getattr(recogniser, method)
    raise UserError(f"{directory}: model_type '{kind}': known are {', '.join(known)} CTC models, and transducers")


class Pocketsphinx:
    """The English models that come with pocketsphinx. Confidence: the probability of the whole sentence's words."""

    def __init__(self, name: str, directory: str, language: str) -> None:
        installed("pocketsphinx")
        import pocketsphinx  # here, for it is optional

        if language != "en":
            raise UserError(f"recogniser pocketsphinx: it has an English model, and --language is {language}")
        self.model: Any = pocketsphinx.Decoder(samprate=RATE, loglevel="FATAL")
        self.name, self.identity = name, f"pocketsphinx {version('pocketsphinx')}"

    def words(self, signals: Signals) -> Iterator[tuple[str, Found]]:
        for utt, x in signals:
            self.model.reinit_feat()  # it adapts its cepstral mean to what came before
            self.model.start_utt()
            samples = np.clip(np.rint(x * 32768), -32768, 32767).astype(np.int16)
            self.model.process_raw(samples.tobytes(), no_search=False, full_utt=True)
            self.model.end_utt()
            found = self.model.hyp()
            text = found.hypstr if found else ""
            yield utt, {"hyp": text, "confidence": mean([min(1.0, found.prob)]) if found else None}
