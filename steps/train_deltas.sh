#!/usr/bin/env bash
# Trains triphones with deltas of the features on the alignments of another model.
# Writes <exp-dir>: final.mdl, tree, ali.JOB.gz, likes (likelihood per pass).

num_iters=35        # passes
max_iter_inc=25     # last pass after which Gaussians are added
realign_iters="10 20 30"   # passes that align anew
boost_silence=1.0   # factor of the likelihoods of silence while aligning
power=0.25          # of the occupancies by which Gaussians are shared out
thresh=300          # least gain of likelihood for which the tree splits a leaf
beam=10             # of alignment
retry_beam=40       # where that finds nothing
max_skip=0.01       # share of the utterances that may be left without an alignment in the end
cmd=launch.py       # where jobs run, as many as made the alignments
force=false         # true: train again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <num-leaves> <tot-gauss> <feat-dir> <lang-dir> <ali-dir> <exp-dir>
e.g.: $0 2000 10000 exp/mfcc/train_clean data/ligru/lang exp/ligru/mono_ali exp/ligru/tri1
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
. gmm.sh
set -euo pipefail

[ $# -eq 6 ] || die "expected <num-leaves> <tot-gauss> <feat-dir> <lang-dir> <ali-dir> <exp-dir>, got $# words; see --help"
numleaves=$1 totgauss=$2 data=$3 lang=$4 alidir=$5 dir=$6
check_sizes
require "$data/feats.scp" "steps/make_feats.sh"
require "$alidir/ali.1.gz" "steps/align_si.sh"
nj=$(cat "$alidir/num_jobs")
begin_gmm --input "$data" "$lang" "$alidir" --option "iters=$num_iters $max_iter_inc $realign_iters" \
  "sizes=$numleaves $totgauss $thresh" "align=$boost_silence $power $beam $retry_beam" || exit 0

log "triphones of deltas on $alidir in $nj jobs"
take_alignments
tree_and_mixtures
em_iterations "$(pyscripts/gmm_info.py --number pdfs "$dir/1.mdl")"
mark_done "$dir"
log "$(pyscripts/gmm_info.py "$dir/final.mdl")"
