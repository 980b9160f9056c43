"""Self-supervised pretraining, hidden states as features, and probes of them."""

import numpy as np
import pytest
import torch
from model_maker import program
from ssl_maker import tiny, waveforms
from task_maker import PRETRAIN, assert_equal, build, make_set, run, run_and_kill

from mimic.corpus.kmeans import assign, kmeans
from mimic.errors import UserError
from mimic.frontend.extraction import make_extractor
from mimic.frontend.front_end import front_end
from mimic.io import archives
from mimic.io.tables import read_table
from mimic.nets import ssl
from mimic.nets.hubert import Hubert, HubertConfig
from mimic.nets.probe import Probe, ProbeConfig

SMALL = {"layers": 1, "units": 8, "heads": 2, "feedforward": 12, "channels": 4, "position_kernel": 4}
SMALL |= {"position_groups": 2, "clusters": 5, "projection": 6}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("pretrain")
    make_set(root, "train", "s1", 4)
    make_set(root, "dev", "s2", 2)
    (root / "pretrain.yaml").write_text(PRETRAIN)
    draw = np.random.default_rng(1)
    for name in ("train", "dev"):  # features of 20 ms a frame, and their units
        (root / "slow" / name).mkdir(parents=True)
        with archives.ArkWriter(root / f"slow/{name}/feats.ark", root / f"slow/{name}/feats.scp") as writer:
            for utt, frames in read_table(root / "fbank" / f"{name}_clean" / "utt2num_frames").items():
                writer.write(utt, draw.normal(size=((int(frames) + 1) // 2, 3)).astype(np.float32))
        centres = [] if name == "train" else ["--centroids", root / "units/train"]
        (root / "units" / name).mkdir(parents=True)
        assert program("apply_kmeans.py", "--clusters", 5, *centres, root / "slow" / name, root / "units" / name) == 0
    return root


def test_clusters_are_found_and_named_by_the_nearest_centre():
    draw = torch.Generator().manual_seed(1)
    places = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
    truth = torch.arange(400) % 4
    x = places[truth] + torch.randn(400, 2, generator=draw)
    centres = kmeans(x, 4)
    assert torch.equal(centres, kmeans(x, 4))
    assert (torch.cdist(places, centres).min(1).values < 0.5).all()
    units, distance = assign(x, centres)
    assert len({(int(a), int(b)) for a, b in zip(truth, units, strict=True)}) == 4
    torch.testing.assert_close(distance, (x - centres[units]).square().sum(1), atol=1e-3, rtol=1e-3)
    assert len(kmeans(torch.ones(9, 2), 3)) == 3


def test_units_of_the_development_set_are_the_same_clusters(root):
    found = torch.load(root / "units/train/centres.pt", weights_only=True)
    assert_equal(found, torch.load(root / "units/dev/centres.pt", weights_only=True))
    utt, entry = next(iter(archives.read_scp(root / "slow/dev/feats.scp").items()))
    x = torch.from_numpy(archives.load(entry).copy()) * found["scale"]
    wanted = torch.cdist(x, found["centres"]).argmin(1)
    assert archives.load(archives.read_scp(root / "units/dev/units.scp")[utt]).tolist() == wanted.tolist()


def test_masks_are_stretches_inside_their_utterances():
    model = Hubert(HubertConfig(**SMALL, mask_starts=0.02, mask_length=4))
    lengths = torch.tensor([3, 50, 80])
    masks = model.draw_masks(lengths, torch.Generator().manual_seed(1))
    assert masks.shape == (3, 80) and masks.any(1).all()
    assert not masks[0, 3:].any() and not masks[1, 50:].any()
    edges = (masks[2, 1:] != masks[2, :-1]).sum()
    assert 4 <= int(masks[2].sum()) < 60 and edges <= masks[2].sum() / 2


def test_masked_frames_have_no_influence():
    model = Hubert(HubertConfig(**SMALL)).eval()
    everything = torch.ones(1, 60, dtype=torch.bool)
    a, b = (model([waveform[:16000]], everything)[0] for waveform in (waveforms()[1], -3 * waveforms()[1].flip(0)))
    assert torch.equal(a, b)
    everything[0, 10] = False
    assert not torch.equal(a, model([waveforms()[1]], everything)[0])


def test_loss_does_not_depend_on_padding_and_counts_hidden_frames(root, tmp_path):
    task, _ = build(root, "pretrain", tmp_path / "exp")
    task.eval()
    utts = sorted(task.lengths)[:3]
    batch = task.load(utts)
    sizes, together = task.sizes(batch)["masked"], float(task(batch, 1)["loss"])
    single = [task.load([utt]) for utt in utts]
    mean = sum(float(task(one, 1)["loss"]) * task.sizes(one)["masked"] for one in single) / sizes
    assert together == pytest.approx(mean, rel=1e-4)
    assert sizes == int(batch.masks.sum()) < int((batch.units >= 0).sum())
    task.epoch = 2
    assert not torch.equal(task.load(utts).masks, batch.masks)


def test_resumed_pretraining_ends_with_the_same_weights_and_an_encoder(root, tmp_path, monkeypatch):
    undisturbed = run(root, "pretrain", tmp_path / "undisturbed")
    assert_equal(undisturbed, run_and_kill(monkeypatch, 3, root, "pretrain", tmp_path / "killed"))
    state = ssl.load(tmp_path / "killed/encoder").net.state_dict()
    assert torch.equal(
        state["encoder.transformer.layer_norm.weight"], undisturbed["encoder.net.encoder.transformer.layer_norm.weight"]
    )


def test_units_that_do_not_fit(root, tmp_path):
    task, _ = build(root, "pretrain", tmp_path / "exp", "--model.clusters", "2")
    with pytest.raises(UserError, match="model.clusters is 2"):
        task.load(sorted(task.lengths))
    with pytest.raises(UserError, match=r"has no s1-00 of .*: run steps/apply_kmeans.sh"):
        build(root, "pretrain", tmp_path / "exp", "--data.targets", str(root / "units/dev"))


def test_hidden_states_are_features(tmp_path):
    torch.save(tiny("group_norm").state_dict(), tmp_path / "model.pt")
    encoder, waveform = ssl.load(tmp_path / "model.pt"), waveforms()[0]
    states, _ = encoder([waveform], [0, 1, 2, 3])

    def features(options: str) -> torch.Tensor:
        (tmp_path / "ssl.conf").write_text(f"--type=ssl\n--model={tmp_path / 'model.pt'}\n{options}")
        front = front_end(tmp_path / "ssl.conf")
        assert front.frame_shift_s == encoder.stride / 16000 == 0.02 and front.dim == front(waveform).shape[1]
        archived = make_extractor("ssl", tmp_path / "ssl.conf").extract(waveform.numpy())
        assert archived.dtype == np.float32 and np.array_equal(archived, front(waveform))
        return front(waveform)

    torch.testing.assert_close(features("--layers=2\n"), states[2][0])
    torch.testing.assert_close(features("--layers=\n"), torch.cat(states, 2)[0])
    torch.testing.assert_close(features("--layers=1 3\n--weights=0.25 2\n"), 0.25 * states[1][0] + 2 * states[3][0])
    for options, message in (
        ("--layers=4\n", "has 0 to 3, not 4"),
        ("--layers=one\n", "--layers=one: expected numbers"),
        ("--layers=1 2\n--weights=1\n", "as many as layers, which are 2"),
        ("--layer=1\n", "the nearest is --layers"),
    ):
        with pytest.raises(UserError, match=message):
            features(options)


def test_a_probe_weighs_hidden_states():
    probe = Probe(6, ProbeConfig(states=3, units=0))
    x = torch.randn(2, 5, 6)
    out, lengths = probe(x, torch.tensor([5, 3]))
    torch.testing.assert_close(out, x.view(2, 5, 3, 2).mean(2))
    probe.weights.data = torch.tensor([-50.0, 50.0, -50.0])
    torch.testing.assert_close(probe(x, lengths)[0], x[:, :, 2:4])
    deep = Probe(6, ProbeConfig(states=2, units=4, rnn_layers=1, rnn_units=5)).eval()
    assert deep.output_size == 10
    torch.testing.assert_close(deep(x, lengths)[0][1:, :3], deep(x[1:, :3], torch.tensor([3]))[0])
    with pytest.raises(UserError, match="model.states 4: the features have 6 values"):
        Probe(6, ProbeConfig(states=4))
