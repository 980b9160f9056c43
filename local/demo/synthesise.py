#!/usr/bin/env python3
"""The work of local/demo/synthesise.sh: several jobs speak, one writes the `tables`."""

import argparse
from dataclasses import replace
from pathlib import Path

import soundfile
from corpus import speak
from espeak import Espeak
from sentences import Utterance
from voices import VOICES

from mimic.augment.mixing import utterance_rng
from mimic.cli import add_number, progress, run
from mimic.corpus.lexicon import read_lexicon, to_phones
from mimic.errors import UserError
from mimic.io.entries import stored, wav_file
from mimic.io.lines import read_lines
from mimic.io.recording import write_wav
from mimic.io.tables import write_data_dir
from mimic.settings import Count, CountOrZero, Seed

PITCH, RATE = 12, 30  # how far a sentence is from its voice's usual pitch (0 to 99) and words per minute
LONGEST = 20  # words of a sentence


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["speech", "tables"])
    parser.add_argument("--job", type=int, default=1, help="number of this job, from 1")
    parser.add_argument("--nj", type=int, default=1, help="number of jobs that share the work")
    parser.add_argument("--lexicon", default="", help="WORD PH PH lines")
    add_number(parser, "--sentences", CountOrZero, 0, "most of them; 0: all")
    add_number(parser, "--repeats", Count, 1, "of each sentence")
    add_number(parser, "--seed", Seed, 0, "of sentences and voices")
    parser.add_argument("text", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    lexicon = read_lexicon(args.lexicon) if args.lexicon else {}
    script = plan(args.text, lexicon, args.sentences, args.repeats, args.seed)
    if args.part == "speech":
        mine = script[args.job - 1 :: args.nj]
        espeak = Espeak()
        (args.out / "wav").mkdir(parents=True, exist_ok=True)
        for utterance in progress(mine, len(mine), "recordings"):
            if not (path := wav_file(args.out, utterance.utt)).exists():
                write_wav(path, speak(utterance, args.seed, espeak))
    else:
        write_tables(script, lexicon, args.out)


def plan(text: Path, lexicon: dict[str, list[str]], sentences: int, repeats: int, seed: int) -> list[Utterance]:
    """Who says what: sentences of 2 to 20 words, of the lexicon where there is one, by voices in turn.

    Raises UserError where no line is left.
    """
    lines = [" ".join(line.upper().split()) for _, line in read_lines(text, "text")]
    words = {line: line.split() for line in dict.fromkeys(lines)}
    usable = [
        line
        for line, found in words.items()
        if 2 <= len(found) <= LONGEST and (not lexicon or all(word in lexicon for word in found))
    ]
    if not usable:
        raise UserError(f"{text}: no line of 2 to {LONGEST} words{', all of the lexicon' if lexicon else ''}")
    rng = utterance_rng(seed, "sentences")
    if sentences:
        usable = [usable[i] for i in sorted(rng.permutation(len(usable))[:sentences])]
    voices = [voice for voice in VOICES if voice.set == "train"]
    script = []
    for number, line in enumerate(line for _ in range(repeats) for line in usable):
        voice = voices[number % len(voices)]
        pitch, rate = (
            voice.pitch + int(rng.integers(-PITCH, PITCH + 1)),
            voice.rate + int(rng.integers(-RATE, RATE + 1)),
        )
        spoken = replace(voice, pitch=min(max(pitch, 0), 99), rate=rate)
        script.append(Utterance(f"{voice.speaker}-s{number:06d}", "train", spoken, line))
    return sorted(script, key=lambda utterance: utterance.utt)


def write_tables(script: list[Utterance], lexicon: dict[str, list[str]], out: Path) -> None:
    files = {u.utt: wav_file(out, u.utt) for u in script}
    tables = {
        "wav.scp": {utt: stored(path) for utt, path in files.items()},
        "text": {u.utt: u.text for u in script},
        "utt2spk": {u.utt: u.voice.speaker for u in script},
        "spk2gender": {u.voice.speaker: u.voice.gender for u in script},
        "utt2dur": {utt: f"{soundfile.info(path).duration:.4f}" for utt, path in files.items()},
    }
    if lexicon:
        tables["text.phn"] = {u.utt: " ".join(to_phones(u.text.split(), lexicon)) for u in script}
    write_data_dir(out, tables)


if __name__ == "__main__":
    run(main)
