"""The short-time Fourier transform and its inverse."""

import pytest
import torch

from mimic.errors import UserError
from mimic.frontend.stft import Stft, StftConfig

CONFIGS = {
    "recipe": StftConfig(),
    "quarter_hop_hann": StftConfig(hop_length=128, window_type="hann"),
    "short_window": StftConfig(win_length=400, hop_length=160, window_type="hann"),
}


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_there_and_back_at_every_length(config):
    stft, x = Stft(config), noise(2, 2000)
    for n in range(1, 2001, 1 if config == StftConfig() else 17):
        spec = stft.transform(x[:, :n])
        assert spec.shape == (2, 1 + n // config.hop_length, 257) and stft.num_frames(n) == spec.shape[1]
        back = stft.inverse(spec, n)
        assert back.shape == (2, n)
        assert (back - x[:, :n]).abs().max() < 1e-5, n


@pytest.mark.parametrize("n", [16000, 16001, 160255, 160256])
def test_there_and_back_with_the_noisy_phase(n):
    stft, x = Stft(), noise(n)
    spec = stft.transform(x)
    back = stft.resynthesise(stft(x), spec, n)
    assert back.shape == (n,)
    assert (back - x).abs().max() < 1e-5


def test_equals_the_published_front_end():
    """Hamming window, zeros around the signal, log1p of sqrt(re^2 + im^2 + 1e-14); as torch.stft has it."""
    stft, x = Stft(), noise(3, 170000)
    window = torch.hamming_window(512)
    expected = torch.stft(x, 512, 256, window=window, pad_mode="constant", return_complex=True).transpose(1, 2)
    torch.testing.assert_close(stft.transform(x), expected, atol=1e-4, rtol=1e-5)
    magnitude = (expected.real**2 + expected.imag**2 + 1e-14).sqrt()
    torch.testing.assert_close(stft(x), torch.log1p(magnitude), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(stft.log1p_magnitude(stft.transform(x)), stft(x))


def test_rows_do_not_depend_on_their_batch():
    lengths = torch.tensor([1, 300, 511, 512, 5000])
    x = noise(5, 5000) * (torch.arange(5000) < lengths[:, None])
    stft = Stft()
    spec = stft.transform(x) * noise(5, 20, 257, seed=1)  # changed, so that frames no longer fit each other
    together = stft.inverse(spec, lengths)
    assert together.shape == (5, 5000)
    for i, n in enumerate(lengths.tolist()):
        frames = stft.num_frames(n)
        torch.testing.assert_close(stft(x[i])[:frames], stft(x[i, :n]), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(together[i, :n], stft.inverse(spec[i, :frames], n), atol=1e-6, rtol=1e-5)
        assert not together[i, n:].any()
    assert torch.equal(stft.num_frames(lengths), 1 + lengths // 256)


def test_gradient_is_the_slope():
    stft, x, direction = Stft(), noise(3000), noise(3000, seed=1)

    def loss(x: torch.Tensor) -> torch.Tensor:
        return stft.resynthesise(0.7 * stft(x), stft.transform(x), 3000).double().square().sum()

    x.requires_grad_()
    loss(x).backward()
    with torch.no_grad():
        slope = (loss(x + 1e-3 * direction) - loss(x - 1e-3 * direction)) / 2e-3
    assert x.grad @ direction == pytest.approx(slope.item(), rel=0.01)
    silent = torch.zeros(3000, requires_grad=True)
    loss(silent).backward()
    assert silent.grad.isfinite().all()


def test_magnitudes_below_zero_are_silence():
    stft, x = Stft(), noise(3000)
    assert not stft.resynthesise(stft(x) * -1, stft.transform(x), 3000).any()


def test_mistakes_are_named(tmp_path, repository):
    assert StftConfig.read(repository / "conf" / "stft.conf") == StftConfig()
    with pytest.raises(ValueError, match="5000 samples need 20 frames, the spectrum has 12"):
        Stft().inverse(Stft().transform(noise(3000)), 5000)
    with pytest.raises(UserError, match="--hop-length=256 is too long for an exact inverse with hann"):
        StftConfig(window_type="hann")
    for bad in ({"n_fft": 400}, {"hop_length": 300}, {"hop_length": 0}, {"n_fft": 513}):
        with pytest.raises(UserError, match="need an even --n-fft"):
            StftConfig(**bad)
    path = tmp_path / "stft.conf"
    path.write_text("--hop=256\n")
    with pytest.raises(UserError, match="unknown option --hop: the nearest is --hop-length"):
        StftConfig.read(path)
