#!/usr/bin/env bash
# Copies of speech at other speeds: tempo and pitch change, by resampling with soxr.
# Reads <data-dir>; writes <out-dir>, an ordinary data directory: the utterances of <data-dir> as they are, and for each
# speed but 1.0 all of them again, utterances and speakers with "sp0.9-" before their ids, wavs in <out-dir>/wav.
# Takes about 10 s per hour of speech, speed and job.
# shellcheck disable=SC2034  # some options are read by their name

speeds="0.9 1.0 1.1" # factors
nj=2                 # jobs
cmd=launch.py        # where they run
channel=             # of audio that has several, from 0
force=false          # true: run again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <data-dir> <out-dir>
e.g.: $0 --nj 4 --speeds '0.95 1.05' data/train_noisy data/train_noisy_sp
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 2 ] || die "expected <data-dir> <out-dir>, got $# words; see --help"
data=$1 dir=$2
require "$data/wav.scp" "local/*/prepare.sh or local/import_corpus.sh"
limit_jobs "$data/utt2spk"
options=(--speeds "$speeds")
if [ -n "$channel" ]; then options+=(--channel "$channel"); fi
if up_to_date "$dir" --force "$force" --version 1 --input "$data" \
  --option "speeds=$speeds${channel:+ channel $channel}"; then
  exit 0
fi

log "$utterances utterances of $data at the speeds $speeds in $nj jobs"
# shellcheck disable=SC2086  # a command with its options, as in Kaldi
$cmd "$JOB=1:$nj" "$dir/log/perturb_speed.$JOB.log" \
  pyscripts/perturb_speed.py perturb "${options[@]}" --job "$JOB" --nj "$nj" "$data" "$dir"
pyscripts/perturb_speed.py collect "${options[@]}" "$data" "$dir"
mark_done "$dir"
log "$(wc -l < "$dir/utt2spk") utterances in $dir"
