#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Estimate what a run of the recipe costs; steps/plan.sh runs the steps on a sample and calls this.

plan.py noise exp/plan.x/noises        # to mix into the sample
plan.py estimate --hours "1 100" --perceptual-config conf/perceptual_demo.yaml ... exp/plan.x
"""

import argparse
import json
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np

from mimic import cli
from mimic.errors import UserError
from mimic.io.atomic import replace
from mimic.io.recording import write_wav
from mimic.reporting.plan_costs import read_costs
from mimic.reporting.plan_estimate import (
    Corpus,
    Schedule,
    Setting,
    advice,
    estimate,
    parse_duration,
    reach,
    tables,
    total,
)
from mimic.tasks import config as configuration

TRAININGS = ("perceptual", "enhance", "asr", "finetune")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    noise = verbs.add_parser("noise", help="white noise for the train and the test side of a corpus")
    noise.add_argument("out", type=Path)
    plan = verbs.add_parser("estimate", help="tables for some amounts of training speech")
    plan.add_argument("--hours", default="1 100 1000 10000")
    plan.add_argument("--dev-hours", default="", help="empty: 0.15 of the training hours, 5 at most")
    plan.add_argument("--test-hours", default="", help="empty: 0.2 of the training hours, 5 at most")
    for name in TRAININGS:
        plan.add_argument(f"--{name}-config", type=Path, required=True)
    for name in ("nj", "train-jobs", "ngpu", "seeds"):
        plan.add_argument(f"--{name}", type=int, required=True)
    plan.add_argument("--within", default="", help="e.g. 24h, 3d, 90m")
    plan.add_argument("--json", type=Path)
    plan.add_argument("directory", type=Path, help="what the steps have left")
    args = parser.parse_args()
    if args.verb == "noise":
        make_noises(args.out)
    else:
        make_plan(args)


def make_noises(out: Path) -> None:
    for side in ("train", "test"):
        (out / side).mkdir(parents=True)
        samples = np.random.default_rng(len(side)).normal(0, 0.1, 5 * 16000)
        write_wav(out / side / f"white{side}-1.wav", samples, 16000)


def make_plan(args: argparse.Namespace) -> None:
    within = parse_duration(args.within) if args.within else 0.0
    schedules = [schedule(getattr(args, f"{name}_config")) for name in TRAININGS]
    setting = Setting(*schedules, args.nj, args.train_jobs, args.ngpu, args.seeds, os.cpu_count())
    costs = read_costs(args.directory, schedules[1].validated)
    corpora = [corpus(float(hours), args.dev_hours, args.test_hours) for hours in args.hours.split()]
    plans = [(speech, estimate(costs, setting, speech)) for speech in corpora]
    print(tables(plans), end="")
    found = [reach(costs, setting, speech, within) if within else None for speech in corpora]
    if within:
        print(advice(corpora, found, setting, costs, args.within), end="")
    if args.json:
        record = {
            "setting": asdict(setting),
            "costs": asdict(costs),
            "plans": [
                {"corpus": asdict(speech), "stages": [asdict(stage) for stage in [*stages, total(stages)]]}
                | ({"reach": {"nj": f[0].nj, "ngpu": f[0].ngpu, "seconds": f[1]} if f else None} if within else {})
                for (speech, stages), f in zip(plans, found, strict=True)
            ],
        }
        with replace(args.json) as file:
            json.dump(record, file, indent=1)


def schedule(path: Path) -> Schedule:
    config = configuration.read(path)
    return Schedule(config.train.epochs, config.train.validate_every, getattr(config.data, "valid_utterances", 0))


def corpus(hours: float, dev: str, test: str) -> Corpus:
    if hours <= 0:
        raise UserError(f"--hours: {hours:g} hours of speech are none")
    return Corpus(hours, float(dev or min(5.0, 0.15 * hours)), float(test or min(5.0, 0.2 * hours)))


if __name__ == "__main__":
    cli.run(main)
