#!/usr/bin/env bash
# How long run.sh takes here for any amount of training speech, the memory of its jobs and the disk space, and
# which --nj and --ngpu reach a target time. Runs each step on a small sample of the demo corpus, which takes about a
# minute with the demo configurations, and computes the rest (assumptions: pyscripts/mimic/reporting/plan_estimate.py).
# Calibrate while nothing else runs. Writes nothing but --json: the sample is removed in the end.
# shellcheck disable=SC2034,SC2154  # some options are read by their name; steps/lib/recipe.sh sets some variables

hours="1 100 1000 10000" # of training speech, one column each
dev_hours=               # of development speech; empty: 0.15 of the training hours, 5 at most
test_hours=              # of test speech; empty: 0.2 of the training hours, 5 at most
within=                  # target time, e.g. 90m, 24h or 3d: which --nj and --ngpu reach it
json=                    # file for all figures
corpus=demo              # as given to run.sh: with vbdemand the published configurations are the default, else demo size
fbank_config=            # stage 2, as for run.sh; the others too
perceptual=              # as given to run.sh
perceptual_config=       # stage 3: model and training
enhance_config=          # stage 4: model and training
asr_config=              # stage 6: the recogniser for clean speech
asr_finetune_config=     # stage 6: fine-tuning of the other recognisers
compress=none            # archives of features: none, int16 or uint8
seeds=1                  # enhancers from this many seeds
nj=                      # jobs per step, of which two run side by side; empty: one per two cores, 4 at most
train_jobs=2             # models trained side by side in stages 4 and 6; with --ngpu one after the other
ngpu=0                   # GPUs for training, of which the calibration takes one; 0: the CPU
cmd_backend=             # where jobs run: local, slurm or sge; empty: the one in cmd.sh

. ./path.sh || exit 1
help_message="Usage: steps/plan.sh [--option value]...
e.g.: steps/plan.sh --within 24h
      steps/plan.sh --hours 0.5 --json plan.json       the demo corpus
      steps/plan.sh --corpus vbdemand --ngpu 1 --hours '9.4 100' --within 3d
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
. recipe.sh
set -euo pipefail

check_common "$@"
[[ -z $within || $within =~ ^[0-9.]+[mhd]$ ]] || die "--within takes a time such as 90m, 24h or 3d, got '$within'"
choose_configs
choose_perceptual
planned_ngpu=$ngpu planned_nj=$nj planned_jobs=$train_jobs force=false
nj=1 ngpu=$((ngpu > 0)) # what the calibration takes
error=$(mkdir -p exp 2>&1) || die "$error"
dir=$(mktemp -d exp/plan.XXXXXX)
start_recipe "$dir"
trap 'rm -rf "$dir"' EXIT
exp=$dir # of perceptual_dir

# timed NAME COMMAND...: records when the command began and ended. Its output is shown if it fails.
timed() {
  local begin=$EPOCHREALTIME
  "${@:2}" > "$dir/$1.out" 2>&1 || {
    cat "$dir/$1.out" >&2
    return 1
  }
  printf '{"name": "%s", "begin": %s, "end": %s}\n' "$1" "$begin" "$EPOCHREALTIME" >> "$dir/times.jsonl"
}
# learn NAME CONFIG EPOCHS [--section.key value]...: a training with a validation after its last epoch
learn() {
  timed "$1" steps/train.sh "${training[@]}" "$2" "$dir/$1" "${@:4}" --train.epochs "$3" --train.validate_every "$3" \
    --train.num_avg_ckpts 1 --train.best_metric loss
}
recogniser() { learn "$1" "$2" 3 --data.train "$dir/fbank/clean" --data.dev "$dir/fbank/clean" "${@:3}"; }
enhancer() {
  learn "$1" "$enhance_config" "$2" "${@:3}" --data.train_noisy "$dir/stft/noisy" --data.train_clean "$dir/stft/clean" \
    --data.dev_noisy "$dir/stft/noisy" --data.dev_clean "$dir/stft/clean"
}

log "calibration: data and features"
pyscripts/plan.py noise "$dir/noises"
timed data local/demo/prepare.sh "${common_2nj[@]}" --hours 0.025 --noise-dir "$dir/noises" "$dir/data"
clean=$dir/data/train_clean noisy=$dir/data/train_noisy
in_background 2 timed stft_clean make_stft "$clean" "$dir/stft/clean"
in_background 2 timed stft_noisy make_stft "$noisy" "$dir/stft/noisy"
in_background 2 timed fbank_clean make_fbank "$clean" "$dir/fbank/clean"
wait_all
log "calibration: models of clean speech"
if [ "$perceptual" = phones ]; then
  in_background 2 learn perceptual "$perceptual_config" 3 --data.train "$dir/stft/clean" --data.dev "$dir/stft/clean"
fi
in_background 2 recogniser asr_clean "$asr_config" --data.vocabulary 60
wait_all
log "calibration: enhancers, together and alone"
in_background 2 enhancer mse 3 --loss.mimic_weight 0
in_background 2 enhancer mimic 8 --loss.perceptual "$(perceptual_dir)"
wait_all
log "calibration: enhancement, recognition and scores"
in_background 2 recogniser finetune "$asr_finetune_config" --data.init "$dir/asr_clean"
in_background 2 timed enhance steps/enhance.sh "${common[@]}" "$dir/mimic" "$noisy" "$dir/enhanced"
in_background 2 timed decode steps/decode.sh "${decoding[@]}" "$dir/asr_clean" "$dir/fbank/clean" "$dir/asr_clean/decode"
in_background 2 timed speech steps/score_enhancement.sh "${common[@]}" "$clean" "$noisy" "$dir/speech"
wait_all
timed words steps/score_asr.sh "${one_job[@]}" --cer-spaces true "$clean" "$dir/asr_clean/decode" "$dir/words"
timed table pyscripts/score_table.py --output "$dir/RESULTS.md" "clean=$dir,$dir/asr_clean"

json_option=()
if [ -n "$json" ]; then json_option=(--json "$json"); fi
pyscripts/plan.py estimate --hours "$hours" --dev-hours "$dev_hours" --test-hours "$test_hours" --within "$within" \
  --perceptual-config "$perceptual_config" --enhance-config "$enhance_config" --asr-config "$asr_config" \
  --finetune-config "$asr_finetune_config" --nj "$planned_nj" --train-jobs "$planned_jobs" --ngpu "$planned_ngpu" \
  --seeds "$seeds" "${json_option[@]}" "$dir"
log "planned in $SECONDS s"
