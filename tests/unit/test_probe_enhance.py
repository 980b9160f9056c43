"""Enhancement from frozen features: of filterbanks, of hidden states."""

import json

import numpy as np
import pytest
import torch
from ssl_maker import tiny
from task_maker import PROBE_ENHANCE, build, enhanced_alone_as_together, make_noises, make_set, run

from mimic.deploy import onnx
from mimic.errors import UserError
from mimic.frontend.stft import Stft
from mimic.io.feature_dir import GLOBAL_KEY, CmvnStats
from mimic.models.enhancer import Enhancer


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("corpus")
    make_set(root, "train", "aa", 7)
    make_set(root, "dev", "b", 5)
    make_noises(root)
    (root / "probe_enhance.yaml").write_text(PROBE_ENHANCE)
    torch.save(tiny("group_norm").state_dict(), root / "model.pt")
    hidden = root / "hidden"  # as steps/extract_ssl.sh leaves it, as far as it is read: options, statistics
    (hidden / "conf").mkdir(parents=True)
    (hidden / "conf" / "ssl.conf").write_text(f"--type=ssl\n--model={root}/model.pt\n--layers=1 3\n")
    stats = CmvnStats()
    stats.add(GLOBAL_KEY, np.random.default_rng(1).normal(size=(50, 256)).astype(np.float32))
    stats.write(hidden / "global_cmvn.ark", hidden / "global_cmvn.scp")
    return root


def hidden(corpus) -> tuple[str, ...]:
    return "--data.features", str(corpus / "hidden"), "--model.states", "2"


@pytest.mark.parametrize("kind", ["fbank", "ssl"])
def test_only_the_probe_learns_and_its_directory_enhances(corpus, tmp_path, kind):
    words = hidden(corpus) if kind == "ssl" else ()
    weights = run(corpus, "probe_enhance", tmp_path / "x", *words)
    assert {name.split(".")[1] for name in weights} == {"normaliser", "probe", "output"}
    assert len(weights["net.probe.weights"]) == (2 if kind == "ssl" else 1)
    losses = [json.loads(line)["train_loss"] for line in (tmp_path / "x" / "train_log.jsonl").open()]
    assert losses[1] < losses[0]
    enhancer = Enhancer.load(tmp_path / "x")
    model, stft = enhancer.net, enhancer.front
    enhanced_alone_as_together(model, stft, (1, 300, 4097, 8000, 7255))
    with pytest.raises(UserError, match="a probe, whose features another model makes"):
        onnx.export(tmp_path / "x", tmp_path / "onnx")


def test_a_mask_stands_at_the_moment_of_its_features(corpus, tmp_path):
    """Features of 10 ms, spectra of 16 ms: a mask that opens at frame 20 of the features, 0.2 s."""
    task, _ = build(corpus, "probe_enhance", tmp_path / "x")
    model, stft, waveform = task.model, Stft(), 0.1 * torch.randn(16000)
    opens = (torch.arange(98) >= 20).float()[None, :, None].expand(1, 98, stft.dim)
    model.net.forward = lambda features, lengths: opens
    enhanced = model.transform(waveform[None], torch.tensor([16000]), stft)
    share = enhanced.magnitude.expm1() / stft.log1p_magnitude(enhanced.spectrum).expm1()
    expected = (torch.arange(share.shape[1]) * 0.016 >= 0.2 - 1e-9).float()
    torch.testing.assert_close(share[0], expected[:, None].expand_as(share[0]), atol=1e-4, rtol=0)


def test_what_does_not_fit_is_one_line(corpus, tmp_path):
    with pytest.raises(UserError, match="no option file in its conf: steps/make_feats.sh makes"):
        build(corpus, "probe_enhance", tmp_path / "a", "--data.features", str(corpus / "noises"))
    with pytest.raises(UserError, match=r"model.states 3: the features have 256 values"):
        build(corpus, "probe_enhance", tmp_path / "b", *hidden(corpus)[:2], "--model.states", "3")
    slow = corpus / "fbank/dev_clean/conf/fbank.conf"
    slow.write_text("--sample-frequency=8000\n")
    with pytest.raises(UserError, match="features of 8000 Hz, and the spectrum has 16000"):
        build(corpus, "probe_enhance", tmp_path / "c", "--data.features", str(corpus / "fbank/dev_clean"))
