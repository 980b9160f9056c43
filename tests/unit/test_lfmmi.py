"""LF-MMI: both sums against an enumeration of all paths, gradients, the tree, training, decoding."""

from itertools import product

import numpy as np
import pytest
import torch
from aligned_corpus import corpus  # noqa: F401 (a fixture)
from lang_maker import lang  # noqa: F401 (a fixture)
from model_maker import program

from mimic.errors import UserError
from mimic.hmm.chain import PhoneGraph, PhoneStarts, phone_graph, phone_starts
from mimic.hmm.model import Model
from mimic.losses.lfmmi import NEVER, Denominator, Spans, lfmmi, numerator
from mimic.models.acoustic_scores import fused, net_scores
from mimic.nets.tdnnf import Tdnnf, TdnnfConfig
from mimic.tasks import config as configuration
from mimic.tasks.lfmmi import LfmmiTask
from mimic.training.loop import fit
from mimic.training.step import set_seed


class TwoPdfs:
    """Pdfs 2 p - 2 and 2 p - 1 of phone p, whatever is to its left."""

    def __call__(self, left: int, phone: int) -> tuple[int, int]:
        return 2 * phone - 2, 2 * phone - 1


SEQUENCES = [np.array(s) for s in ([1, 2, 3], [1, 3], [2, 1, 1, 3], [3])]


def all_paths(graph: PhoneGraph, frames: int):
    """(states, entered at each frame) of every path, and its probability."""
    arcs = {}
    for s, t, p in zip(graph.source, graph.target, graph.prob, strict=True):
        arcs.setdefault(int(s), []).append((int(t), float(p)))
    paths = [([k], [True], p) for k, p in enumerate(graph.start) if p]
    for _ in range(frames - 1):
        longer = []
        for states, entered, p in paths:
            longer.append(([*states, states[-1]], [*entered, False], p))
            longer += [([*states, t], [*entered, True], p * q) for t, q in arcs.get(states[-1], [])]
        paths = longer
    return [(s, e, p * graph.end[s[-1]]) for s, e, p in paths if graph.end[s[-1]]]


def enumerated(graph: PhoneGraph, outputs: torch.Tensor) -> torch.Tensor:
    """The log-sum of an utterance's outputs (frames, pdfs)."""
    logs = []
    for states, entered, p in all_paths(graph, len(outputs)):
        score = sum(
            outputs[t, graph.pdfs[k, 0 if e else 1]] for t, (k, e) in enumerate(zip(states, entered, strict=True))
        )
        logs.append(score + np.log(p))
    return torch.stack(logs).logsumexp(0)


@pytest.mark.parametrize("order", [3, 4])
def test_denominator_is_the_sum_over_all_paths(order):
    graph = phone_graph(SEQUENCES, order, TwoPdfs())
    draw = torch.Generator().manual_seed(0)
    outputs, lengths = 3 * torch.randn(2, 6, 6, generator=draw), torch.tensor([6, 4])
    total, posteriors = Denominator(graph, 6)(outputs, lengths)
    for row, n in enumerate(lengths.tolist()):
        leaf = outputs[row, :n].double().requires_grad_()
        expected = enumerated(graph, leaf)
        (gradient,) = torch.autograd.grad(expected, leaf)
        torch.testing.assert_close(total[row].double(), expected.detach(), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(posteriors[row, :n].double(), gradient, rtol=1e-4, atol=1e-5)
    assert not posteriors[1, 4:].any()


def spans_of(row: PhoneStarts, tolerance: int) -> Spans:
    ends = np.append(row.starts[1:], row.frames)
    pdfs = np.array([TwoPdfs()(0, p) for p in row.phones])
    columns = (pdfs, row.starts - tolerance, ends + tolerance, np.array(len(row.phones)))
    return Spans(*(torch.from_numpy(x)[None] if x.ndim else torch.tensor([int(x)]) for x in columns))


@pytest.mark.parametrize("tolerance", [0, 1, 9])
def test_numerator_is_the_sum_over_the_allowed_alignments(tolerance):
    draw = torch.Generator().manual_seed(1)
    row = PhoneStarts(np.array([2, 1, 3]), np.array([0, 2, 4]), 6)
    outputs = torch.randn(1, 6, 6, generator=draw, dtype=torch.double, requires_grad=True)
    logs = []
    for cuts in product(range(1, 6), repeat=2):
        starts = [0, *cuts]
        inside = all(
            s >= a - tolerance and e <= b + tolerance
            for s, e, a, b in zip(starts, [*cuts, 6], row.starts, [2, 4, 6], strict=True)
        )
        if not cuts[0] < cuts[1] or not inside:
            continue
        number = np.searchsorted(starts, np.arange(6), "right") - 1
        pdfs = [TwoPdfs()(0, row.phones[n])[int(t not in starts)] for t, n in enumerate(number)]
        logs.append(outputs[0, range(6), pdfs].sum())
    found = numerator(outputs, torch.tensor([6]), spans_of(row, tolerance))
    torch.testing.assert_close(found[0], torch.stack(logs).logsumexp(0))
    assert len(logs) == {0: 1, 1: 8, 9: 10}[tolerance]
    (gradient,) = torch.autograd.grad(found.sum(), outputs)
    torch.testing.assert_close(gradient.sum(2), torch.ones(1, 6, dtype=torch.double))  # posteriors


def test_the_gradient_is_that_of_the_value():
    """Where every path is spoken, nothing can be gained: F is the log-probability of the phones, its gradient 0."""
    one = [np.array([1, 2, 3])]
    draw = torch.Generator().manual_seed(2)
    outputs = torch.randn(1, 5, 6, generator=draw, requires_grad=True)
    row = PhoneStarts(one[0], np.array([0, 1, 3]), 5)
    value, posteriors = lfmmi(
        outputs, torch.tensor([5]), spans_of(row, 9), Denominator(phone_graph(one, 3, TwoPdfs()), 6)
    )
    (gradient,) = torch.autograd.grad(value, outputs)
    assert abs(value.item()) < 1e-5 and gradient.abs().max() < 1e-5
    torch.testing.assert_close(posteriors.sum(2), torch.ones(1, 5))
    # Where others could have been spoken, a step against the gradient raises F.
    denominator = Denominator(phone_graph(SEQUENCES, 3, TwoPdfs()), 6)
    value, _ = lfmmi(outputs, torch.tensor([5]), spans_of(row, 9), denominator)
    (gradient,) = torch.autograd.grad(value, outputs)
    step = 1e-2
    less, _ = lfmmi(outputs.detach() - step * gradient, torch.tensor([5]), spans_of(row, 9), denominator)
    expected = value.item() - step * gradient.square().sum().item()
    assert value.item() > 0.5 and abs(less.item() - expected) < step**2 * 5  # of second order


def test_sums_in_32_bits_under_autocast():
    outputs, row = torch.randn(1, 5, 6, generator=torch.Generator().manual_seed(2)).bfloat16(), [1, 2, 3]
    denominator = Denominator(phone_graph(SEQUENCES, 3, TwoPdfs()), 6)
    arguments = torch.tensor([5]), spans_of(PhoneStarts(np.array(row), np.array([0, 1, 3]), 5), 1), denominator
    with torch.autocast("cpu", torch.bfloat16):
        value, posteriors = lfmmi(outputs, *arguments)
    expected, others = lfmmi(outputs.float(), *arguments)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(posteriors, others)


def test_batches_do_not_change_an_utterance():
    """Padding has no share, in either sum; impossible alignments stay finite."""
    draw = torch.Generator().manual_seed(3)
    outputs = torch.randn(2, 7, 6, generator=draw)
    rows = [PhoneStarts(np.array([1, 2, 3]), np.array([0, 2, 4]), 7), PhoneStarts(np.array([3]), np.array([0]), 4)]
    both = [
        torch.nn.utils.rnn.pad_sequence([a[0], b[0]], True)
        for a, b in zip(*(spans_of(r, 1)[:3] for r in rows), strict=True)
    ]
    together = numerator(outputs, torch.tensor([7, 4]), Spans(*both, torch.tensor([3, 1])))
    for n, row in enumerate(rows):
        single = numerator(outputs[n : n + 1, : row.frames], torch.tensor([row.frames]), spans_of(row, 1))
        torch.testing.assert_close(together[n], single[0])
    impossible = spans_of(PhoneStarts(np.array([1, 2, 3]), np.array([0, 2, 4]), 7), 0)
    assert numerator(outputs[:1, :2], torch.tensor([2]), impossible).item() <= NEVER / 2


def test_phones_at_a_third_of_the_rate(corpus):  # noqa: F811
    """Every phone keeps a frame, in order; those of at least three frames begin where they did."""
    _, model = corpus
    draw = np.random.default_rng(0)
    phone = np.flatnonzero((model.tid_state == 0) & ~model.tid_loop)[-6:]  # of three states each: exit, then loops
    for _ in range(30):
        counts, ali = draw.integers(0, 5, (8, 3)), []
        for first, (a, b, c) in zip(draw.choice(phone, 8), counts, strict=True):
            exits = [first, *np.flatnonzero((model.tid_phone == model.tid_phone[first]) & ~model.tid_loop)[1:3]]
            loops = np.flatnonzero((model.tid_phone == model.tid_phone[first]) & model.tid_loop)
            for out, loop, n in zip(exits, loops, (a, b, c), strict=True):
                ali += [out, *[loop] * n]
        ali = np.array(ali)
        found = phone_starts(model, ali, 3)
        starts = model.phone_starts(ali)
        assert np.array_equal(found.phones, model.tid_phone[ali[starts]]) and found.frames == -(-len(ali) // 3)
        assert np.array_equal(found.starts, -(-starts // 3))  # all have three frames or more
    exits = np.flatnonzero((model.tid_phone == model.tid_phone[phone[0]]) & ~model.tid_loop)
    loop = np.flatnonzero((model.tid_phone == model.tid_phone[phone[0]]) & model.tid_loop)[-1:]
    short = np.tile(exits, 8)  # three frames each: too many phones for a fourth of the frames
    assert phone_starts(model, short, 4) is None
    assert np.array_equal(phone_starts(model, np.append(short, loop.repeat(20)), 4).starts, range(8))
    assert np.array_equal(phone_starts(model, np.append(short, loop.repeat(5)), 4).starts, range(8))


def tree_of(root, directory, leaves: int = 30):
    """steps/build_tree.sh, without its job runner."""
    directory.mkdir()
    for name in ("ali.1.gz", "tree"):
        (directory / name).write_bytes((root / "train_ali" / name).read_bytes())
    (directory / "ali.mdl").write_bytes((root / "train_ali/final.mdl").read_bytes())
    (directory / "log").mkdir()
    place = [root / "train", root.parent.glob("lang*/lang").__next__(), directory]
    assert program("train_gmm.py", "tree-stats", "--iter", "ali", "--factor", 3, "--nj", 1, *place) == 0
    assert program("train_gmm.py", "build-chain-tree", "--numleaves", leaves, "--thresh", 1, "--nj", 1, *place) == 0
    (directory / "frame_subsampling_factor").write_text("3\n")
    return directory


def task_of(root, tree, directory, *extra: str):
    yaml = directory.parent / "lfmmi.yaml"
    yaml.write_text(
        "task: lfmmi\nnet: tdnnf\nmodel: {units: 16, bottleneck: 8, strides: [1, 0, 3], dropout: 0.0}\n"
        "data: {tolerance: 1, max_skip: 0.5}\nloss: {hidden: 16, bottleneck: 8}\n"
        "train: {epochs: 6, batch_size: 2, lr: 0.01, best_metric: loss}\n"
    )
    dirs = {"train": "train", "train_ali": "train_ali", "dev": "dev", "dev_ali": "dev_ali"}
    words = [word for key, name in dirs.items() for word in (f"--data.{key}", f"{root}/{name}")]
    config = configuration.read(yaml, [*words, "--data.tree", str(tree), *extra])
    directory.mkdir(exist_ok=True)
    configuration.write(config, directory / "config.yaml")
    set_seed(1, -1)
    return LfmmiTask(config, directory), config


def test_training_and_the_scores_for_a_search(corpus, tmp_path):  # noqa: F811
    root, _ = corpus
    tree = tree_of(root, tmp_path / "tree")
    task, config = task_of(root, tree, tmp_path / "exp")
    before = task.eval().validate()
    fit(task, config.train, tmp_path / "exp", torch.device("cpu"))
    after = task.eval().validate()
    assert after["loss"] < 0.7 * before["loss"] and after["err"] < before["err"]
    model, scores = net_scores(tmp_path / "exp", root / "dev")
    utt = next(iter(task.dev_lengths))
    found = scores(utt)
    assert found.shape == (-(-task.dev_lengths[utt] // 3), model.transitions.num_pdfs)
    x = torch.from_numpy(task.dev_features(utt))[None]
    with torch.inference_mode():
        outputs = task.model(x, torch.tensor([x.shape[1]]))[0][0].numpy()
    np.testing.assert_allclose(found, outputs, atol=1e-4)  # no priors
    # Several networks of one tree give the mean of their scores.
    both = fused([(model, scores), (model, lambda utt: scores(utt) + 1)], ["a", "b"])[1](utt)
    np.testing.assert_allclose(both, found + 0.5, atol=1e-4)
    other = Model.read(tree_of(root, tmp_path / "small", 20) / "final.mdl")
    with pytest.raises(UserError, match="b has another tree than a: their pdfs cannot be averaged"):
        fused([(model, scores), (other, scores)], ["a", "b"])
    with pytest.raises(UserError, match="frames by b, .* by a: other features"):
        fused([(model, scores), (model, lambda utt: scores(utt)[1:])], ["a", "b"])[1](utt)
    with pytest.raises(UserError, match="of 3 frames at once, but tdnnf gives an output for 1"):
        task_of(root, tree, tmp_path / "other", "--model.subsampling", "1")
    with pytest.raises(UserError, match="the tree is none of left contexts"):
        (root / "train_ali/frame_subsampling_factor").write_text("3\n")
        task_of(root, root / "train_ali", tmp_path / "other")


def test_narrow_matrices_become_semi_orthogonal():
    torch.manual_seed(0)
    net = Tdnnf(10, TdnnfConfig(32, 8, [1, 0, 3], 3))
    with torch.no_grad():
        for layer in net.layers:
            layer.narrow.weight.copy_(torch.randn_like(layer.narrow.weight))
    for _ in range(50):
        net.constrain()
    for layer in net.layers:
        m = layer.narrow.weight
        p = m @ m.T
        torch.testing.assert_close(p / p.diagonal().mean(), torch.eye(8), atol=1e-3, rtol=0)


def test_frames_of_a_subsampled_network():
    net = Tdnnf(4, TdnnfConfig(8, 4, [1, 0, 3, 3], 3, dropout=0.0)).eval()
    x, lengths = torch.randn(2, 8, 4), torch.tensor([8, 5])
    both = net(x, lengths)
    assert both.shape == (2, 3, 8) and net.frames(lengths).tolist() == [3, 2]
    torch.testing.assert_close(both[1, :2], net(x[1:, :5], torch.tensor([5]))[0])
