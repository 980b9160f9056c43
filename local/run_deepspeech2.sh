#!/usr/bin/env bash
# Deep Speech 2: a CTC recogniser of characters (or any CTC configuration), pretrained on one corpus, then trained on
# another; tested on clean, noisy and enhanced speech, by greedy search and with an n-gram model whose scale is tuned on
# dev. Options as in run.sh.
# shellcheck disable=SC2034,SC2154  # some options are read by their name; steps/lib/recipe.sh sets some variables

. steps/lib/recipe_options.sh || exit 1 # --stage, --data, --exp, --nj, --ngpu, --dry-run and more: see --help
. steps/lib/corpus_options.sh           # --min-dur, --max-dur, --valid-speakers
exp=exp/deepspeech2                     # where everything goes but the demo corpus
corpus=librispeech                      # 'librispeech', 'demo', or a directory with {train,dev,test}_clean and maybe {dev,test}_noisy
pretrain=                               # corpus of the pretraining: 'ljspeech' (default with librispeech), 'none', or a directory as above
train_side=clean                        # of --corpus, with demo or a directory: clean or noisy
asr_config=                             # stage 3: networks and training; the default follows --corpus
pretrain_config=                        # stage 3: the same for the pretraining
feat_type=                              # stage 2: fbank, logmel or stft
feat_config=                            # stage 2: options of these features
pretrain_feat_config=                   # stage 2: the same for the pretraining; empty: --feat-config
speeds=                                 # stage 2: training speech also at these speeds, e.g. "0.9 1.1"
noise_dir=                              # recorded noises, mixed into training speech on the fly: DIR/train, or DIR
noise_prob=0.5                          # with --noise-dir: share of the utterances with noise
enhancer=                               # directory of a trained enhancer (run.sh: exp/enhance_mimic), applied to noisy speech
ngram_order=3                           # stage 4: of the n-gram model: 3 suits words, 6 and more characters; 0: greedy decoding alone
ngram_text=                             # stage 4: text it is estimated on, one sentence per line; empty: the training transcripts
mix=                                    # stage 4: further text for it, such as books; its share is fitted on the dev transcripts
lexicon=                                # stage 5: WORD TOKEN TOKEN lines, where tokens are phones; empty: lang/lexicon.txt of the corpus
search=lexicon                          # stage 5: with the n-gram model: lexicon (n-grams of words) or lexicon-free (of characters)
decode_options="--decode.beam 100"      # stage 5: further settings of that search; split at spaces
librispeech_dir=downloads/librispeech   # directory of LibriSpeech; missing files are downloaded to it (25 GB)
train_parts=train-clean-360             # librispeech: training speech
dev_parts=dev-clean                     # librispeech: development set
test_parts=test-clean                   # librispeech: test set
ljspeech_dir=downloads/ljspeech         # directory of LJSpeech; missing files are downloaded to it (2.7 GB)
ljspeech_rate=16000                     # ljspeech: 16000, resampled; own: 22,050 Hz (then --pretrain-feat-config too)
download_url=                           # mirror of all archives
demo_hours=0.5                          # demo: hours of training speech
seeds=1                                 # train from this many seeds: --seed, --seed + 1, ...
train_jobs=1                            # models trained side by side; on one machine with --ngpu one after the other

. ./path.sh || exit 1
help_message="Usage: local/run_deepspeech2.sh [--option value]...
e.g.: local/run_deepspeech2.sh --ngpu 1                         LJSpeech, then 360 hours of LibriSpeech
      local/run_deepspeech2.sh --ngpu 1 --pretrain none         LibriSpeech from scratch
      local/run_deepspeech2.sh --corpus demo --enhancer exp/enhance_mimic          after ./run.sh
      local/run_deepspeech2.sh --corpus mycorpus --asr-config conf/quartznet_5x5.yaml

Options (default):
$(list_options.sh "$0")
Configurations that are not given: with librispeech conf/deepspeech2.yaml, after a pretraining
conf/deepspeech2_finetune.yaml, features of conf/logmel.conf; else conf/deepspeech2_demo.yaml and
conf/deepspeech2_finetune_demo.yaml, features of conf/fbank.conf.

Stages; one that is done and unchanged is skipped:
  stage            writes
  1 data           exp/deepspeech2/data/*; demo: data/*
  2 features       exp/deepspeech2/feats/*, exp/deepspeech2/enhanced/*
  3 training       exp/deepspeech2/pretrain, exp/deepspeech2/asr
  4 language model exp/deepspeech2/ngram
  5 decoding       exp/deepspeech2/asr/{clean,noisy,enhanced}_{greedy,ngram}
  6 scores         exp/deepspeech2/asr/*/scoring/*, exp/deepspeech2/{RESULTS,SYSTEMS}.md"
call=("$0" "$@")
. parse_options.sh
. log.sh
. recipe.sh
set -euo pipefail

check_common "$@"
former_value search free lexicon-free
check_files asr_config pretrain_config feat_config pretrain_feat_config ngram_text mix lexicon
check_dirs noise_dir
check_models enhancer
made=$exp/data size=_demo sides=()
[ "$ljspeech_rate" = 16000 ] || [ -n "$pretrain_feat_config" ] ||
  die "--ljspeech-rate own needs --pretrain-feat-config: features at 22,050 Hz, e.g. conf/logmel_22k.conf"
case $corpus in
  librispeech)
    ! $debug || die "--debug true would read all of LibriSpeech: give --corpus demo, or a directory"
    [ "$train_side" = clean ] || die "--train-side noisy: LibriSpeech has no noisy speech, local/mix_noise.sh makes one"
    : "${pretrain:=ljspeech}" "${feat_type:=logmel}" "${feat_config:=conf/logmel.conf}"
    whole_corpus
    size='' source=$made/librispeech
    ;;
  demo)
    whole_corpus
    source=$data
    ;;
  *) choose_source "train_$train_side" dev_clean test_clean ;;
esac
for side in clean noisy; do
  dev_dir=$corpus/dev_$side
  if [ -n "$valid_speakers" ]; then dev_dir=$corpus/train_$side; fi
  if [ "$corpus" = demo ] || [ $side = clean ] || { [ -d "$dev_dir" ] && [ -d "$corpus/test_$side" ]; }; then
    sides+=("$side")
  fi
done
if [ -n "$enhancer" ]; then
  [[ " ${sides[*]} " == *" noisy "* ]] || die "--enhancer needs noisy speech: $corpus/{dev,test}_noisy"
  sides+=(enhanced)
fi
: "${pretrain:=none}" "${feat_type:=fbank}" "${feat_config:=conf/fbank.conf}"
case $pretrain in
  none) first='' ;;
  ljspeech)
    ! $debug || die "--debug true would read all of LJSpeech: leave --pretrain out"
    first=$made/ljspeech
    ;;
  *)
    for set in train_clean dev_clean; do [ -d "$pretrain/$set" ] || die "--pretrain $pretrain has no directory $set"; done
    first=$pretrain
    ;;
esac
: "${pretrain_config:=conf/deepspeech2$size.yaml}" "${pretrain_feat_config:=$feat_config}"
if [ -n "$first" ]; then : "${asr_config:=conf/deepspeech2_finetune$size.yaml}"; fi
: "${asr_config:=conf/deepspeech2$size.yaml}"
check_files feat_config asr_config pretrain_config
start_recipe "$exp"
read -r -a models <<< "$(with_seeds asr)"

if begin 1 "data"; then
  if [ "$pretrain" = ljspeech ]; then
    local/ljspeech/download.sh --url "$download_url" "$ljspeech_dir"
    local/ljspeech/prepare.sh "${common_2nj[@]}" --rate "$ljspeech_rate" "$ljspeech_dir" "$first"
  fi
  case $corpus in
    librispeech)
      local/librispeech/download.sh --parts "$train_parts $dev_parts $test_parts" --url "$download_url" \
        "$librispeech_dir"
      local/librispeech/prepare.sh "${common_2nj[@]}" --train-parts "$train_parts" --dev-parts "$dev_parts" \
        --test-parts "$test_parts" "$librispeech_dir" "$source"
      ;;
    demo) prepare_demo ;;
  esac
  if $selected; then select_sets "$corpus" "$source" {train,dev,test}_{clean,noisy}; fi
  if [ -n "$noise_dir" ]; then local/split_recordings.sh --force "$force" "$noise_dir" "$made/noises"; fi
fi

feats=$exp/feats
if begin 2 "features"; then
  if [ -n "$first" ]; then
    for set in train dev; do
      in_background 2 make_feats "$feat_type" "$pretrain_feat_config" "$first/${set}_clean" "$feats/pretrain_$set"
    done
  fi
  for set in train dev test; do
    for side in "${sides[@]}"; do
      if [ $set = train ] && [ "$side" != "$train_side" ]; then continue; fi
      speech=$source/${set}_$side
      if [ $set = train ] && [ -n "$speeds" ]; then
        steps/perturb_speed.sh "${common[@]}" --speeds "$speeds" "$speech" "$made/train_speed"
        speech=$made/train_speed
      fi
      if [ "$side" = enhanced ]; then
        speech=$exp/enhanced/$set
        steps/enhance.sh "${common_2nj[@]}" "$enhancer" "$source/${set}_noisy" "$speech"
      fi
      in_background 2 make_feats "$feat_type" "$feat_config" "$speech" "$feats/${set}_$side"
    done
  done
  wait_all
fi

noises=()
if [ -n "$noise_dir" ]; then # and no babble: a corpus may have one speaker
  noises=(--data.noises "$made/noises/train" --waveform_augment.noise_prob "$noise_prob" --waveform_augment.babble false)
fi
train_model() { # train_model NAME: the pretraining has a directory for each seed too
  local before=$exp/${1/asr/pretrain} start=()
  if [ -n "$first" ]; then
    steps/train.sh "${training[@]}" "$pretrain_config" "$before" --train.seed "$(seed_of "$1")" \
      --data.train "$feats/pretrain_train" --data.dev "$feats/pretrain_dev" "${noises[@]}"
    start=(--data.init "$before")
    if [ "$pretrain_feat_config" != "$feat_config" ]; then start+=(--data.init_features other); fi
  fi
  steps/train.sh "${training[@]}" "$asr_config" "$exp/$1" --train.seed "$(seed_of "$1")" "${start[@]}" \
    --data.train "$feats/train_$train_side" --data.dev "$feats/dev_$train_side" "${noises[@]}"
}

if begin 3 "training"; then
  for model in "${models[@]}"; do in_background "$train_jobs" train_model "$model"; done
  wait_all
fi

ways=(greedy)
if [ "$ngram_order" -gt 0 ]; then ways+=(ngram); fi
tokens=$(pyscripts/print_settings.py "$asr_config" data.token_type) || exit 1
if [ "$ngram_order" -gt 0 ] && begin 4 "n-gram model"; then
  require "$exp/asr/model.pt" "stage 3 (training)"
  unit=(--unit word --tokens "$exp/asr") # words that the tokens cannot spell are an error
  if [ "$tokens" = phn ]; then
    [ "$search" = lexicon ] || die "--search lexicon-free is for tokens of letters: phones make words by a lexicon"
    unit=(--unit word --lexicon "${lexicon:-$source/lang/lexicon.txt}")
  elif [ "$search" = lexicon-free ]; then
    if [ "$tokens" = char ]; then unit=(--unit char); else unit=(--unit subword); fi
    unit+=(--tokens "$exp/asr")
  fi
  steps/train_lm.sh "${one_job[@]}" --order "$ngram_order" "${unit[@]}" --mix "$mix" ${mix:+--dev "$feats/dev_$train_side"} \
    "${ngram_text:-$source/train_$train_side}" "$exp/ngram"
fi

decode_model() { # decode_model NAME SIDE SEARCH: scales are tuned on the development set of the same side
  local dir=$exp/$1/$2_$3 how=(--decode.search greedy) set
  if [ "$3" = ngram ]; then
    read -r -a how <<< "$decode_options"
    how=(--decode.search "$search" --decode.ngram "$exp/ngram/lm.arpa" "${how[@]}")
    if [ "$tokens" = phn ]; then how+=(--decode.lexicon "${lexicon:-$source/lang/lexicon.txt}"); fi
    steps/tune_decode.sh "${decoding[@]}" "$exp/$1" "$feats/dev_$2" "$dir/tuned" "${how[@]}"
    if [ -f "$dir/tuned/options" ]; then                                   # not in a dry run before it is tuned
      mapfile -d '' -t how < <(xargs printf '%s\0' < "$dir/tuned/options") # words in a shell's quotes
    fi
  fi
  for set in dev test; do
    steps/decode.sh "${decoding[@]}" "$exp/$1" "$feats/${set}_$2" "$dir/decode_$set" "${how[@]}"
  done
}
every() { # every FUNCTION: for all models, sides and searches
  local model side way
  for model in "${models[@]}"; do
    for side in "${sides[@]}"; do for way in "${ways[@]}"; do in_background 2 "$1" "$model" "$side" "$way"; done; done
  done
  wait_all
}

if begin 5 "decoding"; then every decode_model; fi

score_model() { # score_model NAME SIDE SEARCH: phones are compared with phones
  local set reference=text
  if [ "$tokens,$3" = phn,greedy ]; then reference=text.phn; fi
  for set in dev test; do
    steps/score_asr.sh "${one_job[@]}" --cer-spaces true --reference "$reference" "$feats/${set}_$2" \
      "$exp/$1/$2_$3/decode_$set"
  done
}

if begin 6 "scores"; then
  every score_model
  rows=() pairs=()
  for side in "${sides[@]}"; do
    for way in "${ways[@]}"; do
      rows+=("$side, $way=,$exp/asr<seed>/${side}_$way")
      if [ "$side" = enhanced ]; then pairs+=(--pair "noisy, $way" "enhanced, $way"); fi
      if [ "$way" = ngram ]; then pairs+=(--pair "$side, greedy" "$side, ngram"); fi
    done
  done
  score_table --columns "dev CER,test CER,dev WER,test WER" --output "$exp/RESULTS.md" "${pairs[@]}" -- "${rows[@]}"
  systems=()
  for way in "${ways[@]}"; do systems+=("Deep Speech 2, $way=$exp/asr<seed>,<input>_$way"); done
  recogniser_table --output "$exp/SYSTEMS.md" "${systems[@]}"
fi

finished "recogniser: $exp/asr  text: $exp/asr/*/decode_*  tables: $exp/{RESULTS,SYSTEMS}.md"
