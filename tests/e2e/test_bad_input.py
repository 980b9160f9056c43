"""What a user can do wrong, as run.sh answers it: one line that says what and where, and code 1."""

import subprocess

import pytest
import soundfile
from recipe import difference, results

from mimic.io.tables import read_table

pytestmark = pytest.mark.xdist_group("recipe")


def stages(first: int, last: int) -> tuple[str, ...]:
    return ("--stage", str(first), "--stop-stage", str(last))


def error(output: str) -> str:
    """The one line that speaks of an error."""
    (line,) = {line.split("error: ")[1] for line in output.splitlines() if "error: " in line}
    assert "Traceback" not in output
    return line


@pytest.mark.parametrize(
    ("name", "stage", "made", "old", "new", "line"),
    [
        ("perceptual", 3, "perceptual", "channels:", "chanels:", "'chanels': did you mean channels?"),
        ("enhance", 4, "enhance_mse", "warmup:", "warm_up:", "'warm_up': did you mean warmup?"),
        ("asr", 6, "asr_clean", "decode:", "decoding:", "'decoding': did you mean decode"),
    ],
)
def test_an_unknown_key_names_the_nearest_and_costs_no_model(recipe, name, stage, made, old, new, line):
    file = f"tests/e2e/{name}.yaml"
    recipe.edit(file, lambda text: text.replace(old, new))
    output = error(recipe.run(*stages(stage, stage), code=1))
    assert output.startswith(f"{file}: ") and line in output
    recipe.edit(file, lambda text: text.replace(new, old))
    assert f"exp/{made} is done and unchanged" in recipe.run(*stages(stage, stage))


def test_settings_of_decoding_reach_the_search(recipe):
    output = recipe.run(*stages(6, 6), "--decode-options", "--decode.beeam 3", code=1)
    assert "unknown name 'beeam': did you mean beam?" in output and ": to do" not in output


def test_a_pipe_runs_only_when_allowed(recipe):
    before = results(recipe.root / "data/dev_clean")
    utt, path = next(iter(read_table(recipe.root / "corpus/dev_clean/wav.scp").items()))
    recipe.edit("corpus/dev_clean/wav.scp", lambda text: text.replace(path, f"cat {path} |"))
    output = error(recipe.run(*stages(1, 1), code=1))
    assert output.startswith(f"corpus/dev_clean/wav.scp: {utt}: ") and "--allow-pipes true" in output
    recipe.run(*stages(1, 1), "--allow-pipes", "true")
    after = results(recipe.root / "data/dev_clean")
    assert not difference({n: after[n] for n in ("text", "utt2dur")}, {n: before[n] for n in ("text", "utt2dur")})


def test_lengths_that_differ_name_the_utterance(recipe):
    utt, path = next(iter(read_table(recipe.root / "corpus/dev_noisy/wav.scp").items()))
    path = recipe.root / path
    samples, rate = soundfile.read(path, dtype="int16")
    soundfile.write(path, samples[:-100], rate)
    output = error(recipe.run(*stages(1, 1), code=1))
    assert f"{utt}: clean has {len(samples)} samples" in output and f"noisy {len(samples) - 100}" in output
    recipe.run(*stages(1, 1), "--max-skip", "0.2")
    for side in ("clean", "noisy"):
        assert utt not in read_table(recipe.root / f"data/dev_{side}/text")
        assert utt in (recipe.root / f"data/dev_{side}/skipped.tsv").read_text()


def test_a_word_that_is_not_in_the_lexicon(recipe):
    utt, text = next(iter(read_table(recipe.root / "corpus/dev_clean/text").items()))
    for side in ("clean", "noisy"):
        recipe.edit(f"corpus/dev_{side}/text", lambda table: table.replace(text, "SOMETHING BLATANT", 1))
    output = error(recipe.run(*stages(1, 1), code=1))
    assert "BLATANT" in output and utt in output and "--oov-policy g2p" in output
    recipe.run(*stages(1, 1), "--oov-policy", "skip", "--max-skip", "0.2")
    assert utt not in read_table(recipe.root / "data/dev_noisy/text")
    recipe.run(*stages(1, 1), "--oov-policy", "g2p")
    assert len(read_table(recipe.root / "data/dev_noisy/text.phn")[utt].split()) > 6


@pytest.mark.parametrize(("stage", "name", "maker"), [(5, "enhance_mse", 4), (6, "asr_clean", 6)])
def test_a_missing_model_is_named_and_made_again(recipe, stage, name, maker):
    before = results(recipe.root / "exp" / name)
    recipe.remove(f"exp/{name}/model.pt")
    if stage != maker:
        output = recipe.run(*stages(stage, stage), code=1)
        assert f"exp/{name}/model.pt is missing: run steps/train.sh " in output
    output = recipe.run(*stages(maker, maker))
    assert f"exp/{name}: to do, model.pt is gone" in output
    assert not difference(results(recipe.root / "exp" / name), before)


@pytest.fixture
def disk(recipe):
    """exp on a file system of its own; disk(space) leaves so many KiB free."""
    exp = recipe.root / "exp"
    recipe.remove("exp")
    exp.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m", "none", exp], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")

    def leave(space: int) -> None:
        used = int(subprocess.check_output(["df", "-k", "--output=used", exp], text=True).split()[-1])
        subprocess.run(["mount", "-o", f"remount,size={used + space}k", exp], check=True)

    try:
        subprocess.run(["cp", "-a", f"{recipe.saved}/exp/.", exp], check=True)
        yield leave
    finally:
        subprocess.run(["umount", exp], check=True)


@pytest.mark.parametrize(("stage", "name"), [(2, "stft/train_noisy"), (3, "perceptual"), (5, "enhance_mse/wav/test")])
def test_a_full_disk_is_named_and_the_work_resumes_where_there_is_space(recipe, disk, stage, name):
    exp = recipe.root / "exp"
    before = results(exp / name)
    recipe.remove(f"exp/{name}")
    disk(120)
    output = recipe.run(*stages(stage, stage), code=1)
    assert "disk full: free space in" in output and str(exp) in output and "Traceback" not in output
    assert not (exp / name / ".done").exists()
    disk(100_000)
    recipe.run(*stages(stage, stage))
    assert not difference(results(exp / name), before)


def test_a_start_from_something_else_than_a_recogniser(recipe):
    output = recipe.run(*stages(6, 6), "--init", "exp/enhance_mse", code=1)
    assert "--data.init exp/enhance_mse was trained as task enhance, not asr: give a recogniser" in output
    assert "exp/asr_clean is done and unchanged" in recipe.run(*stages(6, 6))
