"""--help of every script: on stdout, with all options of its block of defaults and those that it sources."""

import re
from pathlib import Path

from places import LIB, ROOT
from test_parse_options import defaults

SCRIPTS = [
    path for folder in ("steps", "local") for path in sorted((ROOT / folder).rglob("*.sh")) if path.parent != LIB
]
FORMER = re.compile(r"^exec (?:local|steps)/\S+\.sh \"\$@\"$|^exec local/run_denoise", re.MULTILINE)


def options_of(path: Path) -> set[str]:
    """Names of the options of a script, with hyphens."""
    text = path.read_text()
    shared = re.findall(r"^\. (\S+_options\.sh)", text.split("help_message=")[0], re.MULTILINE)
    names = defaults(path).keys() | {name for file in shared for name in defaults(ROOT / file)}
    return {name.replace("_", "-") for name in names}


def test_help_lists_all_options_of_every_script_on_stdout(sh):
    """In one shell, for a process for each takes long."""
    scripts = [path for path in SCRIPTS if "help_message=" in path.read_text() and not FORMER.search(path.read_text())]
    assert len(scripts) > 50
    names = " ".join(str(path.relative_to(ROOT)) for path in scripts)
    result = sh(f'for s in {names}; do echo "== $s"; $s --help || echo FAILED; done', cwd=ROOT)
    assert result.stderr == ""
    printed = dict(part.split("\n", 1) for part in result.stdout.split("== ")[1:])
    for path in scripts:
        help_ = printed[str(path.relative_to(ROOT))]
        assert help_.startswith("Usage: ") and "FAILED" not in help_, path
        listed = set(re.findall(r"^  --([a-z0-9-]+) +\S", help_, re.MULTILINE))
        assert listed >= options_of(path), (path, options_of(path) - listed)


def test_former_names_of_scripts_forward_and_say_so(sh):
    for path in SCRIPTS:
        if FORMER.search(path.read_text()):
            result = sh(f"{path.relative_to(ROOT)} --help", cwd=ROOT)
            assert result.returncode == 0 and result.stdout.startswith("Usage: ")
            assert re.fullmatch(r"\S+\.sh is now \S+\.sh; the old name will be .*\n", result.stderr)
