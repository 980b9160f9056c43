#!/usr/bin/env bash
# Some utterances of a data directory: evenly spread, of some durations or speakers; arguments as those of Kaldi's subset_data_dir.sh.
# Reads <data-dir>; writes <out-dir> with the tables of so many utterances. Audio stays where it is. Takes a second.
# shellcheck disable=SC2034  # some options are read by their name

cmd=launch.py  # where it runs
min_dur=0      # seconds of the shortest utterance that is taken
max_dur=0      # seconds of the longest one; 0: any
utt_list=      # file whose lines begin with the utterances to take, such as another directory's utt2spk
speakers=      # whose utterances are taken; empty: everybody's
less_speakers= # whose utterances are left out
force=false    # true: run again although nothing changed
# removed: nj

. ./path.sh
help_message="Usage: $0 [options] <data-dir> <utterances> <out-dir>
e.g.: $0 data/train_clean 100 data/train_clean_100
      $0 --min-dur 1 --max-dur 15 data/train_clean all data/train_clean_1_15
      $0 --less-speakers 'p226 p287' data/all_clean all data/train_clean
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 3 ] || die "expected <data-dir> <utterances> <out-dir>, got $# words; see --help"
data=$1 utterances=$2 dir=$3
[[ $utterances =~ ^([1-9][0-9]*|all)$ ]] || die "<utterances> is a whole number above 0, or all, got '$utterances'"
require "$data/utt2spk" "what makes it"
check_durations
inputs=("$data")
limits=(--min-dur "$min_dur" --max-dur "$max_dur")
if [ -n "$utt_list" ]; then
  require "$utt_list" "what makes it"
  inputs+=("$utt_list") limits+=(--utt-list "$utt_list")
fi
options=("utterances=$utterances")
# shellcheck disable=SC2154  # an option
if [ "$min_dur,$max_dur" != 0,0 ]; then options+=("min_dur=$min_dur" "max_dur=$max_dur"); fi
for name in speakers less_speakers; do
  if [ -n "${!name}" ]; then options+=("$name=${!name}") limits+=("--${name/_/-}" "${!name}"); fi
done
if up_to_date "$dir" --force "$force" --version 1 --input "${inputs[@]}" --option "${options[@]}"; then
  exit 0
fi
$cmd "$dir/log/subset.log" pyscripts/subset_data.py "${limits[@]}" "$data" "$utterances" "$dir"
mark_done "$dir"
log "$(wc -l < "$dir/utt2spk") of $(wc -l < "$data/utt2spk") utterances of $data in $dir"
if [ -s "$dir/skipped.tsv" ]; then log "$dir: $(wc -l < "$dir/skipped.tsv") left out by their duration, listed in $dir/skipped.tsv"; fi
