#!/usr/bin/env bash
# The enhancers that ship in pretrained/, from speech, noises and RIRs of a folder of corpora, simulated RIRs and noises made
# by rule. Training mixtures are made on the fly, dev mixtures once. After a kill or after --max-hours the same command
# resumes. Options as in run.sh.
# shellcheck disable=SC2034,SC2154  # some options are read by their name; steps/lib/recipe.sh sets some variables

. steps/lib/recipe_options.sh || exit 1  # --stage, --data, --exp, --nj, --ngpu, --dry-run and more: see --help
data=data/pretrained   # where data directories go
exp=exp/pretrained     # where everything else goes
corpora=               # folder with speechocean762, librispeech251, ljspeech, noise, noise2 and rooms (RIRs)
also=                  # data directory of more training speech, as train_clean of local/demo/prepare.sh
models=fast            # any of fast, fast_b, fast_m, fast_20ms, gtcrn: conf/mask_<model>.yaml
simulated_rirs=100     # RIRs to simulate, beside the measured ones
snrs="-5 0 5 10 15 20" # of dev mixtures, dB
train_options=""       # stage 2: further settings, as "--train.epochs 5"; split at spaces
max_hours=             # stage 2: stop after so many of each training; empty: when it is done
seeds=1                # train from this many seeds: --seed, --seed + 1, ...
pretrained=pretrained  # stage 4: where the models that ship go, those of the first seed
default=               # stage 4: which of --models is used where none is named; empty: the first

. ./path.sh || exit 1
help_message="Usage: local/run_pretrained.sh --corpora DIR [--option value]...
e.g.: local/run_pretrained.sh --corpora corpora --models 'fast fast_b' --max-hours 2

Options (default):
$(list_options.sh "$0")

Stages; one that is done and unchanged is skipped:
  stage       writes
  1 data      data/pretrained/sources, data/pretrained/{dev_clean,dev_noisy}
  2 training  exp/pretrained/<model>
  3 scores    exp/pretrained/{noisy,<model>}/scoring/dev, exp/pretrained/RESULTS.md
  4 models    pretrained/<model>, pretrained/default: see local/pretrained/publish.sh"
call=("$0" "$@")
. parse_options.sh
. log.sh
. recipe.sh
set -euo pipefail

check_common "$@"
[ -n "$corpora" ] || die "give --corpora: the folder of speech, noises and RIRs"
check_dirs corpora also
for model in $models; do
  [ -f "conf/mask_$model.yaml" ] || die "--models: no model '$model': conf/mask_$model.yaml is not there"
done
: "${default:=${models%% *}}"
[[ " $models " == *" $default "* ]] || die "--default $default: is not one of --models $models"
train_jobs=1
sources=$data/sources
start_recipe "$exp"
read -r -a systems <<< "$(with_seeds $models)"

if begin 1 "data"; then
  local/pretrained/prepare.sh --also "$also" --force "$force" "$corpora" "$sources"
  # Beside the measured RIRs, where a folder of recordings is read with all that lies below it.
  local/simulate_rirs.sh "${common_2nj[@]}" --rirs "$simulated_rirs" --longest 0.8 "$sources/rirs/train/simulated"
  local/simulate_rirs.sh "${common_2nj[@]}" --rirs 10 --longest 0.8 --seed 2 "$sources/rirs/dev/simulated"
  local/mix_noise.sh "${common_2nj[@]}" --snrs "$snrs" --rir-dir "$sources/rirs/dev" --rir-prob 0.25 \
    --babble-dir "$sources/dev_speech" "$sources/dev_speech" "$sources/noises/dev" "$data/dev_noisy"
fi

if begin 2 "training"; then
  read -r -a more <<< "$train_options"
  limit=()
  if [ -n "$max_hours" ]; then limit=(timeout --signal TERM --foreground "${max_hours}h"); fi
  for name in "${systems[@]}"; do
    rc=0
    "${limit[@]}" steps/train.sh "${training[@]}" "conf/mask_${name%_seed*}.yaml" "$exp/$name" \
      --train.seed "$(seed_of "$name")" --data.train "$sources/train_speech" --data.noises "$sources/noises/train" \
      --data.rirs "$sources/rirs/train" --data.dev_noisy "$data/dev_noisy" --data.dev_clean "$data/dev_clean" \
      "${more[@]}" || rc=$?
    case $rc in
      0) ;;
      75 | 124 | 143) log "$exp/$name: stopped after $max_hours h: the same command resumes it"; exit 75 ;;
      *) exit "$rc" ;;
    esac
  done
fi

if begin 3 "scores"; then
  for name in noisy "${systems[@]}"; do
    enhanced=$data/dev_noisy
    if [ "$name" != noisy ]; then
      enhanced=$exp/$name/wav/dev
      steps/enhance.sh "${common_2nj[@]}" "$exp/$name" "$data/dev_noisy" "$enhanced"
    fi
    steps/score_enhancement.sh "${common_2nj[@]}" "$data/dev_clean" "$enhanced" "$exp/$name/scoring/dev"
  done
  rows=() pairs=()
  for name in noisy $models; do rows+=("$name=$exp/$name,"); done
  for name in $models; do pairs+=(--pair noisy "$name"); done
  score_table --columns PESQ,eSTOI,STOI,SI-SDR --output "$exp/RESULTS.md" "${pairs[@]}" "${rows[@]}"
fi

if begin 4 "models"; then
  for model in $models; do
    name=$model is_default=false
    if [ "$model" = fast ]; then name=fast_t; fi  # the size, as the paper calls it
    if [ "$model" = "$default" ]; then is_default=true; fi
    local/pretrained/publish.sh "${one_job[@]}" --noisy "$exp/noisy" --default $is_default "$exp/$model" "$pretrained/$name"
  done
fi

finished "models: $pretrained/<model>  table: $exp/RESULTS.md"
