#!/usr/bin/env bash
# Forced alignment with a model of steps/train_sat.sh: fMLLR is estimated from the transcripts, so this is for training
# data. Writes <ali-dir>: ali.JOB.gz, trans.JOB, and what reading them needs: final.mdl, final.alimdl, tree, final.mat.
# shellcheck disable=SC2034  # steps/lib/gmm.sh reads the options

. steps/lib/gmm_options.sh || exit 1
fmllr_min_count=500 # least frames of a speaker for a transform
nj=4                # jobs, at most as many as speakers

. ./path.sh
help_message="Usage: $0 [options] <feat-dir> <lang-dir> <src-dir> <ali-dir>
e.g.: $0 --nj 4 exp/mfcc/train_clean data/ligru/lang exp/ligru/tri3 exp/ligru/tri3_ali
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
. gmm.sh
set -euo pipefail

align fmllr "$@"
