"""Where things are."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIB = ROOT / "steps" / "lib"

# Names of directories that a shell, a scheduler or Kaldi's launchers might take for code; touching "ran" would show it.
ODD_NAMES = [
    "a b",
    "two  spaces ",
    "$(touch ran)",
    "`touch ran`",
    "$HOME",
    "it's",
    'say "hi"',
    "a;touch ran",
    "a&touch ran",
    "(a)",
    "[ab]*?",
    "{a,b}",
    "JOB",
    "JOBS_JOB_",
    "a|b",
    "<UNK>",
    "back\\slash",
    "~",
    "#a",
    "a=b",
    "100%",
    "f\u00fcr",
]
