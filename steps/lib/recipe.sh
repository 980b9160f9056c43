# shellcheck shell=bash
# What the complete recipes share (run.sh, local/run_*.sh, local/librispeech/run_pretrain.sh): checks of options, one
# run at a time, what steps are called with, and acts of several steps. Source it behind log.sh. The functions read the
# options of the recipe by name: exp, data, nj, ngpu, train_jobs, force, seed, seeds, corpus, *_config.
# shellcheck disable=SC2034,SC2154  # which the recipes set and use

# check_common: what every recipe asks of its options beyond their ranges (parse_options.sh); fills in --nj.
check_common() {
  : "${nj:=$(default_nj)}"
  local stages
  if [ ! -v stage ]; then return; fi
  stages=$(sed -nE 's/^ *if (.* )?begin ([0-9]+) "([^"]*)".*/; \2 \3/p' "$0" | tr -d '\n')
  [[ $stages == *"; $stage "* ]] || die "--stage $stage: the stages are ${stages#; }"
  [ "$stage" -le "$stop_stage" ] || die "--stage $stage is behind --stop-stage $stop_stage"
}

# begin N TITLE: whether stage N is to run; says so.
begin() {
  if [ "$stage" -gt "$1" ] || [ "$stop_stage" -lt "$1" ]; then return 1; fi
  dry_run || log "stage $1: $2"
}

# check_files NAME...: dies unless the files are there that these options name, if any; check_dirs likewise.
check_files() {
  local name
  for name; do [ -z "${!name}" ] || [ -f "${!name}" ] || die "--${name//_/-} ${!name}: no such file"; done
}
check_dirs() {
  local name
  for name; do [ -z "${!name}" ] || [ -d "${!name}" ] || die "--${name//_/-} ${!name}: no such directory"; done
}

# choose_configs: fills in the configurations that are empty: for VoiceBank-DEMAND what was published, else demo size.
choose_configs() {
  local size=_demo fbank=conf/fbank.conf finetune=conf/asr_finetune_demo.yaml
  if [ "$corpus" = vbdemand ]; then size='' fbank=conf/fbank_40.conf finetune=conf/asr.yaml; fi
  : "${fbank_config:=$fbank}" "${perceptual_config:=conf/perceptual$size.yaml}" "${enhance_config:=conf/enhance$size.yaml}"
  : "${asr_config:=conf/asr$size.yaml}" "${asr_finetune_config:=$finetune}"
  check_files fbank_config perceptual_config enhance_config asr_config asr_finetune_config
}

# start_recipe EXP-DIR: this recipe is alone at work in EXP-DIR from here on. Sets up .venv, and the arrays common,
# alone (where no other step runs beside), decoding and training, which are what steps are called with. What is to be made
# again is said before any work. With --dry-run true nothing else happens.
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
    export MIMIC_RUN_PID=$$  # jobs end when this process is gone, however it went
    steps/setup.sh
    # Of one stage alone its steps say it soon enough.
    if [ -v dry_run ] && [ "$stage" -lt "$stop_stage" ] && compgen -G "$1/*" > /dev/null; then say_what_changes; fi
  fi
  cores=$(nproc)
  if [ "$cmd_backend" != local ]; then
    threads=4  # nodes differ from the machine that submits
  elif [ "$ngpu" -gt 0 ]; then
    train_jobs=1 threads=$cores
  else
    threads=$((cores > train_jobs ? cores / train_jobs : 1))
  fi
  common=(--nj "$nj" --cmd "$train_cmd" --force "$force")
  alone=(--nj $((2 * nj)) --cmd "$train_cmd" --force "$force")
  decoding=(--nj "$nj" --cmd "$decode_cmd" --force "$force")
  training=(--cmd "$cuda_cmd" --ngpu "$ngpu" --num-threads "${num_threads:-$threads}" --force "$force")
}

# say_what_changes: of the directories that are there, which ones this call makes again, and why. Reads $call.
say_what_changes() {
  local line
  while IFS= read -r line; do log "$line"; done < <("${call[@]}" --dry-run true 2> /dev/null | grep ': to do again' || true)
}

# default_nj: jobs per step where --nj is empty; two steps run side by side.
default_nj() { local cores; cores=$(nproc); echo $((cores < 4 ? 1 : cores < 8 ? cores / 2 : 4)); }

# with_seeds NAME...: the names, and name_seed<k> for the further seeds; seed_of NAME: the seed of one.
with_seeds() {
  local s all=("$@")
  for ((s = seed + 1; s < seed + seeds; s++)); do all+=("${@/%/_seed$s}"); done
  echo "${all[@]}"
}
seed_of() { if [[ $1 == *_seed* ]]; then echo "${1##*_seed}"; else echo "$seed"; fi; }

# heard_by NAME SET: the features that recogniser NAME is trained on and decodes.
noisy_train=train_noisy  # what the robust recognisers are trained on, before enhancement
heard_by() {
  case $1,$2 in
    noisy,train) echo "$exp/fbank/$noisy_train" ;;
    clean,* | noisy,*) echo "$exp/fbank/$2_$1" ;;
    *) echo "$exp/enhance_$1/enhanced/$2" ;;
  esac
}

# train_enhancer NAME CONFIG [--section.key value]...: $exp/enhance_NAME
train_enhancer() {
  steps/train.sh "${training[@]}" "$2" "$exp/enhance_$1" --train.seed "$(seed_of "$1")" "${@:3}" \
    --data.train_noisy "$exp/stft/train_noisy" --data.train_clean "$exp/stft/train_clean" \
    --data.dev_noisy "$exp/stft/dev_noisy" --data.dev_clean "$exp/stft/dev_clean"
}

# make_stft DATA-DIR FEAT-DIR, make_fbank DATA-DIR FEAT-DIR
make_stft() { steps/make_feats.sh "${common[@]}" --compress "${compress:-none}" --type stft "$1" "$2"; }
make_fbank() {
  steps/make_feats.sh "${common[@]}" --compress "${compress:-none}" --type fbank --feat-config "$fbank_config" "$1" "$2"
}

# dump ENHANCER-DIR SET: enhanced waves and their features
dump() {
  local source=$data/$2_noisy
  if [ "$2" = train ]; then source=$data/$noisy_train; fi
  require "$source/wav.scp" "local/*/prepare.sh or local/import_corpus.sh"
  steps/enhance.sh "${common[@]}" "$1" "$source" "$1/wav/$2"
  make_fbank "$1/wav/$2" "$1/enhanced/$2"
}

# train_robust NAME: $exp/asr_NAME, which goes on from the recogniser for clean speech
train_robust() {
  steps/train.sh "${training[@]}" "$asr_finetune_config" "$exp/asr_$1" --data.init "$exp/asr_clean" \
    --train.seed "$(seed_of "$1")" --data.train "$(heard_by "$1" train)" --data.dev "$(heard_by "$1" dev)"
}

# recognise ASR-DIR SET FEAT-DIR [RECOGNISER], score_words ASR-DIR SET FEAT-DIR, score_speech SYSTEM-DIR DATA-DIR.
# A recogniser that lies elsewhere leaves what it heard in ASR-DIR.
# The published error rates count characters and spaces, so characters are counted in this way here.
recognise() {
  local words
  read -r -a words <<< "${decode_options:-}"
  steps/decode.sh "${decoding[@]}" "${4:-$1}" "$3" "$1/decode_$2" "${words[@]}"
}
score_words() { steps/score_asr.sh "${common[@]}" --cer-spaces true "$3" "$1/decode_$2"; }
score_speech() { steps/score_enhancement.sh "${common[@]}" "$data/test_clean" "$2" "$1/scoring/test"; }
