#!/usr/bin/env bash
# A dataset of audio files as bytes, which nothing decodes: Audio(decode=False).
# Guess: Dataset.from_dict stores the bytes, as cast_column of the same dictionaries does.
# Seen: from_dict asks for torchcodec (and so torch), which only encodes samples; without features, then cast, it works.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q datasets==5.2.0 pyarrow==26.0.1 numpy==2.4.6
cd "$dir"
HF_HOME=$dir venv/bin/python - << 'PYTHON'
import io
import wave
from importlib.metadata import version

from datasets import Audio, Dataset, Features

wav = io.BytesIO()
with wave.open(wav, "wb") as f:
    f.setnchannels(1), f.setsampwidth(2), f.setframerate(16000), f.writeframes(bytes(3200))
rows = {"audio": [{"bytes": wav.getvalue(), "path": None}]}
try:
    Dataset.from_dict(rows, features=Features({"audio": Audio(decode=False)}))
    found = "stored"
except ImportError as error:
    found = str(error)
cast = Dataset.from_dict(rows).cast_column("audio", Audio(decode=False))
print(f"datasets {version('datasets')}: from_dict: {found}; cast_column: stored")
assert "torchcodec" in found and cast[0]["audio"]["bytes"] == wav.getvalue()
PYTHON
