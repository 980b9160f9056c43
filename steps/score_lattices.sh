#!/usr/bin/env bash
# Text of lattices and its score. On a development set the language model weight and the word insertion penalty are
# searched; --from DIR takes the pair that was found there, for a test set.
# Writes <decode-dir>: text, ctm (times of words), nbest, lmwt, wip, while searching wer_<lmwt>_<wip> of each pair; then
# the files of steps/score_asr.sh.

min_lmwt=7                   # smallest language model weight of the search
max_lmwt=17                  # largest
word_ins_penalty=0.0,0.5,1.0 # penalties of the search
decode_mbr=false             # true: the words with the fewest expected errors (minimum Bayes risk), with confidences in ctm
beam=7                       # paths that cost more than the best one by this do not count for --decode-mbr
from=                        # decode directory whose pair is taken; empty: search
nbest=0                      # so many different transcripts of each utterance go to nbest
cer=true                     # score characters too
cmd=launch.py                # where it runs
force=false                  # true: run again although nothing changed
# removed: nj

. ./path.sh
help_message="Usage: $0 [options] <data-dir> <graph-dir> <decode-dir> [<scoring-dir>]
e.g.: $0 exp/mfcc/dev_clean exp/ligru/tri3/graph exp/ligru/tri3/decode_dev_clean
      $0 --from exp/ligru/tri3/decode_dev_clean exp/mfcc/test_clean exp/ligru/tri3/graph exp/ligru/tri3/decode_test_clean
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

if [ $# -lt 3 ] || [ $# -gt 4 ]; then die "expected <data-dir> <graph-dir> <decode-dir> [<scoring-dir>], got $# words; see --help"; fi
data=$1 graph=$2 dir=$3
require "$graph/HCLG.fst" "steps/mkgraph.sh"
require "$dir/lat.1.gz" "steps/decode_lattice.sh"
options=(--min-lmwt "$min_lmwt" --max-lmwt "$max_lmwt" --word-ins-penalty " $word_ins_penalty" --nbest "$nbest")
if $decode_mbr; then options+=(--mbr-beam "$beam"); fi
inputs=()
if [ -n "$from" ]; then
  [ -f "$from/lmwt" ] || pending "$from/lmwt" || die "$from has no lmwt: score the development set first, without --from"
  options+=(--from "$from")
  inputs=(--input "$from/lmwt" "$from/wip")
fi
model=$(dirname "$dir")
mark=$dir/best_path
[ -f "$dir/text" ] || dry_run || rm -f "$mark/.done"
if ! up_to_date "$mark" --force "$force" --version 1 \
  --input "$dir"/lat.*.gz "$dir/num_jobs" "$data/text" "$graph/words.txt" "${inputs[@]}" --option "options=${options[*]}"; then
  rm -rf "$dir"/{wer,cer}_* "$dir/scoring_kaldi"
  $cmd "$dir/log/score_lattices.log" pyscripts/score_lattices.py "${options[@]}" "$data" "$graph" "$model" "$dir"
  mark_done "$mark"
fi
if pending "$mark"; then # a dry run: the weights are not known yet
  for made in "$dir/lmwt" "$dir/wip" "${4:-$dir/scoring}"; do will_make "$made"; done
  exit 0
fi
steps/score_asr.sh --cmd "$cmd" --force "$force" --cer "$cer" --lmwt "$(cat "$dir/lmwt")" --wip "$(cat "$dir/wip")" \
  "$data" "$dir" "${@:4}"
