"""Recognisers of packages that need not be there: faster-whisper, sherpa-onnx, pocketsphinx. Nothing is downloaded."""

import json
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

WHISPER = ("model.bin", "config.json", "tokenizer.json")  # without the last one faster-whisper would download it
MULTILINGUAL = 51865  # tokens of Whisper's smallest vocabulary with languages; that of English has fewer


class Whisper:
    """A Whisper model for CTranslate2: int8, beam 5, temperature 0, so that nothing is drawn.

    Tokens of a segment of at most 30 s are limited to 16 and 8 a second, more than anyone utters: on noise Whisper may
    repeat a word without end. Confidence: mean probability of the tokens.
    """

    TOKENS, TOKENS_S, SEGMENT_S = 16, 8, 30

    def __init__(self, name: str, directory: str, language: str) -> None:
        self.check(directory, language)
        from faster_whisper import WhisperModel  # here, for it is optional

        logging.getLogger("faster_whisper").setLevel(logging.WARNING)  # else a line for each utterance
        self.model: Any = WhisperModel(directory, "cpu", compute_type="int8", cpu_threads=1, local_files_only=True)
        self.name, self.language = name, language
        software = f"faster-whisper {version('faster-whisper')}, int8, beam 5, {language}"
        self.identity = f"Whisper {digest(Path(directory, 'model.bin').read_bytes())}; {software}"

    @staticmethod
    def check(directory: str, language: str) -> None:
        """UserError where a file is missing, or Whisper or this model does not know the language; nothing is loaded."""
        installed("faster_whisper")
        from faster_whisper.tokenizer import _LANGUAGE_CODES as LANGUAGES

        folder = Path(directory)
        vocabularies = sorted(folder.glob("vocabulary.*"))
        missing = [name for name in WHISPER if not (folder / name).is_file()] + ["vocabulary.json"] * (not vocabularies)
        if missing:
            raise UserError(
                f"{directory}: not a Whisper model for CTranslate2: there is no {missing[0]}: docs/judging.md has the "
                "command that downloads one"
            )
        if language not in LANGUAGES:
            raise UserError(f"--language {language}: Whisper has codes of two or three letters: {' '.join(LANGUAGES)}")
        text = vocabularies[0].read_text(encoding="utf-8")
        tokens = len(json.loads(text) if vocabularies[0].suffix == ".json" else text.split("\n"))
        if language != "en" and tokens < MULTILINGUAL:
            raise UserError(f"{directory}: this Whisper knows English alone, and --language is {language}")

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

    Files have the names of its releases, or of steps/export.sh. No confidences.
    """

    def __init__(self, name: str, directory: str, language: str) -> None:
        graphs, facts, self.streaming = self.check(directory, language)
        import sherpa_onnx  # here, for it is optional

        recogniser = sherpa_onnx.OnlineRecognizer if self.streaming else sherpa_onnx.OfflineRecognizer
        options = {"tokens": f"{directory}/tokens.txt", "num_threads": 1}
        if "model" in graphs:
            options |= {name: int(facts[name]) for name in ("sample_rate", "feature_dim") if name in facts}
            load = getattr(recogniser, ctc(facts, self.streaming, directory))
        else:
            load = recogniser.from_transducer
        self.model: Any = load(**{part: str(path) for part, path in graphs.items()}, **options)
        self.name = name
        self.identity = f"sherpa-onnx {version('sherpa-onnx')} {directory_digest(directory)}"

    @staticmethod
    def check(directory: str, language: str) -> tuple[dict[str, Path], dict[str, str], bool]:
        """Graphs by their parts, the metadata of the first one, and whether it streams; UserError where one is missing.

        sherpa-onnx is not loaded: it ends the whole process over some of what is wrong.
        """
        installed("sherpa_onnx")
        folder = Path(directory)
        found = {part: pick(folder, part) for part in ("encoder", "decoder", "joiner")}
        graphs = {part: path for part, path in found.items() if path}
        if not graphs and (model := pick(folder, "sherpa_ctc") or pick(folder, "model")):
            graphs = {"model": model}
        if not (folder / "tokens.txt").is_file() or not {"encoder", "model"} & graphs.keys():
            raise UserError(
                f"{directory}: not a model of sherpa-onnx: expected tokens.txt and encoder*.onnx, model*.onnx or "
                "sherpa_ctc.onnx: take one of https://k2-fsa.github.io/sherpa/onnx, or what steps/export.sh writes"
            )
        if "model" not in graphs and len(graphs) < len(found):
            raise UserError(f"{directory}: an encoder without decoder*.onnx and joiner*.onnx")
        facts, inputs = describe(next(iter(graphs.values())))
        if "model" in graphs:
            if "model_type" not in facts and (folder / "model.json").is_file():
                raise UserError(
                    f"{directory}: its features are not those that sherpa-onnx makes (conf/fbank_sherpa.conf): name "
                    "the directory that it was exported from, without sherpa:"
                )
            ctc(facts, inputs > 2, directory)
        return graphs, facts, inputs > 2  # more than features and their length are a state

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


def describe(graph: Path) -> tuple[dict[str, str], int]:
    """The metadata of an ONNX graph, by which sherpa-onnx knows its kind, and how many inputs it has."""
    import onnx  # slow to load

    try:
        model = onnx.load(graph, load_external_data=False)
    except Exception as error:  # protobuf has a class of its own for each mistake
        raise UserError(f"{graph}: not an ONNX graph: {str(error).splitlines()[0]}") from None
    if not model.graph.input:
        raise UserError(f"{graph}: not an ONNX graph: it has no inputs")
    weights = {weight.name for weight in model.graph.initializer}  # some exporters list them as inputs
    facts = {entry.key: entry.value for entry in model.metadata_props}
    return facts, sum(value.name not in weights for value in model.graph.input)


def ctc(facts: dict[str, str], streaming: bool, directory: str) -> str:
    """The name of what loads a CTC graph of this model type. UserError for one that is not known here."""
    kind = facts.get("model_type", "").lower()
    known = {
        "zipformer": "from_zipformer2_ctc" if streaming else "from_zipformer_ctc",
        "wenet": "from_wenet_ctc",
        "encdec": "from_nemo_ctc",  # EncDecCTCModelBPE and its relatives
        "nemo": "from_nemo_ctc",
    }
    for word, method in known.items():
        if word in kind:
            return method
    raise UserError(f"{directory}: model_type '{kind}': known are {', '.join(known)} CTC models, and transducers")


class Pocketsphinx:
    """The English models that come with pocketsphinx. Confidence: the probability of the whole sentence's words."""

    def __init__(self, name: str, directory: str, language: str) -> None:
        self.check(directory, language)
        import pocketsphinx  # here, for it is optional

        self.model: Any = pocketsphinx.Decoder(samprate=RATE, loglevel="FATAL")
        self.name, self.identity = name, f"pocketsphinx {version('pocketsphinx')}"

    @staticmethod
    def check(directory: str, language: str) -> None:
        """UserError for another language than English."""
        installed("pocketsphinx")
        if language != "en":
            raise UserError(f"recogniser pocketsphinx: it has an English model, and --language is {language}")

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
