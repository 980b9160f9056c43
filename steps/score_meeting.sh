#!/usr/bin/env bash
# Scores transcripts with speakers: cpWER and tcpWER, by the package meeteval, which the first run says how to install.
# Reads reference and hypothesis: .stm, .json (SegLST) or .ctm (its channels, or several files, are the speakers). Writes
# <scoring-dir>/summary.tsv and .json, per_session.tsv with counts and which speaker is which, utterances.jsonl.

collar=5        # seconds by which times of words may differ, of tcpWER
normaliser=none # none, upper, plain, voicebank
max_skip=0.01   # share of sessions that may be errors
cmd=launch.py   # where it runs
force=false     # true: score again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <reference>[,<more>] <hypothesis>[,<more>] <scoring-dir>
e.g.: $0 --normaliser plain ref.stm hyp.seglst.json exp/meeting/scoring/test
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 3 ] || die "expected <reference> <hypothesis> <scoring-dir>, got $# words; see --help"
reference=$1 hypothesis=$2 dir=$3
IFS=, read -r -a inputs <<< "$reference,$hypothesis"
for file in "${inputs[@]}"; do require "$file" "your recogniser"; done
version=$(python3 -c 'from mimic.metrics.meeting import describe; print(describe(0))' 2>&1) || die "${version##*UserError: }"
if up_to_date "$dir" --force "$force" --version 1 --input "${inputs[@]}" \
  --option "collar=$collar" "normaliser=$normaliser" "meeteval=${version##* }"; then
  exit 0
fi
log "scoring $hypothesis against $reference"
$cmd "$dir/log/score.log" pyscripts/score_meeting.py --collar "$collar" --normaliser "$normaliser" --max-skip "$max_skip" \
  "$reference" "$hypothesis" "$dir"
cat "$dir/summary.tsv"
mark_done "$dir"
