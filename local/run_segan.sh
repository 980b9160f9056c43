#!/usr/bin/env bash
# SEGAN behind ./run.sh: trains it on run.sh's data, enhances with it, and lets a recogniser hear what it gives.
# Options as in run.sh: each line "name=value  # meaning" below is one.
# shellcheck disable=SC2034,SC2154  # some options are read by their name; steps/lib/recipe.sh sets some variables

stage=1                # first stage to run
stop_stage=4           # last stage to run
config=                # bash file of name=value lines, read before the other options
data=data              # as run.sh got it
exp=exp                # as run.sh got it
corpus=demo            # the corpus that run.sh was called with: sizes follow it, as there
augmented=false        # true where run.sh got --speeds or --augment-noise-dir
segan_config=          # stage 1: networks and training
recogniser=            # directory of a recogniser that hears it as it is, e.g. exp/asr_clean; empty: one trained on it
asr_finetune_config=   # stage 3: how the recogniser for clean speech goes on
fbank_config=          # stage 2: features of the recogniser
compress=none          # archives of features: none (float32), int16 (half the size) or uint8 (a quarter, coarse)
seed=1                 # of all training
nj=                    # jobs per step; empty: one per two cores, 4 at most
ngpu=0                 # GPUs for training; 0 is the CPU
cmd_backend=           # where jobs run: local, slurm or sge; empty: what cmd.sh says
num_threads=           # CPU threads of a training; empty: this machine's cores shared out, on a cluster 4
force=false            # true: redo the stages although nothing changed

. ./path.sh || exit 1
help_message="Usage: local/run_segan.sh [--option value]...
e.g.: ./run.sh && local/run_segan.sh
      local/run_segan.sh --recogniser exp/asr_clean          before a recogniser that stays as it is
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

[ $# -eq 0 ] || die "takes options only, got '$*'; see --help"
train_jobs=1 seeds=1
check_common
choose_configs
if [ "$corpus" = vbdemand ]; then : "${segan_config:=conf/segan.yaml}"; else : "${segan_config:=conf/segan_demo.yaml}"; fi
check_files config segan_config
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
  for set in "${sets[@]}"; do aside 2 dump "$exp/enhance_segan" "$set"; done
  all_done
fi

if begin 3 "recognition"; then
  require "${recogniser:-$exp/asr_clean}/model.pt" "stage 6 of run.sh (recognition)"
  [ -n "$recogniser" ] || train_robust segan
  for set in dev test; do
    aside 2 recognise "$asr" "$set" "$(heard_by segan "$set")" "$recogniser"
    [ -z "$recogniser" ] || aside 2 recognise "$unenhanced" "$set" "$(heard_by noisy "$set")" "$recogniser"
  done
  all_done
fi

if begin 4 "scores"; then
  for set in dev test; do
    aside 2 score_words "$asr" "$set" "$(heard_by segan "$set")"
    aside 2 score_words "$unenhanced" "$set" "$(heard_by noisy "$set")"
  done
  aside 2 score_speech "$exp/noisy" "$data/test_noisy"
  aside 2 score_speech "$exp/enhance_segan" "$exp/enhance_segan/enhanced/test"
  all_done
  pyscripts/results_table.py --command "${call[*]}" --columns "PESQ,eSTOI,STOI,SI-SDR,dev WER,test WER" \
    --output "$exp/SEGAN.md" --pair noisy SEGAN "noisy=$exp/noisy,$unenhanced" "SEGAN=$exp/enhance_segan,$asr"
  steps/report.sh --cmd "$train_cmd" --force "$force" --data "$data" "$exp"
fi

log "finished. [elapsed=${SECONDS}s]"
