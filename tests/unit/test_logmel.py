"""Log-mel features as torchaudio has them, and which features an option file means."""

import pytest
import torch
import torchaudio
from data_maker import ROOT
from tolerance import of_front_end

from mimic.errors import UserError
from mimic.frontend.front_end import front_end
from mimic.frontend.logmel import LogMel, LogMelConfig


@pytest.mark.filterwarnings("ignore:At least one mel filterbank")  # as published: 128 triangles, 161 bins
@pytest.mark.parametrize("name", ["logmel", "logmel_22k"])
def test_log_mel_equals_torchaudio(name):
    front = front_end(ROOT / f"conf/{name}.conf")
    c = front.config
    torchaudio_mel = torchaudio.transforms.MelSpectrogram(front.rate, c.n_fft, hop_length=c.hop_length, n_mels=128)
    for samples in (c.n_fft // 2 + 1, 16000, 16159, 100_000):  # the last has more frames than a block
        x = 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(samples))
        features = front(x)
        assert features.shape == (front.num_frames(samples), front.dim) == (1 + samples // c.hop_length, 128)
        error = of_front_end(front, x)
        torch.testing.assert_close(features, torchaudio_mel(x).clamp(min=1e-5).log().T, atol=error, rtol=0)
    lengths = torch.tensor([c.n_fft // 2, 5000])
    assert front.num_frames(lengths).tolist() == [0, 1 + 5000 // c.hop_length] == [len(front(x[:n])) for n in lengths]
    assert front.frame_shift_s == pytest.approx(0.01, rel=0.01)


def test_log_spectrum_holds_the_power_of_a_tone():
    front = front_end(ROOT / "conf/logspectrum.conf")
    x = 0.5 * torch.sin(2 * torch.pi * 1000 * torch.arange(16000) / 16000)
    features = front(torch.stack([x, x]))  # (batch, frames, bins)
    assert features.shape == (2, 101, 160) and (features[:, 5:-5].argmax(2) == 20).all()  # 50 Hz apart
    assert features[0, 50, 20].exp() == pytest.approx((0.5 * 320 / 2 / 2) ** 2, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "kind"), [("fbank", "Fbank"), ("logmel", "LogMel"), ("spectrum_20ms", "Stft"), ("fbank_40", "Fbank")]
)
def test_an_option_file_says_of_which_kind_its_features_are(name, kind):
    assert type(front_end(ROOT / f"conf/{name}.conf")).__name__ == kind


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--type=plp", "--type=plp: features are of type fbank, logmel"),
        ("--type=logmel\n--n-fft=321", "an even --n-fft"),
        ("--type=logmel\n--hop-length=400", "--hop-length <= --n-fft"),
        ("--type=logmel\n--floor=0", "--floor: 0 is out of its range: a number, above 0"),
        ("--type=logmel\n--n-mels=80", "the nearest is --num-mel-bins"),
        ("--type=stft\n--num-mel-bins=80", "unknown option --num-mel-bins"),
    ],
)
def test_options_that_make_no_features(tmp_path, line, message):
    (tmp_path / "features.conf").write_text(line + "\n")
    with pytest.raises(UserError, match=message):
        front_end(tmp_path / "features.conf")
    with pytest.raises(UserError, match="only logmel"):
        LogMelConfig.read(ROOT / "conf/spectrum_20ms.conf")
    assert LogMel().dim == 128
