# shellcheck shell=bash
# What the complete recipes share (run.sh, local/run_*.sh, local/librispeech/run_pretrain.sh): checks of options, one
# run at a time, the options of steps, and chains of several steps. Source it after log.sh. The functions read the options
# of the recipe by name: exp, data, nj, ngpu, train_jobs, force, seed, seeds, corpus, init, *_config.
# shellcheck disable=SC2034,SC2154  # which the recipes set and use
. recipe_corpus.sh

# check_common "$@": what every recipe asks of its options beyond their ranges (parse_options.sh); fills in --nj.
check_common() {
  local stages
  [ $# -eq 0 ] || die "takes options only, got '$*'; see --help"
  : "${nj:=$(default_nj)}"
  settings=${set:-} demo=${data:-} # `set` is what loops over sets are called by
  if ${debug:-false}; then
    exp=${exp%/}_debug data=${data%/}_debug demo_hours=0.02 seeds=1
    demo=$data/demo settings="train.epochs=1 train.max_steps=4 train.warmup=0 $settings"
  fi
  split_settings
  if [ ! -v stage ]; then return; fi
  stages=$(sed -nE 's/^ *if (.* )?begin ([0-9]+) "([^"]*)".*/; \2 \3/p' "$0" | tr -d '\n')
  : "${stop_stage:=99}"
  [[ $stages == *"; $stage "* ]] || die "--stage $stage: the stages are ${stages#; }"
  [ "$stage" -le "$stop_stage" ] || die "--stage $stage is after --stop-stage $stop_stage"
  check_files config
  check_durations
  if [ "${measures:-all}" != all ]; then check_measures; fi
}

# check_measures: dies unless --measures can be scored; else after hours of training it would. 'stoi, estoi' is 'stoi,estoi'.
check_measures() {
  local error
  measures=${measures//[[:blank:]]/}
  error=$(python3 -c 'import sys; from mimic.metrics.enhancement import parse_measures; parse_measures(sys.argv[1])' \
    "$measures" 2>&1) || die "${error##*UserError: }"
}

# begin N TITLE: whether stage N is to run; logs it.
begin() {
  if listing; then return 0; fi
  if [ "$stage" -gt "$1" ] || [ "$stop_stage" -lt "$1" ]; then return 1; fi
  dry_run || log "stage $1: $2"
}

# check_files NAME...: dies unless the files exist that these options name, if any; check_dirs the same of directories,
# check_models of trained models.
check_files() {
  local name
  for name; do [ -z "${!name}" ] || [ -f "${!name}" ] || die "--${name//_/-} ${!name}: no such file"; done
}
check_dirs() {
  local name
  for name; do [ -z "${!name}" ] || [ -d "${!name}" ] || die "--${name//_/-} ${!name}: no such directory"; done
}
check_models() {
  local name
  for name; do
    [ -z "${!name}" ] || [ -f "${!name}/model.pt" ] || [ -f "${!name}/model.safetensors" ] ||
      die "--${name//_/-} ${!name}: no model.pt: is it trained?"
  done
}

# check_words OPTION WORD...: dies unless every word of the option is one of these.
check_words() {
  local name=$1 word list
  list=$(printf '%s, ' "${@:2:$#-2}") list="${list%, } and ${*: -1}"
  for word in ${!name}; do [[ " ${*:2} " == *" $word "* ]] || die "--${name//_/-}: any of $list, got '$word'"; done
}

# former_value OPTION OLD NEW: for one release, a word OLD of the option counts as NEW. former_dir NEW OLD: the directory OLD
# where an earlier release made it, else NEW.
former_value() {
  if [[ " ${!1} " != *" $2 "* ]]; then return; fi
  echo "$0: '$2' of --$1 is now '$3'; the old word will be refused in the next release" >&2
  local words=" ${!1} "
  printf -v "$1" %s "$(xargs <<< "${words// $2 / $3 }")"
}
former_dir() { if [ -d "$2" ] && [ ! -d "$1" ]; then echo "$2"; else echo "$1"; fi; }

# choose_configs: fills in the configurations that are empty: for VoiceBank-DEMAND the published ones, else demo size.
choose_configs() {
  local size=_demo fbank=conf/fbank.conf finetune=conf/asr_finetune_demo.yaml
  if [ "$corpus" = vbdemand ]; then size='' fbank=conf/fbank_40.conf finetune=conf/asr.yaml; fi
  : "${fbank_config:=$fbank}" "${perceptual_config:=conf/perceptual$size.yaml}" "${enhance_config:=conf/enhance$size.yaml}"
  : "${asr_config:=conf/asr$size.yaml}" "${asr_finetune_config:=$finetune}"
  check_files fbank_config perceptual_config enhance_config asr_config asr_finetune_config
}

# choose_perceptual: fills in --perceptual and checks it; perceptual_dir: the model that mimic loss is computed through.
choose_perceptual() {
  local rate
  rate=$({ cat "$fbank_config" && tr ' ' '\n' <<< "${feature_settings:-}"; } |
    sed -nE 's/^(--|fbank\.)sample[-_]frequency=([0-9]+).*/\2/p' | tail -n 1)
  : "${rate:=16000}"
  if [ -z "$perceptual" ]; then
    perceptual=recogniser
    if [ "$corpus" = vbdemand ] || [ "$perceptual_config" != conf/perceptual_demo.yaml ] || [ "$rate" -ne 16000 ]; then
      perceptual=phones
    fi
  fi
  [ "$perceptual" != recogniser ] || [ "$rate" -eq 16000 ] ||
    die "--perceptual recogniser: $fbank_config has $rate Hz and the enhancer's spectra 16000; try --perceptual phones"
  [[ $perceptual =~ ^(phones|recogniser)$ ]] || check_models perceptual
}
perceptual_dir() {
  case $perceptual in
    phones) echo "$exp/perceptual" ;;
    recogniser) echo "$exp/asr_clean" ;;
    *) echo "$perceptual" ;;
  esac
}

# start_recipe EXP-DIR: locks EXP-DIR for this recipe and sets up .venv. Sets the arrays of options for steps: one_job for
# those that take no --nj, common, common_2nj (where no other step runs at the same time), decoding, training. Prints what
# is to be made again before any work. With --dry-run true nothing is locked or set up.
start_recipe() {
  local cores threads
  # shellcheck source=cmd.sh
  . ./cmd.sh || exit 1
  if ${dry_run:-false}; then
    MIMIC_DRY_RUN=$(mktemp)
    export MIMIC_DRY_RUN
    trap 'rm -f "$MIMIC_DRY_RUN"' EXIT
  else
    lock_dir "$1"
    export MIMIC_RUN_PID=$$ # jobs end when this process is gone
    steps/setup.sh
  fi
  if [ -n "${set:-}" ] && ! listing; then check_set; fi
  if ! dry_run; then
    # Of a single stage, its steps print it soon enough.
    if [ -v dry_run ] && [ "$stage" -lt "$stop_stage" ] && compgen -G "$1/*" > /dev/null; then log_changes; fi
  fi
  cores=$(nproc)
  if [ "$cmd_backend" != local ]; then
    threads=4 # nodes differ from the machine that submits
  elif [ "$ngpu" -gt 0 ]; then
    train_jobs=1 threads=$cores
  else
    threads=$((cores > ${train_jobs:-1} ? cores / ${train_jobs:-1} : 1))
  fi
  one_job=(--cmd "$train_cmd" --force "$force")
  common=(--nj "$nj" "${one_job[@]}")
  common_2nj=(--nj $((2 * nj)) "${one_job[@]}")
  decoding=(--nj "$nj" --cmd "$decode_cmd" --force "$force")
  training=(--cmd "$cuda_cmd" --ngpu "$ngpu" --num-threads "${num_threads:-$threads}" --force "$force" --set "${settings:-}" ${device:+--device "$device"})
}

# check_set: dies unless all of --set suits what any stage of this recipe makes; settings that not all of its models have are
# then for those that have them. Reads $call.
check_set() {
  local trainings
  trainings=$(mktemp)
  if ! MIMIC_TRAININGS=$trainings MIMIC_RECIPE=$0 BASH_ENV=steps/lib/list_trainings.sh bash "${call[@]}" --dry-run true \
    > /dev/null 2> "$trainings.log"; then
    log "WARNING: --set is checked when a model is trained, not now: $(tail -n 1 "$trainings.log")"
  else
    # shellcheck disable=SC2086  # split at spaces
    settings=$(set -f && pyscripts/recipe_settings.py "$trainings" $settings $feature_settings) || exit 1
    split_settings
  fi
  rm -f "$trainings" "$trainings.log"
}

# split_settings: those of features from $settings to $feature_settings.
split_settings() {
  local word words others=()
  read -r -a words <<< "$settings"
  feature_settings=''
  for word in "${words[@]}"; do
    if [[ $word =~ ^([^:=]+:)?(fbank|logmel|mfcc|stft)\. ]]; then feature_settings+="$word "; else others+=("$word"); fi
  done
  settings=${others[*]}
}

# log_changes: logs which existing directories this call makes again, and why. Reads $call; done.py writes MIMIC_CHANGES.
log_changes() {
  local line changes
  changes=$(mktemp)
  MIMIC_CHANGES=$changes "${call[@]}" --dry-run true > /dev/null 2>&1 || true
  while IFS= read -r line; do log "$line"; done < "$changes"
  rm -f "$changes"
}

# score_table OPTIONS... -- NAME=ENHANCE-DIR,ASR-DIR...: a table of scores. A row is repeated for each seed where its
# directories have <seed> in the place of _seed<k>; where --measures has dnsmos-ovrl, it gets a column. finished WORDS...:
# the last line of a recipe. Neither in a dry run.
score_table() {
  local row dirs s words=()
  while [ "$1" != -- ]; do words+=("$1") && shift; done
  if [[ ,${measures:-}, == *,dnsmos-ovrl,* ]]; then words=("${words[@]/#PESQ,/PESQ,DNSMOS,}"); fi
  for row in "${@:2}"; do
    dirs=${row#*=}
    words+=("${row%%=*}@$seed=${dirs//<seed>/}")
    if [[ $dirs != *"<seed>"* ]]; then continue; fi
    for ((s = seed + 1; s < seed + seeds; s++)); do words+=("${row%%=*}@$s=${dirs//<seed>/_seed$s}"); done
  done
  dry_run || pyscripts/score_table.py --command "$(command_line)" "${words[@]}"
}
# recogniser_table --output FILE NAME=DIR...: recognisers by their size, time and errors on each of the recipe's sides.
recogniser_table() {
  if dry_run; then return; fi
  pyscripts/recogniser_table.py --command "$(command_line)" --seed "$seed" --seeds "$seeds" \
    --inputs "$(IFS=, && echo "${sides[*]}")" "$@"
}
# command_line: this call as one can type it.
command_line() {
  local word words=()
  for word in "${call[@]}"; do
    if [[ ! $word =~ ^[A-Za-z0-9_.,:=/+@%-]+$ ]]; then word="'${word//\'/\'\\\'\'}'"; fi
    words+=("$word")
  done
  echo "${words[*]}"
}
finished() {
  if dry_run; then return; fi
  if [ $# -gt 0 ]; then log "$*"; fi
  log "finished. [elapsed=${SECONDS}s]"
}

# default_nj: jobs per step where --nj is empty; two steps run side by side.
default_nj() {
  local cores
  cores=$(nproc)
  echo $((cores < 4 ? 1 : cores < 8 ? cores / 2 : 4))
}

# with_seeds NAME...: the names, and name_seed<k> for the further seeds; seed_of NAME: the seed of one.
with_seeds() {
  local s all=("$@")
  for ((s = seed + 1; s < seed + seeds; s++)); do all+=("${@/%/_seed$s}"); done
  echo "${all[@]}"
}
seed_of() { if [[ $1 == *_seed* ]]; then echo "${1##*_seed}"; else echo "$seed"; fi; }

# feats_dir_for NAME SET: the features that recogniser NAME is trained on and decodes.
noisy_train=train_noisy # training set of the robust recognisers, before enhancement
feats_dir_for() {
  case $1,$2 in
    noisy,train) echo "$exp/fbank/$noisy_train" ;;
    clean,* | noisy,*) echo "$exp/fbank/$2_$1" ;;
    *) echo "$exp/enhance_$1/enhanced/$2" ;;
  esac
}

# train_enhancer DIR CONFIG [--section.key value]...: its seed is in its name
train_enhancer() {
  steps/train.sh "${training[@]}" "$2" "$1" --train.seed "$(seed_of "${1##*/}")" "${@:3}" \
    --data.train_noisy "$exp/stft/train_noisy" --data.train_clean "$exp/stft/train_clean" \
    --data.dev_noisy "$exp/stft/dev_noisy" --data.dev_clean "$exp/stft/dev_clean"
}

# train_perceptual DIR [--section.key value]...; train_clean_asr: $exp/asr_clean, the recogniser of clean speech
train_perceptual() {
  steps/train.sh "${training[@]}" "$perceptual_config" "$1" --train.seed "$seed" \
    --data.train "$exp/stft/train_clean" --data.dev "$exp/stft/dev_clean" "${@:2}"
}
train_clean_asr() {
  steps/train.sh "${training[@]}" "$asr_config" "$exp/asr_clean" --train.seed "$seed" ${init:+--data.init "$init"} \
    --data.train "$exp/fbank/train_clean" --data.dev "$exp/fbank/dev_clean"
}

# make_stft DATA-DIR FEAT-DIR, make_fbank DATA-DIR FEAT-DIR
make_stft() { make_feats stft '' "$1" "$2"; }
make_fbank() { make_feats fbank "$fbank_config" "$1" "$2"; }
make_feats() { # make_feats TYPE OPTION-FILE DATA-DIR FEAT-DIR
  steps/make_feats.sh "${common[@]}" --compress "${compress:-none}" --set "${feature_settings:-}" --type "$1" --feat-config "$2" "${@:3}"
}

# dump ENHANCER-DIR SET: enhanced speech and its features
dump() {
  local source=$data/$2_noisy
  if [ "$2" = train ]; then source=$data/$noisy_train; fi
  require "$source/wav.scp" "local/*/prepare.sh or local/import_corpus.sh"
  steps/enhance.sh "${common[@]}" --enhancement-ratio "${enhancement_ratio:-}" "$1" "$source" "$1/wav/$2"
  make_fbank "$1/wav/$2" "$1/enhanced/$2"
}

# fit_ratios RECOGNISER ENHANCER-DIR...: with --enhancement-ratio auto, the ratio of those that have none yet, from the words
# that the recogniser makes of the dev set; recognise_ratio RECOGNISER ENHANCER-DIR RATIO.
fit_ratios() {
  local dir ratio scorings
  if [ "${enhancement_ratio:-}" != auto ]; then return 0; fi
  for dir in "${@:2}"; do
    if [ -e "$dir/ratio.json" ]; then continue; fi
    scorings=()
    for ratio in 0 0.25 0.5 0.75 1; do
      in_background 2 recognise_ratio "$1" "$dir" "$ratio"
      scorings+=("$ratio=$dir/ratio/$ratio/scoring/dev")
    done
    wait_all
    dry_run || steps/fit_ratio.sh "$dir" "$data/dev_noisy" "${scorings[@]}"
  done
}
recognise_ratio() {
  local dir=$2/ratio/$3 feats=$exp/fbank/dev_noisy
  if [ "$3" != 0 ]; then
    feats=$dir/fbank
    steps/enhance.sh "${common[@]}" --enhancement-ratio "$3" "$2" "$data/dev_noisy" "$dir/wav"
    make_fbank "$dir/wav" "$feats"
  fi
  recognise "$dir" dev "$feats" "$1"
  score_words "$dir" dev "$feats"
}

# train_robust NAME: $exp/asr_NAME, initialised from the recogniser of clean speech
train_robust() {
  steps/train.sh "${training[@]}" "$asr_finetune_config" "$exp/asr_$1" --data.init "$exp/asr_clean" \
    --train.seed "$(seed_of "$1")" --data.train "$(feats_dir_for "$1" train)" --data.dev "$(feats_dir_for "$1" dev)"
}

# recognise ASR-DIR SET FEAT-DIR [RECOGNISER], score_words ASR-DIR SET FEAT-DIR, score_speech SYSTEM-DIR DATA-DIR.
# The text of a RECOGNISER in another directory goes to ASR-DIR.
# The published error rates count characters and spaces; so do these.
recognise() {
  local words
  read -r -a words <<< "${decode_options:-}"
  steps/decode.sh "${decoding[@]}" "${4:-$1}" "$3" "$1/decode_$2" "${words[@]}"
}
score_words() { steps/score_asr.sh "${one_job[@]}" --cer-spaces true "$3" "$1/decode_$2"; }
score_speech() { steps/score_enhancement.sh "${common[@]}" --measures "$measures" "$data/test_clean" "$2" "$1/scoring/test"; }
