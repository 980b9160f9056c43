#!/usr/bin/env bash
# The published table on any corpus. Goes on in exp/ where ./run.sh has finished: the rows clean, noisy and mse, mimic
# (frozen) are its own; this makes the others, scores all, and writes exp/TABLE.md with the published values beside.
# What is done and unchanged is skipped. Times of the demo corpus, 2 cores, all rows: 40 min.
#   noisy_phase              clean magnitudes with the phase of noisy speech: what a perfect mask would give
#   joint_mse joint_mimic    enhancer and recogniser trained on together, from enhance_mse and enhance_mimic
#   crdnn_mse crdnn_mimic    another enhancer, then as mse and mimic
#   resnet_l1 resnet_mimic   the enhancer of 2026: L1 in place of MSE, mask on the complex spectrum
# shellcheck disable=SC2034,SC2154  # some options are read by their name; steps/lib/recipe.sh sets some variables

rows=                  # of the table, in their order; empty: all
data=data              # as run.sh got it
exp=exp                # as run.sh got it
corpus=demo            # as run.sh got it: with vbdemand the published configurations are the default, else demo size
crdnn_config=          # model and training of the CRDNN enhancers
resnet_config=         # model and training of the ResNet enhancers
joint_config=          # joint training
asr_finetune_config=   # as run.sh got it
fbank_config=          # as run.sh got it
decode_options=        # as run.sh got it; split at spaces
augmented=false        # true where run.sh got --speeds or --augment-noise-dir
seed=1                 # of all training
seeds=1                # from this many seeds: --seed, --seed + 1, ...; run.sh needs as many before
nj=                    # jobs per step, of which two run side by side; empty: one per two cores, 4 at most
train_jobs=2           # models trained side by side; with --ngpu one after the other
ngpu=0                 # GPUs for training; 0 is the CPU
cmd_backend=           # where jobs run: local, slurm or sge; empty: what cmd.sh says
num_threads=           # CPU threads of a training; empty: this machine's cores shared out, on a cluster 4
force=false            # true: redo the rows although nothing changed

. ./path.sh || exit 1
help_message="Usage: local/run_table.sh [--option value]...
e.g.: ./run.sh --seeds 3 && local/run_table.sh --seeds 3
      local/run_table.sh --rows 'noisy mse mimic resnet_l1 resnet_mimic'
Options (default):
$(list_options.sh "$0")"
call=("$0" "$@")
. parse_options.sh
. log.sh
. recipe.sh
set -euo pipefail

[ $# -eq 0 ] || die "takes options only, got '$*'; see --help"
check_common
# row: title in the table=directory with speech scores,directory with word scores
declare -A titles=(
  [clean]="clean=$exp/clean,$exp/asr_clean"
  [noisy_phase]="clean, noisy phase=$exp/enhance_noisy_phase,$exp/asr_noisy_phase"
  [noisy]="noisy=$exp/noisy,$exp/asr_noisy"
  [joint_mse]="joint MSE=$exp/joint_mse/enhancer,$exp/joint_mse/recogniser"
  [joint_mimic]="joint MSE + mimic=$exp/joint_mimic/enhancer,$exp/joint_mimic/recogniser"
  [mse]="frozen MSE=$exp/enhance_mse,$exp/asr_mse"
  [mimic]="frozen MSE + mimic=$exp/enhance_mimic,$exp/asr_mimic"
  [crdnn_mse]="CRDNN MSE=$exp/enhance_crdnn_mse,$exp/asr_crdnn_mse"
  [crdnn_mimic]="CRDNN MSE + mimic=$exp/enhance_crdnn_mimic,$exp/asr_crdnn_mimic"
  [resnet_l1]="ResNet L1=$exp/enhance_resnet_l1,$exp/asr_resnet_l1"
  [resnet_mimic]="ResNet L1 + mimic=$exp/enhance_resnet_mimic,$exp/asr_resnet_mimic"
)
: "${rows:=clean noisy_phase noisy joint_mse joint_mimic mse mimic crdnn_mse crdnn_mimic resnet_l1 resnet_mimic}"
table=() seedless=() enhancers=() joints=() own=()
for row in $rows; do
  [ -n "${titles[$row]:-}" ] || die "--rows: no row '$row', see --help"
  table+=("${titles[$row]}")
  case $row in
    crdnn* | resnet*) enhancers+=("$row") ;;
    joint*) joints+=("$row") ;;
    mse | mimic) own+=("$row") ;;
    *) seedless+=("$row") ;;
  esac
done
size=_demo
if [ "$corpus" = vbdemand ]; then size=''; fi
: "${crdnn_config:=conf/enhance_crdnn$size.yaml}" "${resnet_config:=conf/enhance_resnet$size.yaml}"
: "${joint_config:=conf/joint$size.yaml}"
choose_configs
check_files crdnn_config resnet_config joint_config
if $augmented; then noisy_train=train_augmented; fi
[ -e "$exp/asr_clean/model.pt" ] || die "$exp/asr_clean/model.pt is missing: run ./run.sh first"

start_recipe "$exp"
read -r -a enhancers <<< "$(with_seeds "${enhancers[@]}")"
read -r -a joints <<< "$(with_seeds "${joints[@]}")"
read -r -a own <<< "$(with_seeds "${own[@]}")"

log "enhancers: ${enhancers[*]:-none}"
for name in "${enhancers[@]}"; do
  config=$crdnn_config loss=(--loss.perceptual "$exp/perceptual")
  if [[ $name == resnet* ]]; then config=$resnet_config; fi
  if [[ $name != *mimic* ]]; then loss=(--loss.mimic_weight 0); fi
  aside "$train_jobs" train_enhancer "$name" "$config" "${loss[@]}"
done
for name in "${joints[@]}"; do
  aside "$train_jobs" steps/train.sh "${training[@]}" "$joint_config" "$exp/$name" --train.seed "$(seed_of "$name")" \
    --joint.enhancer "$exp/enhance_${name#joint_}" --data.init "$exp/asr_clean" --data.train "$data/$noisy_train" \
    --data.dev "$data/dev_noisy" --data.dev_clean "$data/dev_clean"
done
all_done

log "enhanced speech"
oracle() {
  steps/noisy_phase.sh "${common[@]}" "$data/$1_clean" "$data/$1_noisy" "$exp/enhance_noisy_phase/wav/$1"
  make_fbank "$exp/enhance_noisy_phase/wav/$1" "$exp/enhance_noisy_phase/enhanced/$1"
}
for set in train dev test; do
  for name in "${enhancers[@]}"; do aside 2 dump "$exp/enhance_$name" "$set"; done
  if [[ " $rows " == *" noisy_phase "* ]]; then aside 2 oracle "$set"; fi
done
for name in "${joints[@]}"; do
  for set in dev test; do aside 2 dump "$exp/$name/enhancer" "$set"; done
done
all_done

log "recognisers"
robust=("${enhancers[@]}")
if [[ " $rows " == *" noisy_phase "* ]]; then robust+=(noisy_phase); fi
for name in "${robust[@]}"; do aside "$train_jobs" train_robust "$name"; done
all_done
for set in dev test; do
  for name in "${robust[@]}"; do aside 2 recognise "$exp/asr_$name" "$set" "$(heard_by "$name" "$set")"; done
  for name in "${joints[@]}"; do
    aside 2 recognise "$exp/$name/recogniser" "$set" "$exp/$name/enhancer/enhanced/$set"
  done
done
all_done

log "scores"
for set in dev test; do
  for name in "${seedless[@]}" "${own[@]}" "${enhancers[@]}"; do
    aside 2 score_words "$exp/asr_$name" "$set" "$(heard_by "$name" "$set")"
  done
  for name in "${joints[@]}"; do
    aside 2 score_words "$exp/$name/recogniser" "$set" "$exp/$name/enhancer/enhanced/$set"
  done
done
for name in "${seedless[@]}"; do
  case $name in
    noisy_phase) aside 2 score_speech "$exp/enhance_noisy_phase" "$exp/enhance_noisy_phase/enhanced/test" ;;
    *) aside 2 score_speech "$exp/$name" "$data/test_$name" ;;
  esac
done
for name in "${own[@]}" "${enhancers[@]}"; do
  aside 2 score_speech "$exp/enhance_$name" "$exp/enhance_$name/enhanced/test"
done
for name in "${joints[@]}"; do aside 2 score_speech "$exp/$name/enhancer" "$exp/$name/enhancer/enhanced/test"; done
all_done
columns="PESQ,eSTOI,STOI,CSIG,CBAK,COVL,SI-SDR,dev CER,test CER,dev WER,test WER"
pyscripts/results_table.py --command "${call[*]}" --columns "$columns" --published local/vbdemand/published.tsv \
  --output "$exp/TABLE.md" "${table[@]}"
log "table: $exp/TABLE.md  [elapsed=${SECONDS}s]"
