#!/usr/bin/env bash
# Rescores the n best paths of lattices with a language model of steps/train.sh conf/lm.yaml: of their graph costs, the
# share --weight of the n-gram model's is replaced by the network's.
# Writes <out-dir>, beside <decode-dir>: lat.JOB.gz of these paths, from which steps/score_lattices.sh makes text.

nbest=100     # paths of each lattice
weight=0.5    # share of the network; the rest stays the n-gram model's
lmwt=10       # language model weight by which the paths are chosen
cmd=launch.py # where they run
ngpu=0        # 1: the network on a GPU in every job
device=       # cpu, cuda or mps; empty: cuda with --ngpu, else cpu
force=false   # true: rescore again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <lm-dir> <n-gram> <graph-dir> <decode-dir> <out-dir>
e.g.: $0 --weight 0.7 exp/lm exp/ligru/lm/lm.arpa exp/ligru/tri3/graph exp/ligru/ligru_clean/decode_dev exp/ligru/ligru_clean/decode_dev_lm
<n-gram> is what the graph was made of. Choose --weight on a development set.
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
. gmm.sh
set -euo pipefail

[ $# -eq 5 ] || die "expected <lm-dir> <n-gram> <graph-dir> <decode-dir> <out-dir>, got $# words; see --help"
lm=$1 ngram=$2 graph=$3 from=${4%/} dir=${5%/}
require_model "$lm" conf/lm.yaml
require "$ngram" "steps/train_lm.sh"
require "$graph/words.txt" "steps/mkgraph.sh"
require "$from/lat.1.gz" "steps/decode_lattice.sh"
[ "$(dirname "$dir")" = "$(dirname "$from")" ] || die "$dir has to lie beside $from, in the directory of the model"
[ ! "$dir" -ef "$from" ] || die "$dir: give another directory for the output"
if up_to_date "$dir" --force "$force" --version 1 --input "$lm" "$ngram" "$graph/words.txt" "$from"/lat.*.gz "$from/num_jobs" \
  --option "nbest=$nbest weight=$weight lmwt=$lmwt"; then exit 0; fi
nj=$(cat "$from/num_jobs")
rm -rf "$dir/log" "$dir"/lat.*.gz
mkdir -p "$dir/log"
cp "$from/num_jobs" "$dir/"
choose_device
log "rescoring $nbest paths of each lattice of $from with $lm in $nj jobs"
# shellcheck disable=SC2086  # a command with its options, as in Kaldi
$cmd --mem 2G "${place[@]}" "$JOB=1:$nj" "$dir/log/rescore.$JOB.log" pyscripts/rescore_lattices.py --job "$JOB" --nbest "$nbest" \
  --weight "$weight" --lmwt "$lmwt" --device "$device" "$lm" "$ngram" "$graph" "$from" "$dir"
mark_done "$dir"
log "$dir: lattices of at most $nbest paths"
