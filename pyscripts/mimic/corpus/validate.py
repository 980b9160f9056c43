"""Everything that can be wrong with a Kaldi data directory, or with a clean/noisy pair of them."""

import re
from collections import Counter
from dataclasses import dataclass
from operator import eq
from pathlib import Path

from mimic.corpus.problems import Checked, Problem, read_leniently
from mimic.corpus.scan import scan
from mimic.errors import UserError
from mimic.io.audio import ROUNDED_S, AudioReader
from mimic.io.lines import fields
from mimic.io.tables import CLEAN, frame_count, keyed_by, positive, segment, spk2utt
from mimic.io.text import composed
from mimic.progress import progress

# Characters that look like nothing or like a space, and control characters: each breaks some tool later.
BAD_CHARACTERS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00a0\u00ad\u1680\u2000-\u200f\u2028-\u202f\u205f\u2060\u3000\ufeff\ufffd]"
)
SYMBOLS = re.compile(r"(?<!\S)(<s>|</s>|#0|<eps>)(?!\S)")
# Frames per second of what CTC reads: fbank (10 ms) against characters, the STFT (16 ms) against phones.
FBANK_HOP, FBANK_WINDOW, STFT_HOP = 160, 400, 256
DURATION_TOLERANCE_S = 0.02


@dataclass
class Options:
    """What to check: audio and text can be left out; a lexicon {word: phones} adds the check for unknown words."""

    wav: bool = True
    text: bool = True
    lexicon: dict[str, list[str]] | None = None
    rate: int = 16000
    allow_pipes: bool = False
    channel: int | None = None
    nj: int = 1


def validate(path: str | Path, options: Options) -> Checked:
    """Check one data directory; see `problems` of the result."""
    found = Checked(Path(path), rate=options.rate)
    if not found.path.is_dir():
        raise UserError(f"{path}: no such data directory")
    segmented = (found.path / "segments").exists()
    wanted = ["utt2spk", "spk2utt", *(["wav.scp"] if options.wav else []), *(["text"] if options.text else [])]
    for name in wanted:
        if not (found.path / name).exists():
            found.error(
                "missing file", name, "-", "no such file", "make it, or leave its check out (--no-wav, --no-text)"
            )
    for file in sorted(found.path.iterdir()):
        if file.is_file() and keyed_by(file.name, segmented):
            found.tables[file.name] = read_leniently(found, file)
    _check_speakers(found)
    _check_ids(found, segmented)
    _check_values(found)
    if "text" in found.tables:
        _check_text(found, options.lexicon)
    if options.wav and "wav.scp" in found.tables:
        _check_audio(found, options)
    if options.wav and CLEAN in found.tables:
        _check_clean(found, options)
    _check_lengths(found, options)
    return found


def validate_pair(clean: str | Path, noisy: str | Path, options: Options) -> tuple[Checked, Checked]:
    """Check two directories that hold the same utterances; what differs is reported with the noisy one."""
    a, b = validate(clean, options), validate(noisy, options)
    repair = f"run steps/fix_data.sh {clean} {noisy}"
    for one, other in ((a, b), (b, a)):
        for utt in sorted(one.utts - other.utts):
            b.error("ids differ", "utt2spk", utt, f"only in {one.path}", repair)
    for name in ("utt2spk", "text", "text.phn"):
        for utt in sorted(a.utts & b.utts):
            values = [side.tables.get(name, {}).get(utt) for side in (a, b)]
            if None not in values and values[0] != values[1]:
                what = f"`{values[1]}`, but `{values[0]}` in {clean}"
                b.error("sides differ", name, utt, what, "make both sides the same")
    for utt in sorted(a.samples.keys() & b.samples.keys()):
        if a.samples[utt] != b.samples[utt]:
            what = f"{b.samples[utt]} samples, but {a.samples[utt]} in {clean}"
            b.error("lengths differ", "wav.scp", utt, what, "cut both sides from the same place to the same length")
    return a, b


def transcript_problem(words: str) -> str:
    """Say what is wrong with a transcript, or give ""."""
    if not words:
        return "the transcript is empty"
    if match := BAD_CHARACTERS.search(words):
        return f"the transcript has the character U+{ord(match[0]):04X} at position {match.start() + 1}"
    if match := SYMBOLS.search(words):
        return f"the transcript has `{match[0]}`, which has a meaning of its own"
    return ""


def label_problem(name: str, labels: str, samples: int) -> str:
    """Say so if CTC cannot place the phones (`text.phn`) or characters (`text`) in audio of `samples` at 16 kHz."""
    frames = max(0, 1 + (samples - FBANK_WINDOW) // FBANK_HOP) if name == "text" else 1 + samples // STFT_HOP
    if 2 * len(labels) <= frames:
        return ""  # whatever repeats there are: the common case, without looking at each label
    symbols = list(labels) if name == "text" else labels.split()
    needed = len(symbols) + sum(a == b for a, b in zip(symbols, symbols[1:], strict=False))
    return f"{needed} frames needed for {len(symbols)} labels, the audio has {frames}" if needed > frames else ""


def _check_speakers(found: Checked) -> None:
    utt2spk = found.tables.get("utt2spk", {})
    ordered, before = True, ("", "")  # whether both are in order; if so, which is usual, nothing has to be sorted
    for utt, speaker in utt2spk.items():
        ordered = ordered and before[0] <= speaker and before[1] < utt
        before = speaker, utt
        if len(fields(speaker)) != 1:
            found.error("fields", "utt2spk", utt, f"expected one speaker, got `{speaker}`", "correct the line")
        elif not utt.startswith(speaker):
            fix = f"call it {speaker}-{utt} (local/import_corpus.sh does so)"
            found.error("speaker prefix", "utt2spk", utt, f"does not begin with its speaker {speaker}", fix)
        elif utt != speaker and not utt.startswith(f"{speaker}-"):
            found.note(
                "speaker prefix", f"{utt}: no `-` after the speaker id {speaker}; local/import_corpus.sh adds it"
            )
    by_speaker = [] if ordered else sorted(utt2spk, key=lambda utt: (utt2spk[utt], utt))
    if not ordered and by_speaker != sorted(utt2spk):
        utt = next(a for a, b in zip(by_speaker, sorted(utt2spk), strict=True) if a != b)
        fix = "write `-` after the speaker id (local/import_corpus.sh does so), or ids of one width"
        found.error("speaker order", "utt2spk", utt, "order by speaker differs from order by utterance", fix)
    if "spk2utt" in found.tables and found.tables["spk2utt"] != (expected := spk2utt(utt2spk)):
        for speaker in sorted({*found.tables["spk2utt"], *expected}):
            if found.tables["spk2utt"].get(speaker) != expected.get(speaker):
                found.error("inverse", "spk2utt", speaker, "is not the inverse of utt2spk", found.repair)
    if len(found.speakers) == 1:
        found.note("speakers", "there is only one speaker: speaker-wise CMVN and splitting by speaker mean little")


def _check_ids(found: Checked, segmented: bool) -> None:
    recordings = {line.split()[0] for line in found.tables.get("segments", {}).values() if line}
    expected = {"utt": found.utts, "spk": found.speakers, "reco": recordings}
    what = {"utt": "utt2spk", "spk": "utt2spk", "reco": "segments"}
    for name, table in found.tables.items():
        kind = keyed_by(name, segmented)
        if name in ("utt2spk", "spk2utt"):
            continue
        if len(table) == len(expected[kind]) and all(map(eq, table, expected[kind])):
            continue  # the usual case, without a lookup
        for key in sorted(expected[kind] - table.keys()):
            found.error("missing ids", name, key, f"is in {what[kind]} but not here", found.repair)
        for key in sorted(table.keys() - expected[kind]):
            found.error("surplus ids", name, key, f"is not in {what[kind]}", found.repair)


def _check_values(found: Checked) -> None:
    for name, good, text in (
        ("utt2dur", positive, "a duration in seconds above 0"),
        ("reco2dur", positive, "a duration in seconds above 0"),
        ("utt2num_frames", frame_count, "a count above 0"),
        ("utt2fs", frame_count, "Hz, a whole number above 0"),
        ("segments", segment, "`recording start end` with 0 <= start < end"),
    ):
        for key, value in found.tables.get(name, {}).items():
            if not good(value):
                found.error("value", name, key, f"expected {text}, got `{value}`", "correct or remove the line")
    for utt, entry in found.tables.get("wav.scp", {}).items():
        if entry.startswith("~"):
            found.error("value", "wav.scp", utt, "`~` is not expanded in a path", "write the path out")


def _check_text(found: Checked, lexicon: dict[str, list[str]] | None) -> None:
    unknown: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for utt, words in found.tables["text"].items():
        if what := transcript_problem(words):
            fix = f"correct it, or drop the line and run steps/fix_data.sh {found.path}"
            found.error("transcript", "text", utt, what, fix)
        if lexicon is None:
            continue
        for word in composed(words).split():
            if word not in lexicon:
                unknown.setdefault(word, utt)
                counts[word] += 1
    for word, utt in sorted(unknown.items()):
        what = f"`{word}` is not in the lexicon ({counts[word]} times, first here)"
        found.error("unknown word", "text", utt, what, "add it to the lexicon, or import with --oov-policy g2p")


def _check_audio(found: Checked, options: Options) -> None:
    try:
        reader = AudioReader(found.path, options.rate, options.allow_pipes, options.channel)
    except UserError:
        return  # wav.scp or segments cannot be read strictly: reported above
    files = Counter(reader.entry(utt) for utt in reader.utts if reader.segments is None)
    for entry, count in files.items():
        if count > 1:
            found.note("same audio", f"{count} utterances have the same audio {entry}")
    rates: Counter[int] = Counter()
    wrong: list[str] = []  # where utt2fs has another rate
    beyond: list[float] = []  # s
    for result in progress(scan(reader, options.nj), len(reader), f"utterances of {found.path}"):
        if result.problem:
            found.problems.append(Problem(f"audio: {result.problem.kind}", f"{found.path}/wav.scp: {result.problem}"))
        else:
            found.samples[result.utt] = result.samples
            rates[result.rate] += 1
            if (declared := found.tables.get("utt2fs", {}).get(result.utt, "")) and declared != str(result.rate):
                wrong.append(f"{result.utt}: {declared} Hz, but the audio has {result.rate} Hz")
            beyond.append(reader.seconds(result.utt) - result.samples / options.rate if reader.segments else 0.0)
    if trimmed := [seconds for seconds in beyond if seconds > ROUNDED_S]:
        what = f"{len(trimmed)} segments end up to {max(trimmed):.3f} s after their recordings"
        found.note("segments", f"trimmed as in Kaldi: {what}")
    if declared_rates := Counter(found.tables.get("utt2fs", {}).values()):
        counts = ", ".join(
            f"{rate} Hz ({count})"
            for rate, count in sorted(declared_rates.items(), key=lambda pair: (len(pair[0]), pair))
        )
        found.note("utt2fs", f"utt2fs has the rates at which scores compare audio: {counts}")
    if wrong:
        found.note(
            "utt2fs", f"the audio of {len(wrong)} utterances has another rate than utt2fs says, first {wrong[0]}"
        )
    for rate, count in sorted(rates.items()):
        if rate != options.rate:
            found.note("rate", f"{count} utterances have {rate} Hz and will be resampled to {options.rate} Hz")


def _check_clean(found: Checked, options: Options) -> None:
    """Clean speech of spk1.scp beside noisy speech of wav.scp: readable, and as long."""
    try:
        reader = AudioReader(found.path, options.rate, options.allow_pipes, options.channel, CLEAN)
    except UserError:
        return  # it cannot be read strictly: reported above
    found.note("clean", f"clean speech of {len(reader)} utterances in {CLEAN}, used as the reference of scores")
    for result in progress(scan(reader, options.nj), len(reader), f"utterances of {found.path}/{CLEAN}"):
        samples = found.samples.get(result.utt, result.samples)
        if result.problem:
            found.problems.append(Problem(f"clean: {result.problem.kind}", f"{found.path}/{CLEAN}: {result.problem}"))
        elif result.samples != samples:
            what = f"{result.samples} samples, but {samples} in wav.scp"
            found.error("lengths differ", CLEAN, result.utt, what, "cut both from the same place to the same length")


def _check_lengths(found: Checked, options: Options) -> None:
    """Durations on paper against the audio, and labels that CTC cannot place in the frames there are."""
    for utt, value in found.tables.get("utt2dur", {}).items():
        if not positive(value):
            continue
        if utt not in found.samples:
            if not options.wav:
                found.samples[utt] = round(float(value) * options.rate)
        elif abs(found.samples[utt] / options.rate - float(value)) > DURATION_TOLERANCE_S:
            what = f"{value} s, but the audio lasts {found.samples[utt] / options.rate:.3f} s"
            found.error("stale", "utt2dur", utt, what, "remove utt2dur, or correct it")
    for utt, samples in sorted(found.samples.items()):
        tables = ((name, found.tables.get(name, {}).get(utt, "")) for name in ("text", "text.phn"))
        for name, labels in tables:
            if what := label_problem(name, labels, samples * 16000 // options.rate):
                found.error("too many labels", name, utt, what, "correct the transcript, or remove the utterance")
