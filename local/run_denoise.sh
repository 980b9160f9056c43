#!/usr/bin/env bash
# Enhancers trained on clean speech: noise and reverberation are added on the fly, a new mixture of each utterance in every
# epoch. Validation and test mixtures are made once and stored. Options as in run.sh.
# shellcheck disable=SC2034,SC2154  # some options are read by their name; steps/lib/recipe.sh sets some variables

. steps/lib/recipe_options.sh || exit 1         # --stage, --data, --exp, --nj, --ngpu, --dry-run and more: see --help
. steps/lib/corpus_options.sh                   # --min-dur, --max-dur, --valid-speakers
exp=exp/denoise                                 # where everything goes but data: the demo corpus is in --data, what is mixed in <data>/denoise
corpus=demo                                     # 'demo', 'mini_librispeech', or a directory with {train,dev,test}_clean and maybe {dev,test}_noisy
models=bilstm                                   # any of bilstm, fcn, cnn_transformer, demucs, metricgan, fast, gtcrn: conf/mask_<model>.yaml
size=                                           # _demo takes conf/mask_<model>_demo.yaml; the default for --corpus demo; full: the large ones
train_options=""                                # stage 2: further settings, as "--train.epochs 5"; split at spaces
noise_dir=                                      # recorded noises: DIR/train and DIR/test, or DIR, which is then split by noise type
rir_dir=                                        # RIRs, as --noise-dir
simulated_rirs=0                                # without --rir-dir: number of RIRs to simulate  # was: simulated-rooms
demo_hours=0.5                                  # demo: hours of training speech
mini_librispeech_dir=downloads/mini_librispeech # its directory, with OpenRIR; missing files are downloaded to it (2 GB)
download_url=                                   # mini_librispeech: mirror of OpenSLR that has the archives
snrs="0 5 10 15"                                # of dev mixtures, dB
test_snrs="2.5 7.5 12.5 17.5"                   # of test mixtures, dB
recogniser=                                     # directory of a trained recogniser (run.sh: exp/asr_clean), for word error rates in the table
measures=all                                    # of enhanced speech: as steps/score_enhancement.sh takes them, e.g. all,dnsmos-ovrl
fbank_config=conf/fbank.conf                    # with --recogniser: its features
seeds=1                                         # train from this many seeds: --seed, --seed + 1, ...
train_jobs=2                                    # models trained side by side; on one machine with --ngpu one after the other

. ./path.sh || exit 1
help_message="Usage: local/run_denoise.sh [--option value]...
e.g.: local/run_denoise.sh --debug true
      local/run_denoise.sh --models 'bilstm demucs' --recogniser exp/asr_clean
      local/run_denoise.sh --corpus mini_librispeech --ngpu 1 --models 'bilstm fcn cnn_transformer demucs metricgan'
      local/run_denoise.sh --corpus mycorpus --noise-dir noises --simulated-rirs 100

Options (default):
$(list_options.sh "$0")

Stages; one that is done and unchanged is skipped:
  stage          writes
  1 data         data/denoise/{noises,rirs}/*, data/denoise/{dev,test}_{clean,noisy}
  2 training     exp/denoise/<model>
  3 enhancement  exp/denoise/<model>/wav/test
  4 scores       exp/denoise/*/scoring/test, exp/denoise/RESULTS.md"
call=("$0" "$@")
. parse_options.sh
. log.sh
. recipe.sh
set -euo pipefail

check_common "$@"
check_files fbank_config
check_dirs rir_dir
[ -z "$noise_dir" ] || [ -e "$noise_dir" ] || die "--noise-dir $noise_dir: no such directory"
check_models recogniser
case $corpus in
  demo)
    whole_corpus
    : "${size:=_demo}"
    ;;
  mini_librispeech)
    whole_corpus
    [ -z "$noise_dir$rir_dir" ] || die "--noise-dir and --rir-dir: mini_librispeech brings its noises and RIRs"
    ;;
  *)
    choose_source train_clean dev_clean test_clean
    [ -n "$noise_dir" ] || die "--corpus $corpus needs --noise-dir: the noises to mix in"
    ;;
esac
declare -A configs
for model in $models; do
  configs[$model]=conf/mask_$model${size#full}.yaml
  [ -f "${configs[$model]}" ] || die "--models: no model '$model': ${configs[$model]} is not there"
done
few=()
if $debug; then few=(--data.valid_utterances 4); fi
made=$data/${exp##*/}
start_recipe "$exp"
read -r -a systems <<< "$(with_seeds $models)"

# Where clean speech, noises, RIRs and stored mixtures are; with --debug true in the end a few utterances of them.
noises=$noise_dir
case $corpus in
  demo)
    source=$demo
    : "${noises:=$source/demo_audio/noise}"
    ;;
  mini_librispeech) source=$made/corpus noises=$made/openrir/noises rir_dir=$made/openrir/rooms ;;
esac
simulated=$(former_dir "$made/simulated_rirs" "$made/simulated_rooms") rirs=$(former_dir "$made/rirs" "$made/rooms")
if [ -z "$rir_dir" ] && [ "$simulated_rirs" -gt 0 ]; then rir_dir=$simulated; fi
if [ -z "$rir_dir" ]; then rirs=''; fi
declare -A side
for set in dev test; do
  for name in clean noisy; do
    side[${set}_$name]=$made/${set}_$name
    if [ -d "$corpus/${set}_noisy" ] || [ "$corpus" = demo ]; then side[${set}_$name]=$source/${set}_$name; fi
  done
done
side[train_clean]=$source/train_clean
taken=({train,dev,test}_clean)
for set in dev test; do if [ -d "$corpus/${set}_noisy" ]; then taken+=("${set}_noisy"); fi; done

if begin 1 "data"; then
  case $corpus in
    demo) local/demo/prepare.sh "${common_2nj[@]}" --hours "$demo_hours" "$source" ;;
    mini_librispeech)
      local/mini_librispeech/download.sh --url "$download_url" "$mini_librispeech_dir"
      local/mini_librispeech/prepare.sh "$mini_librispeech_dir" "$made"
      ;;
  esac
  if $selected; then select_sets "$corpus" "$source" "${taken[@]}"; fi
  local/split_recordings.sh --force "$force" "$noises" "$made/noises"
  if [ "$rir_dir" = "$simulated" ]; then
    local/simulate_rirs.sh "${common_2nj[@]}" --rirs "$simulated_rirs" "$rir_dir"
  fi
  if [ -n "$rirs" ]; then local/split_recordings.sh --force "$force" "$rir_dir" "$rirs"; fi
  for set in dev test; do
    if [ "${side[${set}_noisy]}" != "$made/${set}_noisy" ]; then continue; fi
    levels=$snrs mixing=()
    if [ $set = test ]; then levels=$test_snrs; fi
    if [ -n "$rirs" ]; then mixing=(--rir-dir "$rirs/$set"); fi
    local/mix_noise.sh "${common_2nj[@]}" --snrs "$levels" "${mixing[@]}" "$source/${set}_clean" "$made/noises/$set" \
      "$made/${set}_noisy"
  done
fi
if $debug; then
  for name in train_clean dev_clean dev_noisy test_clean test_noisy; do
    if [ "$stage" -le 1 ]; then steps/subset_data.sh --force "$force" "${side[$name]}" 24 "$made/few/$name"; fi
    side[$name]=$made/few/$name
  done
fi

if begin 2 "training"; then
  mixing=(--data.noises "$made/noises/train")
  if [ -n "$rirs" ]; then mixing+=(--data.rirs "$rirs/train"); fi
  read -r -a more <<< "$train_options"
  for name in "${systems[@]}"; do
    stft=(--data.stft conf/stft.conf)
    if [[ $name == fast* || $name == gtcrn* ]]; then stft=(); fi # their configurations name their own
    in_background "$train_jobs" steps/train.sh "${training[@]}" "${configs[${name%_seed*}]}" "$exp/$name" \
      --train.seed "$(seed_of "$name")" --data.train "${side[train_clean]}" "${mixing[@]}" \
      --data.dev_noisy "${side[dev_noisy]}" --data.dev_clean "${side[dev_clean]}" "${stft[@]}" \
      "${few[@]}" "${more[@]}"
  done
  wait_all
fi

if begin 3 "enhancement"; then
  for name in "${systems[@]}"; do
    in_background 2 steps/enhance.sh "${common[@]}" "$exp/$name" "${side[test_noisy]}" "$exp/$name/wav/test"
  done
  wait_all
fi

speech_of() { if [ "$1" = noisy ]; then echo "${side[test_noisy]}"; else echo "$exp/$1/wav/test"; fi; }
score() { # score SYSTEM: measures of its speech, and word error rates with --recogniser
  local dir
  dir=$(speech_of "$1")
  steps/score_enhancement.sh "${common[@]}" --measures "$measures" "${side[test_clean]}" "$dir" "$exp/$1/scoring/test"
  if [ -z "$recogniser" ]; then return; fi
  make_fbank "$dir" "$exp/$1/fbank/test"
  recognise "$exp/$1/asr" test "$exp/$1/fbank/test" "$recogniser"
  score_words "$exp/$1/asr" test "$exp/$1/fbank/test"
}

if begin 4 "scores"; then
  for name in noisy "${systems[@]}"; do in_background 2 score "$name"; done
  wait_all
  columns=PESQ,eSTOI,STOI,SI-SDR rows=() pairs=()
  if [ -n "$recogniser" ]; then columns+=",test WER"; fi
  for name in $models; do pairs+=(--pair noisy "$name"); done
  for dir in noisy $(printf '%s<seed> ' $models); do
    rows+=("${dir%<seed>}=$exp/$dir,${recogniser:+$exp/$dir/asr}")
  done
  score_table --columns "$columns" --output "$exp/RESULTS.md" "${pairs[@]}" -- "${rows[@]}"
fi

finished "models: $exp/<model>  enhanced speech: $exp/<model>/wav/test  table: $exp/RESULTS.md"
