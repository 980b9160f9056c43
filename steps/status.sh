#!/usr/bin/env bash
# Shows what runs, what stopped or failed, and what is done below an experiment tree, with the time that is left.
# Reads progress.jsonl, status.json and summary.json of trainings and the records of jobs (log/*.log.jsonl); writes nothing.

all=true # false: not what is done

. ./path.sh
help_message="Usage: $0 [options] [<exp>]
e.g.: $0
      watch -n 10 $0 --all false exp
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -le 1 ] || die "expected [<exp>], got $# words; see --help"
# shellcheck disable=SC2154  # an option
exec pyscripts/status.py --all "$all" "${1:-exp}"
