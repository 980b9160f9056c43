#!/usr/bin/env bash
# Do set-up and tests hold on other versions of Python? For each that is found (on PATH, by pyenv or uv) a clone of the last
# commit is set up with it and runs its tests. A line about each goes to stderr, with the log of what failed; the last line
# is "pythons: N found, N green". One takes 5 GB of disk while it is tested, and with --fast true 5 minutes on two cores.

versions="3.10 3.11 3.12 3.13 3.14" # which
fast=true                           # false: all tests, in place of those that start no process and train nothing
work=                               # folder for the clones, which are removed; empty: a temporary one

cd "$(dirname "$0")/.." || exit 1
CALLERS_PATH=$PATH
. ./path.sh
help_message="Usage: tests/pythons.sh [--option value]... [words for pytest]
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
words=("$@") # pytest's: no matter for log.sh
set --
. log.sh
set -euo pipefail

find_python() { # find_python VERSION: its interpreter, nothing where there is none
  local found
  for found in "$(command -v "python$1" || true)" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/python3 \
    "$(uv python find --no-python-downloads "$1" 2> /dev/null || true)"; do
    if [ -x "$found" ] && "$found" -c '' 2> /dev/null; then echo "$found" && return; fi
  done
}

if [ -z "$work" ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
fi
mkdir -p "$work"
source=$PWD count=0 green=0
for version in $versions; do
  python=$(find_python "$version")
  if [ -z "$python" ]; then
    log "Python $version: none found"
    continue
  fi
  count=$((count + 1))
  begun=$SECONDS clone=$work/$version
  rm -rf "$clone"
  git clone -q "$source" "$clone"
  # Not by this environment's path: each clone has its own.
  if output=$(cd "$clone" && PATH=$CALLERS_PATH steps/setup.sh --python "$python" --dev true 2>&1 &&
    PATH=$CALLERS_PATH tests/run.sh --fast "$fast" "${words[@]}" 2>&1); then
    green=$((green + 1))
    log "$("$python" --version): $(tail -n 1 <<< "$output") ($((SECONDS - begun)) s)"
  else
    log "$("$python" --version): failed after $((SECONDS - begun)) s"
    printf '%s\n' "$output" >&2
  fi
  rm -rf "$clone"
done
echo "pythons: $count found, $green green"
[ "$count" = "$green" ]
