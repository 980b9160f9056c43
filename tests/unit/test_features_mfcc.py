"""Cepstra against kaldi-native-fbank; the option file and the step's way to them."""

import kaldi_native_fbank
import numpy as np
import pytest
import torch
from data_maker import ROOT, make_dir
from test_features_fbank import speech
from tolerance import of_front_end

from mimic.corpus.features import features
from mimic.errors import UserError
from mimic.frontend.extraction import make_extractor
from mimic.frontend.mfcc import Mfcc, MfccConfig
from mimic.io.audio import AudioReader


def kaldi(x: np.ndarray, config: MfccConfig) -> np.ndarray:
    options = kaldi_native_fbank.MfccOptions()
    frame, mel = options.frame_opts, options.mel_opts
    frame.samp_freq, frame.dither, frame.snip_edges = config.sample_frequency, 0, config.snip_edges
    frame.window_type = config.window_type
    mel.num_bins, mel.low_freq, mel.high_freq = config.num_mel_bins, config.low_freq, config.high_freq
    options.num_ceps, options.cepstral_lifter = config.num_ceps, config.cepstral_lifter
    options.use_energy = config.use_energy
    mfcc = kaldi_native_fbank.OnlineMfcc(options)
    mfcc.accept_waveform(config.sample_frequency, (x * 32768).tolist())
    mfcc.input_finished()
    return np.array([mfcc.get_frame(i) for i in range(mfcc.num_frames_ready)], np.float32)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_energy": False},
        {"use_energy": False, "num_ceps": 20, "num_mel_bins": 40, "cepstral_lifter": 0.0, "snip_edges": False},
        {"sample_frequency": 8000.0, "num_ceps": 23, "high_freq": -200.0},
    ],
)
def test_cepstra_are_those_of_kaldi(options):
    config = MfccConfig(**options)
    x = speech(2.0)
    actual, expected = Mfcc(config)(torch.from_numpy(x)), kaldi(x, config)
    assert actual.shape == expected.shape == (Mfcc(config).num_frames(len(x)), config.num_ceps)
    np.testing.assert_allclose(actual, expected, atol=of_front_end(Mfcc(config), torch.from_numpy(x)), rtol=0)


def test_a_batch_gives_what_each_utterance_gives_alone():
    mfcc, long, short = Mfcc(), torch.from_numpy(speech(1.0, 1)), torch.from_numpy(speech(0.5, 2))
    batch = mfcc(torch.stack([long, torch.nn.functional.pad(short, (0, len(long) - len(short)))]))
    error = of_front_end(mfcc, short)
    torch.testing.assert_close(batch[1, : mfcc.num_frames(len(short))], mfcc(short), atol=error, rtol=0)


def test_the_step_reads_its_options(tmp_path):
    reader = AudioReader(make_dir(tmp_path / "data"), 16000, False, None)
    found = dict(features(reader, make_extractor("mfcc", ROOT / "conf/mfcc.conf"), list(reader.utts), {}))
    assert len(found) == 4 and all(x.shape[1] == 13 for x in found.values())
    plain = Mfcc(MfccConfig(use_energy=False))
    np.testing.assert_allclose(found["p1-001"], plain(torch.from_numpy(reader["p1-001"])), atol=1e-4)
    (tmp_path / "bad.conf").write_text("--num-ceps=30\n")
    with pytest.raises(UserError, match=r"bad.conf: --num-ceps=30: must be from 1 to --num-mel-bins=23"):
        make_extractor("mfcc", tmp_path / "bad.conf")
