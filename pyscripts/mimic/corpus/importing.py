"""Bring data directories made elsewhere into the form of this recipe: ids, text, phones, 16 kHz mono audio.

Three sub-commands, so that the middle one can run in parallel jobs: plan() reads the tables and decides what each
utterance becomes, convert() decodes the audio of one job's, finish() writes the tables. What cannot be used is listed
in skipped.tsv with its reason; too much of it is an error.
"""

import logging
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from mimic.corpus.copies import duration_problem
from mimic.corpus.lang import spoken_phones, transcripts
from mimic.corpus.lexicon import Lexicon
from mimic.corpus.scan import check
from mimic.corpus.validate import Options, label_problem, transcript_problem, validate, validate_pair
from mimic.errors import AudioError, UserError
from mimic.io.audio import AudioReader
from mimic.io.entries import place, stored, wav_file
from mimic.io.recording import write_wav
from mimic.io.tables import keyed_by, read_table, read_utt2spk, split, write_data_dir, write_skipped, write_table

log = logging.getLogger(__name__)
RATE = 16000
GOOD = "-"  # stands for "no problem" in the tables between the sub-commands
# Tables that are made again, or that speak of features and not of audio.
NOT_CARRIED = {"wav.scp", "segments", "text", "text.phn", "utt2spk", "spk2utt", "utt2dur", "utt2num_frames", "utt2uniq"}
NOT_CARRIED |= {"feats.scp", "vad.scp", "cmvn.scp", "utt2fs", "spk1.scp", "noise1.scp", "dereverb1.scp"}


@dataclass(frozen=True)
class Side:
    """One directory on its way: where it comes from, where it goes, how its audio is to be read."""

    source: Path
    out: Path
    allow_pipes: bool = False
    channel: int | None = None

    @property
    def work(self) -> Path:
        return self.out / "import"

    def reader(self) -> AudioReader:
        return AudioReader(self.source, RATE, self.allow_pipes, self.channel)


def plan(sides: list[Side], lexicon: Lexicon, normaliser: str) -> int:
    """Write the tables of all utterances, less their audio, and `plan` (new id, old id, problem) to import/ of each
    side; give the number of utterances. `sides` is [clean] or [clean, noisy]; both get the text of the clean one.
    """
    clean = sides[0].source
    speakers = [read_utt2spk(side.source / "utt2spk") for side in sides]
    readers = [side.reader() for side in sides]
    for reader in readers:
        _refuse_pipes(reader)
    texts = [transcripts(clean, normaliser)]
    texts += [transcripts(side.source, normaliser) for side in sides[1:] if (side.source / "text").exists()]
    spoken = spoken_phones(clean, texts[0], lexicon)
    utts = sorted(set().union(*speakers))
    if not utts:
        raise UserError(f"{clean}/utt2spk: no utterances: there is nothing to import")

    def problem(utt: str) -> str:
        known = zip(sides, speakers, readers, strict=True)
        absent = [str(side.source) for side, speaker, reader in known if utt not in speaker or utt not in reader]
        if absent:
            return f"not in utt2spk or wav.scp (segments) of {' and '.join(absent)}"
        if len({speaker[utt] for speaker in speakers}) > 1:
            return "clean and noisy speech have different speakers"
        if utt not in texts[0]:
            return f"not in {clean}/text"
        if what := transcript_problem(texts[0][utt]):
            return what
        if len({text[utt] for text in texts if utt in text}) > 1:
            return "clean and noisy speech have different transcripts"
        if not spoken[utt]:
            words = sorted({word for word in texts[0][utt].split() if word not in lexicon})
            return f"words without pronunciation: {' '.join(words)}"
        return ""

    problems = {utt: what for utt in utts if (what := problem(utt))}
    renamed = _with_speakers({utt: next(s[utt] for s in speakers if utt in s) for utt in utts})
    good = {utt: new for utt, new in renamed.items() if utt not in problems}
    for side, speaker in zip(sides, speakers, strict=True):
        tables = {
            "plan": {renamed[utt]: f"{utt} {problems.get(utt, GOOD)}" for utt in utts},
            "utt2spk": {new: speaker[utt] for utt, new in good.items()},
            "text": {new: texts[0][utt] for utt, new in good.items()},
            "text.phn": {new: " ".join(spoken[utt]) for utt, new in good.items()},
        }
        for name, kind, table in _other_tables(side.source):
            keys = good if kind == "utt" else {s: s for s in speaker.values()}
            tables[name] = {new: table[old] for old, new in keys.items() if old in table}
        side.work.mkdir(parents=True, exist_ok=True)
        for name, table in tables.items():
            write_table(side.work / name, table)
    return len(utts)


def utts_of_job(sides: list[Side], job: int, nj: int) -> list[str]:
    """The new ids of the utterances that job `job` of `nj` converts."""
    return split((new for new, (_, problem) in _planned(sides).items() if problem == GOOD), job, nj)


def convert(sides: list[Side], job: int, nj: int) -> Iterator[str]:
    """Decode the utterances of job `job` of `nj`, yielding each id when done; write what is not 16 kHz mono already.

    Leaves import/wav.JOB (id, samples, path) on each side and import/bad.JOB (id, reason) on the first. A wav that an
    earlier, interrupted run has written is taken as it is.
    """
    planned = _planned(sides)
    readers = [side.reader() for side in sides]
    for side in sides:
        (side.out / "wav").mkdir(exist_ok=True)
    found: list[dict[str, str]] = [{} for _ in sides]
    bad: dict[str, str] = {}
    for new in utts_of_job(sides, job, nj):
        old = planned[new][0]
        try:
            lengths = []
            for side, reader, table in zip(sides, readers, found, strict=True):
                samples, path = _import_audio(side, reader, old, new)
                lengths.append(samples)
                table[new] = f"{samples} {stored(path)}"
            if len(set(lengths)) > 1:
                bad[new] = f"clean has {lengths[0]} samples at 16 kHz, noisy {lengths[1]}: cut both from the same place"
        except AudioError as error:
            bad[new] = str(error).removeprefix(f"{old}: ")
        yield new
    for side, reader, table in zip(sides, readers, found, strict=True):
        reader.log_trimmed()
        write_table(side.work / f"wav.{job}", table)
    write_table(sides[0].work / f"bad.{job}", bad)


def finish(sides: list[Side], nj: int, max_skip: float, shortest: float = 0, longest: float = 0) -> None:
    """Write the directories from what plan() and convert() left, check them, and remove what was in between.

    Utterances of fewer seconds than `shortest` or more than `longest` (0: none) are left out. Raises UserError when
    more than the share `max_skip` of all utterances cannot be used, to which these do not count.
    """
    planned = _planned(sides)
    bad = {new: problem for new, (_, problem) in planned.items() if problem != GOOD}
    brought: list[dict[str, list[str]]] = [{} for _ in sides]
    for job in range(1, nj + 1):
        bad |= read_table(sides[0].work / f"bad.{job}")
        for side, audio in zip(sides, brought, strict=True):
            audio |= {utt: line.split(" ", 1) for utt, line in read_table(side.work / f"wav.{job}").items()}
    tables = [{name: read_table(side.work / name) for name in _planned_tables(side)} for side in sides]
    filtered: dict[str, str] = {}
    for utt in planned.keys() - bad.keys():
        samples = int(brought[0][utt][0])
        if what := duration_problem(samples / RATE, shortest, longest):
            filtered[utt] = what
            continue
        problems = (label_problem(name, tables[0][name][utt], samples) for name in ("text", "text.phn"))
        if what := next(filter(None, problems), ""):
            bad[utt] = what
    old = [{planned[new][0]: why for new, why in some.items()} for some in (bad, filtered)]
    _report_skipped(sides, old[0], old[1], len(planned), max_skip)
    bad |= filtered
    good = planned.keys() - bad.keys()
    for side, table, audio in zip(sides, tables, brought, strict=True):
        table["wav.scp"] = {utt: path for utt, (_, path) in audio.items()}
        table["utt2dur"] = {utt: f"{int(samples) / RATE:.6f}" for utt, (samples, _) in audio.items()}
        speakers = {speaker for utt, speaker in table["utt2spk"].items() if utt not in bad}
        for name in table:
            kept = speakers if keyed_by(name, False) == "spk" else good
            table[name] = {key: value for key, value in table[name].items() if key in kept}
        write_data_dir(side.out, table)
        for utt in bad:
            wav_file(side.out, utt).unlink(missing_ok=True)
    options = Options(wav=False)
    outs = [side.out for side in sides]
    checked = validate_pair(outs[0], outs[1], options) if len(outs) == 2 else [validate(outs[0], options)]
    errors = [problem.line for one in checked for problem in one.problems if problem.error]
    if errors:
        raise UserError(f"{errors[0]} ({len(errors)} problems: steps/validate_data.sh {' '.join(map(str, outs))})")
    for side in sides:
        shutil.rmtree(side.work)
        if not any((side.out / "wav").iterdir()):
            (side.out / "wav").rmdir()


def _planned(sides: list[Side]) -> dict[str, list[str]]:
    """What plan() has left: {new id: [old id, problem]}."""
    return {new: line.split(" ", 1) for new, line in read_table(sides[0].work / "plan").items()}


def _refuse_pipes(reader: AudioReader) -> None:
    for utt, entry in reader.wavs.items():
        if entry.endswith("|") and not reader.allow_pipes:
            what = f"{entry} is a shell pipe, which runs code: pass --allow-pipes true if you trust it"
            raise UserError(f"{reader.data_dir}/wav.scp: {utt}: {what}")


def _with_speakers(utt2spk: dict[str, str]) -> dict[str, str]:
    """Map each id to the one it gets: with its speaker and `-` in front, unless it has them or is its own speaker."""
    new = {utt: utt if utt == spk or utt.startswith(f"{spk}-") else f"{spk}-{utt}" for utt, spk in utt2spk.items()}
    changed = [utt for utt in new if new[utt] != utt]
    if changed:
        first = f"{changed[0]} -> {new[changed[0]]}"
        log.info("%d ids get their speaker in front, on every side: %s", len(changed), first)
    if len(set(new.values())) < len(new):
        raise UserError(f"{changed[0]}: two ids become the same with the speaker in front: rename one")
    return new


def _other_tables(source: Path) -> Iterator[tuple[str, str, Mapping[str, str]]]:
    """The other tables of a source (utt2snr, spk2gender, ...): name, what it is keyed by, contents."""
    for file in sorted(source.iterdir()):
        kind = keyed_by(file.name, segmented=True)
        if file.is_file() and kind in ("utt", "spk") and file.name not in NOT_CARRIED:
            yield file.name, kind, read_table(file)


def _planned_tables(side: Side) -> list[str]:
    return [file.name for file in side.work.iterdir() if keyed_by(file.name, False) in ("utt", "spk")]


def _import_audio(side: Side, reader: AudioReader, old: str, new: str) -> tuple[int, Path]:
    """Give length at 16 kHz and path of the audio of one utterance; it is written where it has to be converted."""
    target = wav_file(side.out, new)
    if target.exists():
        return soundfile.info(target).frames, target
    x, rate = reader.native(old)
    check(old, x, reader.entry(old))
    info = reader.info(old)
    if rate == RATE and reader.segments is None and info.direct and info.channels == 1:
        return len(x), Path(place(reader.entry(old)).path)
    x = reader.resampled(x, rate)
    if np.abs(x).max() > 1:
        log.info("%s: peaks above full scale are clipped in %s", old, target)
    write_wav(target, x, RATE)
    return len(x), target


def _report_skipped(
    sides: list[Side], skipped: dict[str, str], filtered: dict[str, str], total: int, max_skip: float
) -> None:
    for side in sides:
        (side.out / "skipped.tsv").unlink(missing_ok=True)
        if skipped or filtered:
            write_skipped(side.out / "skipped.tsv", skipped | filtered)
    listed = f"listed in {sides[0].out}/skipped.tsv"
    if filtered:
        utt, why = min(filtered.items())
        log.info("left out by duration: %d of %d utterances, %s; %s: %s", len(filtered), total, listed, utt, why)
    if len(filtered) == total:
        raise UserError(f"{sides[0].source}: --min-dur and --max-dur leave no utterance, {listed}")
    if not skipped:
        return
    utt, why = min(skipped.items())
    text = f"{len(skipped)} of {total} utterances cannot be used, {listed}; {utt}: {why}"
    if len(skipped) > max_skip * total:
        raise UserError(f"{text} (allowed: --max-skip {max_skip:g}; what can be repaired: steps/fix_data.sh)")
    log.warning("skipped: %s", text)
