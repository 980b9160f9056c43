"""The packages of the library stand in an order: imports go down or stay, and inference loads few files."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from data_maker import ROOT
from model_maker import make_enhancer, make_recogniser

# From the ground up: a module imports what stands in its own line, or above it.
PACKAGES = """
    errors settings yaml_file inputs registry renamed progress allocator compiled cli
    io
    corpus augment metrics
    frontend
    nets
    hmm
    decoding
    models
    losses
    training
    tasks
    reporting deploy
    judging
    __main__ commands
"""
FLOOR = {package: floor for floor, line in enumerate(PACKAGES.split("\n")) for package in line.split()}
MOST = 36  # files that a decoding or an enhancement loads
LIBRARY = ROOT / "pyscripts" / "mimic"
# No other program loads torch when it starts: that takes 2 seconds of CPU time and 450 MB. train.py and export.py do
# when their arguments are right, make_feats.py for hidden states, score_enhancement.py for Distill-MOS.
TORCH = {
    "apply_kmeans": "nearest centroids, by the function that trained them",
    "classify": "a network",
    "decode": "a network",
    "enhance": "a network",
    "enhance_files": "a network",
    "fit_ratio": "a network",
    "noisy_phase": "the inverse STFT of the enhancers",
    "rescore_lattices": "a network",
    "serve": "a network",
    "transcribe": "a network",
    "tune_decode": "a network",
}
# Nor numpy (0.1 s) these, which only copy text or look at it.
TEXT = {
    "average_checkpoints",
    "check_settings",
    "combine_data",
    "export",
    "print_settings",
    "ssl_layers",
    "status",
    "subset_data",
}
TEXT |= {"recipe_settings", "text_to_tokens", "train", "train_inputs"}
# What done.py and launch.py, which start in every step, do not load either: it takes longer than their work.
SLOW = {
    "argparse",
    "concurrent",
    "dataclasses",
    "inspect",
    "logging",
    "numpy",
    "platform",
    "shutil",
    "tempfile",
    "typing",
}


def imports() -> dict[str, set[str]]:
    """Module -> modules of the library that it imports, in functions, too; packages are their own modules."""
    files = {}
    for path in LIBRARY.rglob("*.py"):
        parts = path.relative_to(LIBRARY.parent).with_suffix("").parts
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    found: dict[str, set[str]] = {}
    for module, path in files.items():
        found[module] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found[module] |= {alias.name for alias in node.names if alias.name.startswith("mimic.")}
            elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "mimic":
                names = {f"{node.module}.{alias.name}" for alias in node.names}
                found[module] |= (names & files.keys()) or {node.module}
    return {module: names - {module, "mimic"} for module, names in found.items()}


def package(module: str) -> str:
    return module.split(".")[1]


def test_imports_go_down():
    known = {module: names for module, names in imports().items() if module != "mimic"}
    assert known.keys() and {package(module) for module in known} <= FLOOR.keys(), (
        "a package that the table does not have"
    )
    up = [
        f"{module} imports {name}"
        for module, names in known.items()
        for name in sorted(names)
        if FLOOR[package(name)] > FLOOR[package(module)]
    ]
    assert not up, "\n".join(up)


def test_no_circles():
    left = imports()
    while leaves := {module for module, names in left.items() if not names & left.keys()}:
        left = {module: names for module, names in left.items() if module not in leaves}
    assert not left, f"these import each other in a circle: {sorted(left)}"


@cache
def imported(path: Path) -> set[str]:
    """What a file imports when it is loaded: not in functions, nor for type checkers."""
    found, statements = set(), list(ast.parse(path.read_text()).body)
    while statements:
        node = statements.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = ".".join(filter(None, [path.parent.name if node.level else "", node.module]))
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
        elif not isinstance(node, ast.FunctionDef) and not (
            isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        ):
            statements += [part for part in ast.iter_child_nodes(node) if isinstance(part, ast.stmt)]
    return found


def loaded(path: Path) -> set[str]:
    """The packages that a program loads when it starts, and the modules of the standard library that it names."""
    pending, seen, found = [path], set(), set()
    while pending:
        path = pending.pop()
        if path in seen or not path.exists():
            continue
        seen.add(path)
        for name in imported(path):
            parts = name.split(".")
            found.add(parts[0])
            for folder in (LIBRARY.parent, ROOT / "steps/lib"):
                steps = [folder.joinpath(*parts[: i + 1]) for i in range(len(parts))]
                pending += [file for step in steps for file in (step / "__init__.py", step.with_suffix(".py"))]
    return found


def test_programs_without_networks_start_without_torch():
    programs = {path.stem: loaded(path) for path in (ROOT / "pyscripts").glob("*.py")}
    found = {name for name, names in programs.items() if {"torch", "torchaudio"} & names}
    assert found == TORCH.keys()
    assert {name for name, names in programs.items() if "numpy" not in names} == TEXT


@pytest.mark.parametrize("program", ["done", "launch"])
def test_what_starts_in_every_step_loads_little(program):
    names = loaded(ROOT / f"steps/lib/{program}.py")
    assert "pathlib" in names and not names & SLOW


@pytest.mark.parametrize("verb", ["decode", "enhance"])
def test_inference_loads_few_files_and_no_task(tmp_path, verb):
    directory = tmp_path / "model"
    make_enhancer(directory, "causal") if verb == "enhance" else make_recogniser(directory)
    code = {
        "decode": "model.decoder(torch.ones(1, 60, 20), torch.tensor([60]), 0.01)",
        "enhance": "model.enhance(np.ones(16000, 'f') / 9, 16000)",
    }[verb]
    words = f"import sys, torch, numpy as np; from mimic import models; model = models.load(sys.argv[1]); {code}"
    words += "; print(*(m.__file__ for name, m in sys.modules.items() if name.partition('.')[0] == 'mimic'))"
    environment = {"PYTHONPATH": str(LIBRARY.parent), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", words, directory], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    files = [path for path in map(Path, done.stdout.split()) if path.name != "__init__.py"]  # a line of text each
    assert 10 < len(files) <= MOST, sorted(str(path.relative_to(LIBRARY)) for path in files)
    assert not [path for path in files if path.relative_to(LIBRARY).parts[0] in ("tasks", "training", "losses")]
