#!/usr/bin/env bash
# Trains a monophone GMM-HMM from transcripts alone.
# Reads MFCC features and transcripts; writes <exp-dir>: final.mdl, tree, ali.JOB.gz, likes (likelihood per pass).
# shellcheck disable=SC2034  # steps/lib/gmm.sh reads the options

. steps/lib/gmm_options.sh || exit 1
num_iters=40                                                          # passes
max_iter_inc=30                                                       # last pass after which Gaussians are added
totgauss=1000                                                         # Gaussians in the end
realign_iters="1 2 3 4 5 6 7 8 9 10 12 14 16 18 20 23 26 29 32 35 38" # passes that realign
power=0.25                                                            # of the occupancies, by which Gaussians are allocated
nj=4                                                                  # jobs, at most as many as speakers

. ./path.sh
help_message="Usage: $0 [options] <feat-dir> <lang-dir> <exp-dir>
e.g.: $0 --nj 4 exp/mfcc/train_clean data/ligru/lang exp/ligru/mono
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
. gmm.sh
set -euo pipefail

train_monophones "$@"
