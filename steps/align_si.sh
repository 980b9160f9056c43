#!/usr/bin/env bash
# Forced alignment with a speaker-independent model (monophones, triphones, LDA+MLLT).
# Writes <ali-dir>: ali.JOB.gz, and what reading them needs: final.mdl, tree, final.mat.
# shellcheck disable=SC2034  # steps/lib/gmm.sh reads the options

. steps/lib/gmm_options.sh || exit 1
nj=4 # jobs, at most as many as speakers

. ./path.sh
help_message="Usage: $0 [options] <feat-dir> <lang-dir> <src-dir> <ali-dir>
e.g.: $0 --nj 4 exp/mfcc/train_clean data/ligru/lang exp/ligru/mono exp/ligru/mono_ali
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
. gmm.sh
set -euo pipefail

align si "$@"
