# shellcheck shell=bash
# How local/run_distill.sh extracts features and trains, tests and scores its probes. A probe is trained on clean speech
# and tested in every condition. Reads the recipe's options and variables by name.
# shellcheck disable=SC2154  # which the recipe sets

# feats_of ENCODER: fbank and the teacher have the same features for all seeds of a probe.
feats_of() {
  case $1 in
    fbank* | teacher*) echo "$exp/feats/${1%_seed*}" ;;
    *) echo "$exp/feats/$(basename "$(model_dir "$1")")" ;;
  esac
}

# list_layers ENCODER: writes the numbers of its hidden states beside its features.
list_layers() {
  local dir
  if [ "$1" = fbank ] || dry_run; then return; fi
  dir=$(feats_of "$1")
  mkdir -p "$dir"
  pyscripts/ssl_layers.py "$(model_dir "$1")" > "$dir/layers"
}

# extract ENCODER DATA NAME: all its hidden states side by side.
extract() {
  local dir layers
  dir=$(feats_of "$1")
  if [ "$1" = fbank ]; then
    make_fbank "$2" "$dir/$3"
  else
    layers=$(cat "$dir/layers" 2> /dev/null) || dry_run || die "$dir/layers is missing: run stage 3 first"
    steps/extract_ssl.sh "${common[@]}" --layers "$layers" "$(model_dir "$1")" "$2" "$dir/$3"
  fi
}

# dir_of PROBE ENCODER NAME: exp/distill/asr/robust/noise_seed2 is of robust_seed2.
dir_of() {
  local encoder=${2%_seed*}
  if [[ $encoder = baseline ]]; then encoder=$(basename "$(model_dir baseline)"); fi
  echo "$exp/$1/$encoder/$(condition_name "$3")${2#"${2%_seed*}"}"
}

# train_probe PROBE ENCODER [--section.key value]...
train_probe() {
  local more layers
  read -r -a more <<< "$probe_options"
  layers=$(cat "$(feats_of "$2")/layers" 2> /dev/null) || layers=0 # fbank has one
  steps/train.sh "${training[@]}" "conf/probe_$1.yaml" "$(dir_of "$1" "$2" probe)" --train.seed "$(seed_of "$2")" \
    --model.states "$(wc -w <<< "$layers")" "${@:3}" "${more[@]}"
}

# probe_asr ENCODER, probe_phone ENCODER: CTC
probe_asr() { probe_ctc asr text "$1"; }
probe_phone() { probe_ctc phone text.phn "$1"; }
probe_ctc() {
  local from condition to
  from=$(feats_of "$3")
  train_probe "$1" "$3" --data.train "$from/train" --data.dev "$from/dev"
  for condition in $conditions; do
    to=$(dir_of "$1" "$3" "$condition")
    recognise "$to" test "$from/test_$condition" "$(dir_of "$1" "$3" probe)"
    steps/score_asr.sh "${one_job[@]}" --cer-spaces true --reference "$2" "$from/test_$condition" "$to/decode_test"
  done
}

# probe_keyword ENCODER: which of --keywords an utterance has
probe_keyword() {
  local from condition
  from=$(feats_of "$1")
  train_probe keyword "$1" --data.train "$from/train" --data.dev "$from/dev" \
    --data.labels "$made/keywords_train" --data.dev_labels "$made/keywords_dev"
  for condition in $conditions; do
    classify keyword "$1" test "$condition" "$(dir_of keyword "$1" probe)" --labels "$made/keywords_test"
  done
}

# probe_speaker ENCODER: which of the training speakers (held-out utterances), and whether two are the same (test set)
probe_speaker() {
  local from probe condition
  from=$(feats_of "$1") probe=$(dir_of speaker "$1" probe)
  train_probe speaker "$1" --data.train "$from/train" --data.labels "$made/speakers" \
    --data.dev "$from/heldout_${conditions%% *}" --data.dev_labels "$(data_dir_for heldout clean)/utt2spk"
  for condition in $conditions; do
    classify speaker "$1" heldout "$condition" "$probe"
    classify verification "$1" test "$condition" "$probe"
  done
}

# classify PROBE ENCODER SET CONDITION MODEL [options]
classify() {
  steps/classify.sh "${one_job[@]}" "${@:6}" "$5" "$(feats_of "$2")/$3_$4" "$(dir_of "$1" "$2" "$4")"
}

# probe_enhance ENCODER: masks from hidden states
probe_enhance() {
  local probe condition to
  probe=$(dir_of enhance "$1" probe)
  train_probe enhance "$1" --data.features "$(feats_of "$1")/train" --data.train "$source/train_clean" \
    --data.noises "$made/noises/train" --data.rirs "$rirs/train" \
    --data.dev_noisy "$made/dev_noisy" --data.dev_clean "$made/dev_noisy_reference"
  for condition in $conditions; do
    to=$(dir_of enhance "$1" "$condition")
    steps/enhance.sh "${common[@]}" "$probe" "$(data_dir_for test "$condition")" "$to/wav/test"
    score_enhanced "$condition" "$to/wav/test" "$to"
  done
}

# score_enhanced CONDITION DATA SYSTEM-DIR
score_enhanced() {
  local clean
  clean=$(data_dir_for test "$1")_reference
  if [ "$1" = clean ]; then clean=$(data_dir_for test clean); fi
  steps/score_enhancement.sh "${common[@]}" "$clean" "$2" "$3/scoring/test"
}

# score_head STUDENT: the output of its enhancement head
score_head() {
  steps/enhance.sh "${common[@]}" "$exp/$1" "$(data_dir_for test noise)" "$exp/$1/wav/test"
  score_enhanced noise "$exp/$1/wav/test" "$exp/$1"
}

# probe_table PROBE COLUMNS [ENCODER...]: every encoder in every condition, compared with filterbanks
probe_table() {
  local rows=() pairs=() encoder condition dir
  for encoder in "${@:3}" fbank teacher $students; do
    for condition in $conditions; do
      dir=$(dir_of "$1" "$encoder" "$condition")
      [[ " ${*:3} " == *" $encoder "* ]] || dir+='<seed>'
      if [ "$1" = enhance ]; then dir+=,; else dir=,$dir; fi # speech scores, word scores
      rows+=("$encoder, $condition=$dir")
      if [[ ! " fbank ${*:3} " == *" $encoder "* ]]; then pairs+=(--pair "fbank, $condition" "$encoder, $condition"); fi
    done
  done
  score_table --columns "$2" --output "$exp/$1/RESULTS.md" "${pairs[@]}" -- "${rows[@]}"
  dry_run || log "table: $exp/$1/RESULTS.md"
}
