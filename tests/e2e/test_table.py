"""The published table continues where run.sh has finished; copies of training speech reach the robust recognisers."""

import re
import shutil
from pathlib import Path

import pytest
from recipe import SIZES

from mimic.io.tables import read_table, read_text
from mimic.reporting.records import read_record

pytestmark = pytest.mark.xdist_group("recipe")

ROWS = "clean noisy joint_mse mse mimic crdnn_mse"
TITLES = ["clean", "noisy", "joint MSE", "frozen MSE", "frozen MSE + mimic", "CRDNN MSE"]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_table_has_all_rows_and_the_published_values_beside(recipe):
    words = ["local/run_table.sh", "--config", "tests/e2e/micro.conf", "--rows", ROWS]
    output = recipe.call(*words)
    made = set(re.findall(r"^(exp/[^/\n]*): to do", output, re.MULTILINE))
    assert made == {"exp/joint_mse", "exp/enhance_crdnn_mse", "exp/asr_crdnn_mse"}
    lines = [line for line in (recipe.root / "exp/TABLE.md").read_text().splitlines() if line.startswith("| ")]
    head, *rows = map(cells, lines)
    assert [row[0] for row in rows] == TITLES
    assert [re.sub(r" [\[(].*", "", title) for title in head] == [
        *("system", "PESQ", "eSTOI", "STOI", "CSIG", "CBAK", "COVL", "SI-SDR"),
        *("dev CER", "test CER", "dev WER", "test WER"),
    ]
    assert f"PESQ [published] (n={SIZES['test']})" in head
    table = {row[0]: dict(zip(head, row, strict=True)) for row in rows}
    pesq, si_sdr = (next(title for title in head if title.startswith(name)) for name in ("PESQ", "SI-SDR"))
    assert table["clean"][pesq] == "4.64 [4.50]" and table["clean"][si_sdr].startswith("NA ")
    assert table["CRDNN MSE"][pesq].endswith(" [2.74]")
    characters = len("".join(read_table(recipe.root / "data/test_clean/text").values()))
    assert f"test CER [published] (n={characters})" in head  # spaces count
    head, *rows = [
        line.split("\t") for line in (recipe.root / "exp/compare/mimic/comparison_by.tsv").read_text().splitlines()[1:]
    ]
    assert {row[0] for row in rows} == {"snr", "noise"} and {"wb-pesq", "wer"} <= {
        row[head.index("measure")] for row in rows
    }
    again = recipe.call(*words)
    assert ": to do" not in again
    stage2 = ("--stage", "2", "--stop-stage", "2", "--dry-run", "true")
    assert "exp/enhance_crdnn_mse/wav/test: to do" in recipe.call(*words, "--enhancement-ratio", "0.5", *stage2)
    foreign_recogniser(recipe.root)
    words = [
        *words[:3],
        "--rows",
        "mse mimic",
        "--recognisers",
        "clean foreign",
        "--foreign-command",
        "./foreign {wav.scp} {text}",
    ]
    assert ": to do" in recipe.call(*words) and ": to do" not in recipe.call(*words)
    for recogniser in ("clean", "foreign"):
        rows = [
            line
            for line in (recipe.root / f"exp/TABLE_{recogniser}.md").read_text().splitlines()
            if line.startswith("| frozen")
        ]
        assert [cells(row)[0] for row in rows] == ["frozen MSE", "frozen MSE + mimic"]
        assert (recipe.root / f"exp/compare/{recogniser}/mimic/comparison_by.tsv").exists()
        by = read_record(recipe.root / f"exp/BREAKDOWN_{recogniser}.json")
        assert {c["b"] for c in by.comparisons} == {"frozen MSE + mimic"}
        assert {c["column"].split()[0] for c in by.comparisons} == {"snr", "noise"}
    own = "exp/table/foreign/mse/decode_test/text"
    recipe.call("steps/decode_foreign.sh", "exp/asr_clean", "exp/enhance_mse/wav/test", Path(own).parent)
    of_features = read_text(recipe.root / own.replace("foreign", "clean"))
    found = read_text(recipe.root / own)
    assert found.keys() == of_features.keys() and set(found.values()) != {"THE"}
    assert "exp/nowhere" in recipe.call(
        "steps/decode_foreign.sh", "exp/nowhere", "exp/enhance_mse/wav/test", "exp/no", code=1
    )
    assert "there is no directory nowhere" in recipe.call(*words[:-1], "whisper:nowhere", code=1)
    assert "retraining needs dev" in recipe.call(*words[:5], "--recognisers", "retrained", "--sets", "test", code=1)
    assert "--sets: any of dev and test, got 'train'" in recipe.call(*words, "--sets", "train test", code=1)
    assert "needs --foreign-command" in recipe.call(*words[:-2], code=1)
    assert "no row 'none'" in recipe.call(*words[:3], "--rows", "mse none", code=1)


def test_mimic_loss_through_the_recogniser(recipe):
    words = ("--rows", "crdnn_mimic", "--perceptual", "recogniser", "--stage", "1", "--stop-stage", "1")
    recipe.call("local/run_table.sh", "--config", "tests/e2e/micro.conf", *words)
    assert "perceptual: exp/asr_clean\n" in (recipe.root / "exp/enhance_crdnn_mimic/config.yaml").read_text()


def test_the_table_needs_a_finished_run(recipe):
    recipe.remove("exp/asr_clean")
    output = recipe.call("local/run_table.sh", "--config", "tests/e2e/micro.conf", code=1)
    assert output.strip() == "local/run_table.sh: exp/asr_clean/model.pt is missing: run ./run.sh first"


def test_copies_are_enhanced_and_trained_on_like_the_rest(recipe):
    words = ("--speeds", "1.0 1.1")
    output = recipe.run(*words, "--stage", "1", "--stop-stage", "5")
    redone = set(re.findall(r"^(exp/\S+): to do", output, re.MULTILINE))
    assert not redone & {"exp/perceptual", "exp/enhance_mse", "exp/enhance_mimic"}
    for feats in ("exp/fbank/train_augmented", "exp/enhance_mse/enhanced/train", "exp/enhance_mimic/enhanced/train"):
        utts = read_table(recipe.root / feats / "feats.scp")
        assert len(utts) == 2 * SIZES["train"] and sum(utt.startswith("sp1.1-") for utt in utts) == SIZES["train"]
    assert len(read_table(recipe.root / "exp/enhance_mse/enhanced/dev/feats.scp")) == SIZES["dev"]
    recipe.remove("exp/fbank/train_augmented")
    output = recipe.run(*words, "--train-jobs", "1", "--stage", "6", code=1)
    assert "exp/asr_clean is done" in output and "exp/fbank/train_augmented: no such directory" in output


def test_segan_is_trained_on_the_data_of_the_recipe(recipe):
    words = ["local/run_segan.sh", "--config", "tests/e2e/micro.conf", "--stop-stage", "1"]
    assert "exp/enhance_segan: to do" in recipe.call(*words)
    assert "exp/enhance_segan is done and unchanged" in recipe.call(*words)
    assert "--recogniser nowhere: no such directory" in recipe.call(*words, "--recogniser", "nowhere", code=1)


def foreign_recogniser(folder: Path) -> None:
    """A program, `foreign`, that finds the word THE in everything."""
    foreign = folder / "foreign"
    foreign.write_text("#!/bin/sh\nwhile read -r utt wav; do echo $utt THE; done < $1 > $2\n")
    foreign.chmod(0o755)


def test_a_study_compares_settings_on_dev(recipe):
    study = recipe.root / "study.tsv"
    study.write_text(
        "# tries\nmse --loss.mimic_weight 0\n[perceptual model]\nperceptual_other --train.epochs 1\n"
        "rise --loss.mimic_weight 1 --loss.mimic_rise 2 --loss.perceptual {exp}/study/perceptual_other\nunused --x 1\n"
    )
    words = ["local/run_study.sh", "--config", "tests/e2e/micro.conf", "--study", "study.tsv", "--only", "rise"]
    made = set(re.findall(r"^(exp/study/[^/\n]*): to do", recipe.call(*words), re.MULTILINE))
    assert made == {"exp/study/mse", "exp/study/rise", "exp/study/perceptual_other"}
    record = read_record(recipe.root / "exp/STUDY.json")
    assert record.settings["rise"].startswith("--loss.mimic_weight 1 ") and [row[0] for row in record.rows[1:]] == [
        "mse",
        "rise",
    ]
    assert [c["question"] for c in record.choices] == ["perceptual model"] and record.choices[0]["of"] == "mse, rise"
    assert ": to do" not in recipe.call(*words)
    # further seeds take directories of their seed; --base comes first, wherever it stands in the file
    study.write_text("from --data.init {exp}/enhance_mse<seed> --loss.mimic_weight 0\nmse --loss.mimic_weight 0\n")
    shutil.copytree(recipe.root / "exp/enhance_mse", recipe.root / "exp/enhance_mse_seed2", dirs_exist_ok=True)
    foreign_recogniser(recipe.root)
    recipe.call(*words[:-2], "--seeds", "2", "--foreign-command", "./foreign {wav.scp} {text}")
    for suffix in ("", "_seed2"):
        assert f"init: exp/enhance_mse{suffix}\n" in (recipe.root / f"exp/study/from{suffix}/config.yaml").read_text()
    head, *rows = read_record(recipe.root / "exp/STUDY.json").rows
    assert [row[0] for row in rows] == ["mse", "from"] and head[-1] == "foreign dev WER"
