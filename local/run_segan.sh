#!/usr/bin/env bash
# SEGAN after ./run.sh: trains it on run.sh's data, enhances with it, and runs a recogniser on its output.
# Options as in run.sh, with the same --data and --exp.
# shellcheck disable=SC2034,SC2154  # some options are read by their name; steps/lib/recipe.sh sets some variables

. steps/lib/recipe_options.sh || exit 1 # --stage, --data, --exp, --nj, --ngpu, --dry-run and more: see --help
corpus=demo                             # as given to run.sh: with vbdemand the published configurations are the default, else demo size
augmented=false                         # true if run.sh was given --speeds or --augment-noise-dir
segan_config=                           # stage 1: networks and training
enhancement_ratio=                      # as given to run.sh  # was: enhance-ratio
recogniser=                             # directory of a recogniser to use unchanged, e.g. exp/asr_clean; empty: one fine-tuned on enhanced speech
asr_finetune_config=                    # stage 3: fine-tuning of the recogniser of clean speech
fbank_config=                           # stage 2: features of the recogniser
measures=all                            # as given to run.sh
compress=none                           # archives of features: none (float32), int16 (half the size) or uint8 (a quarter, coarse)

. ./path.sh || exit 1
help_message="Usage: local/run_segan.sh [--option value]...
e.g.: ./run.sh && local/run_segan.sh
      local/run_segan.sh --recogniser exp/asr_clean          with a recogniser that is not fine-tuned
      local/run_segan.sh --corpus vbdemand --ngpu 1          the published sizes

Options (default):
$(list_options.sh "$0")
Configurations that are not given: conf/segan_demo.yaml; with --corpus vbdemand conf/segan.yaml.

Stages; one that is done and unchanged is skipped:
  stage          reads                              writes
  1 training     data/{train,dev}_{clean,noisy}     exp/enhance_segan
  2 dump         data/*_noisy                       exp/enhance_segan/{wav,enhanced}/*
  3 recognition  exp/asr_clean  the dump            exp/asr_segan; with --recogniser exp/enhance_segan/asr/{segan,noisy}
  4 scoring      all of these                       */scoring/*  exp/SEGAN.md"
call=("$0" "$@")
. parse_options.sh
. log.sh
. recipe.sh
set -euo pipefail

seeds=1 # seed_of
check_common "$@"
choose_configs
if [ "$corpus" = vbdemand ]; then : "${segan_config:=conf/segan.yaml}"; else : "${segan_config:=conf/segan_demo.yaml}"; fi
check_files segan_config
check_dirs recogniser
if $augmented; then noisy_train=train_augmented; fi
start_recipe "$exp"

if begin 1 "SEGAN"; then
  steps/train.sh "${training[@]}" "$segan_config" "$exp/enhance_segan" --train.seed "$seed" \
    --data.train_noisy "$data/train_noisy" --data.train_clean "$data/train_clean" \
    --data.dev_noisy "$data/dev_noisy" --data.dev_clean "$data/dev_clean"
fi

asr=$exp/asr_segan unenhanced=$exp/asr_noisy sets=(train dev test)
if [ -n "$recogniser" ]; then asr=$exp/enhance_segan/asr/segan unenhanced=$exp/enhance_segan/asr/noisy sets=(dev test); fi

if begin 2 "dump of enhanced speech"; then
  fit_ratios "${recogniser:-$exp/asr_clean}" "$exp/enhance_segan"
  for set in "${sets[@]}"; do in_background 2 dump "$exp/enhance_segan" "$set"; done
  wait_all
fi

if begin 3 "recognition"; then
  require "${recogniser:-$exp/asr_clean}/model.pt" "stage 6 of run.sh (recognition)"
  [ -n "$recogniser" ] || train_robust segan
  for set in dev test; do
    in_background 2 recognise "$asr" "$set" "$(feats_dir_for segan "$set")" "$recogniser"
    [ -z "$recogniser" ] || in_background 2 recognise "$unenhanced" "$set" "$(feats_dir_for noisy "$set")" "$recogniser"
  done
  wait_all
fi

if begin 4 "scores"; then
  for set in dev test; do
    in_background 2 score_words "$asr" "$set" "$(feats_dir_for segan "$set")"
    in_background 2 score_words "$unenhanced" "$set" "$(feats_dir_for noisy "$set")"
  done
  in_background 2 score_speech "$exp/noisy" "$data/test_noisy"
  in_background 2 score_speech "$exp/enhance_segan" "$exp/enhance_segan/enhanced/test"
  wait_all
  score_table --columns "PESQ,eSTOI,STOI,SI-SDR,dev WER,test WER" \
    --output "$exp/SEGAN.md" --pair noisy SEGAN -- \
    "noisy=$exp/noisy,$unenhanced" "SEGAN=$exp/enhance_segan,$asr"
  dry_run || steps/report.sh "${one_job[@]}" --data "$data" "$exp"
fi

finished "enhancer: $exp/enhance_segan  table: $exp/SEGAN.md"
