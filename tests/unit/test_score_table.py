"""The results table: seeds, NA counts, what is missing, which system came out better."""

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from data_maker import ROOT

from mimic.errors import UserError
from mimic.inputs import split_paths
from mimic.metrics.enhancement import Row, write_rows
from mimic.metrics.identity import Identity
from mimic.metrics.scores import read_scores, write_scores
from mimic.reporting.records import Record
from mimic.reporting.report_tables import main_scores
from mimic.reporting.score_table import (
    COLUMNS,
    System,
    aligned,
    markdown,
    parse_columns,
    parse_systems,
    read_published,
    read_systems,
    table,
)
from mimic.reporting.tree import Tree
from mimic.reporting.verdicts import pairs_of, verdicts

SUFFIXES = ("", "_seed2", "_seed3")  # of directories, by seed
SHORT = parse_columns("PESQ,eSTOI,dev WER,test WER")


def enhanced(path: Path, pesq: str, estoi: float, na: int = 0) -> None:
    """A summary as score_enhancement.py left it before summary.json."""
    (path / "scoring/test").mkdir(parents=True)
    (path / "scoring/test/summary.tsv").write_text(
        "# at 16000 Hz\nmeasure\tmean\tci95min\tci95max\tn\tna\n"
        f"wb-pesq\t{pesq}\t{pesq}\t{pesq}\t{10 - na}\t{na}\nestoi\t{estoi}\t0\t1\t10\t0\n"
    )


def recognised(path: Path, dev: tuple[int, int], test: tuple[int, int], missing: int = 0) -> None:
    """Error files of Kaldi, from (errors, words)."""
    for name, (errors, words) in {"dev": dev, "test": test}.items():
        (path / "scoring" / name).mkdir(parents=True)
        partial = " [PARTIAL]" if missing else ""
        (path / "scoring" / name / "wer_1_0.0").write_text(
            f"%WER {100 * errors / words:.2f} [ {errors} / {words}, 0 ins, 0 del, {errors} sub ]{partial}\n"
            f"%SER 10.00 [ 1 / 10 ]\nScored 10 sentences, {missing} not present in hyp.\n"
        )


@pytest.fixture
def exp(tmp_path) -> Path:
    exp = tmp_path / "exp"
    recognised(exp / "asr_clean", (5, 200), (9, 300))
    enhanced(exp / "noisy", "1.5", 0.6, na=2)
    recognised(exp / "asr_noisy", (40, 200), (90, 300), missing=3)
    for seed, suffix in enumerate(SUFFIXES):
        enhanced(exp / f"enhance_mse{suffix}", f"{2 + 0.1 * seed:.1f}", 0.7)
        enhanced(exp / f"enhance_mimic{suffix}", f"{2.1 + 0.05 * seed:.2f}", 0.7)
        recognised(exp / f"asr_mse{suffix}", (20 + 2 * seed, 200), (60, 300))
    (exp / "asr_mimic").mkdir()
    return exp


def systems(exp: Path) -> list[System]:
    rows = ["clean=,{}/asr_clean", "noisy={}/noisy,{}/asr_noisy", *of_seeds("MSE={}/enhance_mse,{}/asr_mse")]
    rows += ["MSE + mimic={}/enhance_mimic,{}/asr_mimic", "MSE + mimic@2={}/enhance_mimic_seed2,"]
    rows += ["MSE + mimic@3={}/enhance_mimic_seed3,"]
    return parse_systems([row.replace("{}", str(exp)) for row in rows])


def of_seeds(row: str) -> list[str]:
    """Arguments for seeds 1, 2 and 3 of a row whose directories have the seed at the end of their names."""
    name, _, dirs = row.partition("=")
    enhance, asr = dirs.split(",")
    return [row, *(f"{name}@{k}={enhance}_seed{k},{asr}_seed{k}" for k in (2, 3))]


def test_rows_columns_and_counts(exp):
    rows, notes = table(systems(exp), SHORT)
    assert rows == [
        ["system", "PESQ", "eSTOI", "dev WER", "test WER"],
        ["clean", "-", "-", "2.50 (n=200)", "3.00 (n=300)"],
        ["noisy", "1.50 (n=8, NA=2)", "60.00 (n=10)", "20.00 (n=200, NA=3)", "30.00 (n=300, NA=3)"],
        ["MSE", "2.10 +- 0.10 (n=10)", "70.00 +- 0.00 (n=10)", "11.00 +- 1.00 (n=200)", "20.00 +- 0.00 (n=300)"],
        ["MSE + mimic", "2.15 +- 0.05 (n=10)", "70.00 +- 0.00 (n=10)", "-", "-"],
    ]
    assert len(notes) == 3 and all("steps/score_asr.sh" in n and "asr_mimic/scoring" in n for n in notes[:2])


def test_json_and_kaldis_files_give_the_same_table(exp):
    before = table(systems(exp), SHORT)
    for folder in exp.glob("*/scoring/*"):
        write_scores(folder, read_scores(folder))
        for path in folder.iterdir():
            if path.name != "summary.json":
                path.unlink()
    rows, notes = table(systems(exp), SHORT)
    assert (rows, notes) == before


def test_what_is_not_there_at_all_names_the_stage_that_trains(tmp_path):
    rows, notes = table([System.parse(f"MSE={tmp_path}/enhance_mse,{tmp_path}/asr_mse")], SHORT)
    assert rows[1] == ["MSE", "-", "-", "-", "-"]
    assert ["steps/enhance.sh" in note for note in notes] == [True, True, False, False]
    assert all("run steps/train.sh and" in note for note in notes)


def test_all_na_is_na(exp):
    enhanced(exp / "enhance_broken", "NA", 0.5, na=10)
    rows, _ = table([System.parse(f"x={exp}/enhance_broken,")], SHORT)
    assert rows[1][1] == "NA (n=0, NA=10)"


def test_only_pairs_are_compared_and_what_has_no_interval_gets_no_verdict(exp):
    rows = systems(exp)
    assert [(a.name, b.name) for a, b in pairs_of(rows, [["noisy", "MSE"]])] == [
        ("noisy", "MSE"),
        ("MSE", "MSE + mimic"),
    ]
    with pytest.raises(UserError, match="--pair: no row 'mse', there are clean, noisy"):
        pairs_of(rows, [["noisy", "mse"]])
    *_, noisy, mse, mimic = rows
    assert str(verdicts(mse, mimic, SHORT)[0]) == "PESQ: MSE + mimic against MSE: +0.05, 3 seeds, without an interval"
    # noisy speech, without seeds, against the mean of all seeds
    assert str(verdicts(noisy, mse, SHORT)[0]) == "PESQ: MSE against noisy: +0.60, 3 seeds, without an interval"
    for name, values in (("mse", [1.0, 2.0, 3.0]), ("mimic", [1.5, 2.5, 3.5])):
        found = [Row(f"u{k}", {"wb-pesq": value}) for k, value in enumerate(values)]
        write_rows(exp / f"enhance_{name}/scoring/test/per_utt.tsv", found, ("wb-pesq",))
    one = [System.parse(f"{name}={exp}/enhance_{name}/,") for name in ("mse", "mimic")]
    (found,) = verdicts(*one, parse_columns("PESQ"))
    assert str(found) == "PESQ: mimic against mse: +0.50 [+0.50, +0.50], better (1 seed, 3 utterances)"
    assert found.record()["low"] == "+0.50" and found.record()["verdict"] == "better"


def test_scores_of_other_data_are_marked(exp):
    places = [exp / f"asr_{name}/scoring/test" for name in ("clean", "noisy", "mse")]
    for place, text in zip(places, ("a", "a", "b"), strict=True):
        (place / "data.json").write_text(json.dumps(asdict(Identity("data/test", 10, text))))
    rows, notes = table(systems(exp)[:3], SHORT)
    assert rows[3][4].endswith("(n=300) (other data)") and "other" not in rows[2][4]
    assert any(note.startswith("other data") and "MSE (test WER)" in note for note in notes)
    assert any(note.startswith("unknown data") for note in notes)


def test_published_values_stand_beside_the_measured_ones(exp, tmp_path):
    (tmp_path / "published.tsv").write_text(
        "# a source\nsystem\tPESQ\tdev WER\nnoisy\t1.97\t4.19\nMSE\t2.72\t-\nother\t3\t4\n"
    )
    rows, _ = table(systems(exp), SHORT, read_published(tmp_path / "published.tsv"))
    assert rows == [
        ["system", "PESQ [published] (n=10)", "eSTOI (n=10)", "dev WER [published] (n=200)", "test WER (n=300)"],
        ["clean", "-", "-", "2.50", "3.00"],
        ["noisy", "1.50 (n=8, NA=2) [1.97]", "60.00", "20.00 (n=200, NA=3) [4.19]", "30.00 (n=300, NA=3)"],
        ["MSE", "2.10 +- 0.10 [2.72]", "70.00 +- 0.00", "11.00 +- 1.00", "20.00 +- 0.00"],
        ["MSE + mimic", "2.15 +- 0.05", "70.00 +- 0.00", "-", "-"],
    ]


def test_directories_inside_one_of_the_system_have_seeds_too(exp):
    for seed, suffix in enumerate(SUFFIXES):
        recognised(exp / f"joint_mse{suffix}" / "recogniser", (20 + 2 * seed, 200), (60, 300))
        enhanced(exp / f"joint_mse{suffix}" / "enhancer", f"{2 + 0.1 * seed:.1f}", 0.7)
    rows = [f"x@{k}={exp}/joint_mse{s}/enhancer,{exp}/joint_mse{s}/recogniser" for k, s in enumerate(SUFFIXES, 1)]
    rows, _ = table(parse_systems(rows), SHORT)
    assert rows[1] == [
        "x",
        "2.10 +- 0.10 (n=10)",
        "70.00 +- 0.00 (n=10)",
        "11.00 +- 1.00 (n=200)",
        "20.00 +- 0.00 (n=300)",
    ]


def test_columns_are_chosen_by_their_titles():
    assert parse_columns("all") == COLUMNS and len({column.title for column in COLUMNS}) == len(COLUMNS)
    assert [column.title for column in parse_columns("test WER,PESQ")] == ["PESQ", "test WER"]
    with pytest.raises(UserError, match="no column 'POSQ', there are PESQ,eSTOI,"):
        parse_columns("PESQ,POSQ")


def test_a_measure_that_was_not_scored_is_named(exp):
    with pytest.raises(UserError, match="test: no score dnsmos-ovrl: score again with --measures all,dnsmos-ovrl$"):
        table(parse_systems([f"noisy={exp}/noisy,"]), parse_columns("DNSMOS"))


def test_the_published_values_fit_the_rows_of_the_table():
    rows = read_published(ROOT / "local/vbdemand/published.tsv")
    script = (ROOT / "local/run_table.sh").read_text()
    unpublished = {"mimic only", "fast", "fast + mimic"}
    assert set(rows) | unpublished == set(re.findall(r'^  \[\w+\]="([^=]+)=', script, re.MULTILINE)) and len(rows) == 11
    titles = {column.title for column in COLUMNS}
    for values in rows.values():
        assert set(values) <= titles and all(re.fullmatch(r"-|\d+(\.\d+)?", value) for value in values.values())
    # What was published as WER counts characters: it must not stand beside words.
    assert not any("WER" in title for values in rows.values() for title in values)


def test_layout():
    rows = [["a", "bb"], ["ccc", "d"]]
    assert aligned(rows) == "a    bb\nccc   d\n"
    assert markdown(rows) == "| a | bb |\n|---|---|\n| ccc | d |\n"


def test_rows_are_arguments():
    assert System.parse("MSE=a,b,c").fixed == Path("c") and System.parse("MSE=a,b").fixed is None
    for text in ("MSE", "MSE=exp/a", "=exp/a,exp/b", "MSE=a,b,c,d"):
        with pytest.raises(UserError, match="name=enhance_dir,asr_dir"):
            System.parse(text)
    with pytest.raises(UserError, match="row MSE, seed 2: given twice"):
        parse_systems(["MSE@2=a,b", "MSE@2=a,c"])


def test_the_record_lists_the_directories_of_all_seeds(exp):
    rows = systems(exp)
    lines = [line for system in rows for line in system.records(exp)]
    assert {"name": "MSE", "seed": "3", "enhance": "enhance_mse_seed3", "asr": "asr_mse_seed3"} in lines
    Record({"command": "x"}, [["system"]], systems=lines).write(exp / "RESULTS.json")
    assert read_systems(exp / "RESULTS.json") == rows
    clean, noisy, mse, mimic = Tree(exp, exp / "data").systems
    assert list(mse.dirs("asr")) == list(mimic.dirs("enhance")) == ["1", "2", "3"]
    assert list(noisy.dirs("asr")) == ["1"] and clean.enhance is None


def test_the_fixed_recogniser_has_a_column_of_its_own(exp):
    recognised(exp / "table/clean/mse", (1, 200), (75, 300))
    (row,) = parse_systems([f"MSE={exp}/enhance_mse,{exp}/asr_mse,{exp}/table/clean/mse"])
    rows, _ = table([row], parse_columns("test WER,fixed test WER"))
    assert rows[1] == ["MSE", "20.00 (n=300)", "25.00 (n=300)"]
    Record({"command": "x"}, [["system"]], systems=row.records(exp)).write(exp / "RESULTS.json")
    tree = Tree(exp, exp / "data")
    assert next(s for s in tree.systems if s.name == "mse").fixed == exp / "table/clean/mse"
    header, *_ = main_scores(tree)
    assert header[-1] == "fixed test WER"


def test_program_prints_and_writes_markdown(exp, tmp_path):
    env = os.environ | {"PYTHONPATH": str(ROOT / "pyscripts")}
    command = [sys.executable, str(ROOT / "pyscripts/score_table.py")]
    arguments = [f"noisy={exp}/noisy,{exp}/asr_noisy", *of_seeds(f"MSE={exp}/enhance_mse,{exp}/asr_mse")]
    arguments += ["--command", "./run.sh --seeds 3", "--output", str(exp / "RESULTS.md")]
    done = subprocess.run([*command, *arguments], env=env, capture_output=True, text=True, check=True)
    assert "MSE     2.10 +- 0.10 (n=10)" in done.stdout and "better than" not in done.stdout
    text = (exp / "RESULTS.md").read_text()
    assert "| MSE | 2.10 +- 0.10 (n=10) |" in text and "- command: `./run.sh --seeds 3`" in text
    assert (
        all(f"- {key}: " in text for key in ("commit", "machine", "date")) and "- seeds: noisy: 1; MSE: 1,2,3" in text
    )
    (exp / "published.tsv").write_text("system\tPESQ\nnoisy\t1.97\n")
    more = ["--published", str(exp / "published.tsv"), "--columns", "PESQ,test WER"]
    done = subprocess.run([*command, *arguments, *more], env=env, capture_output=True, text=True, check=True)
    assert re.search(r"noisy +1.50 \(n=8, NA=2\) \[1.97\]", done.stdout) and "published for VoiceBank" in done.stdout
    assert "| noisy | 1.50 (n=8, NA=2) [1.97] |" in (exp / "RESULTS.md").read_text()
    (exp / "asr_mse/scoring/dev/wer_1_0.0").write_text("")
    done = subprocess.run([*command, *arguments], env=env, capture_output=True, text=True)
    assert done.returncode == 1 and "no %WER line" in done.stderr and "Traceback" not in done.stderr


def test_commas_in_names_of_directories(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a,b/c").mkdir(parents=True)
    assert split_paths("a,b/c,a,b,x", ",") == ["a,b/c", "a,b", "x"]
    assert split_paths(",a,b/c", ",") == ["", "a,b/c"] and split_paths("x,y", ",") == ["x", "y"]
    assert System.parse("MSE=a,b/c,a,b").asr == Path("a,b")
