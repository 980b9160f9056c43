#!/usr/bin/env bash
# Trains triphones of LDA+MLLT features on the alignments of another model, in as many jobs as made these.
# Writes <exp-dir>: final.mdl, tree, ali.JOB.gz, likes (likelihood per pass), final.mat.
# shellcheck disable=SC2034  # steps/lib/gmm.sh reads the options

. steps/lib/gmm_options.sh || exit 1
. steps/lib/triphone_options.sh || exit 1
mllt_iters="2 4 6 12" # passes that reestimate MLLT
lda_dim=40            # dimension of the features after LDA

. ./path.sh
help_message="Usage: $0 [options] <num-leaves> <tot-gauss> <feat-dir> <lang-dir> <ali-dir> <exp-dir>
e.g.: $0 2000 10000 exp/mfcc/train_clean data/ligru/lang exp/ligru/tri1_ali exp/ligru/tri2
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
. gmm.sh
set -euo pipefail

train_triphones lda_mllt "$@"
