#!/usr/bin/env bash
# Trains a monophone GMM-HMM from transcripts alone.
# Reads MFCC features and transcripts; writes <exp-dir>: final.mdl, tree, ali.JOB.gz, likes (likelihood per pass).

num_iters=40        # passes
max_iter_inc=30     # last pass after which Gaussians are added
totgauss=1000       # Gaussians to reach
realign_iters="1 2 3 4 5 6 7 8 9 10 12 14 16 18 20 23 26 29 32 35 38"  # passes that align anew
boost_silence=1.0   # factor of the likelihoods of silence while aligning
power=0.25          # of the occupancies by which Gaussians are shared out
beam=10             # of alignment
retry_beam=40       # where that finds nothing
max_skip=0.01       # share of the utterances that may be left without an alignment in the end
nj=4                # jobs, at most as many as speakers
cmd=launch.py       # where they run
force=false         # true: train again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <feat-dir> <lang-dir> <exp-dir>
e.g.: $0 --nj 4 exp/mfcc/train_clean data/ligru/lang exp/ligru/mono
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
. gmm.sh
set -euo pipefail

[ $# -eq 3 ] || die "expected <feat-dir> <lang-dir> <exp-dir>, got $# words; see --help"
data=$1 lang=$2 dir=$3
require "$data/feats.scp" "steps/make_feats.sh"
require "$lang/L.fst" "steps/prepare_lang.sh"
speakers_as_jobs "$data"
begin_gmm --input "$data" "$lang" --option "iters=$num_iters $max_iter_inc $realign_iters" "totgauss=$totgauss" \
  "align=$boost_silence $power $beam $retry_beam" || exit 0

log "monophones on $(wc -l < "$data/feats.scp") utterances of $data in $nj jobs"
act init-mono
act_jobs align-equal
act_jobs acc --iter 0
act est --iter 0 --min-gaussian-occupancy 3
rm "$dir/0.mdl"
em_iterations "$(pyscripts/gmm_info.py --number pdfs "$dir/1.mdl")"
mark_done "$dir"
log "$(pyscripts/gmm_info.py "$dir/final.mdl")"
