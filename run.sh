#!/usr/bin/env bash
# The whole recipe: from a corpus to a table of scores. Every stage only calls local/ and steps/ scripts.
# Each line "name=value  # meaning" below is an option: --oov-policy g2p sets oov_policy. See ./run.sh --help.
# shellcheck disable=SC2034,SC2154  # some options are read by their name; steps/lib/recipe.sh sets some variables

. steps/lib/recipe_options.sh || exit 1 # --stage, --stop-stage, --data, --exp, --nj, --ngpu and more: see --help
corpus=demo                             # 'demo' (synthesised), 'vbdemand', or a directory with {train,dev,test}_{clean,noisy}
train_clean=                            # one Kaldi data directory per set, in place of --corpus
train_noisy=                            # same utterances and lengths as --train-clean
dev_clean=                              # as --train-clean
dev_noisy=                              # as --train-noisy
test_clean=                             # as --train-clean
test_noisy=                             # as --train-noisy
valid_speakers=                         # own corpus and vbdemand: training speakers who become the dev set; vbdemand: empty: p226 and p287
lexicon=                                # own corpus: WORD PH PH lines, where data directories have no text.phn
lexicon_type=auto                       # own corpus: columns of --lexicon: plain, prob, silprob; auto: from all its lines
oov_policy=fail                         # own corpus: a word that is not in the lexicon: fail, skip or g2p
allow_pipes=false                       # own corpus: true runs the commands that wav.scp may hold
min_dur=                                # own corpus: seconds of the shortest utterance that is taken; empty: any
max_dur=                                # own corpus: seconds of the longest one; empty: any
max_skip=0.01                           # own corpus and vbdemand: share of a set's utterances that may be unusable
channel=                                # own corpus: channel to take of audio that has several, from 0
text_normaliser=upper                   # own corpus: none, upper, plain (drops punctuation) or voicebank
vbdemand_dir=                           # vbdemand: its directory; missing files are downloaded to it (6 GB)
skip_pesq_check=false                   # vbdemand: true: no check that the noisy test set has the published PESQ  # was: no-gate
demo_hours=0.5                          # demo: hours of training speech
noise_dir=                              # demo: directory of recorded noises to mix in; empty: synthesised ones
rir_dir=                                # demo: directory of RIRs
speeds=                                 # robust recognisers also train on copies at these speeds, e.g. "0.9 1.1"
augment_noise_dir=                      # robust recognisers also train on a copy with these noises mixed in, at 0 to 15 dB
fbank_config=                           # stage 2: features of the recognisers
compress=none                           # archives of features: none (float32), int16 (half the size) or uint8 (a quarter, coarse)
perceptual=                             # mimic loss through: recogniser, that of clean speech; phones, a model of --perceptual-config; or the directory of a trained model
perceptual_config=                      # stage 3, of phones: model and training
enhance_config=                         # stage 4: model and training
enhancement_ratio=                      # stage 5: share of the enhanced signal, the rest is the input: 0 to 1; auto: by SNR, fitted on dev; empty: the model's default  # was: enhance-ratio
asr_config=                             # stage 6: the recogniser for clean speech
asr_finetune_config=                    # stage 6: fine-tuning of the other recognisers from it
init=                                   # stage 6: directory of a recogniser that initialises the one for clean speech
decode_options=                         # stage 6: settings that override the configuration's, split at spaces, e.g. '--decode.beam 20'
measures=all                            # of enhanced speech: as steps/score_enhancement.sh takes them, e.g. all,dnsmos-ovrl
seeds=1                                 # train the enhancers from this many seeds: --seed, --seed + 1, ...
train_jobs=2                            # models trained side by side in stages 4 and 6; on one machine with --ngpu one after the other

. ./path.sh || exit 1
help_message="Usage: ./run.sh [--option value]...
e.g.:  ./run.sh                                            the demo corpus, everything
       ./run.sh --debug true                               does everything work? a few utterances of it
       ./run.sh --corpus vbdemand --vbdemand-dir DIR       VoiceBank-DEMAND, as published
       ./run.sh --corpus mycorpus --lexicon cmudict.txt    your own data
       ./run.sh --stage 6 --stop-stage 7                   recognition and scores again

Options (default):
$(list_options.sh "$0")
Configurations that are not given: conf/*_demo.yaml and conf/fbank.conf; with --corpus vbdemand those that were
published in 2021: conf/{perceptual,enhance,asr}.yaml and conf/fbank_40.conf. --perceptual that is not given: phones with
--perceptual-config, --corpus vbdemand or features of another rate than 16 kHz, else recogniser.

Stages; one that is done and unchanged is skipped (times: demo corpus, 2 cores):
  stage           reads                       writes                               time
  1 data          corpus                      data/{train,dev,test}_{clean,noisy}  0.5 min
  2 features      data/*                      exp/stft/{train,dev}_*  exp/fbank/*  0.5 min
  3 perceptual    exp/{fbank,stft}/*_clean    exp/asr_clean or exp/perceptual      2 min
  4 enhancement   exp/stft/*  those           exp/enhance_{mse,mimic}              4 min
  5 dump          exp/enhance_*  data/*_noisy exp/enhance_*/enhanced/*             1 min
  6 recognition   exp/fbank/*  the dump       exp/asr_{clean,noisy,mse,mimic}      5 min
                                              exp/table/clean/{noisy,mse,mimic}
  7 scoring       all of these                exp/*/scoring/*  exp/RESULTS.md      1 min
                                              exp/report/index.html"
call=("$0" "$@")
. parse_options.sh
. log.sh
. recipe.sh
set -euo pipefail

# Wrong options end here, before anything runs.
check_common "$@"
sets=(train_clean train_noisy dev_clean dev_noisy test_clean test_noisy)
own=() given=("${sets[@]}") number=six
if [ -n "$valid_speakers" ] && [ "$corpus" != vbdemand ]; then given=(train_clean train_noisy test_clean test_noisy) number=four; fi
for name in "${sets[@]}"; do if [ -n "${!name}" ]; then own+=("--${name//_/-}" "${!name}"); fi; done
if [ ${#own[@]} -gt 0 ]; then
  [ "$corpus" = demo ] || die "give either --corpus or one option per set, not both"
  [ ${#own[@]} -eq $((2 * ${#given[@]})) ] || die "one option per set means all $number of them, got ${own[*]}"
  corpus=own
elif [[ ! $corpus =~ ^(demo|vbdemand)$ ]]; then
  check_corpus "${given[@]}"
  own=(--corpus "$corpus")
fi
[ "$corpus" = demo ] || [ -z "$noise_dir$rir_dir" ] ||
  die "--noise-dir and --rir-dir are for the demo corpus; local/mix_noise.sh mixes your own"
[ "$corpus" != demo ] || [ -z "$valid_speakers" ] || die "--valid-speakers: the demo corpus has a dev set; give --corpus too"
[ ${#own[@]} -gt 0 ] || [ "$lexicon$lexicon_type$allow_pipes" = autofalse ] ||
  die "--lexicon, --lexicon-type and --allow-pipes are for your own data: give --corpus too"
[ ${#own[@]} -gt 0 ] || [ -z "$min_dur$max_dur" ] || die "--min-dur and --max-dur are for your own data: give --corpus too"
if [ "$corpus" = vbdemand ]; then
  ! $debug || die "--debug true would import all of VoiceBank-DEMAND: leave --corpus vbdemand out"
  [ -n "$vbdemand_dir" ] || die "--corpus vbdemand needs --vbdemand-dir: its directory, or where it is to be downloaded"
else
  [ "$vbdemand_dir$skip_pesq_check" = false ] || die "--vbdemand-dir and --skip-pesq-check are for --corpus vbdemand"
fi
check_files lexicon
check_dirs noise_dir rir_dir augment_noise_dir
check_models init
choose_configs
choose_perceptual

start_recipe "$exp"
read -r -a enhancers <<< "$(with_seeds mse mimic)" # and mse_seed2 mimic_seed2 ... for further seeds
if [ -n "$speeds$augment_noise_dir" ]; then noisy_train=train_augmented; fi
# Mimic loss needs the recogniser of clean speech, or, beside the perceptual model, it keeps a core from being idle.
clean_asr_stage=6
if [ "$stage" -le 3 ] && { [ "$perceptual" = recogniser ] || { [ "$stop_stage" -ge 6 ] && [ "$train_jobs" -gt 1 ]; }; }; then
  clean_asr_stage=3
fi

if begin 1 "data"; then
  case $corpus in
    demo)
      demo_options=(--noise-dir "$noise_dir" --rir-dir "$rir_dir")
      prepare_demo
      ;;
    vbdemand)
      local/vbdemand/download.sh "$vbdemand_dir"
      local/vbdemand/prepare.sh "${common_2nj[@]}" ${valid_speakers:+--valid-speakers "$valid_speakers"} \
        --max-skip "$max_skip" "$vbdemand_dir" "$data"
      local/vbdemand/check_pesq.sh "${common_2nj[@]}" --skip-pesq-check "$skip_pesq_check" "$data" "$exp/noisy/pesq_check"
      ;;
    *)
      if $debug; then
        for name in "${given[@]}"; do # of which speakers are taken, all of them
          few=24
          if [ -n "$valid_speakers" ] && [[ $name == train* ]]; then few=all; fi
          steps/subset_data.sh --force "$force" "${!name:-$corpus/$name}" "$few" "$data/few/$name"
        done
        if [ -z "$lexicon" ] && [ -f "$corpus/lang/lexicon.txt" ]; then lexicon=$corpus/lang/lexicon.txt; fi
        own=(--corpus "$data/few")
      fi
      local/import_corpus.sh "${common_2nj[@]}" "${own[@]}" --valid-speakers "$valid_speakers" --lexicon "$lexicon" --lexicon-type "$lexicon_type" \
        --oov-policy "$oov_policy" --allow-pipes "$allow_pipes" --max-skip "$max_skip" --channel "$channel" \
        --text-normaliser "$text_normaliser" --min-dur "$min_dur" --max-dur "$max_dur" "$data"
      ;;
  esac
  if [ $noisy_train = train_augmented ]; then
    local/augment_data.sh "${common_2nj[@]}" --speeds "$speeds" --noise-dir "$augment_noise_dir" \
      "$data/train_noisy" "$data/train_augmented"
  fi
fi

if begin 2 "features"; then
  for name in "${sets[@]}"; do
    [[ $name == test_* ]] || in_background 2 make_stft "$data/$name" "$exp/stft/$name"
    in_background 2 make_fbank "$data/$name" "$exp/fbank/$name"
  done
  if [ $noisy_train = train_augmented ]; then
    in_background 2 make_fbank "$data/train_augmented" "$exp/fbank/train_augmented"
  fi
  wait_all
fi

if begin 3 "perceptual model on clean speech"; then
  if [ "$perceptual" = phones ]; then in_background "$train_jobs" train_perceptual "$exp/perceptual"; fi
  if [ $clean_asr_stage = 3 ]; then in_background "$train_jobs" train_clean_asr; fi
  wait_all
fi

if begin 4 "enhancement, without and with mimic loss"; then
  for name in "${enhancers[@]}"; do
    loss=(--loss.perceptual "$(perceptual_dir)")
    [[ $name == mimic* ]] || loss=(--loss.mimic_weight 0)
    in_background "$train_jobs" train_enhancer "$exp/enhance_$name" "$enhance_config" "${loss[@]}"
  done
  wait_all
fi

if begin 5 "dump of enhanced speech"; then
  if [ "$enhancement_ratio" = auto ] && [ $clean_asr_stage = 6 ]; then train_clean_asr; fi
  fit_ratios "$exp/asr_clean" "${enhancers[@]/#/"$exp/enhance_"}"
  for name in "${enhancers[@]}"; do
    for set in train dev test; do in_background 2 dump "$exp/enhance_$name" "$set"; done
  done
  wait_all
fi

if begin 6 "recognition"; then
  if [ $clean_asr_stage = 6 ]; then train_clean_asr; fi
  for name in noisy "${enhancers[@]}"; do in_background "$train_jobs" train_robust "$name"; done
  wait_all
  for name in clean noisy "${enhancers[@]}"; do
    for set in dev test; do in_background 2 recognise "$exp/asr_$name" "$set" "$(feats_dir_for "$name" "$set")"; done
  done
  for name in noisy "${enhancers[@]}"; do # and by the recogniser of clean speech, not retrained
    in_background 2 recognise "$exp/table/clean/$name" test "$(feats_dir_for "$name" test)" "$exp/asr_clean"
  done
  wait_all
fi

if begin 7 "scores"; then
  for name in clean noisy "${enhancers[@]}"; do
    for set in dev test; do in_background 2 score_words "$exp/asr_$name" "$set" "$(feats_dir_for "$name" "$set")"; done
  done
  for name in noisy "${enhancers[@]}"; do
    in_background 2 score_words "$exp/table/clean/$name" test "$(feats_dir_for "$name" test)"
  done
  in_background 2 score_speech "$exp/noisy" "$data/test_noisy"
  for name in "${enhancers[@]}"; do in_background 2 score_speech "$exp/enhance_$name" "$exp/enhance_$name/enhanced/test"; done
  wait_all
  score_table --columns "PESQ,eSTOI,dev WER,test WER,fixed test WER" --output "$exp/RESULTS.md" \
    --pair noisy MSE --pair noisy "MSE + mimic" -- "clean=,$exp/asr_clean,$exp/asr_clean" \
    "noisy=$exp/noisy,$exp/asr_noisy,$exp/table/clean/noisy" \
    "MSE=$exp/enhance_mse<seed>,$exp/asr_mse<seed>,$exp/table/clean/mse<seed>" \
    "MSE + mimic=$exp/enhance_mimic<seed>,$exp/asr_mimic<seed>,$exp/table/clean/mimic<seed>"
  dry_run || steps/report.sh --cmd "$train_cmd" --force "$force" --data "$data" "$exp"
fi

finished "scores: $exp/*/scoring  decoded text: $exp/asr_*/decode_*  logs: $exp/*/log  table: $exp/RESULTS.md"
