"""Recognisers without an attention decoder: CTC alone, speech augmented as it is read, a start from other weights."""

import json
import shutil
from pathlib import Path

import pytest
import task_maker
import torch
from task_maker import JOINT, build, make_corpus, make_noises

from mimic.decoding.ctc.prefix import greedy
from mimic.errors import UserError
from mimic.io import archives
from mimic.io.batching import make_batches
from mimic.io.tables import read_table, write_table
from mimic.losses import ctc
from mimic.models.recogniser import Recogniser
from mimic.tasks import config as configuration
from mimic.tasks.asr import AsrTask
from mimic.tasks.joint import JointTask
from mimic.training import checkpoint

YAML = """
task: asr
net: deepspeech2
model:
  {channels: [2], kernels: [[5, 9]], strides: [[2, 2]], padding: true, rnn_layers: 1, rnn_units: 6, norm: true,
   dense: 0}
data: {token_type: char, alphabet: "AZ'"}
augment: {frequency_masks: 1, frequency_width: 4}
waveform_augment: {stretch_prob: 1.0, pitch_prob: 0.5, noise_prob: 0.5, babble: false, hiss_prob: 0.5}
loss: {ctc_weight: 1.0, attention_weight: 0}
train:
  {epochs: 3, batch_size: 3, lr: 0.01, best_metric: ter, sorting: curriculum, schedule: step, lr_every: 1, workers: 2}
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    root = make_corpus(tmp_path_factory.mktemp("ctc"), recogniser=YAML)
    make_noises(root)
    return root


@pytest.fixture(scope="module")
def trained(corpus) -> Path:
    task_maker.run(corpus, "recogniser", corpus / "exp", "--data.noises", str(corpus / "noises"))
    return corpus / "exp"


def plain(corpus: Path, directory: Path, *extra: str) -> AsrTask:
    """The task before training, without noise."""
    return build(corpus, "recogniser", directory, "--waveform_augment.noise_prob", "0", *extra)[0]


def test_training_decoder_free(trained):
    records = [json.loads(line) for line in (trained / "train_log.jsonl").read_text().splitlines()]
    assert [record["lr"] for record in records] == [0.01, 0.005, 0.0025]
    assert all({"train_ctc", "train_unaligned", "valid_ter", "valid_wer"} <= set(record) for record in records)
    assert not any(name.startswith("decoder.") for name in checkpoint.load(trained / "model.pt"))
    recogniser = Recogniser.load(trained)
    model, tokens = recogniser.net, recogniser.tokens
    assert model.decoder is None and tokens.symbols[4:] == sorted("▁AZ'WORD")
    encoded, lengths, log_probs = model.encode(torch.randn(2, 30, 80), torch.tensor([30, 11]))
    assert encoded.shape == (2, 15, 6) and lengths.tolist() == [15, 6] and log_probs.shape == (2, 15, len(tokens))
    assert all(set(ids) <= set(range(1, len(tokens))) for ids in greedy(log_probs, lengths))


def test_only_training_speech_is_augmented_and_every_epoch_differs(corpus, tmp_path):
    task = plain(corpus, tmp_path / "x")
    train, dev = sorted(task.lengths)[:2], sorted(task.dev_lengths)[:2]
    loads = []
    for epoch in (1, 2, 1):
        task.begin_epoch(epoch)
        loads.append(task.load(train).features)
    assert torch.equal(loads[0], loads[2]) and not torch.equal(loads[0], loads[1])
    task.eval()
    for utts in (train, dev):
        batch = task.load(utts)
        for utt, row, length in zip(utts, batch.features, batch.lengths, strict=True):
            assert torch.equal(row[:length], torch.from_numpy(archives.load(task.features[utt]).copy()))


def test_stored_features_follow_the_augmented_ones_of_a_batch(corpus, tmp_path):
    task, both = (
        plain(corpus, tmp_path / "x"),
        plain(corpus, tmp_path / "y", "--waveform_augment.concat_original", "true"),
    )
    train = sorted(task.lengths)[:2]
    for each in (task, both):
        each.begin_epoch(1)
    batch, expected = both.load(train), task.load(train)
    assert torch.equal(batch.tokens, expected.tokens.repeat(2, 1)) and both.sizes(batch)["ctc"] == 4
    for row, length, alone, end in zip(
        batch.features, batch.lengths, expected.features, expected.lengths, strict=False
    ):
        assert torch.equal(row[:length], alone[:end])
    for utt, row, length in zip(train, batch.features[2:], batch.lengths[2:], strict=True):
        assert torch.equal(row[:length], torch.from_numpy(archives.load(task.features[utt]).copy()))
    both.eval()
    assert len(both.load(train).tokens) == 2


@pytest.fixture
def long_texts(corpus, tmp_path) -> Path:
    """The corpus with a transcript in either set that no speaker can say in that time."""
    for name in ("train", "dev"):
        folder = tmp_path / "fbank" / f"{name}_clean"
        shutil.copytree(corpus / "fbank" / folder.name, folder)
        text = read_table(folder / "text")
        write_table(folder / "text", {**text, min(text): "WOORD " * 40})
    (tmp_path / "recogniser.yaml").write_text(YAML)
    return tmp_path


def test_targets_longer_than_frames_are_counted_and_listed_and_never_infinite(long_texts):
    with pytest.raises(UserError, match="1 of 8 training utterances cannot be used.*max_skip 0.01.*skipped.tsv"):
        plain(long_texts, long_texts / "x")
    task = plain(long_texts, long_texts / "x", "--data.max_skip", "0.2")
    listed = [line.split("\t") for line in (long_texts / "x/skipped.tsv").read_text().splitlines()]
    assert [utt for utt, _ in listed] == ["aa-00"] and "240 tokens and 40 repeats do not fit into" in listed[0][1]
    assert (long_texts / "x/unaligned_dev.tsv").read_text().startswith("b-00\t240 tokens")
    assert "aa-00" not in task.lengths and len(task.dev_lengths) == 3
    task.eval()
    loss = task(task.load(sorted(task.dev_lengths)), 1)["loss"]
    assert torch.isfinite(loss) and loss > 0
    assert 0 < task.validate()["ter"] < 200


def test_speech_that_is_sped_up_beyond_its_transcript_counts_nothing_but_is_counted(corpus, tmp_path):
    task = plain(corpus, tmp_path / "x")
    task.begin_epoch(1)
    batch = task.load(sorted(task.lengths)[:2])
    short = batch._replace(lengths=torch.tensor([5, int(batch.lengths[1])]))  # three frames for five tokens
    losses = task(short, 1)
    assert float(losses["unaligned"]) == 0.5 and torch.isfinite(losses["loss"])
    losses["loss"].backward()
    assert all(torch.isfinite(p.grad).all() for p in task.model.parameters())
    needed = ctc.frames_needed(torch.tensor([[4, 4, 5, 5], [4, 5, 0, 0], [7, 0, 0, 0]]), torch.tensor([4, 2, 1]))
    assert needed.tolist() == [6, 2, 1]
    assert [ctc.too_long([4, 4, 5, 5], n) for n in (6, 5)] == ["", "4 tokens and 2 repeats do not fit into 5 frames"]


def test_the_first_epoch_goes_from_short_to_long(corpus, tmp_path):
    lengths = plain(corpus, tmp_path / "x").lengths
    first, *later = (make_batches(lengths, 2, 0, "curriculum", 1, epoch) for epoch in range(1, 5))
    means = [sum(lengths[utt] for utt in batch) for batch in first]
    assert means == sorted(means) and any(batches != first for batches in later)


def other_features(corpus: Path, tmp_path: Path) -> list[str]:
    """Training features that were made from another rate."""
    shutil.copytree(corpus / "fbank/train_clean", tmp_path / "other")
    (tmp_path / "other/conf/fbank.conf").write_text("--sample-frequency=22050\n")
    return ["--data.train", str(tmp_path / "other"), "--waveform_augment.noise_prob", "0"]


def test_a_start_from_other_weights_takes_them_alone(corpus, trained, tmp_path):
    """Its own learning rate is in force, and with features of another rate its own normalisation."""
    init = ["--data.init", str(trained), "--train.lr", "0.001", "--train.epochs", "1"]
    before = checkpoint.load(trained / "model.pt")
    task, _ = build(corpus, "recogniser", tmp_path / "a", *init, "--waveform_augment.noise_prob", "0")
    task_maker.assert_equal(before, task.model.state_dict())
    other = other_features(corpus, tmp_path)
    with pytest.raises(UserError, match="feature option --sample-frequency is 16000.0 there and 22050.0 here"):
        build(corpus, "recogniser", tmp_path / "b", *init, *other)
    own = ["--data.init_features", "other", "--train.precision", "bf16-mixed"]
    after = task_maker.run(corpus, "recogniser", tmp_path / "c", *init, *other, *own)
    (record,) = (json.loads(line) for line in (tmp_path / "c/train_log.jsonl").read_text().splitlines())
    assert record["lr"] == 0.001
    changes = {name: float((after[name].double() - before[name]).abs().max()) for name in before}
    assert 0 < max(value for name, value in changes.items() if name.endswith(("weight", "weight_ih_l0"))) < 0.02
    names = ["--data.init_features", "other", "--data.normalise", "none"]
    with pytest.raises(UserError, match="data.normalise is global there and none here"):
        build(corpus, "recogniser", tmp_path / "d", *init, *other, *names)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--loss.ctc_weight 0", "loss: attention_weight 0 needs CTC in every epoch"),
        ("--loss.ctc_epochs 3", "loss: attention_weight 0 needs CTC in every epoch"),
        ("--waveform_augment.noise_prob 0 --data.noises NOISES", "need --waveform_augment.noise_prob above 0"),
        ("--waveform_augment.noise_prob 0.5", "there are no noises to mix in"),
        ("--waveform_augment.pitch 30", "waveform_augment.pitch: 30 is out of its range: a number, from 0 to 12"),
        (
            "--data.init TRAINED --data.train LOWER --waveform_augment.noise_prob 0",
            "tokens are <unk>, more than --data.",
        ),
    ],
)
def test_what_cannot_be_trained_is_one_line(corpus, trained, tmp_path, words, line):
    shutil.copytree(corpus / "fbank/train_clean", tmp_path / "lower")
    write_table(tmp_path / "lower/text", dict.fromkeys(read_table(tmp_path / "lower/text"), "word"))
    for name, path in {"NOISES": corpus / "noises", "TRAINED": trained, "LOWER": tmp_path / "lower"}.items():
        words = words.replace(name, str(path))
    with pytest.raises(UserError) as error:
        build(corpus, "recogniser", tmp_path / "x", *words.split())
    assert line in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("file", "old", "new", "line"),
    [
        ("dev_clean/text", "b-01 WORD\n", "", "dev_clean/text: has no b-01, which is in utt2num_frames"),
        ("dev_clean/text", " WORD\n", "\n", "dev_clean/text: has no words: validation needs transcripts"),
        ("train_clean/utt2num_frames", "\n", "0\n", r"aa-\d+: \d+ frames in feats.scp and \d+0 in utt2num_frames"),
        ("train_clean/utt2num_frames", "\n", "x\n", r"utt2num_frames:1: aa-00: expected a whole number.*'\d+x'"),
    ],
)
def test_tables_that_do_not_fit_the_features(corpus, tmp_path, file, old, new, line):
    for name in ("train_clean", "dev_clean"):
        shutil.copytree(corpus / "fbank" / name, tmp_path / name)
    path = tmp_path / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    sets = ("--data.train", f"{tmp_path}/train_clean", "--data.dev", f"{tmp_path}/dev_clean")
    sets += ("--waveform_augment.noise_prob", "0")
    with pytest.raises(UserError, match=line):
        task, _ = build(corpus, "recogniser", tmp_path / "x", *sets)
        task.eval().load(sorted(task.lengths)[:1])


def test_joint_training_takes_noisy_speech_as_it_is(tmp_path):
    (tmp_path / "joint.yaml").write_text(JOINT)
    with pytest.raises(UserError, match="leave the section waveform_augment out"):
        JointTask(configuration.read(tmp_path / "joint.yaml", ["--waveform_augment.hiss_prob", "1"]), tmp_path)
