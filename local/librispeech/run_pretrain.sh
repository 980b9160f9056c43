#!/usr/bin/env bash
# A recogniser and a language model from LibriSpeech, for "./run.sh --init exp/librispeech/asr".
# Options as in run.sh.
# shellcheck disable=SC2034,SC2154  # some options are read by their name; steps/lib/recipe.sh sets some variables

. steps/lib/recipe_options.sh || exit 1                       # --stage, --data, --exp, --nj, --ngpu, --dry-run and more: see --help
data=data/librispeech                                         # where the data directories go
exp=exp/librispeech                                           # where everything else goes
librispeech_dir=downloads/librispeech                         # directory of LibriSpeech; missing files are downloaded to it
train_parts="train-clean-100 train-clean-360 train-other-500" # training speech, 960 hours
dev_parts=dev-clean                                           # development set
test_parts=test-clean                                         # test set
lm_text=false                                                 # true: the language model is trained on LibriSpeech's text too (about 30 GB of memory)
download_url=                                                 # mirror of OpenSLR that has the archives
fbank_config=conf/fbank_40.conf                               # stage 2: features
asr_config=conf/asr_librispeech.yaml                          # stage 3: the recogniser
lm_config=conf/lm.yaml                                        # stage 4: the language model

. ./path.sh || exit 1
help_message="Usage: local/librispeech/run_pretrain.sh [--option value]...
e.g.: local/librispeech/run_pretrain.sh --librispeech-dir /corpora/librispeech --ngpu 1
      ./run.sh --corpus vbdemand --vbdemand-dir DIR --init exp/librispeech/asr

Options (default):
$(list_options.sh "$0")

Stages; one that is done and unchanged is skipped:
  stage            writes
  1 data           data/librispeech/{train,dev,test}_clean
  2 features       exp/librispeech/fbank/*
  3 recogniser     exp/librispeech/asr
  4 language model exp/librispeech/lm, over the recogniser's tokens
  5 decoding       exp/librispeech/asr/decode_{dev,test}
  6 scores         exp/librispeech/asr/scoring/{dev,test}"
call=("$0" "$@")
. parse_options.sh
. log.sh
. recipe.sh
set -euo pipefail

check_common "$@"
check_files fbank_config asr_config lm_config
if $debug; then train_parts=dev-other dev_parts=dev-clean test_parts=test-clean; fi # 5 hours each
start_recipe "$exp"

if begin 1 "data"; then
  local/librispeech/download.sh --parts "$train_parts $dev_parts $test_parts" --lm-text "$lm_text" \
    --url "$download_url" "$librispeech_dir"
  local/librispeech/prepare.sh "${common_2nj[@]}" --train-parts "$train_parts" --dev-parts "$dev_parts" \
    --test-parts "$test_parts" "$librispeech_dir" "$data"
fi

if begin 2 "features"; then
  for set in train dev test; do make_fbank "$data/${set}_clean" "$exp/fbank/${set}_clean"; done
fi

if begin 3 "recogniser"; then
  steps/train.sh "${training[@]}" "$asr_config" "$exp/asr" --train.seed "$seed" \
    --data.train "$exp/fbank/train_clean" --data.dev "$exp/fbank/dev_clean"
fi

if begin 4 "language model"; then
  text=$exp/fbank/train_clean
  if $lm_text; then
    text=$exp/lm_text/train.txt packed=$librispeech_dir/librispeech-lm-norm.txt.gz
    dry_run || require "$packed" "stage 1 (data) with --lm-text true"
    if ! up_to_date "$exp/lm_text" --force "$force" --kind lm_text --version 1 --input "$packed" "$exp/fbank/train_clean/text"; then
      { cut -d ' ' -f 2- "$exp/fbank/train_clean/text" && zcat "$packed"; } > "$text"
      mark_done "$exp/lm_text"
    fi
  fi
  token_type=$(pyscripts/print_settings.py "$asr_config" data.token_type) || exit 1
  steps/train.sh "${training[@]}" "$lm_config" "$exp/lm" --train.seed "$seed" --data.tokens "$exp/asr" \
    --data.token_type "$token_type" --data.train "$text" --data.dev "$exp/fbank/dev_clean"
fi

if begin 5 "decoding"; then
  for set in dev test; do recognise "$exp/asr" "$set" "$exp/fbank/${set}_clean"; done
fi

if begin 6 "scores"; then
  for set in dev test; do score_words "$exp/asr" "$set" "$exp/fbank/${set}_clean"; done
fi

finished "recogniser: $exp/asr (run.sh --init)  language model: $exp/lm  scores: $exp/asr/scoring"
