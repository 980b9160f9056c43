#!/usr/bin/env python3
"""Write the Kaldi data directories of VoiceBank-DEMAND from its files; see prepare.sh."""

import argparse
import logging
import re
from pathlib import Path

from layout import LEXICON, SUBSETS, locate, log_file

from mimic.cli import run
from mimic.corpus.lexicon import read_lexicon
from mimic.errors import UserError
from mimic.io.atomic import new_dir
from mimic.io.entries import stored
from mimic.io.lines import read_lines
from mimic.io.tables import write_data_dir, write_table

log = logging.getLogger(__name__)
NAME = re.compile(r"(p\d+)_(\w+)")
VALID = ["p226", "p287"]
COUNTS = {"train": 10802, "dev": 770, "test": 824}
Tables = dict[str, dict[str, str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--valid-speakers", type=str.split, default=VALID, help="held out of training")
    parser.add_argument("--lexicon", type=Path, help=f"<src>/{LEXICON}")
    parser.add_argument("--check-counts", choices=["true", "false"], default="true")
    parser.add_argument("src", type=Path)
    parser.add_argument("unpacked", type=Path, help="folder with a folder for each zip")
    parser.add_argument("out", type=Path)
    args = parser.parse_args()

    parts = {name: args.unpacked / p.stem if p.suffix == ".zip" else p for name, p in locate(args.src).items()}
    train, test = ({side: tables(parts, side, subset) for side in ("clean", "noisy")} for subset in SUBSETS)
    speakers = [{speaker for t in sides.values() for speaker in t["utt2spk"].values()} for sides in (train, test)]
    check_speakers(*speakers, args.valid_speakers)
    sets = {}
    for side in ("clean", "noisy"):
        dev = {utt for utt, speaker in train[side]["utt2spk"].items() if speaker in args.valid_speakers}
        sets["train", side] = {name: {u: v for u, v in t.items() if u not in dev} for name, t in train[side].items()}
        sets["dev", side] = {name: {u: v for u, v in t.items() if u in dev} for name, t in train[side].items()}
        sets["test", side] = test[side]
    if args.check_counts == "true":
        check_counts({name: len(sets[name, "noisy"]["utt2spk"]) for name in COUNTS}, args.valid_speakers)
    for (name, side), found in sets.items():
        with new_dir(args.out / f"{name}_{side}") as folder:
            write_data_dir(folder, found)

    own, published = Path(__file__).with_name("lexicon_extra.txt"), args.lexicon or args.src / LEXICON
    if not published.exists():
        raise UserError(f"no {published}: local/vbdemand/download.sh {args.src} fetches it, --lexicon names another")
    lexicon = read_lexicon(published) | read_lexicon(own)
    with new_dir(args.out / "lang") as folder:
        write_table(folder / "lexicon.txt", {word: " ".join(phones) for word, phones in lexicon.items()})


def tables(parts: dict[str, Path], side: str, subset: str) -> Tables:
    """The tables of one side of a subset, with utt2snr and utt2noise for the noisy one."""
    wavs = named_files(parts[f"{side}_{subset}"], ".wav")
    words = named_files(parts[f"txt_{subset}"], ".txt")
    found: Tables = {
        "wav.scp": {utt: stored(path) for utt, path in wavs.items()},
        "text": {utt: read_words(words[utt]) for utt in wavs if utt in words},
        "utt2spk": {utt: utt.split("-")[0] for utt in wavs},
    }
    if side == "noisy" and f"log_{subset}" in parts:
        file = log_file(parts[f"log_{subset}"], subset)
        logged = read_log(file)
        if absent := sorted(wavs.keys() - logged.keys()):
            raise UserError(f"{file}: no line for {absent[0]} ({len(absent)} such): take the one in logfiles.zip")
        found |= {name: {utt: logged[utt][i] for utt in wavs} for i, name in enumerate(("utt2noise", "utt2snr"))}
    elif side == "noisy":
        log.warning("no log_%s.txt: scores of it will not be broken down by noise and SNR", subset)
    return found


def named_files(folder: Path, suffix: str) -> dict[str, Path]:
    """Files below `folder` by utterance id, `p226-001` for p226_001.wav: an id begins with its speaker and `-`."""
    files = [path for path in sorted(folder.rglob(f"*{suffix}")) if not path.name.startswith(".")]
    if not files:
        raise UserError(f"{folder}: no {suffix} in it: unpack its zip again, or remove the folder and keep the zip")
    found: dict[str, Path] = {}
    for path in files:
        utt = utterance(path.stem, str(path))
        if utt in found:
            raise UserError(f"{path}: {found[utt]} has the same name: remove one")
        found[utt] = path
    return found


def utterance(name: str, where: str) -> str:
    match = NAME.fullmatch(name)
    if not match:
        raise UserError(f"{where}: `{name}` is not a name like p226_001: remove it, or is this another corpus?")
    return f"{match[1]}-{match[2]}"


def read_words(path: Path) -> str:
    return " ".join(word for _, line in read_lines(path) for word in line.split())


def read_log(path: Path) -> dict[str, tuple[str, str]]:
    """Read `name noise snr` lines into {utterance: (noise, SNR in dB)}."""
    found = {}
    for number, line in read_lines(path):
        fields = line.split()
        if not fields:
            continue
        try:
            name, noise, snr = fields
            found[utterance(name, f"{path}:{number}")] = (noise, f"{float(snr):g}")
        except ValueError:
            raise UserError(f"{path}:{number}: expected `name noise snr`, got `{line}`") from None
    return found


def check_speakers(train: set[str], test: set[str], valid: list[str]) -> None:
    """UserError for a validation speaker who is not there, for nobody left to train on, for a test speaker in both."""
    if absent := set(valid) - train:
        raise UserError(f"--valid-speakers {' '.join(valid)}: {min(absent)} is not among {' '.join(sorted(train))}")
    if train <= set(valid):
        raise UserError(f"--valid-speakers {' '.join(valid)}: no speaker is left for training")
    if both := train & test:
        raise UserError(f"{min(both)} is in the training and in the test set: the folders are mixed up")


def check_counts(counts: dict[str, int], valid: list[str]) -> None:
    """Warn where the sets have other sizes than those that all publications have."""
    known = dict(COUNTS)
    if set(valid) != set(VALID):  # then only the sum is known
        counts = {"train and dev": counts["train"] + counts["dev"], "test": counts["test"]}
        known = {"train and dev": COUNTS["train"] + COUNTS["dev"], "test": COUNTS["test"]}
    for name, n in counts.items():
        if n != known[name]:
            log.warning("%s: %d utterances, not the %d of the published set", name, n, known[name])


if __name__ == "__main__":
    run(main)
