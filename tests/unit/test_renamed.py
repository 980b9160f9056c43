"""Former names of settings: they work for one release, with a note, and records under them stay valid."""

import pytest

from mimic import renamed, settings
from mimic.errors import UserError
from mimic.nets import NETS
from mimic.tasks import TASKS
from mimic.tasks import config as configuration
from mimic.training.config import TrainConfig


def test_former_names_work_with_one_note_each(tmp_path, caplog):
    caplog.set_level("INFO")
    renamed.note.cache_clear()
    (tmp_path / "base.yaml").write_text("task: asr\nnet: crdnn\ntrain: {batch_size: 8, clip: 2}\n")
    (tmp_path / "x.yaml").write_text("base: base.yaml\ntrain: {batch_utterances: 4}\n")
    for _ in range(2):  # as steps/train.sh does: first the inputs, then the training
        config = configuration.read(tmp_path / "x.yaml", ["--train.average-of", "last", "--train.lr", "1"])
    assert (config.train.batch_size, config.train.max_grad_norm, config.train.avg_policy) == (4, 2, "last")
    assert [record.getMessage().partition(";")[0].replace(f"{tmp_path}/", "") for record in caplog.records] == [
        "x.yaml: train.batch_utterances is now train.batch_size",
        "base.yaml: train.clip is now train.max_grad_norm",
        "--train.average_of is now --train.avg_policy",
    ]


def test_a_recorded_configuration_with_former_names_loads_silently(tmp_path, caplog):
    caplog.set_level("INFO")
    renamed.note.cache_clear()
    (tmp_path / "config.yaml").write_text("task: asr\nnet: crdnn\ntrain: {batch_utterances: 4, save_minutes: 3.0}\n")
    config = configuration.read(tmp_path / "config.yaml")
    assert config.train.batch_size == 4 and config.train.checkpoint_interval == 3 and not caplog.records


def test_both_names_of_a_setting_are_an_error(tmp_path):
    (tmp_path / "x.yaml").write_text("task: asr\nnet: crdnn\ntrain: {batch_size: 8, batch_utterances: 8}\n")
    line = r"x.yaml: train.batch_utterances and train.batch_size are the same setting: give it once"
    with pytest.raises(UserError, match=line):
        configuration.read(tmp_path / "x.yaml")
    (tmp_path / "x.yaml").write_text("task: asr\nnet: crdnn\n")
    with pytest.raises(UserError, match="--train.clip and --train.max_grad_norm are the same"):
        configuration.read(tmp_path / "x.yaml", ["--train.clip", "1", "--train.max_grad_norm", "1"])


def test_sections_and_values_have_former_names_too(monkeypatch, caplog):
    caplog.set_level("INFO")
    renamed.note.cache_clear()
    monkeypatch.setattr(renamed, "SETTINGS", {"waves": "waveform", "waveform.room_prob": "waveform.rir_prob"})
    monkeypatch.setattr(renamed, "VALUES", {"decode.search": {"free": "lexicon-free"}})
    raw = {"task": "asr", "waves": {"room_prob": "1", "snr": ["0", "5"]}, "decode": {"search": "free"}, "loss": None}
    assert renamed.rename(raw, "x.yaml") == {
        "task": "asr",
        "waveform": {"rir_prob": "1", "snr": ["0", "5"]},
        "decode": {"search": "lexicon-free"},
        "loss": None,
    }
    pairs = [("waves.room_prob", "1"), ("waveform.snr", "2"), ("decode.search", "free")]
    new = [("waveform.rir_prob", "1"), ("waveform.snr", "2"), ("decode.search", "lexicon-free")]
    assert renamed.rename_pairs(pairs) == new
    notes = [record.getMessage() for record in caplog.records]
    assert len(notes) == 5 and notes[4].startswith(
        "--decode.search free is now lexicon-free; the old name will be removed"
    )
    option = "--decode.search free --decode.beam 3 --waves.room-prob 1"
    assert renamed.recorded_option("decode", option) == (
        "decode",
        "--decode.search lexicon-free --decode.beam 3 --waveform.rir_prob 1",
    )
    with pytest.raises(UserError, match="x.yaml: waves and waveform are the same setting"):
        renamed.rename({"waves": {}, "waveform": {}}, "x.yaml")


def test_every_present_name_is_a_setting():
    known = {f"train.{name}" for name in settings.hints(TrainConfig)}
    for name, task in TASKS.items():
        of = {**task.SECTIONS}
        known |= {f"{name}.{field}" for name, section in of.items() for field in settings.hints(section)} | of.keys()
        known |= {f"model.{field}" for _, sizes in NETS[name].values() for field in settings.hints(sizes)}
    assert set(renamed.SETTINGS.values()) <= known and not known & renamed.SETTINGS.keys()
    assert renamed.VALUES.keys() <= known
