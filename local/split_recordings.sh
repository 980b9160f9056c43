#!/usr/bin/env bash
# Splits recorded noises or RIRs into train, dev and test sets, so that the test set has noise types unseen in training.
# Reads <src>: its folders train and test (and dev) are used as they are; of any other folder, or a wav.scp, every fourth
# type goes to test and every fifth recording of the others to dev. The type is the name up to its first "-".
# Writes <out-dir>/{train,dev,test}/wav.scp.

by_type=true # false: every fourth recording goes to test, whatever its type  # was: by-kind
force=false  # true: run again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <src> <out-dir>
e.g.: $0 noises data/denoise/noises
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 2 ] || die "expected <src> <out-dir>, got $# words; see --help"
src=$1 dir=$2
[ -e "$src" ] || pending "$src" || die "$src: no such folder or wav.scp"
if up_to_date "$dir" --force "$force" --version 1 --option "by_type=$by_type" \
  --input "$src"; then
  exit 0
fi
local/split_recordings.py --by-type "$by_type" "$src" "$dir"
mark_done "$dir"
log "$(wc -l < "$dir/train/wav.scp") recordings of $src for train, $(wc -l < "$dir/test/wav.scp") for test"
