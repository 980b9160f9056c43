#!/usr/bin/env bash
# The enhancers of pretrained/, from speech, noises and RIRs of a folder of corpora, simulated RIRs and noises made
# by rule. Training mixtures are made on the fly, dev mixtures once. After a kill or after --max-hours the same command
# resumes. Options as in run.sh.
# shellcheck disable=SC2034,SC2154  # some options are read by their name; steps/lib/recipe.sh sets some variables

. steps/lib/recipe_options.sh || exit 1                              # --stage, --data, --exp, --nj, --ngpu, --dry-run and more: see --help
data=data/pretrained                                                 # where data directories go
exp=exp/pretrained                                                   # where everything else goes
corpora=                                                             # folder with speechocean762, librispeech251, ljspeech, noise, noise2 and rooms (RIRs)
also=                                                                # data directory of more training speech with phones, as local/demo/synthesise.sh makes it
models=fast                                                          # any of fast, fast_b, fast_m, fast_20ms, gtcrn: conf/mask_<model>.yaml
simulated_rirs=100                                                   # RIRs to simulate, beside the measured ones
snrs="-5 0 5 10 15 20"                                               # of dev mixtures, dB
train_options=""                                                     # stages 3, 4: further settings, as "--train.epochs 5"; split at spaces
tune_options="--train.epochs 8 --train.lr 5.0e-4 --train.warmup 100" # stage 4: settings of both fine-tunings
mimic_options="--loss.mimic_weight 0.6 --loss.mimic_layer cnn"       # stage 4: further settings of that with mimic loss
max_hours=                                                           # stages 3, 4: stop after so many of each training; empty: when it is done
seeds=1                                                              # train from this many seeds: --seed, --seed + 1, ...
pretrained=pretrained                                                # stage 6: where the pretrained models go, those of the first seed
default=                                                             # stage 6: which is used where none is named, as fast_mimic; empty: the first of --models with mimic

. ./path.sh || exit 1
help_message="Usage: local/run_pretrained.sh --corpora DIR [--option value]...
e.g.: local/run_pretrained.sh --corpora corpora --models 'fast fast_b' --max-hours 2

Options (default):
$(list_options.sh "$0")

Stages; one that is done and unchanged is skipped:
  stage         writes
  1 data        data/pretrained/sources, data/pretrained/{dev_clean,dev_noisy}
  2 perceptual  exp/pretrained/perceptual: phones from clean and noisy speech
  3 training    exp/pretrained/<model>, without mimic loss
  4 mimic       exp/pretrained/<model>_{tuned,mimic}: further epochs of it, without and with mimic loss
  5 scores      exp/pretrained/{noisy,<model>*}/scoring/dev, exp/pretrained/RESULTS.md
  6 models      pretrained/<model>*, pretrained/default: see local/pretrained/publish.sh"
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
all=()
for model in $models; do all+=("$model" "${model}_tuned" "${model}_mimic"); done
: "${default:=${models%% *}_mimic}"
[[ " ${all[*]} " == *" $default "* ]] || die "--default $default: is none of ${all[*]}"
train_jobs=1
sources=$data/sources
recordings=''
if $debug; then simulated_rirs=4 recordings=24 pretrained=$exp/models; fi
start_recipe "$exp"
read -r -a bases <<< "$(with_seeds $models)"
read -r -a systems <<< "$(with_seeds "${all[@]}")"

if begin 1 "data"; then
  local/pretrained/prepare.sh --also "$also" --recordings "$recordings" --force "$force" "$corpora" "$sources"
  # Beside the measured RIRs, where a folder of recordings is read with all that lies below it.
  local/simulate_rirs.sh "${common_2nj[@]}" --rirs "$simulated_rirs" --longest 0.8 "$sources/rirs/train/simulated"
  local/simulate_rirs.sh "${common_2nj[@]}" --rirs 10 --longest 0.8 --seed 2 "$sources/rirs/dev/simulated"
  local/mix_noise.sh "${common_2nj[@]}" --snrs "$snrs" --rir-dir "$sources/rirs/dev" --rir-prob 0.25 \
    --babble-dir "$sources/dev_speech" "$sources/dev_speech" "$sources/noises/dev" "$data/dev_noisy"
fi

if begin 2 "perceptual"; then
  spoken=$data/transcribed
  local/speechocean762/prepare.sh --force "$force" "$corpora/speechocean762" "$data/speechocean762"
  corpus=$data/speechocean762
  if $debug; then
    select_sets "$corpus" "$data/few" {train,dev}_clean
    corpus=$data/few
  fi
  local/import_corpus.sh "${common_2nj[@]}" --corpus "$corpus" "$spoken"
  train=$spoken/train_clean
  if [ -f "$also/text.phn" ]; then
    train=$spoken/train
    steps/combine_data.sh --force "$force" "$train" "$spoken/train_clean" "$also"
  fi
  for set in "train $train" "dev $spoken/dev_clean"; do
    read -r name from <<< "$set"
    steps/make_feats.sh "${common_2nj[@]}" --set "$feature_settings" --type stft --feat-config conf/spectrum_fast.conf \
      "$from" "$exp/stft/$name"
  done
  steps/train.sh "${training[@]}" conf/perceptual_fast.yaml "$exp/perceptual" --train.seed "$seed" --data.train "$exp/stft/train" \
    --data.dev "$exp/stft/dev" --data.noises "$sources/noises/train" --data.rirs "$sources/rirs/train"
fi

read -r -a more <<< "$train_options"
read -r -a tuning <<< "$tune_options"
read -r -a mimic <<< "$mimic_options"
limit=()
if [ -n "$max_hours" ]; then limit=(timeout --signal TERM --foreground "${max_hours}h"); fi
train() { # train NAME MODEL SETTING...: exp/pretrained/NAME by conf/mask_MODEL.yaml
  local rc=0
  "${limit[@]}" steps/train.sh "${training[@]}" "conf/mask_$2.yaml" "$exp/$1" --train.seed "$(seed_of "$1")" \
    --data.train "$sources/train_speech" --data.noises "$sources/noises/train" --data.rirs "$sources/rirs/train" \
    --data.dev_noisy "$data/dev_noisy" --data.dev_clean "$data/dev_clean" "${more[@]}" "${@:3}" || rc=$?
  case $rc in
    0) ;;
    75 | 124 | 143)
      log "$exp/$1: stopped after $max_hours h: the same command resumes it"
      exit 75
      ;;
    *) exit "$rc" ;;
  esac
}

if begin 3 "training"; then
  for name in "${bases[@]}"; do train "$name" "${name%_seed*}"; done
fi

if begin 4 "mimic"; then
  for name in "${bases[@]}"; do
    model=${name%_seed*} suffix=${name#"${name%_seed*}"}
    for kind in tuned mimic; do
      loss=()
      if [ $kind = mimic ]; then loss=(--loss.perceptual "$exp/perceptual" "${mimic[@]}"); fi
      train "${model}_$kind$suffix" "$model" --data.init "$exp/$name" "${tuning[@]}" "${loss[@]}"
    done
  done
fi

if begin 5 "scores"; then
  for name in noisy "${systems[@]}"; do
    enhanced=$data/dev_noisy
    if [ "$name" != noisy ]; then
      enhanced=$exp/$name/wav/dev
      steps/enhance.sh "${common_2nj[@]}" "$exp/$name" "$data/dev_noisy" "$enhanced"
    fi
    steps/score_enhancement.sh "${common_2nj[@]}" "$data/dev_clean" "$enhanced" "$exp/$name/scoring/dev"
  done
  rows=("noisy=$exp/noisy,") pairs=()
  for name in "${all[@]}"; do rows+=("$name=$exp/$name<seed>,"); done
  for name in "${all[@]}"; do pairs+=(--pair noisy "$name"); done
  for name in $models; do pairs+=(--pair "${name}_tuned" "${name}_mimic"); done
  score_table --columns "dev PESQ,dev eSTOI,dev STOI,dev SI-SDR" --output "$exp/RESULTS.md" "${pairs[@]}" -- "${rows[@]}"
fi

if begin 6 "models"; then
  for model in "${all[@]}"; do
    name=$model is_default=false
    if [[ "$model" =~ ^fast(_tuned|_mimic)?$ ]]; then name=fast_t${model#fast}; fi # the size, as the paper calls it
    if [ "$model" = "$default" ]; then is_default=true; fi
    local/pretrained/publish.sh "${one_job[@]}" --noisy "$exp/noisy" --default $is_default "$exp/$model" "$pretrained/$name"
  done
fi

finished "models: $pretrained/<model>  table: $exp/RESULTS.md"
