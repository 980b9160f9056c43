#!/usr/bin/env bash
# Speech in windows of one length, packed into archives at 16 kHz, which a training reads from beginning to end. The last window of an
# utterance is padded with zeros, so that nothing is lost. Noisy and clean speech of equal lengths give the same windows.
# Reads <data-dir>; writes <out-dir>, a data directory without transcripts: archives/wav.JOB.ark, wav.scp, utt2uniq with
# the utterance of each window, and what is known of that (utt2spk, utt2snr ...).
# shellcheck disable=SC2034  # some options are read by their name

window=1.024  # seconds; SEGAN's 16384 samples
stride=0.512  # seconds from the beginning of a window to that of the next
nj=2          # jobs
cmd=launch.py # where they run
force=false   # true: run again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <data-dir> <out-dir>
e.g.: for side in clean noisy; do $0 --window 2 --stride 1 data/train_\$side data/train_windows_\$side; done
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 2 ] || die "expected <data-dir> <out-dir>, got $# words; see --help"
data=$1 dir=${2%/}
require "$data/wav.scp" "local/*/prepare.sh or local/import_corpus.sh"
limit_jobs "$data/utt2spk"
if up_to_date "$dir" --force "$force" --version 1 --input "$data" --option "window=$window" "stride=$stride"; then
  exit 0
fi
log "windows of $window s of $utterances utterances of $data in $nj jobs"
options=(--window "$window" --stride "$stride" --nj "$nj")
# shellcheck disable=SC2086  # a command with its options, as in Kaldi
$cmd "$JOB=1:$nj" "$dir/log/cut_windows.$JOB.log" \
  pyscripts/cut_windows.py cut "${options[@]}" --job "$JOB" "$data" "$dir"
pyscripts/cut_windows.py collect "${options[@]}" "$data" "$dir"
mark_done "$dir"
log "$(wc -l < "$dir/wav.scp") windows in $dir"
