"""Losses of waveforms: best at equality, with a gradient, blind to padding and to the other utterances of a batch."""

import numpy as np
import pytest
import torch
from score_maker import needs_pesq

from mimic.errors import UserError
from mimic.frontend.stft import Stft, StftConfig
from mimic.losses.enhancement import EnhanceLoss, EnhancementLoss, Waveforms
from mimic.losses.pesq import pesq_loss
from mimic.losses.stoi import one_minus_stoi
from mimic.losses.waveform import multi_resolution_stft, negative_si_sdr
from mimic.metrics.composite import si_sdr
from mimic.metrics.pesq import pesq
from mimic.metrics.stoi import stoi_estoi

LOSSES = {"si_sdr": negative_si_sdr, "stft": multi_resolution_stft, "stoi": one_minus_stoi, "pesq": pesq_loss}
BEST = {"si_sdr": -80.0, "stft": 0.0, "stoi": 0.0, "pesq": 0.0}
SAMPLES = torch.tensor([16000, 11111, 9000])


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    """Enhanced and clean waveforms (3, 16000), zero beyond their lengths."""
    draw = torch.Generator().manual_seed(1)
    t = torch.arange(16000) / 16000
    clean = torch.randn(3, 16000, generator=draw) * torch.sin(2 * torch.pi * 3 * t).clamp(min=0.05) * 0.1
    clean = clean * (torch.arange(16000) < SAMPLES[:, None])
    noise = torch.randn(3, 16000, generator=draw) * 0.02
    return clean + noise * (torch.arange(16000) < SAMPLES[:, None]), clean


@pytest.mark.parametrize("name", LOSSES)
def test_least_at_equality(name):
    enhanced, clean = pair()
    values = LOSSES[name](enhanced, clean, SAMPLES)
    assert values.shape == (3,) and (values > BEST[name] + 0.02).all()
    best = clean.clone().requires_grad_(True)
    equal = LOSSES[name](best, clean, SAMPLES)
    torch.testing.assert_close(equal, torch.full((3,), BEST[name]), atol=1e-4, rtol=0)
    equal.sum().backward()
    assert torch.isfinite(best.grad).all()


@pytest.mark.parametrize("name", LOSSES)
def test_the_gradient_leads_to_clean_speech(name):
    enhanced, clean = pair()
    enhanced.requires_grad_(True)
    value = LOSSES[name](enhanced, clean, SAMPLES)
    value.sum().backward()
    assert torch.isfinite(enhanced.grad).all() and all(row.abs().sum() > 0 for row in enhanced.grad)
    assert not any(row[n:].any() for row, n in zip(enhanced.grad, SAMPLES, strict=True))
    step = 1e-3 * enhanced.grad / enhanced.grad.norm(dim=1, keepdim=True)
    assert (LOSSES[name](enhanced - step, clean, SAMPLES) < value).all()


@pytest.mark.parametrize("name", LOSSES)
def test_padding_and_neighbours_do_not_count(name):
    enhanced, clean = pair()
    together = LOSSES[name](enhanced, clean, SAMPLES)
    beyond = torch.arange(16000) >= SAMPLES[:, None]
    dirty = LOSSES[name](enhanced.masked_fill(beyond, 0.3), clean.masked_fill(beyond, -0.2), SAMPLES)
    torch.testing.assert_close(dirty, together)
    for i, n in enumerate(SAMPLES.tolist()):
        single = LOSSES[name](enhanced[i : i + 1, :n], clean[i : i + 1, :n], SAMPLES[i : i + 1])
        torch.testing.assert_close(single[0], together[i], atol=1e-5, rtol=1e-5)


def test_stoi_and_si_sdr_are_the_scores():
    enhanced, clean = pair()
    stoi, ratio = 1 - one_minus_stoi(enhanced, clean, SAMPLES), -negative_si_sdr(enhanced, clean, SAMPLES)
    for i, n in enumerate(SAMPLES.tolist()):
        x, y = (side[i, :n].numpy().astype(np.float64) for side in (clean, enhanced))
        assert float(stoi[i]) == pytest.approx(stoi_estoi(x, y)[0], abs=1e-4)
        assert float(ratio[i]) == pytest.approx(si_sdr(x, y), abs=1e-3)


@needs_pesq
@pytest.mark.parametrize("gain", [0.1, 0.5, 2.0])
def test_the_model_of_pesq_is_close_to_it(gain):
    """The tolerance is what P.862 rounds and aligns in such signals, MOS-LQO; the scale has 3.6."""
    enhanced, clean = pair()
    noisy = clean + gain * (enhanced - clean)
    values = wb_mos(4.5 - pesq_loss(noisy, clean, SAMPLES))
    scores = [pesq(x[:n].numpy(), y[:n].numpy(), "wb") for x, y, n in zip(clean, noisy, SAMPLES, strict=True)]
    np.testing.assert_allclose(values, scores, atol=0.1)
    assert (pesq_loss(7 * noisy, 0.1 * clean, SAMPLES) - pesq_loss(noisy, clean, SAMPLES)).abs().max() < 1e-4


def wb_mos(raw: torch.Tensor) -> torch.Tensor:
    """MOS-LQO of raw values: ITU-T P.862.2."""
    return 0.999 + 4 / (1 + torch.exp(-1.3669 * raw + 3.8224))


def test_si_sdr_does_not_depend_on_levels_and_stft_does():
    enhanced, clean = pair()
    torch.testing.assert_close(negative_si_sdr(3 * enhanced, clean, SAMPLES), negative_si_sdr(enhanced, clean, SAMPLES))
    assert (multi_resolution_stft(3 * clean, clean, SAMPLES) > 0.5).all()


def test_what_cannot_be_measured_costs_nothing():
    short = torch.full((1, 3000), 0.1).requires_grad_(True)
    value = one_minus_stoi(short, torch.rand(1, 3000), torch.tensor([3000]))
    assert float(value) == 0.0
    silent = negative_si_sdr(short, torch.zeros(1, 3000), torch.tensor([3000]))
    silent.sum().backward()
    assert silent.item() == 0.0 and torch.isfinite(short.grad).all()
    for clean, value in ((torch.zeros(1, 3000), 0.0), (torch.rand(1, 3000), None)):
        quiet = torch.zeros(1, 3000, requires_grad=True)
        loss = pesq_loss(quiet, clean, torch.tensor([3000]))
        loss.sum().backward()
        assert torch.isfinite(quiet.grad).all() and (loss.item() == value if value == 0 else loss.item() > 1)
    brief = pesq_loss(short[:, :300], torch.rand(1, 300), torch.tensor([300]))
    brief.sum().backward()
    assert brief.item() == 0.0 and torch.isfinite(short.grad).all()
    loss = multi_resolution_stft(short, torch.zeros(1, 3000), torch.tensor([3000]))
    assert torch.isfinite(loss).all()


def test_the_weighted_sum_has_the_parts_that_have_a_weight():
    enhanced, clean = pair()
    stft = Stft()
    frames, waveforms = stft.num_frames(SAMPLES), Waveforms(enhanced, clean, SAMPLES, None)
    config = EnhanceLoss(spectral_weight=0.5, si_sdr_weight=0.1, stft_weight=2.0, stoi_weight=3.0, pesq_weight=0.5)
    losses = EnhancementLoss(config, stft)
    parts = losses(stft(enhanced), stft(clean), frames, waveforms)
    wanted = {"spectral": 0.5, "si_sdr": 0.1, "stft": 2.0, "stoi": 3.0, "pesq": 0.5}
    assert {name: losses.weights[name] for name in parts} == wanted and losses.uses_waveforms
    for name, loss in LOSSES.items():
        torch.testing.assert_close(parts[name], loss(enhanced, clean, SAMPLES).mean())
    with torch.autocast("cpu", torch.bfloat16):  # they are computed in 32 bits there as well
        mixed = losses(stft(enhanced), stft(clean), frames, waveforms)
    assert {name: mixed[name].item() for name in LOSSES} == {name: parts[name].item() for name in LOSSES}
    assert set(parts) <= set(losses.sizes(frames, SAMPLES))
    assert list(EnhancementLoss(EnhanceLoss(), stft)(stft(enhanced), stft(clean), frames)) == ["spectral"]
    for name in ("stoi", "pesq"):
        with pytest.raises(UserError, match=f"{name.upper()} takes 16000 Hz"):
            EnhancementLoss(EnhanceLoss(**{f"{name}_weight": 1.0}), Stft(StftConfig(sample_frequency=8000)))
