#!/usr/bin/env bash
# Runs the benchmarks of benchmarks/run.tsv whose peers are here, one after the other, and keeps a record of each. They make
# benchmarks/RESULTS.md, where a figure that misses its target is marked. Peers: steps/setup.sh --benchmarks true.
# KALDI_ROOT names a Kaldi with compiled programs; without it kaldi-hmm-gmm and kaldi-native-fbank stand in.

only=          # benchmarks, by the names of their records; empty: all
against=       # checkout with a .venv of its own that `startup` compares with, as of an earlier version
smallest=false # true: the smallest inputs, which tell whether a benchmark still runs: nothing is recorded

cd "$(dirname "$0")/.." || exit 1
. ./path.sh
help_message="Usage: benchmarks/run.sh [--option value]...
e.g.: benchmarks/run.sh --against ../mimic-0.1
      benchmarks/run.sh --smallest true --only \"features scoring\"
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 0 ] || die "takes options only, got '$*'; see --help"
[ -z "$against" ] || [ -x "$against/.venv/bin/python3" ] || die "--against $against has no .venv: run steps/setup.sh there"
for name in $only; do
  grep -qP "^$name\t" benchmarks/run.tsv || die "--only $name: benchmarks/run.tsv has $(grep -v '^#' benchmarks/run.tsv | cut -f 1 | xargs)"
done
PATH=$PWD/benchmarks/.venv/bin:$PATH # which sees the packages of .venv, too
if [ -z "${KALDI_ROOT:-}" ]; then log "KALDI_ROOT is not set: no comparison with Kaldi's programs"; fi

# lacks WORD...: those of the needs that are not here.
lacks() {
  local word packages=()
  for word; do
    case $word in
      KALDI_ROOT) [ -n "${KALDI_ROOT:-}" ] || echo KALDI_ROOT ;;
      --against) [ -n "$against" ] || echo "--against DIR" ;;
      */*) [ -e "$word" ] || echo "$word" ;;
      *) packages+=("$word") ;;
    esac
  done
  if [ ${#packages[@]} -eq 0 ]; then return; fi
  python3 -c 'import sys; from importlib.util import find_spec
for name in sys.argv[1:]: find_spec(name) or print(f"package {name}")' "${packages[@]}"
}

ran=0 left_out=0 failed=()
while IFS=$'\x1f' read -r name program needs options more; do
  [ -z "$only" ] || [[ " $only " == *" $name "* ]] || continue
  read -r -a words <<< "$needs"
  missing=$(lacks ${words[@]+"${words[@]}"})
  if [ -n "$missing" ]; then
    log "$name: left out, without ${missing//$'\n'/, }"
    left_out=$((left_out + 1))
    continue
  fi
  if "$smallest"; then options+=" $more"; fi
  read -r -a words <<< "$options"
  command=("benchmarks/$program" "${words[@]/#AGAINST/$against}")
  "$smallest" || command=(pyscripts/records.py run "$name" "${command[@]}")
  log "$name: ${command[*]}"
  "${command[@]}" < /dev/null || failed+=("$name")
  ran=$((ran + 1))
done < <(grep -v '^#' benchmarks/run.tsv | tr '\t' '\037') # a tab would swallow empty columns

log "$ran benchmarks ran, $left_out left out [elapsed=${SECONDS}s]"
if "$smallest"; then missed=; else missed=$(grep -c '\*\*target' benchmarks/RESULTS.md || true); fi
[ -z "$missed" ] || log "benchmarks/RESULTS.md: $missed lines miss a target"
[ ${#failed[@]} -eq 0 ] || die "failed: ${failed[*]}"
