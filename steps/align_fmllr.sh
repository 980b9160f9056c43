#!/usr/bin/env bash
# Forced alignment with a model of steps/train_sat.sh: fMLLR is estimated from the transcripts, so this is for training
# data. Writes <ali-dir>: ali.JOB.gz, trans.JOB, and what reading them needs: final.mdl, final.alimdl, tree, final.mat.

boost_silence=1.0   # factor of the likelihoods of silence
beam=10             # of alignment
retry_beam=40       # where that finds nothing
max_skip=0.01       # share of the utterances that may be left without an alignment
fmllr_min_count=500 # frames that a speaker must have for a transform
nj=4                # jobs, at most as many as speakers
cmd=launch.py       # where they run
force=false         # true: align again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <feat-dir> <lang-dir> <src-dir> <ali-dir>
e.g.: $0 --nj 4 exp/mfcc/train_clean data/ligru/lang exp/ligru/tri3 exp/ligru/tri3_ali
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
. gmm.sh
set -euo pipefail

[ $# -eq 4 ] || die "expected <feat-dir> <lang-dir> <src-dir> <ali-dir>, got $# words; see --help"
data=$1 lang=$2 src=$3 dir=$4
require "$data/feats.scp" "steps/make_feats.sh"
require "$src/final.alimdl" "steps/train_sat.sh"
speakers_as_jobs "$data"
begin_gmm --input "$data" "$lang" "$src" --option "align=$boost_silence $beam $retry_beam $fmllr_min_count" || exit 0

log "aligning $(wc -l < "$data/feats.scp") utterances of $data with $src in $nj jobs"
for file in final.mdl final.alimdl tree final.mat splice_opts mllt_log_det; do if [ -e "$src/$file" ]; then cp "$src/$file" "$dir/"; fi; done
aligning=(--beam "$beam" --retry-beam "$retry_beam" --boost-silence "$boost_silence")
cp "$dir/final.alimdl" "$dir/si.mdl"
act_jobs align --iter si "${aligning[@]}"
rm "$dir/si.mdl"
# The second time the posteriors come from features that the first one has moved.
for _ in 1 2; do act_jobs fmllr --iter final --fmllr-min-count "$fmllr_min_count"; done
act_jobs align --iter final "${aligning[@]}"
summary=$(pyscripts/summarise_jobs.py --nj "$nj" --max-skip "$max_skip" "$dir")
mark_done "$dir"
log "$summary"
