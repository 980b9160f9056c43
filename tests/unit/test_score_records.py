"""RESULTS.md is what the records and the template make; ./RESULTS prints the best lines of exp/."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from data_maker import ROOT
from records import PAGES
from test_score_compare import recognised, texts

from mimic.errors import UserError
from mimic.metrics.identity import Identity
from mimic.metrics.kaldi_files import INNER
from mimic.metrics.scores import read_scores, write_scores
from mimic.reporting.page_plots import by_level
from mimic.reporting.records import Record, facts, read_record
from mimic.reporting.results_page import Page, render_folder, verdict
from mimic.reporting.score_table import parse_columns, parse_systems, table
from mimic.reporting.study import choices, read_study

PROGRAM = [sys.executable, str(ROOT / "pyscripts/records.py")]


@pytest.mark.parametrize("folder", ["results", "benchmarks"])
def test_pages_and_plots_are_what_the_renderer_makes(folder):
    pages = {name: ROOT / page for name, page in PAGES[Path(folder)].items()}
    made = render_folder(ROOT / folder, pages, ROOT / "docs/figures")
    for path, text in made.items():
        assert text == path.read_text(encoding="utf-8"), "run pyscripts/records.py render"
    shown = "".join(made[page] for page in pages.values())
    assert all(len(made[page].splitlines()) <= 200 for page in pages.values())
    files = [path for path in (ROOT / folder).glob("**/*.json") if ".venv" not in path.parts]
    names = {path.stem: read_record(path) for path in files}
    for name, record in names.items():  # each figure has its record, and RESULTS.md its command and commit
        assert name in shown and record.facts["command"].startswith("`") and record.facts["commit"]
        assert folder == "benchmarks" or f"{record.facts['command']} (commit {record.facts['commit']})" in shown


def page_of(template: str, **records: Record) -> str:
    return Page(records, "results", "figures").render(template)


def test_a_record_survives_and_places_must_match(tmp_path):
    table = Record(facts("./run.sh", "MSE: 1,2"), [["system", "PESQ"], ["MSE", "2.1"]], notes=["n: utterances"])
    table.write(tmp_path / "t.json")
    assert read_record(tmp_path / "t.json") == table
    page = page_of("# Results\n\n{{ table t: PESQ }}\n\nprose\n", t=table)
    assert page == "# Results\n\n| system | PESQ |\n|---|---|\n| MSE | 2.1 |\n\nprose\n"
    assert "- seeds: MSE: 1,2\n- machine: " in table.markdown() and "Python 3." in table.markdown()
    with pytest.raises(UserError, match="no results/u.json"):
        page_of("{{ table t: PESQ }}\n{{ reproduce u }}\n", t=table)
    with pytest.raises(UserError, match="results/t.json has no place"):
        page_of("prose\n", t=table)
    with pytest.raises(UserError, match="not a directive"):
        page_of("{{ tables t: PESQ }}\n", t=table)
    for text in (
        "{",
        "[]",
        '{"facts": {}, "rows": [["a"]]}',
        '{"facts": {"command": "x", "commit": "y"}}',
        '{"fact": 1}',
    ):
        (tmp_path / "t.json").write_text(text)
        with pytest.raises(UserError, match="t.json"):
            read_record(tmp_path / "t.json")


def test_a_figure_that_misses_its_target_is_marked():
    speed = Record({"command": "`x`", "commit": "y"}, text="x", ratios={"a": "1.55", "b": "0.1"})
    shown = page_of("{{ s.a >= 1.5 }}, {{ s.a >= 2 }}, {{ s.b <= 0.1 }}, {{ s.b <= 0.05 }}, {{ t.c >= 1 }}", s=speed)
    assert shown == "1.55, 1.55 **target 2**, 0.1, 0.1 **target 0.05**, no record (target 1)"
    assert page_of("{{ s.c >= 1 }}", s=speed) == "no record (target 1)"


def test_each_benchmark_is_run_and_has_its_place():
    lines = (ROOT / "benchmarks/run.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    assert all(len(row) == 5 for row in rows)
    named = set(re.findall(r"{{ (?:\w+ )?([\w-]+)[.} ]", (ROOT / "benchmarks/template.md").read_text()))
    prints = re.compile(r'print\(f"(\\n)?ratio ')
    programs = {path.name for path in (ROOT / "benchmarks").glob("*.py") if prints.search(path.read_text())}
    assert all(os.access(ROOT / "benchmarks" / name, os.X_OK) for name in programs)
    assert {row[1] for row in rows} == programs - {"streaming.py"}  # which needs graphs and a package that a user names
    assert named - {"enhancers"} == {row[0] for row in rows}


def test_bold_is_only_what_an_interval_decides():
    pair = {"a": "MSE", "b": "MSE + mimic", "difference": "+0.1"}
    comparisons = [pair | {"column": "PESQ", "low": "+0.05", "high": "+0.15"}]
    comparisons += [pair | {"column": "test WER", "low": "-0.10", "high": "+0.20"}]
    rows = [["system", "PESQ (n=9)", "test WER"], ["MSE", "1.5", "9.0"], ["MSE + mimic", "1.6 +- 0.1", "9.1 (n=3)"]]
    record = Record({"command": "`x`", "commit": "y"}, rows, comparisons=comparisons)
    page = page_of("{{ table t: PESQ; test WER }}\n{{ not_better t }}\n", t=record)
    assert "| MSE + mimic | **1.6 +- 0.1** | 9.1 |" in page and "| MSE | 1.5 | 9.0 |" in page
    assert page.endswith("| MSE -> MSE + mimic | test WER | +0.1 [-0.10, +0.20] | undecided | t |\n")
    other = replace(record, rows=[rows[0], rows[2]], comparisons=[comparisons[0], comparisons[1] | {"high": "-0.05"}])
    other.comparisons.append(other.comparisons[1] | {"a": "noisy", "difference": "+9"})
    effects = page_of("{{ effects t u: test WER; test WER as multi }}\n", t=record, u=other)
    assert "| system | test WER | multi |" in effects and "| MSE | 9.0 |  |" in effects
    assert "| MSE + mimic | 9.1 (+0.1 [-0.10, +0.20]) | 9.1 (**+0.1 [-0.10, -0.05]**) |" in effects
    assert verdict(pair | {"column": "test WER", "low": "0.1", "high": "0.2"}) == "worse"  # less is better
    assert page_of("{{ printed t }}\n", t=Record(record.facts, text="| a |\n|---|\n")) == "| a |\n|---|\n"
    table = "| r | WER | verdict |\n|---|---|---|\n| e | 9 | helps |\n\n"
    judged = Record(record.facts, text=f"about\n\n## r\n\n{table}| r, WER on dev |\n|---|\n\nr: helps\n")
    assert page_of("{{ verdicts t }}\n", t=judged) == f"{table}- r: helps\n"
    assert page_of("{{ not_better t }}\n", t=Record(record.facts, rows)).startswith("No paired comparison is recorded")


def test_a_plot_has_a_pair_for_each_seed():
    pair = {
        "a": "MSE",
        "b": "MSE + mimic",
        "column": "test WER",
        "difference": "-1.50",
        "low": "-2.00",
        "high": "-1.00",
    }
    seeds = {"MSE": {"1": "9.00 [8.00, 10.00]", "2": "8.00 [7.00, 9.00]"}}
    seeds["MSE + mimic"] = {"1": "7.00 [6.00, 8.00]", "2": "7.00 [6.00, 8.00]", "3": "1.00 [0.00, 2.00]"}
    by_seed = {row: {"test WER": cells} for row, cells in seeds.items()}
    record = Record({"command": "`x`", "commit": "y"}, [["system"]], comparisons=[pair], by_seed=by_seed)
    record = replace(record, comparisons=[pair | {"verdict": "better"}])
    page = Page({"ten": record}, "results", "figures")
    text = page.render("{{ seeds ten: test WER }}\n")
    title = "test WER, %: MSE + mimic against MSE -1.50 [-2.00, -1.00], 2 seeds, better"
    assert text == f"![{title}](figures/ten_test_WER.svg)\n" and page.plots["ten_test_WER.svg"].count("<circle") == 6
    with pytest.raises(UserError, match="has no dev WER with and without mimic by seed"):
        page.render("{{ seeds ten: dev WER }}\n")


def test_error_rates_against_snr_of_a_test_set():
    head = ["system", "snr clean", "snr_A -5", "snr_A clean", "snr_B -5"]
    rows = [head, ["multi", "1.0 [0.5, 1.5]", "40.0 [35.0, 45.0]", "1.0 [0.5, 1.5]", ""]]
    page = Page({"digits": Record({"command": "`x`", "commit": "y"}, rows)}, "results", "figures")
    assert page.render("{{ snr digits snr_A: multi }}\n") == "![WER against SNR](figures/digits_snr_A.svg)\n"
    assert ">-5</text>" in page.plots["digits_snr_A.svg"] and page.plots["digits_snr_A.svg"].count("<circle") == 3
    for directive, message in (("snr digits snr_C: multi", "no column snr_C"), ("snr digits: GMM", "no row GMM")):
        with pytest.raises(UserError, match=message):
            page.render(f"{{{{ {directive} }}}}\n")


@pytest.mark.parametrize("top", [0.0, 3.0, 99.0, 450.0, 12345.0])
def test_error_rates_of_any_size_fit_into_the_plot(top):
    svg = by_level(["0", "10"], {"a": [(top / 2, 0, top), None]})
    ticks = [int(tick) for tick in re.findall(r'text-anchor="end">(\d+)<', svg)]
    assert ticks[0] == 0 and ticks[-1] > top and 2 <= len(ticks) <= 8


def test_what_mimic_loss_does_in_each_condition():
    def compared(column: str, low: str, high: str) -> dict[str, str]:
        figures = {"difference": "-2.00", "low": low, "high": high}
        return {"column": column, "a": "MSE", "b": "MSE + mimic"} | figures

    rows = [["system", "snr 0"], ["MSE", "1 [1, 1]"]]
    known = {"command": "`x`", "commit": "y"}
    clean = Record(
        known, rows, comparisons=[compared("snr 0", "-3.00", "-1.00"), compared("snr_A 0", "-3.00", "-1.00")]
    )
    other = Record(
        known, rows, comparisons=[compared("snr 0", "-3.00", "+1.00"), compared("noise rain", "-5.00", "+1.00")]
    )
    page = Page({"by": clean, "by_other": other}, "results", "figures")
    lines = page.render("{{ by_condition by by_other: MSE + mimic; clean speech; other }}\n").splitlines()
    assert lines[0] == "| condition | clean speech | other |"
    assert lines[2:] == [
        "| snr 0 | **-2.00 [-3.00, -1.00]** | -2.00 [-3.00, +1.00] |",
        "| noise rain |  | -2.00 [-5.00, +1.00] |",
    ]
    with pytest.raises(UserError, match="compares nothing with ResNet"):
        page.render("{{ by_condition by by_other: ResNet; a; b }}\n")


def test_a_study_says_what_was_chosen_and_by_which_figure(tmp_path):
    for name, errors in {"mse": 0.4, "cnn_1": 0.3, "dnn_1": 0.1}.items():
        recognised(tmp_path / name, texts(len(name), errors))
        (tmp_path / name / "scoring/test").rename(tmp_path / name / "scoring/dev")
    (tmp_path / "study.tsv").write_text(
        "# comment\nmse --loss.mimic_weight 0\nperceptual_x --model.rnn_units 9\n[layer]\n"
        "cnn_1   --loss.mimic_weight 1\ndnn_1\t--loss.mimic_layer dnn\n[other]\nabsent --x 1\n"
    )
    study = read_study(tmp_path / "study.tsv")
    assert study.settings["dnn_1"] == "--loss.mimic_layer dnn" and study.questions == {
        "layer": ["cnn_1", "dnn_1"],
        "other": ["absent"],
    }
    systems = parse_systems([f"{name}=,{tmp_path / name}" for name in ("mse", "cnn_1", "dnn_1")])
    columns = parse_columns("dev WER")
    (choice,) = choices(study, systems, columns)  # a question that has no scores has no answer
    rows, _ = table(systems, columns)
    assert choice["choice"] == "dnn_1" and choice["of"] == "mse, cnn_1, dnn_1" and choice["figure"] in rows[3][1]
    record = Record({"command": "`x`", "commit": "y"}, rows, settings=study.settings, choices=[choice])
    page = page_of("{{ study study study_real }}\n", study=record)
    assert "| layer | dnn_1 | `--loss.mimic_layer dnn` | " in page and "| cnn_1 | `--loss.mimic_weight 1` | " in page
    # a recogniser that mimic loss has not met chooses, where there is one
    for name in ("mse", "cnn_1", "dnn_1"):
        recognised(tmp_path / f"{name}_by_other", texts(3, {"mse": 0.4, "cnn_1": 0.1, "dnn_1": 0.5}[name]))
        (tmp_path / f"{name}_by_other/scoring/test").rename(tmp_path / f"{name}_by_other/scoring/dev")
    judged = parse_systems([f"{s.name}=,{s.asr},{s.asr}_by_other" for s in systems])
    (choice,) = choices(study, judged, parse_columns("dev WER,foreign dev WER"))
    assert choice["choice"] == "cnn_1" and choice["by"] == "foreign dev WER"
    assert page_of("{{ study study }}\n") == "No study is recorded.\n"
    (tmp_path / "study.tsv").write_text("# nothing\n")
    with pytest.raises(UserError, match="no line NAME SETTING"):
        read_study(tmp_path / "study.tsv")


def records(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess:
    env = os.environ | {"PYTHONPATH": str(ROOT / "pyscripts")}
    return subprocess.run([*PROGRAM, *map(str, arguments)], cwd=folder, env=env, capture_output=True, text=True)


def test_program_keeps_what_a_benchmark_prints(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results/template.md").write_text("# Results\n\n{{ speed.last }}, {{ speed.x }}\n")
    done = records(tmp_path, "run", "speed", sys.executable, "-c", "print('ratio x 2.00')")
    assert done.returncode == 0 and done.stdout == "ratio x 2.00\n", done.stderr
    page = (tmp_path / "RESULTS.md").read_text()
    assert page == "# Results\n\nratio x 2.00, 2.00\n"
    assert "print(" in read_record(tmp_path / "results/speed.json").facts["command"]
    assert records(tmp_path, "render").returncode == 0 and (tmp_path / "RESULTS.md").read_text() == page
    done = records(tmp_path, "run", "speed", "false")
    assert done.returncode == 1 and "failed with code 1: nothing is recorded" in done.stderr
    assert json.loads((tmp_path / "results/speed.json").read_text())["text"] == "ratio x 2.00\n"


@pytest.fixture
def checkout(tmp_path) -> Path:
    """./RESULTS beside an exp/ of two recognisers and one enhancer."""
    shutil.copy(ROOT / "RESULTS", tmp_path)
    for name in ("path.sh", "pyscripts", "steps", ".venv"):
        (tmp_path / name).symlink_to(ROOT / name)
    recognised(tmp_path / "exp/asr_mse", texts(1, 0.3)), recognised(tmp_path / "exp/asr_mimic", texts(2, 0.1))
    (tmp_path / "exp/enhance_mse/scoring/test").mkdir(parents=True)
    (tmp_path / "exp/enhance_mse/scoring/test/summary.tsv").write_text(
        "# at 16000 Hz\nmeasure\tmean\tci95min\tci95max\tn\tna\nwb-pesq\t2.1000\t2.0000\t2.2000\t118\t2\n"
    )
    return tmp_path


def printed(checkout: Path, *arguments: str) -> list[str]:
    done = subprocess.run([checkout / "RESULTS", *arguments], cwd="/", capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_results_prints_the_best_lines(checkout):
    wer, other, cer, _, pesq = printed(checkout)
    line = (checkout / "exp/asr_mimic/decode_test/wer_1_0.0").read_text().splitlines()[0]
    assert wer == f"{line} exp/asr_mimic/decode_test/wer_1_0.0" and "asr_mse" in other and cer.endswith("/cer_1_0.0")
    assert pesq == "wb-pesq   2.1000 [ 2.0000, 2.2000 ] n=118 NA=2 exp/enhance_mse/scoring/test"
    # Where a decoding has several weights, as Kaldi's have, the best one is printed.
    decode = checkout / "exp/asr_mimic/decode_test"
    better = (decode / "wer_1_0.0").read_text().replace(line.split()[1], "1.07", 1)
    (decode / "wer_9_0.5").write_text(better)
    assert printed(checkout, "asr_mimic")[0] == f"{better.splitlines()[0]} exp/asr_mimic/decode_test/wer_9_0.5"
    assert printed(checkout, "enhance") == [pesq]
    nothing = subprocess.run([checkout / "RESULTS", "nosuch"], cwd="/", capture_output=True, text=True)
    assert nothing.returncode == 1 and "exp: no scores in directories that 'nosuch' finds" in nothing.stderr
    # Of our own scoring, the JSON says it: Kaldi's files are not read.
    scores = read_scores(checkout / "exp/asr_mse/scoring/test")
    write_scores(checkout / "exp/asr_mse/decode_test/scoring_kaldi", replace(scores, weights="7_0.5"))
    (checkout / "exp/asr_mse/decode_test/wer_1_0.0").write_text("")
    assert printed(checkout, "asr_mse")[0] == other.replace("1_0.0", "7_0.5")


def test_results_equals_kaldis_loop(checkout):
    utils = Path(os.environ.get("KALDI_ROOT", "/nonexistent")) / "egs/wsj/s5/utils"
    if not utils.is_dir():
        pytest.skip("KALDI_ROOT names no Kaldi checkout with egs/wsj/s5/utils")
    (checkout / "utils").symlink_to(utils)
    for unit in ("wer", "cer"):
        line = f"for x in exp/*/decode*; do [ -d $x ] && grep WER $x/{unit}_* | utils/best_wer.sh; done"
        done = subprocess.run(["bash", "-c", line], cwd=checkout, capture_output=True, text=True, check=True)
        printed_lines = [line for line in printed(checkout) if f"/{unit}_" in line]
        assert done.stdout.splitlines() == printed_lines
    one = checkout / "exp/asr_mse/decode_test/scoring_kaldi/best_wer"
    assert [*one.read_text().split()[:-1], "exp/asr_mse/decode_test/wer_1_0.0"] == printed(checkout, "asr_mse")[
        0
    ].split()


def test_results_marks_scores_of_other_data(checkout):
    scores = replace(read_scores(checkout / "exp/asr_mse/scoring/test"), weights="1_0.0")
    for name, text in (("asr_mse", "a"), ("asr_mimic", "a"), ("asr_old", "b")):
        (checkout / f"exp/{name}/decode_test" / INNER).mkdir(parents=True, exist_ok=True)
        write_scores(checkout / f"exp/{name}/decode_test" / INNER, replace(scores, data=Identity("data", 40, text)))
    lines = printed(checkout, "asr_")
    marked = [line for line in lines if line.endswith(" (other data)")]
    assert [line.split()[-3] for line in marked] == [f"exp/asr_old/decode_test/{unit}_1_0.0" for unit in ("wer", "cer")]
    assert len(lines) == 6
