#!/usr/bin/env bash
# Compares settings of mimic loss, after ./run.sh with the same --data and --exp: trains run.sh's enhancer once
# for each line of --study and each seed and scores it on the dev set, its speech by the recogniser of clean speech
# (exp/asr_clean), which is not retrained, and by --foreign-command, which then chooses. Mimic loss is that of the phone
# model, exp/perceptual, where a try names no other. The test set is not used, since settings are chosen here. Options as
# in run.sh.
# shellcheck disable=SC2034,SC2154  # some options are read by their name; steps/lib/recipe.sh sets some variables

. steps/lib/recipe_options.sh || exit 1 # --stage, --data, --exp, --nj, --ngpu, --dry-run and more: see --help
study=local/demo/study.tsv              # lines "NAME SETTING...", as "cnn_0.5 --loss.mimic_weight 0.5"; the file says what else it may hold
base=mse                                # the try that the others are compared with
foreign_command=                        # a recogniser that mimic loss has not met, as local/run_table.sh takes it: it chooses
only=                                   # names of tries, of those in the file; empty: all
corpus=demo                             # as given to run.sh
perceptual_config=                      # as given to run.sh
enhance_config=                         # as given to run.sh
fbank_config=                           # as given to run.sh
decode_options=                         # as given to run.sh; split at spaces
seeds=1                                 # train from this many seeds: --seed, --seed + 1, ...
train_jobs=2                            # models trained side by side; on one machine with --ngpu one after the other

. ./path.sh || exit 1
help_message="Usage: local/run_study.sh [--option value]...
e.g.: ./run.sh && local/run_study.sh --seeds 3
      local/run_study.sh --only 'dnn_1 dnn_3' --seeds 5 && pyscripts/records.py add study exp/STUDY.json
Options (default):
$(list_options.sh "$0")

Stages; what is done and unchanged is skipped:
  stage          writes
  1 training     exp/perceptual  exp/study/<perceptual model>  exp/study/<try>
  2 recognition  exp/study/<try>/{wav,enhanced}/dev  exp/study/<try>/{asr,foreign}/decode_dev
  3 scores       exp/study/<try>/{,asr/,foreign/}scoring/dev  exp/STUDY.md  exp/compare/study/<try>"
call=("$0" "$@")
. parse_options.sh
. log.sh
. recipe.sh
set -euo pipefail

check_common "$@"
choose_configs
check_files study
declare -A settings_of=()
names=() perceptuals=() models=()
while read -r name words; do
  if [[ -z $name || $name == [#[]* ]]; then continue; fi
  [[ $name =~ ^[A-Za-z0-9_.-]+$ && $name != *_seed* ]] || die "$study: '$name' cannot be the name of a try"
  [ ! -v "settings_of[$name]" ] || die "$study: there are two tries '$name'"
  settings_of[$name]=$words
  if [[ $name == perceptual_* ]]; then perceptuals+=("$name") && continue; fi
  if [[ " $words " != *" --loss.mimic_weight 0 "* && " $words " != *" --loss.perceptual "* ]]; then
    settings_of[$name]+=" --loss.perceptual {exp}/perceptual"
  fi
  if [[ $name != "$base" && (-z $only || " $only " == *" $name "*) ]]; then names+=("$name"); fi
done < "$study"
for name in $base $only; do [ -v "settings_of[$name]" ] || die "$study has no try '$name'"; done
names=("$base" "${names[@]}")
for model in "{exp}/perceptual" "${perceptuals[@]/#/"{exp}/study/"}"; do # those that the tries need
  for try in "${names[@]}"; do
    if [[ " ${settings_of[$try]} " == *" $model "* ]]; then models+=("${model/"{exp}"/"$exp"}") && break; fi
  done
done
[ -e "$exp/asr_clean/model.pt" ] || die "$exp/asr_clean/model.pt is missing: run ./run.sh first"
if [ -n "$foreign_command" ]; then steps/decode_foreign.sh --check true "$foreign_command" || exit 1; fi

settings() { # settings TRY: the array words, of a try with or without _seed2 and so on
  local k try=${1%_seed*}
  read -r -a words <<< "${settings_of[$try]}"
  for k in "${!words[@]}"; do
    words[k]=${words[k]//"{exp}"/"$exp"}
    words[k]=${words[k]//"{data}"/"$data"}
    words[k]=${words[k]//"<seed>"/"${1#"$try"}"}
  done
}

start_recipe "$exp"
read -r -a all <<< "$(with_seeds "${names[@]}")"

if begin 1 "training"; then
  for model in "${models[@]}"; do
    words=()
    if [ "$model" != "$exp/perceptual" ]; then settings "${model##*/}"; fi
    in_background "$train_jobs" train_perceptual "$model" "${words[@]}"
  done
  wait_all
  for name in "${all[@]}"; do
    settings "$name"
    in_background "$train_jobs" train_enhancer "$exp/study/$name" "$enhance_config" "${words[@]}"
  done
  wait_all
fi

recognise_dev() { # recognise_dev TRY
  dump "$exp/study/$1" dev
  if [ -n "$foreign_command" ]; then
    steps/decode_foreign.sh --force "$force" "$foreign_command" "$exp/study/$1/wav/dev" "$exp/study/$1/foreign/decode_dev"
  fi
  recognise "$exp/study/$1/asr" dev "$exp/study/$1/enhanced/dev" "$exp/asr_clean"
}
if begin 2 "recognition"; then
  for name in "${all[@]}"; do in_background 2 recognise_dev "$name"; done
  wait_all
fi

columns="dev PESQ,dev eSTOI,dev SI-SDR,dev CER,dev WER" third=''
if [ -n "$foreign_command" ]; then columns+=",foreign dev WER" third=/foreign; fi
score_dev() { # score_dev TRY
  if [ -n "$foreign_command" ]; then
    steps/score_asr.sh "${one_job[@]}" --cer-spaces true --normaliser plain "$exp/study/$1/enhanced/dev" \
      "$exp/study/$1/foreign/decode_dev"
  fi
  score_words "$exp/study/$1/asr" dev "$exp/study/$1/enhanced/dev"
  steps/score_enhancement.sh "${common[@]}" "$data/dev_clean" "$exp/study/$1/enhanced/dev" "$exp/study/$1/scoring/dev"
}
if begin 3 "scores"; then
  for name in "${all[@]}"; do in_background 2 score_dev "$name"; done
  wait_all
  rows=() pairs=()
  for name in "${names[@]}"; do
    rows+=("$name=$exp/study/$name<seed>,$exp/study/$name<seed>/asr${third:+,$exp/study/$name<seed>$third}")
    if [ "$name" = "$base" ]; then continue; fi
    pairs+=(--pair "$base" "$name")
    dry_run || steps/compare.sh --set dev --seed "$seed" --seeds "$seeds" \
      "$exp/study/$base<seed>,$exp/study/$base<seed>/asr" "$exp/study/$name<seed>,$exp/study/$name<seed>/asr" \
      "$exp/compare/study/$name" > /dev/null
  done
  score_table --columns "$columns" --study "$study" --output "$exp/STUDY.md" "${pairs[@]}" -- "${rows[@]}"
fi

finished "table: $exp/STUDY.md  each try against $base: $exp/compare/study/*/comparison.tsv"
