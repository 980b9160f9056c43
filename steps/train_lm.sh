#!/usr/bin/env bash
# Estimates an n-gram model from text: interpolated modified Kneser-Ney, the model that KenLM's lmplz makes.
# Reads text (one sentence per line, plain or .gz) or a data directory; writes <out-dir>/lm.arpa, for --decode.ngram of
# steps/decode.sh, and lm.json with its sizes and the perplexity of --dev. Memory grows with the different n-grams of the
# highest order, about 170 bytes each, not with the text; a million words take seconds.

order=3          # longest n-grams
unit=word        # word; or what a recogniser's tokens are: char, subword, phone
tokens=          # that recogniser's directory; with --unit word, words that it cannot spell are an error
prune=0          # '0 0 1' leaves out n-grams of order 3 and more that occur once
vocabulary=0     # most frequent words that are kept, others become <unk>; 0: all
lexicon=         # lexicon or words.txt of a lang directory: the model knows these words too, though the text lacks them
mix=             # further text or data directory, such as books: a model of it is interpolated, without --lexicon with its words
mix_share=auto   # its share, between 0 and 1; auto: fitted on --dev
max_unknown=0.05 # largest share of tokens (of words, with --unit word) that the recogniser cannot spell
normaliser=none  # of the text: none, upper, plain, voicebank
dev=             # held-out text or data directory
gzip=false       # true: write lm.arpa.gz
cmd=launch.py    # where it runs
force=false      # true: estimate again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <text-or-data-dir> <out-dir>
e.g.: $0 --order 3 --dev data/dev_clean sentences.txt exp/3gram                      # for --decode.search lexicon
      $0 --order 6 --unit char --tokens exp/ds2 data/train_clean exp/6gram_char     # for --decode.search lexicon-free
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 2 ] || die "expected <text-or-data-dir> <out-dir>, got $# words; see --help"
text=$1 dir=$2
options=(--order "$order" --unit "$unit" --prune "$prune" --vocabulary "$vocabulary" --max-unknown "$max_unknown"
  --normaliser "$normaliser" --gzip "$gzip")
inputs=()
more=()
if [ -n "$lexicon" ]; then more=(--lexicon "$lexicon"); fi
[ -n "$mix" ] || [ "$mix_share" = auto ] || die "--mix-share is the share of --mix: give that too"
if [ -n "$mix" ]; then
  more+=(--mix "$mix")
  options+=(--mix-share "$mix_share")
fi
for file in "$text" ${dev:+"$dev"} ${lexicon:+"$lexicon"} ${mix:+"$mix"}; do
  if [ -d "$file" ] || pending "$file"; then
    file=$file/text
    [ "$unit" != phone ] || file+=.phn
  fi
  [ -f "$file" ] || pending "$file" || die "$file: no such text file or data directory"
  inputs+=(--input "$file")
done
if [ -n "$tokens" ]; then
  require "$tokens/tokens.txt" "steps/train.sh"
  inputs+=(--input "$tokens")
fi
if up_to_date "$dir" --force "$force" --version 1 "${inputs[@]}" --option "options=${options[*]}"; then
  exit 0
fi
log "estimating $dir from $text"
$cmd "$dir/log/train_lm.log" pyscripts/train_lm.py "${options[@]}" "${more[@]}" --tokens "$tokens" --dev "$dev" "$text" "$dir"
mark_done "$dir"
log "$dir: $(summary "$dir/lm.json")"
