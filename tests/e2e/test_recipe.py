"""The undisturbed run of all stages: what it prints and leaves, what a rerun skips, and what changes make it redo."""

import json
import re
import shutil

import pytest
import soundfile
import yaml
from recipe import SIZES, difference, results

from mimic.io.tables import read_table

pytestmark = pytest.mark.xdist_group("recipe")

MODELS = ["perceptual", "enhance_mse", "enhance_mimic", "asr_clean", "asr_noisy", "asr_mse", "asr_mimic"]
ROWS = ["clean", "noisy", "MSE", "MSE + mimic"]


def redone(output: str) -> set[str]:
    """The directories that a run made or made again."""
    return set(re.findall(r"^(\S+): to do", output, re.MULTILINE))


def words(finished, name: str) -> int:
    return sum(len(text.split()) for text in read_table(finished.root / "data" / name / "text").values())


def test_the_table_has_four_rows_with_counts(finished):
    head, *rows = finished.output[finished.output.index("\nsystem ") + 1 :].splitlines()[:5]
    assert re.split(r"  +", head) == ["system", "PESQ", "eSTOI", "dev WER", "test WER", "fixed test WER"]
    cells = [re.split(r"  +", row) for row in rows]
    assert [row[0] for row in cells] == ROWS
    number = r"-?\d+\.\d\d"
    for name, *scores in cells:
        counts = [SIZES["test"], SIZES["test"], words(finished, "dev_clean"), *[words(finished, "test_clean")] * 2]
        for score, count in zip(scores, counts, strict=True):
            assert re.fullmatch(rf"{number} \(n={count}\)", score) or (name == "clean" and score == "-"), (name, score)
        assert (name == "clean") == (scores[:2] == ["-", "-"])
    *_, places, end = finished.output.splitlines()
    assert "scores: exp/*/scoring" in places and "exp/RESULTS.md" in places and "finished. [elapsed=" in end
    lines = (finished.root / "exp/RESULTS.md").read_text().splitlines()
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    assert table[1:] == cells


def test_what_kaldis_users_grep(finished):
    found = finished.call("bash", "-c", "grep WER exp/*/decode*/wer_*").splitlines()
    assert len(found) == 2 * 4
    line = r"exp/asr_(clean|noisy|mse|mimic)/decode_(dev|test)/wer_1_0\.0:%WER \d+\.\d\d \[ \d+ / (\d+), "
    line += r"\d+ ins, \d+ del, \d+ sub \]"
    for text in found:
        match = re.fullmatch(line, text)
        assert match and int(match[3]) == words(finished, f"{match[2]}_clean"), text


@pytest.mark.parametrize("name", MODELS)
def test_experiment_directories_hold_all_that_made_them(finished, name):
    folder = finished.root / "exp" / name
    for file in ("config.yaml", "run_info.json", "model.pt", "train_log.jsonl", "log/train.log", "run.sh", ".done"):
        assert (folder / file).stat().st_size, file
    assert (folder / "tokens.txt").exists() == (not name.startswith("enhance"))
    config = yaml.safe_load((folder / "config.yaml").read_text())
    epochs = [json.loads(line)["epoch"] for line in (folder / "train_log.jsonl").read_text().splitlines()]
    assert epochs == list(range(1, config["train"]["epochs"] + 1))
    info = json.loads((folder / "run_info.json").read_text())
    assert info["seed"] == 1 and info["packages"]["torch"] and info["command"][0] == "train.py"
    assert str(finished.root) not in (folder / "run.sh").read_text()  # in a copy it trains the copy
    assert finished.call(folder / "run.sh") == f"exp/{name} is done and unchanged: skipping\n"


@pytest.mark.parametrize("name", ["enhance_mse", "enhance_mimic"])
def test_the_dump_is_ordinary_data(finished, name):
    for kind in SIZES:
        noisy, enhanced = finished.root / f"data/{kind}_noisy", finished.root / f"exp/{name}/enhanced/{kind}"
        for table in ("text", "text.phn", "utt2spk", "spk2utt", "utt2dur", "utt2snr", "utt2noise"):
            assert (enhanced / table).read_bytes() == (noisy / table).read_bytes(), table
        frames = [read_table(path / "utt2num_frames") for path in (enhanced, finished.root / f"exp/fbank/{kind}_noisy")]
        assert frames[0] == frames[1]
        before = read_table(noisy / "wav.scp")
        for utt, path in read_table(enhanced / "wav.scp").items():
            path, clean = finished.root / path, finished.root / before[utt]
            made, source = soundfile.info(path), soundfile.info(clean)
            assert (made.frames, made.samplerate, made.channels) == (source.frames, 16000, 1), utt
            assert (soundfile.read(path)[0] != soundfile.read(clean)[0]).any(), utt
    assert "Successfully validated" in finished.call("steps/validate_data.sh", enhanced)


def test_a_rerun_skips_all_and_says_so(recipe):
    before = results(recipe.root / "exp") | results(recipe.root / "data")
    output = recipe.run()
    assert not redone(output), output
    done = sorted(path.parent for name in ("data", "exp") for path in (recipe.root / name).rglob(".done"))
    skipped = re.findall(r"^(\S+) is done and unchanged: skipping$", output, re.MULTILINE)
    assert sorted(recipe.root / name for name in skipped) == done and len(done) > 50, output
    assert not difference(results(recipe.root / "exp") | results(recipe.root / "data"), before)
    table = slice(recipe.output.index("\nsystem "), recipe.output.index("\nPESQ: wide"))
    assert recipe.output[table] in output


@pytest.mark.parametrize(
    ("stage", "name", "maker"),
    [
        (2, "data/train_clean", "local/*/prepare.sh or local/import_corpus.sh"),
        (3, "exp/stft/train_clean", "steps/make_feats.sh"),
        (4, "exp/perceptual", "steps/train.sh"),
        (5, "exp/enhance_mse", "steps/train.sh"),
        (5, "data/dev_noisy", "local/*/prepare.sh or local/import_corpus.sh"),
        (6, "exp/fbank/train_clean", "steps/make_feats.sh"),
        (6, "exp/enhance_mimic/enhanced/train", "steps/make_feats.sh"),
        (7, "exp/asr_clean/decode_dev", "steps/decode.sh"),
        (7, "exp/enhance_mse/enhanced/test", "steps/enhance.sh"),
    ],
)
def test_the_step_that_makes_what_is_missing_is_named(finished, stage, name, maker):
    words = ("--stage", str(stage), "--stop-stage", str(stage))
    step = re.escape(maker)
    with finished.without(name):
        output = finished.run(*words, code=1)
    missing = rf"{name}\S* is missing: run .*{step}|{name}: no such .*directory.*: {step}"
    assert re.search(missing, output) and "Traceback" not in output and not redone(output), output
    with finished.without(f"{name}/.done"):
        output = finished.run(*words, code=1)
    assert re.search(rf"{name} is incomplete: run .*{step}.* again", output), output
    assert not redone(output), output


def test_a_changed_configuration_redoes_what_depends_on_it(recipe):
    before = results(recipe.root / "exp")
    recipe.edit("tests/e2e/perceptual.yaml", lambda text: text.replace("epochs: 2", "epochs: 1"))
    output = recipe.run("--stage", "2", "--stop-stage", "4")
    assert redone(output) == {"exp/perceptual", "exp/enhance_mimic"}
    line = 'exp/perceptual: to do again, train.epochs was "2" and is "1"'
    assert f"{line}; what was here is in exp/perceptual.old" in output
    assert output.index(line) < output.index("stage 2")  # before any work, too
    after = results(recipe.root / "exp")
    for name in ("perceptual", "enhance_mimic"):
        assert difference(after[f"{name}/model.pt"], before[f"{name}/model.pt"])
    # What had been made of the old model is gone with it, and stage 6 does not take anything else instead.
    output = recipe.run("--stage", "6", "--stop-stage", "6", code=1)
    assert "exp/enhance_mimic/enhanced/train" in output and "steps/make_feats.sh" in output and not redone(output)


def test_a_changed_transcript_redoes_what_depends_on_it(recipe):
    for side in ("clean", "noisy"):
        recipe.edit(f"corpus/test_{side}/text", lambda text: re.sub(r" (\S+)\n", r" \1 \1\n", text, count=1))
    output = recipe.run("--stage", "1", "--stop-stage", "2")
    places = ("data", "exp/fbank")
    assert redone(output) == {"data/lang"} | {f"{place}/test_{side}" for place in places for side in ("clean", "noisy")}
    output = recipe.run("--stage", "6")
    assert redone(output) == {
        *(
            f"exp/{name}/{what}"
            for name in ("asr_clean", "asr_noisy", "table/clean/noisy")
            for what in ("decode_test", "scoring/test")
        ),
        *(f"exp/{name}/scoring/test" for name in ("noisy", "enhance_mse", "enhance_mimic")),
        "exp/report",
    }
    assert f"(n={words(recipe, 'test_clean')})" in output


def test_changed_code_starts_nothing_again(recipe):
    code = "pyscripts/mimic/nets/segan.py"
    recipe.edit(code, lambda text: f"{text}# changed\n")
    try:
        output = recipe.run()
    finally:
        recipe.edit(code, lambda text: text.removesuffix("# changed\n"))
    assert not redone(output), output


def test_comments_in_a_configuration_and_ways_of_working_start_nothing_again(recipe):
    recipe.edit("tests/e2e/perceptual.yaml", lambda text: f"# a comment\n{text}")
    assert not redone(recipe.run("--stage", "3", "--stop-stage", "4", "--num-threads", "1"))


@pytest.mark.parametrize("copy", ["copy", "move"])
def test_a_copy_elsewhere_is_as_good_as_the_original(recipe, copy):
    """Times of its own, nothing left of the original: nothing is made again, and the models work."""
    there, root = recipe.root.with_name("elsewhere"), recipe.root
    if copy == "copy":
        shutil.copytree(root, there, symlinks=True, copy_function=shutil.copyfile)
        for path in root.rglob("*"):
            if path.is_file() and not path.is_symlink():
                (there / path.relative_to(root)).chmod(path.stat().st_mode)
    else:
        shutil.copytree(root, there, symlinks=True)
    away = root.with_name("away")
    root.rename(away)
    recipe.root = there
    try:
        output = recipe.run()
        assert not redone(output), output
        recipe.call("steps/decode.sh", "exp/asr_clean", "exp/fbank/dev_clean", "exp/asr_clean/decode_again")
        tables = [path for name in ("data", "exp") for path in (there / name).rglob("*.scp")]
        assert not [path for path in tables if str(root) in path.read_text()]
    finally:
        recipe.root = root
        away.rename(root)
        shutil.rmtree(there)


def test_a_dry_run_says_what_would_be_made_again_and_why(recipe):
    before = sorted((path, path.stat().st_mtime_ns) for path in (recipe.root / "exp").rglob("*") if path.is_file())
    recipe.edit("tests/e2e/perceptual.yaml", lambda text: text.replace("epochs: 2", "epochs: 1"))
    output = recipe.run("--dry-run", "true")
    lines = dict(line.split(": ", 1) for line in output.splitlines())
    assert lines["exp/perceptual"] == 'to do again, train.epochs was "2" and is "1"'
    assert lines["exp/enhance_mimic"] == "to do again, input exp/perceptual is made before"
    assert lines["exp/asr_mimic/decode_test"].startswith("to do again")
    assert not any("mse" in name or "fbank" in name for name in lines), output
    assert before == sorted((p, p.stat().st_mtime_ns) for p in (recipe.root / "exp").rglob("*") if p.is_file())


def test_a_corpus_in_the_place_of_another_is_refused(recipe):
    output = recipe.call("./run.sh", "--stop-stage", "1", "--demo-hours", "0.01", code=1)
    assert "holds the output of local/import_corpus.sh: name another directory" in output and not redone(output)


def test_every_directory_says_what_it_is_made_from(finished):
    for path in (finished.root / "exp").rglob(".fingerprint"):
        lines = path.read_text().splitlines()
        assert lines[0].startswith('step "') and lines[1].startswith("version "), path
        assert any(line.startswith("input ") for line in lines) and str(finished.root) not in path.read_text(), path


def test_another_seed_stands_beside_the_first(recipe):
    output = recipe.run("--seeds", "2", "--stage", "4", "--stop-stage", "4")
    assert redone(output) == {"exp/enhance_mse_seed2", "exp/enhance_mimic_seed2"}
    found = results(recipe.root / "exp")
    for name in ("enhance_mse", "enhance_mimic"):
        assert yaml.safe_load((recipe.root / f"exp/{name}_seed2/config.yaml").read_text())["train"]["seed"] == 2
        assert difference(found[f"{name}/model.pt"], found[f"{name}_seed2/model.pt"])
