#!/usr/bin/env bash
# Two concatenated Ogg files are one Ogg file of two chained streams (RFC 3533, 4), as internet radio sends it.
# Guess: soundfile gives the samples of both, or an error.
# Seen: those of the first, for Vorbis and for Opus, without a word.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q soundfile==0.14.0 numpy==2.4.6
cd "$dir"
venv/bin/python - << 'PYTHON'
import numpy as np
import soundfile

for subtype in ("VORBIS", "OPUS"):
    soundfile.write("one.ogg", np.random.default_rng(0).normal(0, 0.1, 32000), 16000, format="OGG", subtype=subtype)
    one = open("one.ogg", "rb").read()
    open("two.ogg", "wb").write(one + one)
    found = len(soundfile.read("two.ogg")[0])
    versions = f"soundfile {soundfile.__version__}, libsndfile {soundfile.__libsndfile_version__}"
    print(f"{versions}, {subtype}: {found} of 64000")
    assert found == 32000
PYTHON
