#!/usr/bin/env bash
# A pruned ARPA model has histories after which no word was kept. In a grammar such a state has one arc, the back-off.
# Guess: kaldilm, a port of Kaldi's arpa2fst, removes it as that does (RemoveRedundantStates): arcs lead on to where it
# backs off to. Seen: it stays.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q kaldilm==1.15.5
cd "$dir"
venv/bin/python - << 'PYTHON'
from importlib.metadata import version

import kaldilm

ARPA = """\\data\\
ngram 1=5
ngram 2=4
ngram 3=2

\\1-grams:
-0.7\t</s>
-99\t<s>\t-0.3
-0.5\ta\t-0.2
-0.6\tb\t-0.25
-0.9\tc

\\2-grams:
-0.3\t<s> a\t-0.1
-0.4\ta b\t-0.15
-0.5\tb c
-0.2\tc </s>

\\3-grams:
-0.1\t<s> a b
-0.2\ta b </s>

\\end\\
"""
open("lm.arpa", "w").write(ARPA)
text = kaldilm.arpa2fst("lm.arpa", disambig_symbol="#0", read_symbol_table="", write_symbol_table="words", max_order=3)
arcs, final = {}, set()
for line in text.splitlines():
    words = line.split()
    if len(words) >= 4:
        arcs.setdefault(words[0], []).append(words)
    elif words:
        final.add(words[0])
single = [state for state, out in arcs.items() if len(out) == 1 and out[0][3] == "0" and state not in final]
print(f"kaldilm {version('kaldilm')}: {len(single)} of {len(arcs)} states have nothing but a back-off arc, of cost 0")
assert single and all(len(arcs[state][0]) == 4 for state in single)
PYTHON
