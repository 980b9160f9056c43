#!/usr/bin/env bash
# Training speech of a robust recogniser with copies of it, made once: at other speeds, with more noise.
# Reads <data-dir>; writes <out-dir>, an ordinary data directory with its utterances and all copies. Copies at other
# speeds have "sp0.9-" before the ids of utterances and speakers, those with more noise "more-".
# In between lie <out-dir>_speed and <out-dir>_more (with utt2snr utt2noise of the added noise), which hold the wavs.

speeds=          # factors, e.g. "0.9 1.0 1.1"; empty: no copies at other speeds
noise_dir=       # folder of recordings, or a wav.scp; empty: no copy with more noise
snrs="0 5 10 15" # dB, of <data-dir> as it is over the added noise
seed=1           # of the mixtures
nj=2             # jobs
cmd=launch.py    # where they run
force=false      # true: run again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <data-dir> <out-dir>
e.g.: $0 --nj 4 --speeds '0.9 1.1' --noise-dir noises data/train_noisy data/train_augmented
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 2 ] || die "expected <data-dir> <out-dir>, got $# words; see --help"
data=$1 dir=$2
[ -n "$speeds$noise_dir" ] || die "nothing to do: give --speeds or --noise-dir"
require "$data/wav.scp" "stage 1 (data)"
common=(--nj "$nj" --cmd "$cmd" --force "$force")
parts=("$data")
if [ -n "$speeds" ]; then
  steps/perturb_speed.sh "${common[@]}" --speeds "$speeds" "$data" "${dir}_speed"
  parts=("${dir}_speed") # which has the originals
fi
if [ -n "$noise_dir" ]; then
  local/mix_noise.sh "${common[@]}" --snrs "$snrs" --seed "$seed" --prefix more- --clean-out "${dir}_more_before" \
    "$data" "$noise_dir" "${dir}_more"
  parts+=("${dir}_more")
fi
steps/combine_data.sh --cmd "$cmd" --force "$force" "$dir" "${parts[@]}"
