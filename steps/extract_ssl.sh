#!/usr/bin/env bash
# Hidden states of a self-supervised encoder as features: any layer, several side by side, or their weighted sum.
# Reads <model> (a file or directory of wav2vec 2.0, HuBERT or WavLM, or the experiment directory of a student) and the
# audio of <data-dir>; writes <feat-dir> as steps/make_feats.sh does, a frame per 20 ms (or what its stride is). <feat-dir>.conf keeps the options.

layers=       # hidden states, as "4 8 12"; 0 is the input of the first layer; empty: all of them
weights=      # of a weighted sum of these layers in place of them, as "0.2 0.3 0.5"
nj=2          # jobs
cmd=launch.py # where they run
compress=none # archives: none (float32), int16 (half the size) or uint8 (a quarter, coarse)
max_skip=0.01 # largest share of utterances whose audio cannot be used
channel=      # of audio that has several, from 0
force=false   # true: extract again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <model> <data-dir> <feat-dir>
e.g.: $0 --layers 8 hubert-base data/train_clean exp/ssl/train_clean
      $0 exp/distill/robust data/test_noisy exp/distill/feats/test_noisy
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 3 ] || die "expected <model> <data-dir> <feat-dir>, got $# words; see --help"
model=$1 data=$2 dir=${3%/}
[ -e "$model" ] || dry_run || die "$model: no such encoder: local/run_pretrain_ssl.sh and local/run_distill.sh train some"
conf=$dir.conf
printf -v settings -- '--type=ssl\n--model=%s\n--layers=%s\n--weights=%s\n' "$model" "$layers" "$weights"
if ! dry_run; then
  mkdir -p "$(dirname "$dir")"
  printf %s "$settings" > "$conf.tmp"
  mv "$conf.tmp" "$conf"
elif ! printf %s "$settings" | cmp -s - "$conf"; then # a dry run writes nothing there
  conf=$(mktemp)
  trap 'rm "$conf"' EXIT
  printf %s "$settings" > "$conf"
fi
steps/make_feats.sh --type ssl --ssl-model "$model" --feat-config "$conf" --nj "$nj" --cmd "$cmd" --compress "$compress" \
  --max-skip "$max_skip" --channel "$channel" --force "$force" "$data" "$dir"
