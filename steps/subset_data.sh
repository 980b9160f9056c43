#!/usr/bin/env bash
# Some utterances of a data directory, evenly spread; arguments as those of Kaldi's subset_data_dir.sh.
# Reads <data-dir>; writes <out-dir> with the tables of so many utterances. Audio stays where it is. Takes a second.

cmd=launch.py # where it runs
force=false   # true: run again although nothing changed
# removed: nj

. ./path.sh
help_message="Usage: $0 [options] <data-dir> <utterances> <out-dir>
e.g.: $0 data/train_clean 100 data/train_clean_100
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 3 ] || die "expected <data-dir> <utterances> <out-dir>, got $# words; see --help"
data=$1 utterances=$2 dir=$3
[[ $utterances =~ ^[1-9][0-9]*$ ]] || die "<utterances> is a whole number above 0, got '$utterances'"
require "$data/utt2spk" "what makes it"
if up_to_date "$dir" --force "$force" --version 1 --input "$data" \
  --option "utterances=$utterances"; then
  exit 0
fi
$cmd "$dir/log/subset.log" pyscripts/subset_data.py "$data" "$utterances" "$dir"
mark_done "$dir"
log "$(wc -l < "$dir/utt2spk") of $(wc -l < "$data/utt2spk") utterances of $data in $dir"
