#!/usr/bin/env bash
# Do the tests hold on any processor? Runs their numerical part (all tests that compare floats and start no process) with
# the instructions, the libraries' paths and the numbers of threads of others. A line about each setting goes to stderr,
# and what failed; the last line is "processors: N settings, N green". A setting takes about 3 minutes of
# processor time.
# shellcheck disable=SC2034  # some options are read by their name

jobs=2 # processes that run tests at a time
only=  # run the settings alone that have this word in them, as --only MKL

cd "$(dirname "$0")/.." || exit 1
. ./path.sh
help_message="Usage: tests/processors.sh [--option value]... [words for pytest]
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
words=("${@:-tests/unit}") # pytest's: no matter for log.sh
set --
. log.sh
set -euo pipefail

settings=(OMP_NUM_THREADS={1,2,4} ATEN_CPU_CAPABILITY={default,avx2,avx512} MKL_CBWR=COMPATIBLE ONEDNN_MAX_CPU_ISA=SSE41)

count=0 green=0
for setting in "${settings[@]}"; do
  if [[ $setting != *"$only"* ]]; then continue; fi
  name=${setting#ATEN_CPU_CAPABILITY=}
  if [[ $name == avx* ]] && ! grep -qwE "$name|${name}f" /proc/cpuinfo; then
    log "$setting: this processor has no $name"
    continue
  fi
  count=$((count + 1))
  begun=$SECONDS
  if output=$(env OMP_NUM_THREADS=1 "$setting" python3 -m pytest -q -n "$jobs" --only numerical "${words[@]}" 2>&1); then
    green=$((green + 1))
    log "$setting: $(tail -n 1 <<< "$output")"
  else
    log "$setting: failed after $((SECONDS - begun)) s"
    tail -n 100 <<< "$output" >&2
  fi
done
[ "$count" -gt 0 ] || die "--only $only: the settings are ${settings[*]}"
echo "processors: $count settings, $green green"
[ "$count" = "$green" ]
