#!/usr/bin/env bash
# Speaker-adaptive training: triphones of fMLLR features on the alignments of an LDA+MLLT model, in as many jobs as made
# these. Writes <exp-dir>: final.mdl, tree, ali.JOB.gz, likes (likelihood per pass), final.mat, trans.JOB, and
# final.alimdl, which aligns and decodes features before adaptation.
# shellcheck disable=SC2034  # steps/lib/gmm.sh reads the options

. steps/lib/gmm_options.sh || exit 1
. steps/lib/triphone_options.sh || exit 1
fmllr_iters="2 4 6 12" # passes that reestimate fMLLR
fmllr_min_count=500    # least frames of a speaker for a transform

. ./path.sh
help_message="Usage: $0 [options] <num-leaves> <tot-gauss> <feat-dir> <lang-dir> <ali-dir> <exp-dir>
e.g.: $0 2000 10000 exp/mfcc/train_clean data/ligru/lang exp/ligru/tri2_ali exp/ligru/tri3
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
. gmm.sh
set -euo pipefail

train_triphones sat "$@"
