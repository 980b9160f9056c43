"""Targets from alignments: steps/ali_to_units.sh."""

# ruff: noqa: F811 (fixtures)

import json
import shutil

import numpy as np
import pytest
from aligned_corpus import corpus  # noqa: F401 (a fixture)
from lang_maker import lang  # noqa: F401 (a fixture)
from model_maker import program

from mimic.hmm.alignments import read_ali_dir
from mimic.hmm.units import PhoneStates
from mimic.io import archives


@pytest.fixture(scope="module")
def aligned(corpus, lang):
    root, model = corpus
    for name in ("train", "dev"):
        shutil.copy(lang.path / "phones.txt", root / f"{name}_ali")
    return root, model


def test_a_unit_is_a_state_of_a_phone_in_any_place_of_the_word(aligned, lang):
    _, model = aligned
    units = PhoneStates(model, lang.phones)
    assert len(units.names) == len(set(units.names)) < len(set(zip(model.tid_phone, model.tid_state, strict=True)))
    assert "T_0" in units.names and not any("_B" in name or "_S" in name for name in units.names)
    tids = np.arange(1, len(model.tid_phone), dtype=np.int32)
    for tid, unit in zip(tids, units(tids, 1), strict=True):
        phone = lang.phone_of[model.tid_phone[tid]].split("_")[0]
        assert units.names[unit] == f"{phone}_{model.tid_state[tid]}"
    assert np.array_equal(units(tids, 3), units(tids, 1)[::3])


def test_units_of_several_directories_of_alignments(aligned, lang, tmp_path):
    root, model = aligned
    assert program("ali_to_units.py", root / "train_ali", root / "dev_ali", tmp_path) == 1  # the same ids in both
    assert program("ali_to_units.py", "--frame-subsampling-factor", 2, root / "train_ali", tmp_path) == 0
    written, units = archives.read_scp(tmp_path / "units.scp"), PhoneStates(model, lang.phones)
    alignments = read_ali_dir(root / "train_ali")
    assert sorted(written) == sorted(alignments)
    for utt, ali in alignments.items():
        assert np.array_equal(archives.load(written[utt]), units(ali, 2))
    lines = (tmp_path / "units.txt").read_text().splitlines()
    assert lines == [f"{name} {i}" for i, name in enumerate(units.names)]
    assert json.loads((tmp_path / "summary.json").read_text())["clusters"] == len(lines)


def test_alignments_of_other_phones_do_not_fit(aligned, tmp_path, caplog):
    root, _ = aligned
    other = tmp_path / "other"
    shutil.copytree(root / "dev_ali", other)
    (other / "phones.txt").write_text((other / "phones.txt").read_text().replace("T_B ", "TT_B "))
    assert program("ali_to_units.py", root / "train_ali", other, tmp_path / "out") == 1
    assert "its phones are not those of" in caplog.text
