#!/usr/bin/env bash
# The published table on any corpus, after ./run.sh with the same --data and --exp. The enhancers of the rows mse and mimic
# (frozen) are run.sh's, as are the recognisers of clean, noisy, mse and mimic; this trains the others, scores all, and
# writes exp/TABLE.md with the published values beside the measured ones. Options as in run.sh.
#   noisy_phase              clean magnitudes with the phase of noisy speech: what a perfect mask would give
#   mimic_only               as mimic, without the spectral loss
#   joint_mse joint_mimic    enhancer and recogniser trained jointly, from enhance_mse and enhance_mimic
#   crdnn_mse crdnn_mimic    as mse and mimic, with a CRDNN enhancer
#   resnet_l1 resnet_mimic   the enhancer of 2026: L1 in place of MSE, mask on the complex spectrum
#   fast fast_mimic          the small causal enhancer of pretrained/, with its own losses
# shellcheck disable=SC2034,SC2154  # some options are read by their name; steps/lib/recipe.sh sets some variables

. steps/lib/recipe_options.sh || exit 1 # --stage, --data, --exp, --nj, --ngpu, --dry-run and more: see --help
rows=                                   # of the table, in this order; empty: all
perceptual=                             # as given to run.sh
perceptual_config=                      # as given to run.sh
enhance_config=                         # as given to run.sh, for mimic_only
corpus=demo                             # as given to run.sh: with vbdemand the published configurations are the default, else demo size
crdnn_config=                           # model and training of the CRDNN enhancers
resnet_config=                          # model and training of the ResNet enhancers
fast_config=                            # model and training of the small causal enhancers
enhancement_ratio=                      # as given to run.sh  # was: enhance-ratio
joint_config=                           # joint training
asr_finetune_config=                    # as given to run.sh
fbank_config=                           # as given to run.sh
decode_options=                         # as given to run.sh; split at spaces
augmented=false                         # true if run.sh was given --speeds or --augment-noise-dir
measures=all                            # as given to run.sh
recognisers=retrained                   # that judge the rows: clean, multi, retrained, foreign; see below
foreign_command=                        # of foreign: see steps/decode_foreign.sh: whisper:DIR, or 'prog {wav.scp} {text}'
sets="dev test"                         # recognised and scored; test: half the time, where no recogniser is to be retrained
seeds=1                                 # from this many seeds: --seed, --seed + 1, ...; run.sh needs as many before
train_jobs=2                            # models trained side by side; on one machine with --ngpu one after the other

. ./path.sh || exit 1
help_message="Usage: local/run_table.sh [--option value]...
e.g.: ./run.sh --seeds 3 && local/run_table.sh --seeds 3
      local/run_table.sh --rows 'noisy mse mimic resnet_l1 resnet_mimic'
Options (default):
$(list_options.sh "$0")

Recognisers: retrained, on the speech of its row (exp/TABLE.md); and, the same for all rows, clean: of clean speech;
multi: of noisy speech (exp/asr_noisy; of digits, which has strings without noise, multi-condition); foreign:
--foreign-command (exp/{TABLE,BREAKDOWN}_<recogniser>.md).

Stages; what is done and unchanged is skipped:
  stage           writes
  1 training      exp/enhance_{crdnn,resnet,fast,mimic_only}*  exp/joint_*
  2 enhancement   exp/enhance_*/{wav,enhanced}/*  exp/joint_*/enhancer/{wav,enhanced}/*
  3 recognition   exp/asr_{crdnn,resnet,fast}*  exp/asr_noisy_phase  */decode_*  exp/table/<recogniser>/*/decode_*
  4 scoring       */scoring/*  exp/TABLE.md  exp/compare/*mimic  exp/BREAKDOWN.md (words by SNR and noise type)"
call=("$0" "$@")
. parse_options.sh
. log.sh
. recipe.sh
set -euo pipefail

check_common "$@"
# row: title in the table=directory with speech scores,directory with word scores; <seed> as score_table has it
declare -A titles=(
  [clean]="clean=$exp/clean,$exp/asr_clean"
  [noisy_phase]="clean, noisy phase=$exp/enhance_noisy_phase,$exp/asr_noisy_phase"
  [noisy]="noisy=$exp/noisy,$exp/asr_noisy"
  [joint_mse]="joint MSE=$exp/joint_mse<seed>/enhancer,$exp/joint_mse<seed>/recogniser"
  [joint_mimic]="joint MSE + mimic=$exp/joint_mimic<seed>/enhancer,$exp/joint_mimic<seed>/recogniser"
  [mse]="frozen MSE=$exp/enhance_mse<seed>,$exp/asr_mse<seed>"
  [mimic]="frozen MSE + mimic=$exp/enhance_mimic<seed>,$exp/asr_mimic<seed>"
  [mimic_only]="mimic only=$exp/enhance_mimic_only<seed>,$exp/asr_mimic_only<seed>"
  [crdnn_mse]="CRDNN MSE=$exp/enhance_crdnn_mse<seed>,$exp/asr_crdnn_mse<seed>"
  [crdnn_mimic]="CRDNN MSE + mimic=$exp/enhance_crdnn_mimic<seed>,$exp/asr_crdnn_mimic<seed>"
  [resnet_l1]="ResNet L1=$exp/enhance_resnet_l1<seed>,$exp/asr_resnet_l1<seed>"
  [resnet_mimic]="ResNet L1 + mimic=$exp/enhance_resnet_mimic<seed>,$exp/asr_resnet_mimic<seed>"
  [fast]="fast=$exp/enhance_fast<seed>,$exp/asr_fast<seed>"
  [fast_mimic]="fast + mimic=$exp/enhance_fast_mimic<seed>,$exp/asr_fast_mimic<seed>"
)
mimic_pairs="mse,mimic mse,mimic_only joint_mse,joint_mimic crdnn_mse,crdnn_mimic resnet_l1,resnet_mimic fast,fast_mimic"
: "${rows:=clean noisy_phase noisy joint_mse joint_mimic mse mimic mimic_only crdnn_mse crdnn_mimic resnet_l1 resnet_mimic fast fast_mimic}"
seedless=() enhancers=() joints=() own=()
for row in $rows; do
  [ -n "${titles[$row]:-}" ] || die "--rows: no row '$row', see --help"
  case $row in
    clean | noisy | noisy_phase) seedless+=("$row") ;;
    mse | mimic) own+=("$row") ;;
    joint*) joints+=("$row") ;;
    *) enhancers+=("$row") ;;
  esac
done
check_words recognisers clean multi retrained foreign
check_words sets dev test
[[ " $sets " == *" test "* ]] || die "--sets $sets: the tables are of the test set"
[[ " $recognisers " != *" retrained "* || " $sets " == *" dev "* ]] || die "--sets test: retraining needs dev"
[[ " $recognisers " != *" foreign "* || -n $foreign_command ]] || die "--recognisers foreign needs --foreign-command"
fixed=() retrained=false
for recogniser in $recognisers; do
  if [ "$recogniser" = retrained ]; then retrained=true; else fixed+=("$recogniser"); fi
done
size=_demo
if [ "$corpus" = vbdemand ]; then size=''; fi
: "${crdnn_config:=conf/enhance_crdnn$size.yaml}" "${resnet_config:=conf/enhance_resnet$size.yaml}"
: "${fast_config:=conf/enhance_fast$size.yaml}" "${joint_config:=conf/joint$size.yaml}"
choose_configs
choose_perceptual
check_files crdnn_config resnet_config fast_config joint_config
if $augmented; then noisy_train=train_augmented; fi
[ -e "$exp/asr_clean/model.pt" ] || die "$exp/asr_clean/model.pt is missing: run ./run.sh first"
if [[ " $recognisers " == *" multi "* ]]; then
  [ -e "$exp/asr_noisy/model.pt" ] || die "$exp/asr_noisy/model.pt, the recogniser multi, is missing: run ./run.sh to the end first"
fi
if [[ " $recognisers " == *" foreign "* ]]; then steps/decode_foreign.sh --check true "$foreign_command" || exit 1; fi

start_recipe "$exp"
read -r -a enhancers <<< "$(with_seeds "${enhancers[@]}")"
read -r -a joints <<< "$(with_seeds "${joints[@]}")"
read -r -a own <<< "$(with_seeds "${own[@]}")"
for name in "${own[@]}"; do
  [ -e "$exp/enhance_$name/model.pt" ] || die "$exp/enhance_$name/model.pt is missing: run ./run.sh --seeds $seeds first"
done

if begin 1 "enhancers and joint training"; then
  for name in "${enhancers[@]}"; do
    loss=(--loss.perceptual "$(perceptual_dir)")
    case $name in
      crdnn*) config=$crdnn_config ;;
      resnet*) config=$resnet_config ;;
      fast*) config=$fast_config ;;
      mimic_only*) config=$enhance_config loss+=(--loss.spectral_weight 0) ;;
    esac
    if [[ $name != *mimic* ]]; then loss=(--loss.mimic_weight 0); fi
    in_background "$train_jobs" train_enhancer "$exp/enhance_$name" "$config" "${loss[@]}"
  done
  for name in "${joints[@]}"; do
    in_background "$train_jobs" steps/train.sh "${training[@]}" "$joint_config" "$exp/$name" --train.seed "$(seed_of "$name")" \
      --joint.enhancer "$exp/enhance_${name#joint_}" --data.init "$exp/asr_clean" --data.train "$data/$noisy_train" \
      --data.dev "$data/dev_noisy" --data.dev_clean "$data/dev_clean"
  done
  wait_all
fi

dump_noisy_phase() { # dump_noisy_phase SET
  steps/noisy_phase.sh "${common[@]}" "$data/$1_clean" "$data/$1_noisy" "$exp/enhance_noisy_phase/wav/$1"
  make_fbank "$exp/enhance_noisy_phase/wav/$1" "$exp/enhance_noisy_phase/enhanced/$1"
}
read -r -a enhanced_sets <<< "$sets"
if $retrained; then enhanced_sets+=(train); fi
if begin 2 "enhanced speech"; then
  ratio_of=("${own[@]/#/"$exp/enhance_"}" "${enhancers[@]/#/"$exp/enhance_"}")
  for name in "${joints[@]}"; do ratio_of+=("$exp/$name/enhancer"); done
  fit_ratios "$exp/asr_clean" "${ratio_of[@]}"
  for set in "${enhanced_sets[@]}"; do
    for name in "${own[@]}" "${enhancers[@]}"; do in_background 2 dump "$exp/enhance_$name" "$set"; done
    if [[ " $rows " == *" noisy_phase "* ]]; then in_background 2 dump_noisy_phase "$set"; fi
  done
  for name in "${joints[@]}"; do
    for set in $sets; do in_background 2 dump "$exp/$name/enhancer" "$set"; done
  done
  wait_all
fi

# The features and the waveforms of a row, and what the same recogniser for all makes of them.
row_feats() { case $1 in joint*) echo "$exp/$1/enhancer/enhanced/$2" ;; *) feats_dir_for "$1" "$2" ;; esac }
row_wavs() {
  case $1 in
    clean | noisy) echo "$data/$2_$1" ;;
    joint*) echo "$exp/$1/enhancer/wav/$2" ;;
    *) echo "$exp/enhance_$1/wav/$2" ;;
  esac
}
recognise_by() { # recognise_by RECOGNISER NAME SET
  local dir=$exp/table/$1/$2 model=$exp/asr_clean
  if [ "$1" = foreign ]; then
    steps/decode_foreign.sh --force "$force" "$foreign_command" "$(row_wavs "$2" "$3")" "$dir/decode_$3"
    return
  fi
  if [ "$1" = multi ]; then model=$exp/asr_noisy; fi
  recognise "$dir" "$3" "$(row_feats "$2" "$3")" "$model"
}
score_by() { # score_by RECOGNISER NAME SET
  local normaliser=none
  if [ "$1" = foreign ]; then normaliser=plain; fi
  steps/score_asr.sh "${one_job[@]}" --cer-spaces true --normaliser $normaliser "$(row_feats "$2" "$3")" \
    "$exp/table/$1/$2/decode_$3"
}
by_fixed() { # by_fixed FUNCTION: of all fixed recognisers, rows and sets
  local recogniser name set
  for recogniser in "${fixed[@]}"; do
    for name in "${seedless[@]}" "${own[@]}" "${enhancers[@]}" "${joints[@]}"; do
      for set in $sets; do in_background 2 "$1" "$recogniser" "$name" "$set"; done
    done
  done
  wait_all
}
if begin 3 "recognition"; then
  robust=()
  if $retrained; then
    robust=("${enhancers[@]}")
    if [[ " $rows " == *" noisy_phase "* ]]; then robust+=(noisy_phase); fi
  fi
  for name in "${robust[@]}"; do in_background "$train_jobs" train_robust "$name"; done
  wait_all
  for set in dev test; do
    if ! $retrained; then continue; fi
    for name in "${robust[@]}"; do in_background 2 recognise "$exp/asr_$name" "$set" "$(feats_dir_for "$name" "$set")"; done
    for name in "${joints[@]}"; do
      in_background 2 recognise "$exp/$name/recogniser" "$set" "$exp/$name/enhancer/enhanced/$set"
    done
  done
  wait_all
  by_fixed recognise_by
fi

table_of() { # table_of RECOGNISER: its table, and each row with mimic loss compared with that without, by SNR and noise type
  local row pair titled=() table=() by=() output=$exp/TABLE.md compared=$exp/compare
  local columns="PESQ,eSTOI,STOI,CSIG,CBAK,COVL,SI-SDR,dev CER,test CER,dev WER,test WER"
  local -A dirs
  for row in $rows; do
    dirs[$row]=${titles[$row]#*=}
    if [[ $1 != retrained && ${dirs[$row]} == *"<seed>"* ]]; then
      dirs[$row]="${dirs[$row]%,*},$exp/table/$1/$row<seed>"
    elif [ "$1" != retrained ]; then
      dirs[$row]=${dirs[$row]%,*},$exp/table/$1/$row
    fi
    table+=("${titles[$row]%%=*}=${dirs[$row]}")
  done
  if [ "$1" = retrained ]; then
    titled=(--published local/vbdemand/published.tsv)
  else
    output=$exp/TABLE_$1.md compared=$exp/compare/$1 columns="PESQ,eSTOI,test CER,test WER"
    if [[ " $sets " == *" dev "* ]]; then columns+=",dev CER,dev WER"; fi
  fi
  score_table --columns "$columns" "${titled[@]}" --output "$output" "${pairs[@]}" -- "${table[@]}"
  for row in snr noise; do [ ! -f "$data/test_noisy/utt2$row" ] || by+=("$row"); done
  for pair in "${in_rows[@]}"; do
    if dry_run; then continue; fi
    steps/compare.sh --seed "$seed" --seeds "$seeds" --by "${by[*]}" --data "$data/test_noisy" \
      "${dirs[${pair%,*}]}" "${dirs[${pair#*,}]}" "$compared/${pair#*,}" > /dev/null
  done
  if dry_run || [ ${#by[@]} = 0 ]; then return; fi
  table=("${table[@]/=*,/=}") # of words only
  pyscripts/breakdown_table.py --command "$(command_line)" --seed "$seed" --seeds "$seeds" --data "$data/test_noisy" \
    --conditions snr,snr_A,snr_B,noise --output "${output/TABLE/BREAKDOWN}" "${table[@]}" > /dev/null
}
if begin 4 "scores"; then
  for set in dev test; do
    if ! $retrained; then continue; fi
    for name in "${seedless[@]}" "${own[@]}" "${enhancers[@]}"; do
      in_background 2 score_words "$exp/asr_$name" "$set" "$(feats_dir_for "$name" "$set")"
    done
    for name in "${joints[@]}"; do
      in_background 2 score_words "$exp/$name/recogniser" "$set" "$exp/$name/enhancer/enhanced/$set"
    done
  done
  for name in "${seedless[@]}"; do
    case $name in
      noisy_phase) in_background 2 score_speech "$exp/enhance_noisy_phase" "$exp/enhance_noisy_phase/enhanced/test" ;;
      *) in_background 2 score_speech "$exp/$name" "$data/test_$name" ;;
    esac
  done
  for name in "${own[@]}" "${enhancers[@]}"; do
    in_background 2 score_speech "$exp/enhance_$name" "$exp/enhance_$name/enhanced/test"
  done
  for name in "${joints[@]}"; do
    in_background 2 score_speech "$exp/$name/enhancer" "$exp/$name/enhancer/enhanced/test"
  done
  wait_all
  pairs=() in_rows=() # what is compared in the tables: each enhancer with noisy speech, and with mimic loss against without
  for row in $rows; do
    if [[ " $rows " == *" noisy "* && " ${seedless[*]} " != *" $row "* ]]; then pairs+=(--pair noisy "${titles[$row]%%=*}"); fi
  done
  for pair in $mimic_pairs; do
    if [[ " $rows " != *" ${pair%,*} "* || " $rows " != *" ${pair#*,} "* ]]; then continue; fi
    in_rows+=("$pair") pairs+=(--pair "${titles[${pair%,*}]%%=*}" "${titles[${pair#*,}]%%=*}")
  done
  by_fixed score_by
  for recogniser in $recognisers; do table_of "$recogniser"; done
fi

finished "tables: $exp/TABLE*.md  by SNR and noise type: $exp/BREAKDOWN*.md  mimic against without: $exp/compare/*/comparison.tsv"
