"""README and docs/: what they link, name and show is there and works."""

import json
import os
import re
import runpy
import shutil
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
from data_maker import LEXICON, ROOT, UTTS, make_corpus, make_dir, tone
from model_maker import make_enhancer, make_features, make_recogniser, make_shipped

pytestmark = pytest.mark.xdist_group("documents")  # all share one directory
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = [p for p in PAGES if p.name not in ("RESULTS.md", "CHANGELOG.md")]
FENCE = re.compile(r"(?:<!-- no-run: (?P<reason>[^\n]+?) -->\n)?```(?P<lang>\w*)\n(?P<code>.*?)^```$", re.M | re.S)
IN_CODE = re.compile(r"```.*?^```$", re.M | re.S)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(path: Path, lang: str) -> list[tuple[str, str | None]]:
    """(code, why it is not run) of the fenced blocks in this language."""
    return [(b["code"], b["reason"]) for b in FENCE.finditer(path.read_text()) if b["lang"] == lang]


@cache
def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and mkdocs make them."""
    heads = re.findall(r"^#+ (.*)$", IN_CODE.sub("", path.read_text()), re.M)
    return {
        re.sub(r"[^\w -]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", head.lower())).replace(" ", "-") for head in heads
    }


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_no_link_is_dead(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", IN_CODE.sub("", page.read_text())):
        if re.match(r"https?:|mailto:", target):
            continue
        name, _, anchor = target.partition("#")
        found = (page.parent / name).resolve() if name else page
        assert found.exists(), f"{named(page)}: {target}"
        assert not anchor or anchor in anchors(found), f"{named(page)}: {target}: no such heading"


def test_each_page_is_in_the_site():
    nav = (ROOT / "mkdocs.yml").read_text()
    assert sorted(re.findall(r"(\w+\.md)$", nav, re.M)) == sorted(p.name for p in PAGES if p.parent == ROOT / "docs")


def test_the_readme_is_short_and_begins_with_the_two_commands():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 130
    first = FENCE.search(text)["code"].splitlines()
    assert [line.split()[0] for line in first] == ["./run.sh", "tests/run.sh"]


def test_tables_of_settings_are_those_of_the_dataclasses():
    made = runpy.run_path(str(ROOT / "docs/make_configuration.py"))
    committed = made["PAGE"].read_text().partition(made["MARK"])[2]
    assert committed.strip() == made["page"]().strip(), "call docs/make_configuration.py"


def test_the_readme_has_the_scores_of_the_record():
    header, *rows = json.loads((ROOT / "results/demo.json").read_text())["rows"]
    text = (ROOT / "README.md").read_text().replace("**", "")
    for row in rows:
        cells = [re.sub(r" \(n=\d+\)", "", cell).replace("+-", "±") for cell in row]
        assert f"| {' | '.join(cells)} |" in text
    assert f"| {' | '.join(header)} |" in text


@pytest.mark.parametrize("page", COMMANDS, ids=named)
def test_files_that_are_named_exist(page):
    names = re.findall(
        r"(?<![\w/.{*<-])((?:steps|local|conf|pyscripts|tests|benchmarks|docs)/[\w./-]+\.(?:sh|py|yaml|conf|tsv|md))(?![\w*{<])",
        page.read_text(),
    )
    new = re.compile(r"NAME|/my_|/x\.|verb\.|^local/path\.sh$")  # what readers write themselves
    missing = {name for name in names if not (ROOT / name).exists() and not new.search(name)}
    assert not missing, f"{named(page)}: {sorted(missing)}"


@cache
def options_of(script: str) -> set[str]:
    """The options of a step, recipe or program, by its own list or, of a program, by the words in its code."""
    path = ROOT / script
    if path.suffix == ".py":
        return set(re.findall(r'"(--[a-z][\w-]+)"', path.read_text()))
    listed = subprocess.check_output(["bash", ROOT / "steps/lib/list_options.sh", path], text=True, cwd=ROOT)
    program = ROOT / "pyscripts" / f"{path.stem}.py"
    own = options_of(str(program.relative_to(ROOT))) if program.exists() else set()
    return own | set(re.findall(r"^  (--[\w-]+)", listed, re.M)) | {"--help", "--config", "--cmd"}


@cache
def settings() -> set[str]:
    """`--section.key` of all tasks."""
    made = runpy.run_path(str(ROOT / "docs/make_configuration.py"))
    sections = [("train", made["TrainConfig"])]
    for name in made["TASKS"]:
        nets = made["NETS"][name].values()
        sections += [*made["TASKS"][name].SECTIONS.items(), *(("model", sizes) for _, sizes in nets)]
    return {f"--{name}.{key}" for name, section in sections for key in made["hints"](section)}


@pytest.mark.parametrize("page", COMMANDS, ids=named)
def test_options_that_are_named_exist(page):
    for code, _ in blocks(page, "bash"):
        for line in code.replace("\\\n", " ").splitlines():
            for command in re.split(r"[|;]|&&", re.sub(r"(^|\s)#.*", "", line)):
                script = re.search(
                    r"(?<!\S)(?:\./)?((?:(?:steps|local|pyscripts|tests)/)?[\w/]+\.(?:sh|py))(?!\S)", command
                )
                if not script or not (ROOT / script[1]).exists():
                    continue
                for option in re.findall(
                    r"(?<!\S)(--[a-z][\w.-]*)", re.sub(r"'[^']*'|\"[^\"]*\"", "x", command[script.end() :])
                ):
                    known = settings() if "." in option else options_of(script[1])
                    assert option in known, f"{named(page)}: {script[1]} has no {option}: {command.strip()}"
    for option in re.findall(r"`(--[a-z]\w*\.\w+)", page.read_text()):
        assert option in settings() or option.endswith(".key"), f"{named(page)}: {option} is not a setting"


def test_the_table_of_features_names_options_and_settings_that_exist():
    text = (ROOT / "docs/feature_table.md").read_text()
    sections = {name.partition(".")[0][2:] for name in settings()}
    assert len(re.findall(r"^\| [PFMTEI]\d+ \|", text, re.M)) == 70
    for code in re.findall(r"`([^`]+)`", text):
        script = re.match(r"(?:\./)?((?:(?:steps|local|pyscripts)/)?[\w/]+\.(?:sh|py))(?=\s)", code)
        for option in re.findall(r"(?<!\S)(--[a-z][\w-]*)", re.sub(r"'[^']*'", "x", code)) if script else ():
            assert option in options_of(script[1]), f"{script[1]} has no {option}"
        for name in re.findall(r"(?<![\w/.])([a-z_]+\.[a-z_0-9]+)(?=[\s=]|$)", code):
            assert name.partition(".")[0] not in sections or f"--{name}" in settings(), f"{name} is not a setting"


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """A copy of the recipe with a small corpus and small models under the names that the documents use."""
    root = tmp_path_factory.mktemp("documents") / "mimic"
    root.mkdir()
    for name in ("run.sh", "path.sh", "cmd.sh", "RESULTS"):
        shutil.copy(ROOT / name, root)
    for name in ("steps", "local", "conf", "pyscripts"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    (root / ".venv").symlink_to((ROOT / ".venv").resolve())
    (root / "local/path.sh").write_text(f'PATH={ROOT / "tests/forks"}:${{PATH//"{ROOT / "tests/forks"}:"/}}\n')
    make_corpus(root / "mine", ("train", "dev", "test"))
    make_dir(root / "mine/dev_clean_renamed", utts=[f"q{utt[1:]}" for utt in UTTS])
    for folder, level in (("noises", 0.1), ("recordings", 0.3)):
        (root / folder).mkdir()
        for i in range(2):
            noise = level * np.random.default_rng(i).uniform(-1, 1, 16000)
            soundfile.write(root / folder / f"hum-{i}.wav", noise + tone(1.0, seed=i) / 3, 16000)
    soundfile.write(root / "talk.flac", tone(1.0), 16000)
    (root / "lexicon.txt").write_text(LEXICON)
    (root / "sentences.txt").write_text("ONE TWO\nTWO THREE FOUR\nFIVE ONE TWO\n" * 20)
    make_enhancer(root / "exp/enhance_mimic", "causal")
    make_shipped(root / "pretrained")
    for name in ("clean", "mimic"):
        make_recogniser(root / f"exp/asr_{name}")
    make_features(root / "exp/fbank/dev_clean", 2)
    (root / "exp/fbank/dev_clean/utt2spk").write_text("utt0 p1\nutt1 p2\n")
    (root / "exp/fbank/dev_clean/spk2utt").write_text("p1 utt0\np2 utt1\n")
    return root


RUN = [(p, code) for p in COMMANDS for code, reason in blocks(p, "bash") if not reason]


@pytest.mark.parametrize(("page", "code"), RUN, ids=[f"{named(p)}-{i}" for i, (p, _) in enumerate(RUN)])
def test_shell_blocks_run(clone, page, code):
    drop = ("MIMIC_RUN_PID", "CUDA_VISIBLE_DEVICES", "PYTHONPATH")
    environment = {k: v for k, v in os.environ.items() if k not in drop} | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code],
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,  # only so that a hang ends
    )
    assert done.returncode == 0, done.stdout + done.stderr


PYTHON = [(p, code) for p in COMMANDS for code, reason in blocks(p, "python") if not reason]


@pytest.mark.parametrize(("page", "code"), PYTHON, ids=[f"{named(p)}-{i}" for i, (p, _) in enumerate(PYTHON)])
def test_python_blocks_run(clone, monkeypatch, page, code):
    monkeypatch.chdir(clone)
    monkeypatch.setattr("mimic.models.FOLDER", clone / "pretrained")
    exec(compile(code, named(page), "exec"), {})


def test_an_utterance_is_followed_through_sixty_files():
    table = (ROOT / "docs/utterance.md").read_text().partition("What runs")[0]
    names = re.findall(r"`([\w/]+\.(?:sh|py|yaml))`", table)
    places = (ROOT, ROOT / "pyscripts", ROOT / "pyscripts/mimic")
    assert not [name for name in names if not any((place / name).exists() for place in places)]
    assert len(names) == len(set(names)) <= 60 and f": {len(names)}." in table
