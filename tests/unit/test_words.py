"""The words of the field: a name, message or sentence uses the term that Kaldi, ESPnet and the papers use.

`python3 tests/unit/test_words.py [PATH...]` prints what stands against it, file by file, and exits with 1 if any does.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def word(*words: str) -> str:
    """A pattern of these as words of prose and as parts of an identifier, in small letters or with a capital."""
    return "|".join(rf"(?<![A-Za-z])(?i:{w[0]}){w[1:]}(?![a-z])" for w in words)


# Pattern -> the term to use. One line of a text is looked at by itself.
WORDS: dict[str, str] = {
    word("hear", "hears", "heard", "hearing"): "input, receive, be given; WER is N %",
    word("behind"): "after, on enhanced speech, following",
    word("waves?"): "waveform(s); wav for files",
    word("rooms?"): "RIR(s), reverberant, reverberation",
    r"(?i)\bkinds? of (?:a )?noises?\b|\bnoise[ _]kinds?\b|\bby[-_]kind\b|\bkinds? of the noises?\b": "noise type",
    r"\b(?:TRAIN|TEST)_KINDS\b|\btokens\.kind\b|\bfront_end import OPTIONS\b": "noise or token type, FEATURE_CONFIG",
    r"\b(?:spoken|silent)(?:_| )arcs?\b|\bself\.(?:spoken|silent)\b|\b_forget\b": "emitting / epsilon arcs, prune",
    word("learners?") + r"|\b(?:def |\.)turns\(": "optimiser step, per-optimiser losses",
    r"\bequalise\b|\bparallel\.(?:mine|total|gather|join|leave)\b|\bMIMIC_MEETING\b": "shard, all_gather, ...",
    r"^\s*aside\s+[\"$]|\baside\(\)|\ball_done\b": "run in background, wait for all",
    r"\b_?alone\s*=|\balone\(\)|\brun_alone\b|--alone\b": "common options, or tracing, as is meant",
    r"\bwhile (?:he|it) lives\b": "heartbeat",
    word("todo", "said", "told", "saying"): "pending, output, message, log",
    r"\banswers\s*=|\bsays\s*=": "output, message",
    r"search[ =\"']+free\b|\"free\"|'free'|`free`": "lexicon-free",
    word("searcher"): "end-to-end decoder",
    r"\bword[-_]bonus(?:es)?\b|\bngram[-_]weight\b": "word insertion bonus, LM scale",
    r"\b(?:batch_utterances|batch_frames|average_of|save_minutes|nonfinite_limit)\b": "see mimic/renamed.py",
    r"--?train\.(?:average|select|accumulate|clip)\b": "see mimic/renamed.py",
    r"\broom[-_]prob\b|\bhears_waves\b|\bheard_by\b": "rir_prob, uses_waveforms, feats_dir_for",
    r"\bplain student\b|\bfirst (?:encoder|student)\b": "baseline student, initial encoder",
    r"(?i)\bteach(?:es|ing)?\b|\bteacher (?:is|was|be) asked\b|\bteacher says\b": "runs, outputs, is distilled",
    r"\bcluster[-_]feats\b|\bcluster[ _]centres?\b": "apply_kmeans, targets from k-means, centroids",
    r"(?i)perceptual respons|\bresponds?\b|\bresponses\b": "embeddings, embed",
    r"(?i)\bdry[-_/]?\s?wet\b": "enhancement ratio",
    r"\bno[-_]gate\b": "PESQ check, --skip-pesq-check",
    r"\bshares? out\b|\bshared out\b|\bshare_recordings\b": "split, shard",
    r"\bHEARD\b|\bkept\.py\b": "feature configuration",
    r"\bspoilt\b|\b(?i:mend)(?:s|ed|ing)?\b|\bwipe[sd]?\b|\bRefused\b": "changed, repair, clear, StepError",
    r"\bthe acts?\b|\bacts? of\b": "sub-command",
    r"\banew\b|\blikewise\b|\bwished\b|\bas it turns out\b": "again, (repeat it), target",
    r"\bgoes on\b|\bgo on\b|\bwent on\b|\bgoing on\b": "resumes, continues",
    r"(?<!here )\bis no (?!longer\b|more\b|need\b|reason\b|loss\b|such\b)": "is not a",
    r"(?i)\b(?:second )?opinions?\b|\bsecond_opinion\b": "rescoring, second pass",
    r"(?i)\bstretches\b|\bstretch of (?:speech|a recording)\b": "segments; spans or masks of frames",
    r"(?i)\bby heart\b|\bdrowns\b": "memorise, outweigh",
    r"\b_?(?:bring|remember|soften|strange|surprise|weigh|welcome)\(": "a verb for what it does",
    r"(?i)\bhidden frames\b|\bframes (?:that )?are hidden\b": "masked frames",
    r"\b(?i:clean|noisy) sides?\b": "clean speech, noisy speech",
    r"\bthat ships?\b": "pretrained",
    r"\b(?:parts?|model|encoder|enhancer)(?: that)? rests?\b": "frozen",
    r"\b(?:does not|do not) hold 0\b": "excludes 0",
    word("theirs"): "the peer's name",
    word("ours"): "mimic",
}

# Files that have to hold such words, and a reason.
EXEMPT: dict[str, str] = {
    "tests/unit/test_words.py": "the list itself",
    "tests/unit/test_renamed.py": "tests former names",
    "pyscripts/mimic/renamed.py": "former names",
    "CHANGELOG.md": "history",
    "tests/unit/models_75b122b/*": "written by that commit",
    "results/*": "records of what was run",
    "benchmarks/records/*": "records of what was run",
}

# (file, text in the line): terms of the field that only look like a word of the list.
ALLOWED: tuple[tuple[str, str], ...] = (
    ("*", "import wave"),
    ("*", "wave.open"),
    ("*", "# was: "),
    ("*", "sine wave"),
    ("*", "square wave"),
    ("*", "pyroomacoustics"),
    ("*", "room impulse response"),
    ("*", "utt2room"),
    ("pyscripts/mimic/io/containers.py", "WAVE"),
    ("pyscripts/mimic/io/containers.py", 'b"wave"'),
    ("pyscripts/mimic/io/containers.py", "Wave64"),
    ("pyscripts/mimic/training/run.py", 'state["learners"]'),  # checkpoints of the release before
    ("tests/unit/test_trained.py", "it is no model"),  # a message of models/trained.py
    ("local/demo/sentences.py", "room"),  # of a house
    # RIRs of one room stay on one side of a split; openrir/rooms is a folder that this makes.
    ("local/mini_librispeech/openrir.py", "room"),
    ("local/mini_librispeech/prepare.sh", "openrir/{noises,rooms}"),
    ("local/run_denoise.sh", "openrir/rooms"),
    ("tests/unit/test_mask_data.py", "room"),
    ("local/pretrained/*", "rooms"),  # a folder of the corpora
    ("pretrained/*/README.md", "rooms"),
    *((page, "--rir-dir corpora/rooms") for page in ("RESULTS.md", "docs/ssl.md", "results/*")),
    *(("pretrained/*/card.json", text) for text in ("_waves", "laundry_room")),  # types of noise, by their files' names
    ("local/run_pretrained.sh", "rooms (RIRs)"),
    ("tests/e2e/test_run_pretrained.py", '"rooms"'),
    ("benchmarks/enhance*", "rooms"),
    ("tests/unit/test_benchmark_enhancers.py", "rooms/test"),
    ("local/simulate_rirs.py", "room{number"),  # seeds the draws
    # Former names, for one release.
    ("*", "former_value"),
    ("*", "former_dir"),
    ("RESULTS.md", "--rir-dir rooms"),
    ("local/distill/students.sh", "room"),
    ("local/share_recordings.sh", "share_recordings.sh"),
    ("local/simulate_rooms.sh", "simulate_rooms.sh"),
    ("steps/cluster_feats.sh", "cluster_feats.sh"),
    ("steps/tune_decode.sh", "--decode.ngram_weight"),
    ("tests/shell/test_done_earlier.py", '"rooms"'),
    ("tests/shell/test_done_earlier.py", "--train.clip"),
    ("tests/shell/test_done_earlier.py", "batch_utterances"),
    ("tests/shell/test_parse_options.py", "--dry-wet"),
    ("tests/shell/test_parse_options.py", "--batch_frames"),
    ("tests/shell/test_run.py", "no-gate"),
    *(("tests/unit/test_package.py", text) for text in ("rooms: ''}", "room_prob:", "word_bonus:", "batch_frames:")),
    ("tests/unit/test_package.py", "average_of:"),
    ("pyscripts/mimic/cli.py", "--dry-wet"),
    # Names that what was made before has.
    ("pyscripts/mimic/models/enhancer.py", '"heard.conf"'),  # a file of model directories
    ("pyscripts/mimic/deploy/onnx.py", '"wave"'),  # the input of exported graphs, which programs of others run
    ("tests/unit/test_use_export.py", '"wave"'),
)


def texts(paths: list[str]) -> Iterator[tuple[str, str]]:
    """(name, text) of the files of the project at these paths, relative to it; without any: of all."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *paths], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        try:
            if not any(fnmatch(name, pattern) for pattern in EXEMPT):
                yield name, (ROOT / name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue


def offenders(paths: list[str]) -> Iterator[tuple[str, int, str, str]]:
    """(file, line number, what was found, the term) of each word of the list, names of files included."""
    every = re.compile("|".join(f"(?:{pattern.replace('(?i)', '')})" for pattern in WORDS), re.I)
    patterns = [(re.compile(pattern), term) for pattern, term in WORDS.items()]
    for name, text in texts(paths):
        for number, line in enumerate([name, *text.splitlines()]):
            if not every.search(line) or any(fnmatch(name, file) and allowed in line for file, allowed in ALLOWED):
                continue
            for pattern, term in patterns:
                for match in pattern.finditer(line):
                    yield name, number, match[0].strip(), term


def test_the_field_s_words():
    found = [f"{file}:{number}: {text}: {term}" for file, number, text, term in offenders([])]
    assert not found, "\n".join(found)


def main(paths: list[str]) -> int:
    count = 0
    for name, number, text, term in offenders(paths):
        print(f"{name}:{number}: {text}: {term}")
        count += 1
    print(f"{count} in all" if count else "none")
    return int(count > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
