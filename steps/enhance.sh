#!/usr/bin/env bash
# Enhances a data directory.
# Reads <model-dir> and the audio of <data-dir>; writes <out-dir>, a data directory with the same utterances whose
# waves are enhanced. An enhanced wave is as long as its noisy one.

nj=2          # jobs
cmd=launch.py # where they run
ngpu=0        # 1: every job on a GPU
force=false   # true: enhance again although nothing changed

help_message="Usage: $0 [options] <model-dir> <data-dir> <out-dir> [--mask.key value]...
e.g.: $0 --nj 4 exp/enhance_mimic data/test_noisy exp/enhance_mimic/wav/test --mask.weight 0.7
Options (default):
  --nj N              jobs ($nj)
  --cmd CMD           where they run ($cmd)
  --ngpu N            1: every job on a GPU ($ngpu)
  --force true|false  enhance again although nothing changed ($force)
What is given behind <out-dir> overrides the model's configuration."

. ./path.sh
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -ge 3 ] || die "expected <model-dir> <data-dir> <out-dir>, got $# words; see --help"
model=$1 data=$2 dir=$3
shift 3
require "$model/model.pt" "stage 4 (enhancement)"
require "$data/wav.scp" "stage 1 (data)"

if up_to_date "$dir" --force "$force" --code pyscripts/enhance.py --input "$model" --input "$data" --option "mask=$*"; then
  exit 0
fi
utterances=$(wc -l < "$data/utt2spk")
if [ "$nj" -gt "$utterances" ]; then nj=$utterances; fi
device=cpu gpu=()
if [ "$ngpu" -gt 0 ]; then device=cuda gpu=(--gpu "$ngpu"); fi
mkdir -p "$dir/log"

log "enhancing $utterances utterances of $data with $model"
# shellcheck disable=SC2086  # a command with its options, as in Kaldi
$cmd "${gpu[@]}" JOB=1:"$nj" "$dir/log/enhance.JOB.log" \
  pyscripts/enhance.py --job JOB --nj "$nj" --device "$device" "$model" "$data" "$dir" "$@"

for table in text text.phn utt2spk spk2utt utt2dur utt2snr utt2noise spk2gender; do
  if [ -f "$data/$table" ]; then cp "$data/$table" "$dir/"; fi
done
for job in $(seq "$nj"); do cat "$dir/wav.$job.scp"; done > "$dir/wav.scp.tmp"
[ "$(wc -l < "$dir/wav.scp.tmp")" = "$utterances" ] || die "$dir: not every utterance was enhanced, see $dir/log"
mv "$dir/wav.scp.tmp" "$dir/wav.scp"
rm "$dir"/wav.[0-9]*.scp
mark_done "$dir"
