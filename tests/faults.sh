#!/usr/bin/env bash
# Does a rerun after a fault give what an undisturbed run gives? Makes a very small corpus and the whole recipe on it,
# injects faults one after the other (kill -9 and SIGTERM at random moments of every stage, killed tasks of arrays, a
# full disk, damaged archives, tables and checkpoints, a copy of the tree continued elsewhere, a commit pulled halfway,
# edited code and configurations, a step given another step's directory), reruns the stage after each and compares its
# results byte by byte. A line about each goes to stderr; the last lines are "trained models lost: 0" and "faults: N
# injected, N recovered, N equal". Takes about 3 min and 10 s for each fault on two cores.
# shellcheck disable=SC2034  # some options are read by their name

faults=8 # how many; kinds and stages take turns
seed=1   # of kinds, places and moments
keep=    # directory to work in, which stays; empty: a temporary one

cd "$(dirname "$0")/.." || exit 1
. ./path.sh
help_message="Usage: tests/faults.sh [--option value]...
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 0 ] || die "takes options only, got '$*'; see --help"
[ ! -e "$keep" ] || die "--keep $keep: there already: name a new directory"
dir=$keep
if [ -z "$dir" ]; then
  dir=$(mktemp -d)
  trap 'rm -rf "$dir"' EXIT
fi
python3 tests/e2e/faults.py --faults "$faults" --seed "$seed" --keep "$dir"
