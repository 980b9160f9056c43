"""What is judged: pairs of noisy and clean speech at 16 kHz in one folder, with conditions and transcripts.

`set.json` of the folder says for each utterance its SNR, noise type, RIR and text, as far as they are known; it is
written last. Mixtures are of the corpora that local/run_pretrained.sh takes, of speakers, noise types and RIRs that it
trains on in no form.
"""

import csv
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "local" / "pretrained"))

from prepare import dev_types, noise_files  # noqa: E402

from mimic.augment.mixing import utterance_rng  # noqa: E402
from mimic.augment.recordings import Corruption, Recordings  # noqa: E402
from mimic.errors import UserError  # noqa: E402
from mimic.io.atomic import replace  # noqa: E402
from mimic.io.recording import write_wav  # noqa: E402
from mimic.io.tables import read_table, write_table  # noqa: E402
from mimic.judging.material import read_texts  # noqa: E402
from mimic.metrics.pairs import Pairs  # noqa: E402
from mimic.progress import progress  # noqa: E402

EARLY_S = 0.05  # of an RIR after the direct path: in the clean speech, too
SIDES = ("clean", "noisy")
TABLES = {"snr": "utt2snr", "noise": "utt2noise"}  # of a data directory


@dataclass(frozen=True)
class MixtureOptions:
    """Which mixtures: `count` of the split test or dev, SNRs in dB drawn evenly, an RIR with a probability."""

    split: str = "test"
    count: int = 260
    snrs: tuple[float, ...] = (-5, 0, 5, 10, 15, 20)
    rir_prob: float = 0.25
    seed: int = 1


class Set:
    """A finished folder: `utts` and their facts, and audio (samples,) as float32 by side and utterance."""

    def __init__(self, folder: Path):
        self.folder = folder
        record = json.loads((folder / "set.json").read_text(encoding="utf-8"))
        self.settings, self.facts = record["settings"], record["utterances"]
        self.utts = sorted(self.facts)

    @cached_property
    def texts(self) -> dict[str, str]:
        return {utt: facts["text"] for utt, facts in self.facts.items() if facts.get("text")}

    def audio(self, side: str, utt: str) -> np.ndarray:
        return read_wav(self.folder / side, utt)

    def groups(self, condition: str) -> dict[str, list[str]]:
        """Utterances by the value of a condition; {} where it is not known, or the same for all."""
        found: dict[str, list[str]] = {}
        for utt, facts in self.facts.items():
            if condition in facts:
                found.setdefault(str(facts[condition]), []).append(utt)
        return dict(sorted(found.items(), key=lambda item: _order(item[0]))) if len(found) > 1 else {}


def read_wav(folder: Path, utt: str) -> np.ndarray:
    """One of the wavs that this program wrote: (samples,) float32."""
    return soundfile.read(folder / f"{utt}.wav", dtype="float32")[0]


def mixtures(corpora: Path, folder: Path, options: MixtureOptions) -> Set:
    """Mixtures of the corpora, made from their names and the seed alone."""
    settings = {"mixtures": asdict(options) | {"snrs": list(options.snrs)}}
    known = finished(folder, settings)
    if known and len(known.utts) == options.count:
        return known
    rows = speechocean_rows(corpora, options.split)
    speech = Recordings({row["utt"]: str(corpora / "speechocean762/audio" / f"{row['utt']}.opus") for row in rows})
    noises = Recordings({f"{kind}-{k}": file for k, (kind, file) in enumerate(noise_types(corpora, options.split))})
    rirs = Recordings(corpora / "rooms" / ("test" if options.split == "test" else "train"))
    if options.split == "dev":
        rirs.utts = rirs.utts[:1]  # the one that prepare.py leaves for dev
    speaker_of = {row["utt"]: row["speaker"] for row in rows}
    corrupt = Corruption(
        speech, speaker_of, noises, options.snrs, options.seed, rirs, options.rir_prob, early_s=EARLY_S
    )

    def one(number: int) -> tuple[str, dict[str, np.ndarray], dict[str, Any]]:
        row, again = rows[number % len(rows)], number // len(rows)
        utt = f"so{row['speaker']}-{row['utt']}-{again}"
        draw = corrupt.draw(utt)
        mixture = corrupt.mix(utt, speech[row["utt"]], draw, utterance_rng(options.seed, utt))
        facts = {"snr": draw.snr, "noise": draw.noise_type, "rir": draw.rir or "none", "text": row["text"]}
        return utt, {"clean": mixture.target, "noisy": mixture.noisy}, facts

    return write(folder, settings, map(one, range(options.count)), options.count)


def pairs(noisy: Path, clean: Path, text: Path | None, folder: Path) -> Set:
    """The pairs of two folders of audio files of the same names, or of two data directories.

    text: Kaldi's table, or a folder of <utterance>.txt; without it, `text` of a data directory. Its utt2snr and
    utt2noise are conditions. UserError where an utterance is on one side only, or the sides have other lengths.
    """
    settings = {"noisy": str(noisy), "clean": str(clean), "text": str(text)}
    if known := finished(folder, settings):
        return known
    both = Pairs(clean, noisy)
    if missing := sorted(set(both.utts) - set(both.enhanced.utts)):
        raise UserError(f"{noisy}: no {missing[0]} ({len(missing)} of {len(both.utts)} are missing)")
    texts = read_texts(text, noisy) or read_texts(None, clean)
    tables = {name: read_table(noisy / table) for name, table in TABLES.items() if (noisy / table).exists()}

    def one(utt: str) -> tuple[str, dict[str, np.ndarray], dict[str, Any]]:
        x, y = both.clean[utt], both.enhanced[utt]
        if len(x) != len(y):
            raise UserError(f"{utt}: {len(y)} samples are noisy and {len(x)} clean: give pairs of the same length")
        facts: dict[str, Any] = {name: table[utt] for name, table in tables.items() if utt in table}
        return utt, {"clean": x, "noisy": y}, facts | {"text": texts.get(utt, "")}

    return write(folder, settings, map(one, both.utts), len(both.utts))


def finished(folder: Path, settings: Mapping[str, Any]) -> Set | None:
    """The set of a folder that has one. UserError where it was made with other settings; but `count` may change: the
    mixtures that both have are the same.
    """
    if not (folder / "set.json").exists():
        return None
    known = Set(folder)
    if _same(known.settings) != _same(settings):
        raise UserError(f"{folder} has pairs of {json.dumps(known.settings)}: give another --work")
    return known


def write(folder: Path, settings: Mapping[str, Any], found: Iterable[Any], count: int) -> Set:
    """Write pairs as 16-bit wavs, which is what all systems are given and scored against. The folder of the noisy ones
    has what else is known in Kaldi's tables, for steps/judge.sh.
    """
    for side in SIDES:
        (folder / side).mkdir(parents=True, exist_ok=True)
    facts = {}
    for utt, sides, known in progress(found, count, "pairs"):
        for side, signal in sides.items():
            write_wav(folder / side / f"{utt}.wav", signal)
        facts[utt] = known
    for name, table in {"text": "text", **TABLES}.items():
        if rows := {utt: str(known[name]) for utt, known in facts.items() if known.get(name, "") != ""}:
            write_table(folder / "noisy" / table, rows)
    with replace(folder / "set.json") as f:
        json.dump({"settings": settings, "utterances": facts}, f, indent=1)
    return Set(folder)


def speechocean_rows(corpora: Path, split: str) -> list[dict[str, str]]:
    """Utterances of a split with their texts, in an order in which speakers and sentences are mixed."""
    path = corpora / "speechocean762" / "utterances.tsv"
    if not path.exists():
        raise UserError(f"no {path}: is {corpora} the folder of all corpora?")
    with open(path, encoding="utf-8", newline="") as f:
        rows = [row for row in csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE) if row["split"] == split]
    return [rows[k] for k in np.random.default_rng(0).permutation(len(rows))]


def noise_types(corpora: Path, split: str) -> list[tuple[str, str]]:
    """Type and file of each noise of test; of dev those that local/pretrained/prepare.py keeps from training."""
    if split == "test":
        return noise_files(corpora, "test")
    files = noise_files(corpora)
    return [(kind, file) for kind, file in files if kind in dev_types(files)]


def _same(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"mixtures": settings["mixtures"] | {"count": 0}} if "mixtures" in settings else settings


def _order(value: str) -> tuple[float, str]:
    """Numbers by size, before names."""
    try:
        return float(value), value
    except ValueError:
        return float("inf"), value
