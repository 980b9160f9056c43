#!/usr/bin/env bash
# Log-likelihoods of all pdfs per frame, as Kaldi's archives: for latgen-faster-mapped or any other decoder.
# Reads <model-dir>: a network of conf/hybrid_*.yaml (model.pt), whose log-posteriors are divided by the priors of the training
# alignments, or Gaussian mixtures (final.mdl). Writes <out-dir>: loglikes.JOB.{ark,scp}, loglikes.scp. Natural logarithms.

priors=true    # of a network: false: log-posteriors, as they are
transform_dir= # after steps/train_sat.sh: directory with trans.JOB; empty: final.alimdl, for features without fMLLR
compress=none  # archives: none (float32), int16 (half the size) or uint8 (a quarter, coarse)
nj=4           # jobs, at most as many as speakers
cmd=launch.py  # where they run
ngpu=0         # 1: a network on a GPU in every job
device=        # cpu, cuda or mps; empty: cuda with --ngpu, else cpu
force=false    # true: run again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <model-dir> <feat-dir> <out-dir>
e.g.: $0 exp/ligru/ligru_clean exp/ligru/fmllr/test_noisy exp/ligru/ligru_clean/loglikes_test_noisy
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
. gmm.sh
set -euo pipefail

[ $# -eq 3 ] || die "expected <model-dir> <feat-dir> <out-dir>, got $# words; see --help"
model=$1 data=$2 dir=${3%/}
require "$model/final.mdl" "steps/train.sh or steps/train_sat.sh"
require "$data/feats.scp" "steps/make_feats.sh"
inputs=("$model" "$data") options=() kind="priors=$priors"
if [ -e "$model/model.pt" ]; then
  [ -z "$transform_dir" ] || die "--transform-dir is of Gaussian mixtures, and $model is a network: fMLLR is in its features"
else
  "$priors" || die "--priors false is of networks, and $model has Gaussian mixtures"
fi
if [ -n "$transform_dir" ]; then
  require "$transform_dir/trans.1" "steps/align_fmllr.sh or steps/decode_lattice.sh"
  inputs+=("$transform_dir"/trans.*) options+=(--transform-dir "$transform_dir")
elif [ -e "$model/final.alimdl" ]; then
  options+=(--alimdl true) kind=mixtures=final.alimdl
fi
limit_jobs_to_speakers "$data"
if up_to_date "$dir" --force "$force" --version 1 --input "${inputs[@]}" --option "$kind" "compress=$compress"; then
  exit 0
fi
rm -f "$dir"/loglikes.*
mkdir -p "$dir/log"
choose_device
log "log-likelihoods of $(wc -l < "$data/feats.scp") utterances of $data by $model in $nj jobs"
# shellcheck disable=SC2086  # a command with its options, as in Kaldi
$cmd --mem 2G "${place[@]}" "$JOB=1:$nj" "$dir/log/loglikes.$JOB.log" pyscripts/make_loglikes.py --job "$JOB" --nj "$nj" \
  --priors "$priors" --compress "$compress" --device "$device" "${options[@]}" "$model" "$data" "$dir"
for ((job = 1; job <= nj; job++)); do cat "$dir/loglikes.$job.scp"; done | sort > "$dir/loglikes.scp"
summary=$(pyscripts/summarise_jobs.py --nj "$nj" "$dir")
mark_done "$dir"
log "$dir: $summary"
