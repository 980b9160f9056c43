#!/usr/bin/env bash
# Synthetic speech of any English text by the training voices of the demo corpus, at many pitches and rates: to start
# recognisers and perceptual models from (local/run_pretrained.sh --also, --data.init of a training).
# Reads <text>: a sentence per line; with --lexicon lines with other words are left out, and phones are written, too.
# Writes <out-dir>, a data directory with text.phn. An hour of speech takes two minutes of one CPU.
# shellcheck disable=SC2034  # some options are read by their name

nj=2          # jobs
cmd=launch.py # where they run
lexicon=      # WORD PH PH lines; empty: no phones
sentences=0   # most of them, drawn from the text; 0: all
repeats=1     # each sentence by so many voices
seed=0        # of sentences and voices
force=false   # true: run again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <text> <out-dir>
e.g.: $0 --lexicon lexicon.txt corpora/wordnet.txt data/synthetic
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 2 ] || die "expected <text> <out-dir>, got $# words; see --help"
text=$1 dir=$2
[ -f "$text" ] || pending "$text" || die "$text: no such file"
[ -z "$lexicon" ] || [ -f "$lexicon" ] || pending "$lexicon" || die "--lexicon $lexicon: no such file"
options=(--lexicon "$lexicon" --sentences "$sentences" --repeats "$repeats" --seed "$seed")
made=(--force "$force" --version 1 --input "$text")
if [ -n "$lexicon" ]; then made+=(--input "$lexicon"); fi
for name in sentences repeats seed; do made+=(--option "$name=${!name}"); done
if up_to_date "$dir" "${made[@]}"; then exit 0; fi
log "speaking $text in $nj jobs"
# shellcheck disable=SC2086  # a command with its options, as in Kaldi
$cmd "$JOB=1:$nj" "$dir/log/synthesise.$JOB.log" \
  local/demo/synthesise.py speech "${options[@]}" --job "$JOB" --nj "$nj" "$text" "$dir"
local/demo/synthesise.py tables "${options[@]}" "$text" "$dir"
mark_done "$dir"
log "$(wc -l < "$dir/text") utterances in $dir"
