"""The files that score one decoding, named and laid out as Kaldi's score scripts leave them."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from mimic.io.atomic import new_dir, replace
from mimic.metrics import details
from mimic.metrics.conditions import grouped
from mimic.metrics.wer import Alignment, bootci_line, compute_wer, interval, totals, wer_lines

# Kaldi names a file after the language model weight and word insertion penalty of the decoding. Where a decoding has
# none, and in scoring directories, whose files have the same names for every system, the pair is this.
LMWT, WIP = "1", "0.0"
INNER = "scoring_kaldi"
FIXED = re.compile(r"^(wer|cer)_\d.*$")


def score_files(
    alignments: Sequence[Alignment],
    utt2spk: Mapping[str, str],
    unit: str,
    decode_dir: str,
    info: Mapping[str, str],
    lmwt: str = LMWT,
    wip: str = WIP,
) -> dict[str, str]:
    """{path below a decode directory: text} for one unit, "wer" or "cer"; `info` says how texts became tokens.

    The file <unit>_info stands beside the one with the numbers, so that `grep WER dir/wer_*` names the file it found
    them in, as Kaldi's users know it. No line of it looks like a result.
    """
    total = wer_lines(compute_wer((a.ref, a.hyp, a.present) for a in alignments))
    name = f"{unit}_{lmwt}_{wip}"
    tokens = "" if unit == "wer" else ".chars"
    inside = {
        f"best_{unit}": f"{total.splitlines()[0]} {decode_dir}/{name}\n",
        f"test_filt{tokens}.txt": _text([(a.utt, a.ref) for a in alignments]),
        f"penalty_{wip}/{lmwt}{tokens}.txt": _text([(a.utt, a.hyp) for a in alignments if a.present]),
        f"{unit}_details/lmwt": f"{lmwt}\n",
        f"{unit}_details/wip": f"{wip}\n",
        f"{unit}_details/per_utt": details.per_utt(alignments),
        f"{unit}_details/per_spk": details.per_spk(alignments, utt2spk),
        f"{unit}_details/ops": details.ops(alignments),
        f"{unit}_details/{unit}_bootci": bootci_line(alignments),
        f"{unit}_details/missing": _text([(a.utt, []) for a in alignments if not a.present]),
    }
    lines = "".join(f"{key} {value}\n" for key, value in info.items())
    return {name: total, f"{unit}_info": lines} | {f"{INNER}/{path}": text for path, text in inside.items()}


def breakdown(alignments: Sequence[Alignment], data_dirs: Sequence[str | Path]) -> list[list[str]]:
    """Error rates for each condition: reference words, errors, errors per 100 words and their 95 % interval."""
    lines = [["condition", "value", "sentences", "words", "ins", "del", "sub", "rate", "ci95min", "ci95max"]]
    for condition, value, those in grouped(alignments, lambda a: a.utt, data_dirs):
        t = totals(those)
        rates = ["NA"] * 3
        if t.words:
            found = interval(those)
            rates = [f"{rate:.2f}" for rate in (t.rate, 100 * found["ci95min"], 100 * found["ci95max"])]
        lines.append([condition, value, *map(str, (t.sentences, t.words, t.ins, t.dele, t.sub)), *rates])
    return lines


def write_files(files: Mapping[str, str], decode_dir: str | Path, scoring_dir: str | Path) -> None:
    """Write `files` into the decode directory, and the same without the folder scoring_kaldi into the scoring one."""
    with new_dir(Path(decode_dir) / INNER) as inner:
        for name, text in files.items():
            if name.startswith(INNER):
                _write(inner / name.removeprefix(f"{INNER}/"), text)
    for name, text in files.items():
        if not name.startswith(INNER):
            _write(Path(decode_dir) / name, text)
        _write(Path(scoring_dir) / FIXED.sub(rf"\1_{LMWT}_{WIP}", name.removeprefix(f"{INNER}/")), text)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace(path) as f:
        f.write(text)


def _text(lines: Sequence[tuple[str, list[str]]]) -> str:
    return "".join(f"{' '.join([utt, *tokens])}\n" for utt, tokens in lines)
