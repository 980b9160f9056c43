#!/usr/bin/env bash
# An HTML report of an experiment tree: scores, curves, spectrograms, audio, errors, costs.
# Reads scores, alignments, logs and audio below <exp>; writes <exp>/report/index.html and what it needs, so that the
# directory can be copied and opened from disk, without a network. Takes half a minute for the demo corpus.

data=         # the data directories; empty: data beside <exp>
compare=      # another experiment tree, shown beside <exp>
num_utts=3    # utterances of each kind (best, worst, ...) with audio and spectrograms
utts=         # more utterances with audio and spectrograms, separated by spaces
cmd=launch.py # where it runs
force=false   # true: write it again although nothing changed
# removed: nj

. ./path.sh
help_message="Usage: $0 [options] [<exp>]
e.g.: $0 --compare ../yesterday/exp exp
Options (default):
$(list_options.sh "$0")
<exp> is exp when it is not given."
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -le 1 ] || die "expected [<exp>], got $# words; see --help"
exp=${1:-exp}
if [ "$exp" != / ]; then exp=${exp%/}; fi
require "$exp" "./run.sh"
trees=("$exp") options=(--num-utts "$num_utts")
if [ -n "$compare" ]; then
  require "$compare" "run.sh there"
  trees+=("${compare%/}") options+=(--compare "${compare%/}")
fi
if [ -n "$data" ]; then options+=(--data "${data%/}"); fi
if [ -n "$utts" ]; then options+=(--utts "$utts"); fi

# The report is made from small files all over the tree: scores, tables, configurations, logs.
mapfile -d '' -t inputs < <(find -H "${trees[@]}" -mindepth 1 -type d \( -name '*.old' -o -name '*.unfinished' -o -path '*/report' -o -name archives -o -name weights \
  -o -name checkpoints -o -name tensorboard -o -name mlflow -o -name wandb -o -name 'wav' -path '*/wav/*/wav' \) -prune -o -type f ! -name RESULTS.json \
  \( -name '*.tsv' -o -name '*.log' -o -name config.yaml -o -name '*.json' -o -name '*.jsonl' -o -name 'wer_*' \
  -o -name 'cer_*' -o -name per_utt -o -name missing -o -name wav.scp -o -name 'utt2*' \) -print0 | sort -z)
[ ${#inputs[@]} -gt 0 ] || die "$exp holds nothing to report on: score something first: steps/score_asr.sh, steps/score_enhancement.sh"
dir=$exp/report
if up_to_date "$dir" --force "$force" --version 1 \
  --input "${inputs[@]}" --option "compare=$compare" "data=$data" "num_utts=$num_utts" "utts=$utts"; then
  exit 0
fi

log "writing the report of ${trees[*]}"
$cmd "$dir/log/report.log" pyscripts/report.py "${options[@]}" "$exp" "$dir"
mark_done "$dir"
log "look at $dir/index.html"
