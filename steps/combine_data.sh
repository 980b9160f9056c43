#!/usr/bin/env bash
# Puts data directories together; <out-dir> comes first, as in Kaldi's script of this name.
# Reads data directories without segments whose utterances differ; writes <out-dir> with the tables that all of them
# have, and utt2uniq where one of them has it. Audio stays where it is. Takes a second.

cmd=launch.py # where it runs
force=false   # true: run again although nothing changed
# removed: nj

. ./path.sh
help_message="Usage: $0 [options] <out-dir> <data-dir> <data-dir>...
e.g.: $0 data/train_all data/train_noisy data/train_noisy_babble
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -ge 2 ] || die "expected <out-dir> <data-dir>..., got $# words; see --help"
dir=$1
shift
for data; do require "$data/wav.scp" "what makes it"; done
if up_to_date "$dir" --force "$force" --version 1 --input "$@"; then exit 0; fi
$cmd "$dir/log/combine.log" pyscripts/combine_data.py "$dir" "$@"
mark_done "$dir"
log "$(wc -l < "$dir/utt2spk") utterances in $dir"
