#!/usr/bin/env python3
"""Strings of spoken digits as data directories at 8 kHz, and the noises that are mixed into them; see prepare.sh.

The design is that of Aurora-2 (H. Hirsch, D. Pearce, ASR2000): strings of 1 to 7 digits, speakers of training,
development and test disjoint, noise types seen (set A) and unseen in training (set B).
"""

import argparse
import re
import shutil
from pathlib import Path

import numpy as np

from mimic.augment.mixing import active_power, loudest, utterance_rng
from mimic.augment.recordings import Recordings, list_recordings, noise_type_of, split_recordings
from mimic.cli import add_number, run
from mimic.errors import UserError
from mimic.io.atomic import new_dir, replace
from mimic.io.entries import file_name, stored, wav_file
from mimic.io.recording import write_wav
from mimic.io.resampling import resample
from mimic.io.tables import write_data_dir
from mimic.settings import Seed

RATE = 8000
WORDS = "ZERO ONE TWO THREE FOUR FIVE SIX SEVEN EIGHT NINE".split()
NAME = re.compile(r"(\d)_([A-Za-z0-9]+)_(\d+)")
LONGEST = 7  # digits in a string
ARCHIVE = "free-spoken-digit-dataset-1.0.10"
LEVEL_DB, SPREAD_DB = -25, 2  # active speech level of a digit, full scale 0: recordings differ by 25 dB
FLOOR = 10 ** (-75 / 20)  # hiss of pauses: the logarithm of digital zeros has no bottom
PAUSE_S, ENDS_S = (0.03, 0.2), (0.1, 0.25)  # between digits; before the first and after the last
FADE_S = 0.005  # recordings are trimmed: without it their ends are clicks

Digits = dict[str, dict[str, list[str]]]  # by speaker and digit: names of recordings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("train", "dev", "test"):
        parser.add_argument(f"--{name}-strings", type=int, required=True, help="test: of each noise set")
    for name in ("dev", "test"):
        parser.add_argument(f"--{name}-speakers", default="", help="names, split at spaces")
    parser.add_argument("--speeds", default="1.0", help="of training strings, drawn evenly")
    add_number(parser, "--seed", Seed, 1, "of all draws")
    parser.add_argument("src", type=Path, help="folder with <digit>_<speaker>_<index>.wav or .flac")
    parser.add_argument("noise", type=Path, help="folder of noises")
    parser.add_argument("out", type=Path)
    args = parser.parse_args()

    recordings = find_recordings(args.src)
    digits = by_speaker(recordings, args.src)
    speakers = choose_speakers(sorted(digits), args.dev_speakers.split(), args.test_speakers.split())
    noises = noise_sets(args.noise)
    audio = Recordings(recordings, RATE)
    speeds = [float(speed) for speed in args.speeds.split()]
    with new_dir(args.out / "speech") as folder:
        for name, number, factors in (
            ("train", args.train_strings, speeds),
            ("dev", args.dev_strings, [1.0]),
            ("test_a", args.test_strings, [1.0]),
            ("test_b", args.test_strings, [1.0]),
        ):
            write_set(
                folder,
                args.out / "speech",
                name,
                speakers[name.split("_")[0]],
                number,
                factors,
                audio,
                digits,
                args.seed,
            )
    with new_dir(args.out / "noises") as folder:
        for name, files in noises.items():
            (folder / name).mkdir()
            for noise, x in Recordings(files, RATE).items():
                write_wav(folder / name / f"{file_name(noise)}.wav", x / max(1.0, loudest(x)), RATE)
    with new_dir(args.out / "lang") as folder:
        shutil.copy(Path(__file__).with_name("lexicon.txt"), folder)
        with replace(folder / "digit_loop.arpa") as f:
            f.write(digit_loop())


def find_recordings(src: Path) -> dict[str, str]:
    """{name: file} of a folder of digits, or of the unpacked archive."""
    folder = next((p for p in (src / ARCHIVE / "recordings", src / "recordings") if p.is_dir()), src)
    return list_recordings(folder)


def by_speaker(recordings: dict[str, str], src: Path) -> Digits:
    """The recordings by speaker and digit; UserError for a name of another form or a digit that a speaker lacks."""
    found: Digits = {}
    for name, file in sorted(recordings.items()):
        match = NAME.fullmatch(name)
        if not match:
            raise UserError(
                f"{file}: expected a name such as 7_george_12.wav: <digit>_<speaker>_<index>, letters and digits"
            )
        found.setdefault(match[2], {}).setdefault(match[1], []).append(name)
    for speaker, digits in sorted(found.items()):
        if missing := sorted(set("0123456789") - digits.keys()):
            raise UserError(
                f"{src}: {speaker} has no recording of {missing[0]}: add one, or remove this speaker's files"
            )
    return found


def choose_speakers(all_: list[str], dev: list[str], test: list[str]) -> dict[str, list[str]]:
    """Speakers of each set, disjoint; none named: a sixth (at least one) each for dev and test, from the end."""
    number = max(1, len(all_) // 6)
    test = test or [speaker for speaker in all_ if speaker not in dev][-number:]
    dev = dev or [speaker for speaker in all_ if speaker not in test][-number:]
    for option, names in (("--dev-speakers", dev), ("--test-speakers", test)):
        if unknown := [name for name in names if name not in all_]:
            raise UserError(f"{option}: no speaker '{unknown[0]}', there are {', '.join(all_)}")
    if both := sorted(set(dev) & set(test)):
        raise UserError(f"{both[0]} is in --dev-speakers and --test-speakers: speakers of the sets are disjoint")
    train = [speaker for speaker in all_ if speaker not in (*dev, *test)]
    if not train:
        raise UserError(f"{len(all_)} speakers, and none is left for training: at least three are needed")
    return {"train": train, "dev": sorted(dev), "test": sorted(test)}


def noise_sets(folder: Path) -> dict[str, dict[str, str]]:
    """{name: file} for train (and dev), seen (set A: other recordings of these types) and unseen (set B).

    Every fifth recording of a type in training is left for set A.
    """
    sets = split_recordings(folder, by_type=True)
    types = {noise_type_of(name) for name in sets["train"]}
    unseen = {name: file for name, file in sets["test"].items() if noise_type_of(name) not in types}
    if not unseen:
        raise UserError(f"{folder}: all noise types of the test recordings are in training, too: set B needs others")
    return {"train": sets["train"], "seen": sets["dev"], "unseen": unseen}


def write_set(
    folder: Path,
    final: Path,
    name: str,
    speakers: list[str],
    number: int,
    speeds: list[float],
    audio: Recordings,
    digits: Digits,
    seed: int,
) -> None:
    """Write the data directory `folder`/NAME_clean, which will be moved to `final`; speakers take turns."""
    tables: dict[str, dict[str, str]] = {table: {} for table in ("wav.scp", "text", "utt2spk")}
    sets = "_" in name
    (folder / f"{name}_clean" / "wav").mkdir(parents=True)
    for k in range(number):
        original = speakers[k % len(speakers)]
        rng = utterance_rng(seed, f"{name} {original} {k}")
        speed = speeds[rng.integers(len(speeds))]
        speaker = original if speed == 1 else f"sp{speed:g}-{original}"  # as in Kaldi: another voice
        utt = f"{speaker}-{name[-1] if sets else name}-{k:05d}"
        string = [str(d) for d in rng.integers(10, size=rng.integers(1, LONGEST + 1))]
        names = [digits[original][d][rng.integers(len(digits[original][d]))] for d in string]
        x = joined([resample(audio[n], round(RATE * speed), RATE) for n in names], rng)
        write_wav(wav_file(folder / f"{name}_clean", utt), x, RATE)
        tables["wav.scp"][utt] = stored(wav_file(final / f"{name}_clean", utt))
        tables["text"][utt] = " ".join(WORDS[int(d)] for d in string)
        tables["utt2spk"][utt] = speaker
    if sets:
        tables["utt2set"] = dict.fromkeys(tables["text"], name[-1].upper())
    write_data_dir(folder / f"{name}_clean", tables)


def joined(parts: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Recordings (samples,) at 8 kHz as one string, equally loud but for a little, with pauses around them."""
    fade = np.linspace(0, 1, round(FADE_S * RATE))
    pieces: list[np.ndarray] = []
    for k, part in enumerate(parts):
        pieces.append(np.zeros(round(rng.uniform(*(PAUSE_S if k else ENDS_S)) * RATE)))
        x = part.astype(np.float64)
        x[: len(fade)] *= fade
        x[-len(fade) :] *= fade[::-1]
        level = np.sqrt(active_power(x, RATE))
        if not level > 0:
            raise UserError("a recording of a digit is silent: remove it")
        pieces.append(x * 10 ** ((LEVEL_DB + rng.uniform(-SPREAD_DB, SPREAD_DB)) / 20) / level)
    pieces.append(np.zeros(round(rng.uniform(*ENDS_S) * RATE)))
    x = np.concatenate(pieces)
    return x * min(1.0, 0.99 / loudest(x)) + FLOOR * rng.standard_normal(len(x))


def digit_loop() -> str:
    """An ARPA model: all digits are equally likely anywhere, strings have 4 digits on average (1 to 7)."""
    end = 2 / (LONGEST + 3)  # after 4 digits of 5 words
    lines = [
        "-99 <s>",
        f"{np.log10(end):.6f} </s>",
        *(f"{np.log10((1 - end) / 10):.6f} {word}" for word in sorted(WORDS)),
    ]
    return "\n".join(["\\data\\", f"ngram 1={len(lines)}", "", "\\1-grams:", *lines, "", "\\end\\", ""])


if __name__ == "__main__":
    run(main)
