"""All front ends have one interface, and inference gets them without what writes archives."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from tolerance import of_front_end

from mimic.errors import UserError
from mimic.frontend.extraction import EXTRACTORS, make_extractor
from mimic.frontend.front_end import FRONT_ENDS, FrontEnd, front_end, make_front_end

ROOT = Path(__file__).resolve().parents[2]
OF_WAVEFORMS = [name for name in FRONT_ENDS if name != "ssl"]  # hidden states need an encoder: test_pretrain_ssl.py


@pytest.mark.parametrize("name", OF_WAVEFORMS)
def test_the_interface(name):
    front: FrontEnd = make_front_end(name, ROOT / f"conf/{name}.conf")
    assert front.rate == 16000 and 0.005 < front.frame_shift_s < 0.02
    x = np.random.default_rng(0).normal(scale=0.1, size=5000).astype(np.float32)
    features = front(torch.from_numpy(x))
    assert features.dtype == torch.float32 and features.shape == (front.num_frames(5000), front.dim)
    assert front.num_frames(torch.tensor([4000, 5000])).tolist() == [front.num_frames(4000), front.num_frames(5000)]


@pytest.mark.parametrize("name", OF_WAVEFORMS)
def test_archives_have_the_same_features(name):
    assert list(EXTRACTORS) == list(FRONT_ENDS)
    front, extractor = (make(name, ROOT / f"conf/{name}.conf") for make in (make_front_end, make_extractor))
    assert (extractor.rate, extractor.frame_shift_s) == (front.rate, front.frame_shift_s)
    for samples in (1, 300, 5000, 100_000):  # the last has more frames than a block
        x = np.random.default_rng(0).normal(scale=0.1, size=samples).astype(np.float32)
        features, expected = extractor.extract(x), front(torch.from_numpy(x)).numpy()
        assert features.dtype == np.float32 and features.shape == expected.shape
        if len(features):
            np.testing.assert_allclose(features, expected, atol=of_front_end(front, torch.from_numpy(x)), rtol=0)


def test_an_option_file_names_its_front_end(tmp_path):
    path = tmp_path / "features.conf"
    path.write_text("--num-mel-bins=40\n")
    assert type(front_end(path)).__name__ == "Fbank"
    path.write_text("--type=stft  # of enhancers\n")
    assert type(front_end(path)).__name__ == "Stft"
    path.write_text("--n-fft=512\n--window-type=hamming\n")  # as conf/stft.conf
    assert type(front_end(path)).__name__ == "Stft"
    path.write_text("--num-ceps=13\n")  # as conf/mfcc.conf
    assert type(front_end(path)).__name__ == "Mfcc"
    path.write_text("--window-type=hamming\n")
    assert type(front_end(path)).__name__ == "Fbank"
    path.write_text("--n-fft=512\n--num-mel-bins=40\n")
    with pytest.raises(UserError, match=r"features.conf:1: unknown option --n-fft"):
        front_end(path)
    path.write_text("--type=plp\n")
    with pytest.raises(UserError, match=r"--type=plp: features are of type fbank, logmel"):
        front_end(path)


def test_inference_gets_them_without_archives():
    for path in (ROOT / "pyscripts/mimic/frontend").glob("*.py"):
        assert not re.search(
            r"mimic\.(io\.archives|io\.feature_dir|corpus)", re.sub(r'"""[\s\S]*?"""', "", path.read_text())
        ), path
