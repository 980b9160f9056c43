#!/usr/bin/env bash
# Makes a lang directory in Kaldi's layout: words.txt, phones.txt, phones/*, L.fst, L_disambig.fst, topo, oov.txt.
# Reads a lexicon of `WORD PH PH` lines (CMUdict too), or Kaldi's lexiconp.txt or lexiconp_silprob.txt: probabilities of
# pronunciations are in L.fst, those of silence are not used.

sil_prob=0.5        # probability of silence between two words
num_sil_states=5    # HMM states of silence and spoken noise
num_nonsil_states=3 # of the other phones
lexicon_type=auto   # columns of <lexicon>: plain, prob, silprob; auto: from all its lines
cmd=launch.py       # where it runs
force=false         # true: run again although nothing changed
# removed: nj

. ./path.sh
help_message="Usage: $0 [options] <lexicon> <oov-word> <lang-dir>
e.g.: $0 data/lang/lexicon.txt '<UNK>' data/ligru/lang
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 3 ] || die "expected <lexicon> <oov-word> <lang-dir>, got $# words; see --help"
lexicon=$1 oov=$2 dir=$3
require "$lexicon" "local/*/prepare.sh or local/import_corpus.sh"
options=(--sil-prob "$sil_prob" --num-sil-states "$num_sil_states" --num-nonsil-states "$num_nonsil_states")
[ "$lexicon_type" = auto ] || options+=(--lexicon-type "$lexicon_type")
if up_to_date "$dir" --force "$force" --version 1 --input "$lexicon" \
  --option "oov=$oov" "options=${options[*]}"; then exit 0; fi
# The space: run.pl, slurm.pl and queue.pl, if cmd.sh has them, would give the word <UNK> to a shell.
$cmd "$dir/log/prepare_lang.log" pyscripts/prepare_lang.py "${options[@]}" "$lexicon" " $oov" "$dir"
mark_done "$dir"
log "$(summary "$dir/lang.json")"
log "lang directory $dir: $(wc -l < "$dir/words.txt") words, $(wc -l < "$dir/phones.txt") phones"
