"""What a training leaves to listen to and to look at: files, and what a tracker gets."""

from pathlib import Path

import numpy as np
import pytest
import task_maker
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_segan import YAML as SEGAN

from mimic.frontend.stft import Stft
from mimic.io.audio import AudioReader
from mimic.io.recording import wav_bytes
from mimic.tasks.samples import spectra
from mimic.training.trackers import Curves

SETTINGS = "train: {samples: 1, samples_every: 3, histograms_every: 4, "


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("samples")
    for name, prefix in (("train", "a"), ("dev", "bb")):
        task_maker.make_set(root, name, prefix, 3)
    (root / "segan.yaml").write_text(SEGAN.replace("train: {epochs: 2", f"{SETTINGS}epochs: 4"))
    return root


def read(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), {"audio": 0, "images": 0, "histograms": 0, "scalars": 0}).Reload()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_killed_training_has_the_samples_of_an_undisturbed_one_once(corpus, tmp_path, monkeypatch):
    task_maker.run(corpus, "segan", tmp_path / "a")
    task_maker.run_and_kill(monkeypatch, 4, corpus, "segan", tmp_path / "b")
    found = contents(tmp_path / "a/samples")
    names = ["clean.wav", "noisy.wav", *(f"epoch-{epoch:04d}.{end}" for epoch in (1, 3, 4) for end in ("png", "wav"))]
    assert list(found) == sorted(f"bb-00/{name}" for name in names) and found == contents(tmp_path / "b/samples")
    for folder in ("a", "b"):
        events = read(tmp_path / folder / "tensorboard")
        epochs = [line["step"] for line in task_maker.log(tmp_path / folder)]
        steps = [epochs[epoch - 1] for epoch in (1, 3, 4)]
        assert [sound.step for sound in events.Audio("samples/bb-00/noisy")] == steps[:1]
        assert [sound.step for sound in events.Audio("samples/bb-00/enhanced")] == steps
        assert [picture.step for picture in events.Images("samples/bb-00/spectra")] == steps
        assert [point.step for point in events.Scalars("valid/pesq")] == epochs  # of a start just after an epoch, too
        assert events.Audio("samples/bb-00/clean")[0].encoded_audio_string == found["bb-00/clean.wav"]
        kinds = {tag.split("/")[0] + tag.split("/")[1] for tag in events.Tags()["histograms"]}
        assert kinds == {kind + key for kind in ("weights", "gradients") for key in ("model", "discriminator")}
        weights = events.Histograms("weights/model/generator.down.0.weight")
        assert [entry.step for entry in weights] == steps[-1:] and weights[0].histogram_value.num == 4 * 7


def test_samples_are_whole_waveforms_without_preemphasis(corpus, tmp_path):
    task, _ = task_maker.build(corpus, "segan", tmp_path / "x")
    task.eval()
    (first, last) = task.samples(2)
    with torch.inference_mode():
        whole = task.model.enhance([torch.from_numpy(task.dev[0]["bb-01"])], task.front)[0].numpy()
    assert (first.utt, last.utt, last.rate) == ("bb-00", "bb-01", 16000) and np.array_equal(last.enhanced, whole)
    assert np.array_equal(last.noisy, AudioReader(corpus / "dev_noisy")["bb-01"])
    assert np.array_equal(last.clean, AudioReader(corpus / "dev_clean")["bb-01"])
    assert len(task.samples(9)) == 3 and task.samples(0) == []


def test_a_picture_shows_what_is_left():
    noisy = np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)
    picture = spectra(noisy, np.float32(0.5) * noisy, noisy, Stft())
    bins, frames, border = 257, 1 + 8000 // 256, 2
    assert picture.shape == (2 * bins + border, 2 * frames + border) and picture.dtype == np.uint8
    sides = (slice(frames), slice(frames + border, None))
    panels = [half[:, side].astype(int) for half in (picture[:bins], picture[bins + border :]) for side in sides]
    assert panels[0].max() == 255 and np.array_equal(panels[0], panels[2])
    assert abs((panels[0] - panels[1])[panels[1] > 0] - 255 * 20 * np.log10(2) / 80).max() <= 1  # 6 of 80 dB, rounded
    assert abs(panels[3] - 127.5).max() <= 1


def test_sounds_pictures_and_histograms_in_tensorboard(tmp_path):
    curves = Curves(tmp_path, 1)
    waveform = np.linspace(-0.5, 0.5, 800, dtype=np.float32)
    curves.add_audio("a", waveform, 8000, 1)
    curves.add_image("i", np.arange(6, dtype=np.uint8).reshape(2, 3), 1)
    curves.add_histogram("h", np.array([0.0, 1.0, 1.0, np.inf]), 1)
    curves.close()
    events = read(tmp_path)
    (sound,), (picture,), (found,) = events.Audio("a"), events.Images("i"), events.Histograms("h")
    assert sound.encoded_audio_string == wav_bytes(waveform, 8000) and sound.content_type == "audio/wav"
    (tmp_path / "i.png").write_bytes(picture.encoded_image_string)
    assert np.asarray(Image.open(tmp_path / "i.png")).tolist() == [[0, 1, 2], [3, 4, 5]]
    value = found.histogram_value
    assert (value.num, value.min, value.max, value.sum, sum(value.bucket)) == (3, 0, 1, 2, 3)
