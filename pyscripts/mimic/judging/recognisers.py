"""Recognisers by a word: models of this recipe, Whisper, sherpa-onnx, pocketsphinx, and any command."""

import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mimic import models
from mimic.errors import UserError
from mimic.io.entries import wav_file
from mimic.io.recording import write_wav
from mimic.io.tables import read_text, write_table
from mimic.judging.findings import NAME, RATE, Found, Recogniser, Signals, digest, directory_digest, mean
from mimic.judging.packaged import Pocketsphinx, Sherpa, Whisper

PACKAGED: dict[str, Any] = {"whisper": Whisper, "sherpa": Sherpa, "pocketsphinx": Pocketsphinx}


def parse(text: str) -> tuple[str, str, str]:
    """(name, what, argument) of `[NAME=]WHAT[:ARGUMENT]`; what: whisper, sherpa, pocketsphinx, cmd or model.

    Without NAME it is made of the rest. UserError for a directory that is not there, and for a command without places.
    """
    name, equals, rest = text.partition("=")
    if not equals or not NAME.fullmatch(name):
        name, rest = "", text
    what, _, argument = rest.partition(":")
    if what == "pocketsphinx" and not argument:
        return name or what, what, ""
    if what == "cmd":
        if "{wav.scp}" not in argument or "{text}" not in argument:
            raise UserError(f"recogniser {text}: write cmd:'program {{wav.scp}} {{text}}', quotes included")
        return name or Path(shlex.split(argument)[0]).name, what, argument
    if what not in PACKAGED:
        what, argument = "model", rest
    elif not argument:
        raise UserError(f"recogniser {text}: of which directory? write {what}:DIR")
    if not Path(argument).is_dir():
        raise UserError(
            f"recogniser {text}: there is no directory {argument or rest}: write a model's directory, whisper:DIR, "
            "sherpa:DIR, pocketsphinx or cmd:'program {wav.scp} {text}'"
        )
    last = Path(os.path.abspath(argument)).name  # of a link its own name
    return name or (last if what == "model" else f"{what}-{last}"), what, argument


def require(text: str, language: str) -> None:
    """UserError where a word's package, program, files or language are not there; no recogniser is loaded."""
    name, what, argument = parse(text)
    if what in PACKAGED:
        PACKAGED[what].check(argument, language)
    if what == "cmd" and not shutil.which(program := shlex.split(argument)[0]):
        raise UserError(f"recogniser {name}: {program}: no such program, or it cannot be run (chmod +x)")
    if what == "model" and models.kind(argument) != "Recogniser":
        raise UserError(f"recogniser {argument}: not a recogniser: give one, as exp/asr_clean or exp/joint/recogniser")


def make(text: str, language: str) -> Recogniser:
    """The recogniser of a word. UserError as `require`."""
    require(text, language)
    name, what, argument = parse(text)
    if what == "cmd":
        return Command(name, argument)
    return Own(name, argument) if what == "model" else PACKAGED[what](name, argument, language)


class Own:
    """A recogniser of this recipe, with the search that its config.yaml names."""

    def __init__(self, name: str, directory: str) -> None:
        self.model: Any = models.load(directory)
        self.name, self.identity = name, f"recogniser {directory_digest(directory)}"

    def words(self, signals: Signals) -> Iterator[tuple[str, Found]]:
        for utt, x in signals:
            found = self.model.recognise(x, RATE)
            yield utt, {"hyp": found.text, "confidence": mean([word.confidence for word in found.words])}


class Command:
    """A program that reads a table of wavs (16 kHz, one channel) and writes one of words, `utterance words...`."""

    def __init__(self, name: str, command: str) -> None:
        program, *_ = self.command = shlex.split(command)
        self.name = name
        path = Path(program)
        self.identity = f"command {command} {digest(path.read_bytes()) if path.is_file() else ''}".rstrip()

    def words(self, signals: Signals) -> Iterator[tuple[str, Found]]:
        """What the program leaves out has no `hyp`. UserError where it fails or names an utterance it was not given."""
        with tempfile.TemporaryDirectory() as folder:
            table, text = Path(folder) / "wav.scp", Path(folder) / "text"
            (Path(folder) / "wav").mkdir()
            wavs = {}
            for utt, x in signals:
                write_wav(wav_file(folder, utt), x)
                wavs[utt] = str(wav_file(folder, utt))
            if not wavs:
                return
            write_table(table, wavs)
            places = {"{wav.scp}": str(table), "{text}": str(text)}
            words = [re.sub(r"\{wav\.scp\}|\{text\}", lambda match: places[match[0]], word) for word in self.command]
            self.run(words)
            if not text.exists():
                raise UserError(f"recogniser {self.name}: {shlex.join(words)} wrote no {{text}}")
            found = read_text(text)
            if unknown := sorted(found.keys() - wavs.keys()):
                raise UserError(f"recogniser {self.name}: {unknown[0]} in its {{text}} is not in its {{wav.scp}}")
            for utt in wavs:
                yield utt, {"hyp": found[utt], "confidence": None} if utt in found else {}

    def run(self, words: list[str]) -> None:
        try:
            done = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False)
        except OSError as error:
            raise UserError(f"recogniser {self.name}: {words[0]}: {error.strerror}") from None
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise UserError(f"recogniser {self.name}: {shlex.join(words)} ended with code {done.returncode}: {last}")
