#!/usr/bin/env bash
# Enhancers from clean speech alone: noise and rooms are mixed in while they are trained, another mixture of each
# utterance in every epoch. Validation and test mixtures are made once and stored. Options as in run.sh.
# shellcheck disable=SC2034,SC2154  # some options are read by their name; steps/lib/recipe.sh sets some variables

stage=1                # first stage to run
stop_stage=4           # last stage to run
config=                # bash file of name=value lines, read before the other options
data=data/mask         # where data directories go, but those of demo
exp=exp/mask           # where everything else goes
corpus=demo            # 'demo', 'mini_librispeech', or a directory with {train,dev,test}_clean and maybe {dev,test}_noisy
models=bilstm          # any of bilstm, fcn, cnn_transformer, demucs, metricgan: conf/mask_<model>.yaml
size=                  # _demo takes conf/mask_<model>_demo.yaml; the default for --corpus demo; full: the large ones
train_options=""       # stage 2: further settings, as "--train.epochs 5"; split at spaces
noise_dir=             # recorded noises: DIR/train and DIR/test, or DIR, whose kinds are then shared out
rir_dir=               # room impulse responses, likewise
simulated_rooms=0      # where --rir-dir names none: so many rooms are simulated
demo_hours=0.5         # demo: hours of training speech
mini_librispeech_dir=downloads/mini_librispeech  # where it is, with OpenRIR; what is not there is downloaded (2 GB)
download_url=          # mini_librispeech: mirror of OpenSLR that has the archives
snrs="0 5 10 15"       # of dev mixtures, dB
test_snrs="2.5 7.5 12.5 17.5"  # of test mixtures, dB
recogniser=            # directory of a trained recogniser (run.sh: exp/asr_clean): its word error rates join the table
fbank_config=conf/fbank.conf   # with --recogniser: its features
seed=1                 # of all training
seeds=1                # train from this many seeds: --seed, --seed + 1, ...
nj=                    # jobs per step, of which two run side by side; empty: one per two cores, 4 at most
train_jobs=2           # models trained side by side; with --ngpu one after the other
ngpu=0                 # GPUs for training; 0 is the CPU
cmd_backend=           # where jobs run: local, slurm or sge; empty: what cmd.sh says
num_threads=           # CPU threads of a training; empty: this machine's cores shared out, on a cluster 4
force=false            # true: redo the stages although nothing changed
debug=false            # true: all of it in two minutes, with few utterances and one epoch, in exp/mask_debug and data/mask_debug

. ./path.sh || exit 1
help_message="Usage: local/run_mask.sh [--option value]...
e.g.: local/run_mask.sh --debug true
      local/run_mask.sh --models 'bilstm demucs' --recogniser exp/asr_clean
      local/run_mask.sh --corpus mini_librispeech --ngpu 1 --models 'bilstm fcn cnn_transformer demucs metricgan'
      local/run_mask.sh --corpus mycorpus --noise-dir noises --simulated-rooms 100

Options (default):
$(list_options.sh "$0")

Stages; one that is done and unchanged is skipped:
  stage          writes
  1 data         data/mask/{noises,rooms}/*, data/mask/{dev,test}_{clean,noisy}
  2 training     exp/mask/<model>
  3 enhancement  exp/mask/<model>/wav/test
  4 scores       exp/mask/*/scoring/test, exp/mask/RESULTS.md"
call=("$0" "$@")
. parse_options.sh
. log.sh
. recipe.sh
set -euo pipefail

[ $# -eq 0 ] || die "takes options only, got '$*'; see --help"
check_common
check_files config fbank_config
check_dirs rir_dir
[ -z "$noise_dir" ] || [ -e "$noise_dir" ] || die "--noise-dir $noise_dir: no such directory"
[ -z "$recogniser" ] || [ -f "$recogniser/model.pt" ] || die "--recogniser $recogniser: no model.pt: is it trained?"
case $corpus in
  demo) : "${size:=_demo}" ;;
  mini_librispeech)
    [ -z "$noise_dir$rir_dir" ] || die "--noise-dir and --rir-dir: mini_librispeech brings its noises and rooms" ;;
  *)
    for set in train dev test; do
      [ -d "$corpus/${set}_clean" ] || die "--corpus $corpus has no directory ${set}_clean"
    done
    [ -n "$noise_dir" ] || die "--corpus $corpus needs --noise-dir: the noises to mix in" ;;
esac
declare -A configs
for model in $models; do
  configs[$model]=conf/mask_$model${size#full}.yaml
  [ -f "${configs[$model]}" ] || die "--models: no model '$model': ${configs[$model]} is not there"
done
few=()
if $debug; then
  exp+=_debug data+=_debug
  few=(--train.epochs 1 --train.warmup 0 --data.valid_utterances 4)
  demo_hours=0.02
fi
start_recipe "$exp"
read -r -a systems <<< "$(with_seeds $models)"

# Where clean speech, noises and stored mixtures are; with --debug true in the end a few utterances of them.
source=$corpus noises=$noise_dir
case $corpus in
  demo)
    source=data
    if $debug; then source=$data/demo; fi
    : "${noises:=$source/demo_audio/noise}" ;;
  mini_librispeech) source=$data/corpus noises=$data/openrir/noises rir_dir=$data/openrir/rooms ;;
esac
rooms=$rir_dir
if [ -z "$rooms" ] && [ "$simulated_rooms" -gt 0 ]; then rooms=$data/simulated_rooms; fi
declare -A side
for set in dev test; do
  for kind in clean noisy; do
    side[${set}_$kind]=$data/${set}_$kind
    if [ -d "$source/${set}_noisy" ] || [ "$corpus" = demo ]; then side[${set}_$kind]=$source/${set}_$kind; fi
  done
done
side[train_clean]=$source/train_clean

if begin 1 "data"; then
  case $corpus in
    demo) local/demo/prepare.sh "${alone[@]}" --hours "$demo_hours" "$source" ;;
    mini_librispeech)
      local/mini_librispeech/download.sh --url "$download_url" "$mini_librispeech_dir"
      local/mini_librispeech/prepare.sh "$mini_librispeech_dir" "$data" ;;
  esac
  local/share_recordings.sh --force "$force" "$noises" "$data/noises"
  if [ "$rooms" = "$data/simulated_rooms" ]; then
    local/simulate_rooms.sh "${alone[@]}" --rooms "$simulated_rooms" "$rooms"
  fi
  if [ -n "$rooms" ]; then local/share_recordings.sh --force "$force" "$rooms" "$data/rooms"; fi
  for set in dev test; do
    if [ "${side[${set}_noisy]}" != "$data/${set}_noisy" ]; then continue; fi
    levels=$snrs mixing=()
    if [ $set = test ]; then levels=$test_snrs; fi
    if [ -n "$rooms" ]; then mixing=(--rir-dir "$data/rooms/$set"); fi
    local/mix_noise.sh "${alone[@]}" --snrs "$levels" "${mixing[@]}" "$source/${set}_clean" "$data/noises/$set" \
      "$data/${set}_noisy"
  done
fi
if $debug; then
  for name in train_clean dev_clean dev_noisy test_clean test_noisy; do
    if [ "$stage" -le 1 ]; then steps/subset_data.sh --force "$force" "${side[$name]}" 24 "$data/few/$name"; fi
    side[$name]=$data/few/$name
  done
fi

if begin 2 "training"; then
  mixing=(--data.noises "$data/noises/train")
  if [ -n "$rooms" ]; then mixing+=(--data.rirs "$data/rooms/train"); fi
  read -r -a more <<< "$train_options"
  for name in "${systems[@]}"; do
    aside "$train_jobs" steps/train.sh "${training[@]}" "${configs[${name%_seed*}]}" "$exp/$name" \
      --train.seed "$(seed_of "$name")" --data.train "${side[train_clean]}" "${mixing[@]}" \
      --data.dev_noisy "${side[dev_noisy]}" --data.dev_clean "${side[dev_clean]}" --data.stft conf/stft.conf \
      "${few[@]}" "${more[@]}"
  done
  all_done
fi

if begin 3 "enhancement"; then
  for name in "${systems[@]}"; do
    aside 2 steps/enhance.sh "${common[@]}" "$exp/$name" "${side[test_noisy]}" "$exp/$name/wav/test"
  done
  all_done
fi

heard() { if [ "$1" = noisy ]; then echo "${side[test_noisy]}"; else echo "$exp/$1/wav/test"; fi; }
score() {  # score SYSTEM: how clean it sounds, and what the recogniser makes of it
  local dir
  dir=$(heard "$1")
  steps/score_enhancement.sh "${common[@]}" "${side[test_clean]}" "$dir" "$exp/$1/scoring/test"
  if [ -z "$recogniser" ]; then return; fi
  make_fbank "$dir" "$exp/$1/fbank/test"
  recognise "$exp/$1/asr" test "$exp/$1/fbank/test" "$recogniser"
  score_words "$exp/$1/asr" test "$exp/$1/fbank/test"
}

if begin 4 "scores"; then
  for name in noisy "${systems[@]}"; do aside 2 score "$name"; done
  all_done
  columns=PESQ,eSTOI,STOI,SI-SDR rows=() pairs=()
  if [ -n "$recogniser" ]; then columns+=",test WER"; fi
  for name in $models; do pairs+=(--pair noisy "$name"); done
  for name in noisy $models; do rows+=("$name=$exp/$name,${recogniser:+$exp/$name/asr}"); done
  pyscripts/results_table.py --command "${call[*]}" --columns "$columns" --output "$exp/RESULTS.md" "${pairs[@]}" \
    "${rows[@]}"
  log "models: $exp/<model>  enhanced speech: $exp/<model>/wav/test  table: $exp/RESULTS.md"
fi

log "finished. [elapsed=${SECONDS}s]"
