"""Acoustic models: sizes, what counts in the loss, the curriculum, priors, training from alignments."""

import kaldiio
import numpy as np
import pytest
import torch
from aligned_corpus import corpus  # noqa: F401 (a fixture)
from data_maker import ROOT
from lang_maker import lang  # noqa: F401 (a fixture)
from model_maker import program

from mimic.errors import UserError
from mimic.hmm.alignments import write_ali
from mimic.hmm.model import write_tree
from mimic.models.acoustic import AcousticModel, log_priors
from mimic.models.acoustic_scores import net_scores
from mimic.nets import BODIES
from mimic.nets.acoustic import AcousticNet, MlpConfig, RecurrentConfig
from mimic.nets.tdnnf import TdnnfConfig
from mimic.tasks import config as configuration
from mimic.tasks.hybrid import PADDING, Batch, HybridTask, cut
from mimic.training.config import TrainConfig
from mimic.training.loop import fit
from mimic.training.optimiser import learning_rate
from mimic.training.run import count_plateaus
from mimic.training.step import set_seed

SMALL = {"ligru": "{layers: 2, units: 8}", "lstm": "{layers: 2, units: 6}", "gru": "{layers: 1, units: 6}",
         "mlp": "{layers: 2, units: 16, context: 2}",
         "tdnnf": "{units: 16, bottleneck: 6, strides: [1, 0, 3], subsampling: 1}"}  # fmt: skip


def test_published_sizes():
    def count(module: torch.nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    config = configuration.read(ROOT / "conf/hybrid_ligru.yaml")
    body, kind = BODIES["ligru"]
    with torch.device("meta"):
        network = body(40, config.model)
    assert count(network) == 7_920_000 and config.model == kind()


@pytest.mark.parametrize("net", BODIES)
def test_an_utterance_does_not_see_its_batch(net):
    torch.manual_seed(0)
    body, kind = BODIES[net]
    sizes = {
        MlpConfig: MlpConfig(2, 8, 2, 0.0),
        RecurrentConfig: RecurrentConfig(2, 5, 0.0),
        TdnnfConfig: TdnnfConfig(8, 4, [1, 0, 2], 1),
    }[kind]
    model = AcousticNet(body(3, sizes), 7, 4).eval()
    x = torch.randn(2, 9, 3)
    both, _ = model(x, torch.tensor([9, 6]))
    single, phones = model(x[1:, :6], torch.tensor([6]))
    torch.testing.assert_close(both[1, :6], single[0])
    assert phones.shape == (1, 6, 4)
    torch.testing.assert_close(single.exp().sum(2), torch.ones(1, 6))


def test_curriculum_cuts_utterances_and_loses_no_frame():
    draw = torch.Generator().manual_seed(0)
    lengths = torch.tensor([7, 3, 10])
    pdfs = torch.arange(30).view(3, 10).masked_fill(torch.arange(10) >= lengths[:, None], PADDING)
    batch = Batch(torch.randn(3, 10, 2, generator=draw), lengths, pdfs, pdfs)
    pieces = cut(batch, 4)
    assert pieces.pdfs.shape == (6, 4) and sorted(pieces.lengths.tolist()) == [2, 3, 3, 4, 4, 4]
    real = pieces.pdfs[pieces.pdfs != PADDING]
    assert sorted(real.tolist()) == sorted(pdfs[pdfs != PADDING].tolist())
    assert all((row != PADDING).sum() == n for row, n in zip(pieces.pdfs, pieces.lengths, strict=True))
    at = (pdfs == 25).nonzero()[0]
    there = (pieces.pdfs == 25).nonzero()[0]
    assert torch.equal(batch.features[tuple(at)], pieces.features[tuple(there)])
    assert cut(batch, 0) is batch and cut(batch, 10) is batch


def test_priors_have_a_floor():
    priors = log_priors(np.array([90.0, 10.0, 0.0]), 1e-3)
    np.testing.assert_allclose(np.exp(priors), [0.9, 0.1, 1e-3], rtol=1e-5)


def test_rate_is_halved_on_plateaus():
    config = TrainConfig(schedule="plateau", lr=1.0, lr_factor=0.5)
    assert [learning_rate(config, 9, 0, 10, plateaus) for plateaus in range(3)] == [1, 0.5, 0.25]

    def plateaus(*errors: float, best: str = "min") -> int:
        history = [{"epoch": n, "valid_err": value} for n, value in enumerate(errors)]
        return count_plateaus(history, "err", best, config.lr_threshold)

    assert plateaus(50) == 0 and plateaus(50, 40, 39.99, 41, 30) == 2 and plateaus(50, float("nan")) == 1
    assert plateaus(1, 2, 2.0001, best="max") == 1


def task_of(root, directory, net: str = "ligru", *extra: str):
    yaml = root / f"{net}.yaml"
    yaml.write_text(
        f"task: hybrid\nnet: {net}\nmodel: {SMALL[net]}\ndata: {{first_sequence: 20, max_sequence: 40}}\n"
        "train: {epochs: 4, batch_size: 1, lr: 0.02, schedule: plateau, best_metric: loss}\n"
    )
    dirs = {"train": "train", "train_ali": "train_ali", "dev": "dev", "dev_ali": "dev_ali"}
    words = [word for key, name in dirs.items() for word in (f"--data.{key}", f"{root}/{name}")]
    config = configuration.read(yaml, [*words, *extra])
    directory.mkdir(exist_ok=True)
    configuration.write(config, directory / "config.yaml")
    set_seed(1, -1)
    return HybridTask(config, directory), config


@pytest.mark.parametrize("net", ["ligru", "mlp"])
def test_training_and_the_scores_for_a_search(net, corpus, tmp_path):  # noqa: F811
    root, model = corpus
    task, config = task_of(root, tmp_path / net, net)
    assert [task.sequence(epoch) for epoch in (1, 2, 3)] == [20, 40, 40]
    before = task.eval().validate()
    fit(task, config.train, tmp_path / net, torch.device("cpu"))
    after = task.eval().validate()
    assert after["err"] < 0.8 * before["err"] and after["loss"] < 0.8 * before["loss"]
    assert (tmp_path / net / "ali_train_pdf.counts").read_text().startswith(" [ ")
    _, scores = net_scores(tmp_path / net, root / "dev")
    scores = scores("s0-00")
    assert scores.shape == (40, model.transitions.num_pdfs) and np.isfinite(scores).all()
    # A pdf's score is its log-posterior less its log-prior.
    acoustic = AcousticModel.load(tmp_path / net)
    network, priors = acoustic.net, acoustic.priors
    with torch.inference_mode():
        features = torch.from_numpy(task.dev_features("s0-00"))[None]
        posterior = network(features, torch.tensor([40]))[0][0].numpy()
    np.testing.assert_allclose(scores, posterior - priors, atol=1e-4)
    for words, expected in (((), scores), (("--priors", "false"), posterior)):
        assert (
            program("make_loglikes.py", "--job", "1", "--nj", "2", *words, tmp_path / net, root / "dev", tmp_path) == 0
        )
        written = kaldiio.load_scp(str(tmp_path / "loglikes.1.scp"))
        assert sorted(written) == ["s0-00", "s0-02"]  # of the first of two speakers
        np.testing.assert_allclose(written["s0-00"], expected, atol=1e-4)


def test_padding_is_outside_of_the_loss(corpus, tmp_path):  # noqa: F811
    task, _ = task_of(corpus[0], tmp_path / "exp")
    task.eval()
    utts = sorted(task.lengths, key=task.lengths.get)
    batch = task.load([utts[0], utts[-1]])
    assert (batch.pdfs[0, batch.lengths[0] :] == PADDING).all() and (batch.pdfs[1] != PADDING).all()
    changed = batch.features.clone()
    changed[0, batch.lengths[0] :] = 1e3
    losses = [task._losses(b)[0]["pdf"] for b in (batch, batch._replace(features=changed))]
    torch.testing.assert_close(*losses)
    single = [task._losses(task.load([utt]))[0]["pdf"] * task.lengths[utt] for utt in (utts[0], utts[-1])]
    torch.testing.assert_close(losses[0], sum(single) / batch.lengths.sum())
    assert task.sizes(batch) == {"pdf": int(batch.lengths.sum()), "mono": int(batch.lengths.sum())}


def test_several_directories_share_alignments(corpus, tmp_path):  # noqa: F811
    root, _ = corpus
    task, _ = task_of(root, tmp_path / "exp", "mlp", "--data.train", f"{root}/train {root}/train")
    assert len(task.lengths) == 20
    one, two = task.load(["s0-00"]), task.load(["s0-00+1"])
    assert torch.equal(one.pdfs, two.pdfs) and torch.equal(one.features, two.features)


def test_specaugment_masks_what_is_trained_on_and_not_dev(corpus, tmp_path):  # noqa: F811
    root, _ = corpus
    plain, _ = task_of(root, tmp_path / "plain", "mlp")
    # Thirty masks of up to the whole utterance leave no frame: only means, 0, remain.
    words = ["--augment.time_masks", "30", "--augment.time_width", "100", "--augment.time_share", "1"]
    masked, _ = task_of(root, tmp_path / "masked", "mlp", *words)
    for task in (plain, masked):
        task.eval()
    assert plain.validate() == masked.validate()
    batch = masked.load(["s0-00"])
    nothing = plain._losses(cut(batch, 20)._replace(features=torch.zeros_like(cut(batch, 20).features)))[0]
    torch.testing.assert_close(masked.forward(batch, 1)["pdf"], nothing["pdf"])
    torch.testing.assert_close(plain.forward(batch, 1)["pdf"], plain._losses(cut(batch, 20))[0]["pdf"])


def test_alignments_that_do_not_fit(corpus, tmp_path, lang):  # noqa: F811
    root, model = corpus
    ali = tmp_path / "ali"
    ali.mkdir()
    (ali / "num_jobs").write_text("1\n")
    write_ali(ali / "ali.1.gz", {"s0-00": np.ones(7, np.int32)})
    model.write(ali / "final.mdl")
    write_tree(model.tree, ali / "tree")
    with pytest.raises(UserError, match="s0-00: 40 frames, but an alignment of 7"):
        task_of(root, tmp_path / "exp", "mlp", "--data.train_ali", str(ali))
    with pytest.raises(UserError, match="no utterance has both features and an alignment"):
        task_of(root, tmp_path / "exp", "mlp", "--data.dev_ali", str(ali))
