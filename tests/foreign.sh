#!/usr/bin/env bash
# Tests with the real parts of others that the recipe does not install: Lhotse, datasets, Parquet, Whisper, sherpa-onnx, the
# client of OpenAI, trackers, DNSMOS and the other judges, the enhancers and toolkits that benchmarks compare with. They lie
# in .venv (--judges) and in benchmarks/.venv (--benchmarks), so that the recipe stays small; elsewhere these tests are skipped.

cd "$(dirname "$0")/.." || exit 1
path=$PATH PATH=$PWD/steps/lib:$PATH
help_message="Usage: tests/foreign.sh [words for pytest]...
Makes or updates .venv and benchmarks/.venv (2 GB more than the recipe), then runs the tests with both; ffmpeg, for m4a
and webm, and Chromium are found where they are installed."
. parse_options.sh
steps/setup.sh --dev true --judges true --benchmarks true || exit 1
PATH=$path # path.sh adds all of it, or nothing
. ./path.sh
set -euo pipefail

# The packages of .venv come first: pyarrow asks for numpy 2, and other peers have brought 1.26 into benchmarks/.venv.
with_peers() { PYTHONPATH=$PYTHONPATH:$(echo "$PWD"/.venv/lib/python3*/site-packages):$(echo "$PWD"/benchmarks/.venv/lib/python3*/site-packages) "$@"; }
if [ $# -gt 0 ]; then
  with_peers python3 -m pytest "$@"
  exit
fi
rc=0 files=()
for name in formats_peers judge score_meeting score_mos score_mos_models use_openai use_quantise use_stream use_stream_ctc status fast; do files+=("tests/unit/test_$name.py"); done
with_peers python3 -m pytest -n 2 --dist loadgroup "${files[@]}" tests/browser || rc=$?
benchmarks/.venv/bin/python3 -m pytest -n 2 --dist loadgroup tests/unit/test_benchmark_enhancers.py || rc=$?
exit $rc
