"""Networks of the field train, are saved and load again; the language model reads its text."""

import math
import shutil
from pathlib import Path

import pytest
import torch
from task_maker import DECODER, SIZES, make_corpus, overrides

from mimic.errors import UserError
from mimic.models import load
from mimic.tasks import TASKS
from mimic.tasks import config as configuration
from mimic.training import checkpoint
from mimic.training.loop import fit
from mimic.training.step import set_seed
from mimic.training.task import Task

TINY = {
    "asr": f"""
task: asr
net: conformer
model: {{channels: 2, layers: 1, units: 8, heads: 2, feedforward: 8, kernel: 3}}
decoder: {DECODER}
data: {{token_type: phn}}
augment: {{frequency_masks: 1, time_masks: 1}}
decode: {{ctc_weight: 0.5}}
train: {{epochs: 1, batch_size: 4, lr: 0.01, warmup: 2, optimiser: adamw}}
""",
    "crdnn": f"""
task: enhance
net: crdnn
model: {{{SIZES}}}
train: {{epochs: 1, batch_size: 8, lr: 0.01}}
""",
    "wide_resnet": """
task: enhance
net: wide_resnet
model: {channels: [2, 3], dnn_layers: 1, dnn_units: 8}
mask: {domain: complex, weight: 0.99, limit: 1.0}
loss: {distance: l1}
train: {epochs: 1, batch_size: 8, lr: 0.01}
""",
    "lm": """
task: lm
net: rnn
model: {embedding: 6, layers: 1, units: 12, dnn_units: 8}
data: {token_type: phn}
train: {epochs: 15, batch_size: 4, lr: 0.03, best_metric: ppl}
""",
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    root = make_corpus(tmp_path_factory.mktemp("published"), **TINY)
    train(root, "asr", overrides(root, "perceptual"))
    return root


def train(root: Path, kind: str, extra: list[str]) -> Path:
    """The experiment directory of a whole, very short training run."""
    directory = root / f"exp_{kind}"
    config = configuration.read(root / f"{kind}.yaml", extra)
    directory.mkdir(exist_ok=True)
    configuration.write(config, directory / "config.yaml")
    set_seed(config.train.seed, -1)
    task = TASKS[config.task](config, directory)
    before = {name: value.clone() for name, value in task.model.named_parameters()}
    fit(task, config.train, directory, torch.device("cpu"))
    after = checkpoint.load(directory / "model.pt")
    assert any(not torch.equal(value, after[name]) for name, value in before.items())
    model = load(directory).net
    assert all(torch.equal(value, after[name]) for name, value in model.state_dict().items())
    return directory


@pytest.mark.parametrize("kind", ["crdnn", "wide_resnet"])
def test_mask_network_trains(corpus, kind):
    train(corpus, kind, overrides(corpus, "enhance")[:-2])  # without a perceptual model


def test_conformer_recogniser_trains(corpus):
    """With the fixture, which checks what was trained."""
    assert (corpus / "exp_asr" / "model.pt").is_file()


def test_language_model_learns_the_text_and_reports_its_perplexity(corpus):
    (corpus / "text").write_text("AA B K AA\n\n" * 40)
    data = ["--data.train", f"{corpus}/text", "--data.dev", f"{corpus}/text", "--data.tokens", f"{corpus}/exp_asr"]
    directory = train(corpus, "lm", data)
    lm = load(directory)
    model, tokens = lm.net, lm.tokens
    assert len(tokens) == 7  # blank, sentence ends, unknown, three phones
    bos, eos, ids = 1, 2, tokens.encode("AA B K AA")
    state, surprise = model.start(1), 0.0
    for previous, token in zip([bos, *ids], [*ids, eos], strict=True):
        log_probs, state = model.step(torch.tensor([previous]), state)
        surprise -= float(log_probs[0, token].detach())
    task = TASKS["lm"](configuration.read(directory / "config.yaml"), directory)
    task.model = model
    figures = task.validate()
    assert figures["ppl"] == pytest.approx(math.exp(surprise / 5), rel=1e-4)
    assert figures["ppl"] < 1.5, "five predictions among seven tokens, always the same ones"


def test_language_model_reads_transcripts_and_leaves_padding_out(corpus, tmp_path):
    data = [word for part in ("train", "dev") for word in (f"--data.{part}", f"{corpus}/{part}_clean")]
    config = configuration.read(corpus / "lm.yaml", [*data, "--data.tokens", f"{corpus}/exp_asr"])
    task = TASKS["lm"](config, tmp_path).eval()
    assert sorted(task.lengths.values()) == [2, 2, 2, 3, 3, 3, 4, 4]
    keys = sorted(task.lengths)[:3]
    separate = [task(task.load([key]), 1)["loss"] * task.lengths[key] for key in keys]
    together = task(task.load(keys), 1)["loss"] * sum(task.lengths[key] for key in keys)
    torch.testing.assert_close(together, sum(separate))


def test_language_model_starts_from_another(corpus, tmp_path):
    """It takes its tokens and weights, and continues where that was: text of an unseen spelling is refused."""
    text = tmp_path / "text"
    text.write_text("AA B K\nK AA\n" * 4)
    data = ["--data.train", f"{text}", "--data.dev", f"{text}"]
    shutil.copy(corpus / "lm.yaml", tmp_path)
    directory = train(tmp_path, "lm", [*data, "--data.tokens", f"{corpus}/exp_asr"])
    first = load(directory)
    start = [*data, "--data.init", str(directory)]

    def task(*words: str) -> Task:
        (tmp_path / "second").mkdir(exist_ok=True)
        return TASKS["lm"](configuration.read(corpus / "lm.yaml", [*start, *words]), tmp_path / "second")

    second = task().eval()
    assert (tmp_path / "second/tokens.txt").read_bytes() == (directory / "tokens.txt").read_bytes()
    assert len(second.model.state_dict()) == len(first.net.state_dict())
    for name, value in first.net.state_dict().items():
        assert torch.equal(second.model.state_dict()[name], value), name
    with pytest.raises(UserError, match="both name tokens; give one"):
        task("--data.tokens", f"{corpus}/exp_asr")
    with pytest.raises(UserError, match="data.token_type is phn there and char here: give --data.token_type phn"):
        task("--data.token_type", "char")
    with pytest.raises(UserError, match="the size of .* is .* there and .* here: take the network and its sizes"):
        task("--model.units", "16")
    with pytest.raises(UserError, match="a model of task asr, not a language model"):
        task("--data.init", f"{corpus}/exp_asr")
    text.write_text("aa b k\n")
    with pytest.raises(UserError, match=f"3 of 3 tokens are <unk>.*write the text as the model in {directory} does"):
        task()


def test_text_in_another_spelling_is_refused(corpus, tmp_path):
    (tmp_path / "text").write_text("aa b k\n")
    data = ["--data.train", f"{tmp_path}/text", "--data.dev", f"{tmp_path}/text", "--data.tokens", f"{corpus}/exp_asr"]
    with pytest.raises(UserError, match=r"3 of 3 tokens are <unk>.*max_unknown 0.05"):
        TASKS["lm"](configuration.read(corpus / "lm.yaml", data), tmp_path)
    missing = [*data[2:], "--data.train", f"{tmp_path}/none"]
    with pytest.raises(UserError, match="none: no such text file"):
        TASKS["lm"](configuration.read(corpus / "lm.yaml", missing), tmp_path)
