"""Planning: what the records of a calibration hold, and what is computed from that."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mimic.errors import UserError
from mimic.reporting.plan_costs import (
    Costs,
    Epochs,
    Span,
    Step,
    Training,
    read_epochs,
    read_loop,
    slowdown,
    step,
    training,
)
from mimic.reporting.plan_estimate import (
    Corpus,
    Schedule,
    Setting,
    advice,
    duration,
    estimate,
    makespan,
    number,
    parse_duration,
    reach,
    tables,
    total,
)

ROOT = Path(__file__).resolve().parents[2]
STEP = Step(fixed=4, rate=10, memory=512)
TRAINING = Training(fixed=10, rate=60, validation=0.05, memory=1024, size=10**8, utterance=1000)
COSTS = Costs(
    slowdown=1.0,
    utterance_seconds=3.6,
    data=STEP,
    stft=STEP,
    fbank=STEP,
    perceptual=TRAINING,
    mse=TRAINING,
    mimic=replace(TRAINING, rate=120),
    enhance=STEP,
    asr=TRAINING,
    finetune=TRAINING,
    decode=STEP,
    words=Step(1),
    speech=STEP,
    table=Step(3),
    wav_size=2e8,
    stft_size=4e8,
    fbank_size=1e8,
    enhanced_size=1e8,
)
SCHEDULE = Schedule(epochs=4, validate_every=2)
SETTING = Setting(SCHEDULE, replace(SCHEDULE, validated=40), SCHEDULE, SCHEDULE)


def test_company_counts_once_and_only_within_the_span():
    span = Span(10, 20)
    others = [Span(0, 12), Span(11, 13), Span(18, 30), Span(40, 50)]
    assert span.shared(others) == 5
    assert span.alone(others, 2.0) == 5 + 5 / 2
    assert span.alone([], 2.0) == 10


def test_slowdown_compares_epochs_in_company_with_those_alone():
    ends = [5, 8, 11, 13, 15, 20]  # the first starts up, the last validates
    assert slowdown(Epochs(0, ends, 0), [Span(0, 11)]) == 1.5
    assert slowdown(Epochs(0, ends, 0), [Span(0, 30)]) == 1  # never alone: nothing to compare with


def test_costs_of_a_training():
    times = Epochs(begin=4.0, ends=[10.0, 12.0, 14.0, 21.0], memory=700)
    found = training(Span(0, 23), times, [], 1.0, hours=0.5, validated=10, size=7, utterance=900.0)
    assert found == Training(fixed=23 - 4 * 2 - 5, rate=4.0, validation=0.5, memory=700, size=7, utterance=900.0)


def test_costs_of_a_step_with_two_jobs():
    found = step(Span(0, 10), [Span(4, 9), Span(4, 8)], [], 1.0, hours=2.0, memory=5)
    assert found == Step(fixed=5, rate=4.5, memory=5)


def test_the_records_of_programs_are_read(tmp_path):
    program = "import time\nfrom mimic import cli\n"
    program += "cli.run(lambda: [time.sleep(0.1) for _ in cli.progress(range(3), 3, 'utterances')] and None)\n"
    log = tmp_path / "x.log"
    env = {"PYTHONPATH": f"{ROOT}/pyscripts", "MIMIC_JOB": f"{log}.jsonl"}
    subprocess.run([sys.executable, "-c", program], env=env, stderr=subprocess.DEVNULL, check=True)
    span, count = read_loop(log)
    assert count == 3 and span.seconds > 0.29
    with pytest.raises(UserError, match=r"progress\.jsonl: 0 epochs, of at least 3"):
        read_epochs(tmp_path)


def test_epochs_of_a_training(tmp_path):
    events = [("begin", 0, 0.5), ("epoch", 1, 2.5), ("epoch", 2, 3.75), ("epoch", 3, 5.0)]
    lines = [json.dumps({"event": name, "epoch": epoch, "step": 1, "time": time}) for name, epoch, time in events]
    (tmp_path / "progress.jsonl").write_text("\n".join(lines))
    (tmp_path / "log").mkdir()
    (tmp_path / "log/train.log.jsonl").write_text('{"event": "end", "code": 0, "seconds": 9, "memory": 321}\n')
    found = read_epochs(tmp_path)
    assert [found.epoch(n).seconds for n in (1, 2, 3)] == [2.0, 1.25, 1.25] and found.memory == 321


@pytest.mark.parametrize(
    ("jobs", "places", "factor", "seconds"),
    [
        ([3, 2, 2], 1, 1.5, 7),
        ([3, 2, 2], 2, 1.0, 4),
        ([2, 2], 2, 1.5, 3),
        ([4, 2], 2, 1.5, 3 + 2),  # two units of work together, then two alone
        ([], 2, 1.5, 0),
    ],
)
def test_makespan(jobs, places, factor, seconds):
    assert makespan(jobs, places, factor) == pytest.approx(seconds)


def stage(corpus: Corpus, number: int, setting: Setting = SETTING):
    return estimate(COSTS, setting, corpus)[number - 1]


def test_stages_add_up_what_run_sh_does():
    corpus = Corpus(2.0, 0.2, 0.2)
    # stft and fbank side by side, of the test sets the fbanks of both sides
    features = 2 * duration(STEP, 2.0, 1) + 2 * duration(STEP, 0.2, 1) + duration(STEP, 0.2, 1)
    assert stage(corpus, 2).seconds == pytest.approx(features)
    # Two validations on 200 utterances; the enhancers' on 40 of them, one of the two being twice as slow.
    assert stage(corpus, 3).seconds == pytest.approx(10 + 4 * 2 * 60 + 2 * 200 * 0.05)
    assert stage(corpus, 4).seconds == pytest.approx(10 + 4 * 2 * 120 + 2 * 40 * 0.05)
    one = 10 + 4 * 2 * 60 + 2 * 200 * 0.05
    # Four recognisers on dev and test, and that of clean speech on three more test sets: eleven, two at a time.
    decodings = 6 * duration(STEP, 0.2, 1)
    assert stage(corpus, 6).seconds == pytest.approx(2 * one + decodings)  # that of clean speech trains in stage 3
    assert stage(corpus, 6, replace(SETTING, train_jobs=1)).seconds == pytest.approx(one + 3 * one + decodings)
    assert stage(corpus, 2).disk == pytest.approx(2 * (2.4 * 1e8 + 2.2 * 4e8))
    assert stage(corpus, 3).memory == 2**30 + 2200 * 1000


def test_mimic_loss_of_the_recogniser_needs_no_other_model():
    corpus, one_by_one = Corpus(2.0, 0.2, 0.2), replace(SETTING, train_jobs=1)
    both, one = (estimate(costs, one_by_one, corpus) for costs in (COSTS, replace(COSTS, perceptual=None)))
    training = 10 + 4 * 2 * 60 + 2 * 200 * 0.05
    assert one[2].seconds == both[2].seconds == pytest.approx(training)  # the recogniser, the phone model
    assert both[5].seconds - one[5].seconds == pytest.approx(training)
    assert total(both).disk - total(one).disk == pytest.approx(TRAINING.size) and one[2].memory == both[2].memory


def test_more_speech_jobs_seeds_and_gpus():
    small, large = Corpus(100, 5, 5), Corpus(1000, 5, 5)
    seconds = [total(estimate(COSTS, SETTING, corpus)).seconds for corpus in (small, large)]
    assert 8 < seconds[1] / seconds[0] < 10
    many = replace(SETTING, nj=8, cores=16)
    assert stage(large, 2, many).seconds < stage(large, 2).seconds / 4
    assert stage(large, 2, replace(SETTING, nj=8)).seconds == stage(large, 2).seconds  # a machine of two cores
    assert stage(large, 4, replace(SETTING, seeds=3)).seconds > 2.5 * stage(large, 4).seconds
    gpus = [stage(large, 3, replace(SETTING, ngpu=n)).seconds for n in (1, 4)]
    assert 3 < gpus[0] / gpus[1] < 4


def test_what_reaches_a_wished_time():
    corpus = Corpus(100, 5, 5)
    easy, _ = reach(COSTS, SETTING, corpus, 10**6)
    assert (easy.nj, easy.ngpu) == (1, 0)
    assert reach(COSTS, SETTING, corpus, 3600) is None  # trainings stay on the CPU
    on_gpus = replace(SETTING, ngpu=1)
    setting, seconds = reach(COSTS, on_gpus, corpus, 3 * 3600)
    assert setting.ngpu > 1 and seconds <= 3 * 3600
    fewer = replace(setting, ngpu=setting.ngpu // 2, nj=1024)
    assert total(estimate(COSTS, fewer, corpus)).seconds > 3 * 3600
    text = advice([corpus, corpus], [(setting, seconds), None], on_gpus, COSTS, "3h")
    first, second = text.strip().splitlines()
    assert first.startswith(f"100 h of speech within 3h: --nj {setting.nj} --ngpu {setting.ngpu}: ")
    assert "not with 1024 jobs and 64 GPUs" in second


def test_tables():
    corpora = [Corpus(1, 0.2, 0.2), Corpus(1000, 5, 5)]
    blocks = tables([(corpus, estimate(COSTS, SETTING, corpus)) for corpus in corpora]).split("\n\n")
    assert [block.split("  ")[0] for block in blocks] == ["hours", "GiB of memory per job", "GB of disk"]
    for block in blocks:
        assert [line.split()[0] for line in block.splitlines()[1:]] == [*"1234567", "total"]
    assert [number(value) for value in (0, 0.001, 0.0123, 1.234, 99.96, 1234.5)] == [
        "0.00",
        "0.00",
        "0.0123",
        "1.23",
        "100",
        "1,234",
    ]


def test_wished_times():
    assert [parse_duration(text) for text in ("90m", "24h", "1.5d")] == [5400, 86400, 129600]
    for text in ("", "24", "h", "0h", "-1h", "1w"):
        with pytest.raises(UserError, match="--within takes a time such as 90m, 24h or 3d"):
            parse_duration(text)
