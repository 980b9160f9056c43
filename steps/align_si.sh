#!/usr/bin/env bash
# Forced alignment with a speaker-independent model (monophones, triphones, LDA+MLLT).
# Writes <ali-dir>: ali.JOB.gz, and what reading them needs: final.mdl, tree, final.mat.

boost_silence=1.0   # factor of the likelihoods of silence
beam=10             # of alignment
retry_beam=40       # where that finds nothing
max_skip=0.01       # share of the utterances that may be left without an alignment
nj=4                # jobs, at most as many as speakers
cmd=launch.py       # where they run
force=false         # true: align again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <feat-dir> <lang-dir> <src-dir> <ali-dir>
e.g.: $0 --nj 4 exp/mfcc/train_clean data/ligru/lang exp/ligru/mono exp/ligru/mono_ali
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
. gmm.sh
set -euo pipefail

[ $# -eq 4 ] || die "expected <feat-dir> <lang-dir> <src-dir> <ali-dir>, got $# words; see --help"
data=$1 lang=$2 src=$3 dir=$4
require "$data/feats.scp" "steps/make_feats.sh"
require "$src/final.mdl" "the training of $src"
speakers_as_jobs "$data"
begin_gmm --input "$data" "$lang" "$src" --option "align=$boost_silence $beam $retry_beam" || exit 0

log "aligning $(wc -l < "$data/feats.scp") utterances of $data with $src in $nj jobs"
for file in final.mdl final.alimdl tree final.mat splice_opts mllt_log_det; do if [ -e "$src/$file" ]; then cp "$src/$file" "$dir/"; fi; done
aligning=(--beam "$beam" --retry-beam "$retry_beam" --boost-silence "$boost_silence")
act_jobs align --iter final "${aligning[@]}"
summary=$(pyscripts/summarise_jobs.py --nj "$nj" --max-skip "$max_skip" "$dir")
mark_done "$dir"
log "$summary"
