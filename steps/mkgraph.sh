#!/usr/bin/env bash
# Composes the decoding graph of a lexicon, an n-gram model and an HMM's tree, once for all models with that tree.
# Reads L_disambig.fst, an ARPA file (steps/train_lm.sh), final.mdl and tree; writes <graph-dir>: HCLG.fst, G.fst,
# words.txt, phones.txt, phones/.

self_loop_scale=0.1 # of the probabilities of self-loops, as in training
cmd=launch.py       # where it runs
force=false         # true: compose again although nothing changed
# removed: nj

. ./path.sh
help_message="Usage: $0 [options] <lang-dir> <lm.arpa> <model-dir> <graph-dir>
e.g.: $0 data/ligru/lang exp/ligru/lm/lm.arpa exp/ligru/tri3 exp/ligru/tri3/graph
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 4 ] || die "expected <lang-dir> <lm.arpa> <model-dir> <graph-dir>, got $# words; see --help"
lang=$1 lm=$2 model=$3 dir=$4
require "$lang/L_disambig.fst" "steps/prepare_lang.sh"
require "$lm" "steps/train_lm.sh"
require "$model/final.mdl" "the training of $model"
if up_to_date "$dir" --force "$force" --version 1 --input "$lang" "$lm" "$model" \
  --option "self_loop_scale=$self_loop_scale"; then exit 0; fi
$cmd --mem 4G "$dir/log/mkgraph.log" \
  pyscripts/mkgraph.py --self-loop-scale "$self_loop_scale" "$lang" "$lm" "$model" "$dir"
mark_done "$dir"
log "decoding graph $dir/HCLG.fst of $(($(wc -c < "$dir/HCLG.fst") >> 20)) MiB"
