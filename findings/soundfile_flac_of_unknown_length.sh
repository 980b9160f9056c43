#!/usr/bin/env bash
# A FLAC whose header gives 0 samples, which the format allows for "unknown" (RFC 9639, 8.2): encoders piped out write it.
# Guess: soundfile.read gives all samples, as it does with the same file and a known length.
# Seen: frames is 2**63 - 1, read() raises ValueError, and reading block by block raises before the last block.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q soundfile==0.14.0 numpy==2.4.6
cd "$dir"
venv/bin/python - << 'PYTHON'
import numpy as np
import soundfile

soundfile.write("known.flac", np.random.default_rng(0).normal(0, 0.1, 39360), 16000)
header = bytearray(open("known.flac", "rb").read())
header[21] &= 0xF0  # STREAMINFO: the number of samples is the 36 bits before its MD5
header[22:26] = bytes(4)
open("unknown.flac", "wb").write(header)
assert len(soundfile.read("known.flac")[0]) == 39360
frames = soundfile.info("unknown.flac").frames
try:
    whole = f"{len(soundfile.read('unknown.flac')[0])} samples"
except ValueError as error:
    whole = f"ValueError: {error}"
blocks = 0
with soundfile.SoundFile("unknown.flac") as file:
    try:
        for block in file.blocks(4096):
            blocks += len(block)
        end = "no error"
    except soundfile.LibsndfileError as error:
        end = str(error)
print(f"soundfile {soundfile.__version__}, libsndfile {soundfile.__libsndfile_version__}")
print(f"39360 samples; frames: {frames}; read(): {whole}; blocks(): {blocks}, then {end}")
assert frames == 2**63 - 1 and whole.startswith("ValueError") and blocks < 39360 and end != "no error"
PYTHON
