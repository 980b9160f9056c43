"""Corpora that are known by their folders: LibriSpeech, LJSpeech, VCTK."""

import re
from collections.abc import Iterator
from pathlib import Path

from mimic.corpus.formats.utterance import Reading, Utterance
from mimic.errors import UserError
from mimic.io.lines import read_lines
from mimic.io.tables import read_table

UTTERANCE = re.compile(r"(\d+)-(\d+)-\d+")
LJ = re.compile(r"LJ\d{3}-\d{4}")
VCTK_AUDIO = ("wav48_silence_trimmed", "wav48", "wav16")


def read_librispeech(source: Path, options: Reading) -> Iterator[Utterance]:
    """Every chapter below a folder: the corpus, some parts, one speaker. Genders are those of SPEAKERS.TXT."""
    above = (folder / "SPEAKERS.TXT" for folder in (source, *source.resolve().parents[:3]))
    listed = next((path for path in above if path.exists()), None)
    genders = read_genders(listed) if listed else {}
    for chapter in sorted(source.rglob("*.trans.txt")):
        if not options.split or options.split in chapter.relative_to(source).parts:
            yield from chapter_utterances(chapter, genders)


def chapter_utterances(chapter: Path, genders: dict[str, str]) -> Iterator[Utterance]:
    """The utterances of a `<speaker>-<chapter>.trans.txt`, whose audio lies beside it."""
    for utt, text in read_table(chapter).items():
        match = UTTERANCE.fullmatch(utt)
        if not match or [match[1], match[2]] != [chapter.parent.parent.name, chapter.parent.name]:
            what = f"`{utt}` is not an utterance of this speaker and chapter: the folders are mixed up"
            raise UserError(f"{chapter}: {what}")
        gender = genders.get(match[1], "")
        yield Utterance(str(chapter), str(chapter.absolute().with_name(f"{utt}.flac")), utt, text, match[1], gender)


def read_genders(path: Path) -> dict[str, str]:
    """{speaker: f or m} of `103 | F | train-clean-100 | 25.03 | name` lines; lines with `;` in front are comments."""
    lines = (line for _, line in read_lines(path, "file, which is in every archive of LibriSpeech"))
    fields = ([field.strip() for field in line.split("|")] for line in lines if line and not line.startswith(";"))
    return {speaker: gender.lower() for speaker, gender, *_ in fields}


def read_ljspeech(source: Path, options: Reading) -> Iterator[Utterance]:
    """One speaker; the transcript with numbers and abbreviations in words."""
    for where, recording, text in lj_metadata(source / "metadata.csv"):
        audio = source.absolute() / "wavs" / f"{recording}.wav"
        yield Utterance(where, str(audio), recording, text, "LJ", "f")


def lj_metadata(path: Path) -> list[tuple[str, str, str]]:
    """(place, recording, transcript) of `LJ001-0001|as printed|with numbers in words` lines, sorted by recording."""
    found = []
    for number, line in read_lines(path):
        recording, *texts = line.split("|")
        if not LJ.fullmatch(recording) or len(texts) != 2:
            raise UserError(f"{path}:{number}: expected `LJ001-0001|text|text`, got `{line[:60]}`")
        found.append((f"{path}:{number}", recording, texts[1]))
    return sorted(found, key=lambda row: row[1])


def read_vctk(source: Path, options: Reading) -> Iterator[Utterance]:
    """One microphone of VCTK 0.92 (mic1 unless --mic names another), or the files of an earlier version."""
    folder = next(source / name for name in VCTK_AUDIO if (source / name).is_dir())
    genders = {}
    if (source / "speaker-info.txt").exists():
        rows = (line.split() for _, line in read_lines(source / "speaker-info.txt"))
        genders = {f"p{row[0].lstrip('p')}": row[2] for row in rows if len(row) > 2}
    audio = [path for path in sorted(folder.glob("*/*")) if path.suffix in (".flac", ".wav")]
    versions = {path.stem.partition("_mic")[2] for path in audio}
    mic = options.mic or ("mic1" if "1" in versions else "")
    chosen = [path for path in audio if path.stem.endswith(f"_{mic}" if mic else "")]
    if not chosen:
        there = " ".join(f"mic{version}" for version in sorted(versions) if version) or "one"
        raise UserError(f"{folder}: no audio of microphone {mic or '?'}: there is {there}")
    for path in chosen:
        utt, speaker = path.stem.removesuffix(f"_{mic}"), path.parent.name
        words = source / "txt" / speaker / f"{utt}.txt"
        text = " ".join(line for _, line in read_lines(words)) if words.exists() else None
        problem = "" if text is not None else f"{path}: no transcript txt/{speaker}/{words.name}"
        yield Utterance(str(path), str(path.absolute()), utt, text, speaker, genders.get(speaker, ""), problem=problem)
