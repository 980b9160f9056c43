#!/usr/bin/env bash
# Stops unless the noisy test set of VoiceBank-DEMAND has the mean wide-band PESQ that all publications give for it.
# Another value means other audio (a wrong resampling, sides or sets mixed up), and no later figure would be comparable.
# Reads <data>/test_{clean,noisy}; writes a scoring directory. Takes about 30 s on 2 cores.
# shellcheck disable=SC2034  # some options are read by their name

no_gate=false   # true: go on without looking
target=1.97     # published mean
tolerance=0.01  # that it may be away from it
nj=2            # jobs
cmd=launch.py   # where they run
force=false     # true: score again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <data-dir> <scoring-dir>
e.g.: $0 --nj 4 data exp/noisy/gate
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 2 ] || die "expected <data-dir> <scoring-dir>, got $# words; see --help"
data=$1 dir=$2
if [ "$no_gate" = true ]; then log "no gate: $data/test_noisy is taken as it is"; exit 0; fi
steps/score_enhancement.sh --nj "$nj" --cmd "$cmd" --force "$force" --measures wb-pesq \
  "$data/test_clean" "$data/test_noisy" "$dir"
if dry_run; then exit; fi
line=$(awk -F '\t' '$1 == "wb-pesq" { print $2, $5, $6 }' < "$dir/summary.tsv")
read -r mean scored na <<< "$line"
if [ "$mean" = NA ]; then
  reason=$(awk -F '\t' 'NR == 2 { print $NF }' < "$dir/per_utt.tsv")
  die "gate: no utterance of $data/test_noisy has a wb-PESQ ($reason): mend that, or go on with --no-gate true"
fi
found="wb-PESQ of $data/test_noisy is $mean over $scored utterances ($na NA), published $target +- $tolerance"
awk -v x="$mean" -v y="$target" -v t="$tolerance" 'BEGIN { d = x - y; exit !(d <= t + 1e-9 && -d <= t + 1e-9) }' ||
  die "gate: $found: this is not the published test set. Is it p232 and p257, complete, 48 kHz resampled once," \
    "both sides alike? See $dir/breakdown.tsv; --no-gate true goes on as it is"
log "gate: $found"
