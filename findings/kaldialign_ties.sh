#!/usr/bin/env bash
# Of alignments with the same number of errors Kaldi's align-text takes the one whose substitutions stand at the end
# (LevenshteinAlignment in edit-distance-inl.h): b against "d a" is an insertion of d, then b -> a.
# Guess: kaldialign.align gives the same. Seen: b -> d, then an insertion of a; per-utterance listings differ.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q kaldialign==0.12.0
cd "$dir"
venv/bin/python - << 'PYTHON'
from importlib.metadata import version

import kaldialign

found = kaldialign.align(["b"], ["d", "a"], "*")
print(f"kaldialign {version('kaldialign')}: {found}; align-text: [('*', 'd'), ('b', 'a')]")
assert found == [("b", "d"), ("*", "a")]
PYTHON
