#!/usr/bin/env bash
# Features for neural networks: MFCC after LDA, MLLT and the fMLLR of each speaker, with CMVN statistics by speaker.
# <transform-dir> is that of steps/align_fmllr.sh for training data, a decode directory for all other.

nj=4          # jobs, at most as many as speakers
cmd=launch.py # where they run
force=false   # true: run again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <feat-dir> <model-dir> <transform-dir> <out-feat-dir>
e.g.: $0 exp/mfcc/dev_clean exp/ligru/tri3 exp/ligru/tri3/decode_dev_clean exp/ligru/fmllr/dev_clean
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
. gmm.sh
set -euo pipefail

[ $# -eq 4 ] || die "expected <feat-dir> <model-dir> <transform-dir> <out-feat-dir>, got $# words; see --help"
data=$1 model=$2 transforms=$3 dir=$4
require "$data/feats.scp" "steps/make_feats.sh"
require "$model/final.mat" "steps/train_sat.sh"
require "$transforms/trans.1" "steps/align_fmllr.sh or steps/decode_lattice.sh"
limit_jobs_to_speakers "$data"
if up_to_date "$dir" --force "$force" --version 1 \
  --input "$data" "$model" "$transforms"/trans.*; then exit 0; fi # not the directory: scores join what is decoded
rm -rf "$dir/archives"
mkdir -p "$dir/log" "$dir/conf"
echo "$nj" > "$dir/num_jobs"
$cmd "$JOB=1:$nj" "$dir/log/make_fmllr_feats.$JOB.log" \
  pyscripts/make_fmllr_feats.py --job "$JOB" --nj "$nj" "$data" "$model" "$transforms" "$dir/archives"
cp "$data"/conf/*.conf "$dir/conf/"
pyscripts/collect_feats.py --nj "$nj" --max-skip 0 "$data" "$dir"
mark_done "$dir"
log "$(wc -l < "$dir/feats.scp") utterances in $dir"
