#!/usr/bin/env bash
# Shares recordings out, so that test hears noises or rooms that training never had.
# Reads <src>: the folders train and test (and dev) are taken as they are; of any other folder, or a wav.scp, every fourth
# kind is for test alone and every fifth recording of the others for dev. A kind is a name up to its first "-".
# Writes <out-dir>/{train,dev,test}/wav.scp.

by_kind=true   # false: every fourth recording is for test, whatever its kind
force=false    # true: again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <src> <out-dir>
e.g.: $0 noises data/mask/noises
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 2 ] || die "expected <src> <out-dir>, got $# words; see --help"
src=$1 dir=$2
[ -e "$src" ] || die "$src: no such folder or wav.scp"
if up_to_date "$dir" --force "$force" --version 1 --option "by_kind=$by_kind" \
  --input "$src"; then
  exit 0
fi
local/share_recordings.py --by-kind "$by_kind" "$src" "$dir"
mark_done "$dir"
log "$(wc -l < "$dir/train/wav.scp") recordings of $src for train, $(wc -l < "$dir/test/wav.scp") for test"
