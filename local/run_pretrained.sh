#!/usr/bin/env bash
# The enhancers that ship in pretrained/: from speech, noises and rooms of a folder of corpora, and rooms and noises made
# by rule. Mixtures are made while the networks are trained; those of dev are made once and stored. Training goes on where it
# was after a kill or after --hours: start the same command again. Options as in run.sh.
# shellcheck disable=SC2034,SC2154  # some options are read by their name; steps/lib/recipe.sh sets some variables

stage=1                # first stage to run
stop_stage=3           # last stage to run
config=                # bash file of name=value lines, read before the other options
corpora=               # folder with speechocean762, librispeech251, ljspeech, noise, noise2 and rooms
also=                  # data directory of more training speech, as train_clean of local/demo/prepare.sh
data=data/pretrained   # where data directories go
exp=exp/pretrained     # where everything else goes
models=fast            # any of fast, fast_b, fast_20ms, gtcrn: conf/enhance_<model>.yaml
simulated_rooms=100    # rooms that do not exist, beside the measured ones
snrs="-5 0 5 10 15 20" # of dev mixtures, dB
train_options=""       # stage 2: further settings, as "--train.epochs 5"; split at spaces
hours=0                # stage 2: stop each training after so many; 0: when it is done
seed=1                 # of all training
seeds=1                # train from this many seeds: --seed, --seed + 1, ...
nj=                    # jobs per step; empty: one per two cores, 4 at most
train_jobs=1           # models trained side by side
ngpu=0                 # GPUs for training; 0 is the CPU
cmd_backend=           # where jobs run: local, slurm or sge; empty: what cmd.sh says
num_threads=           # CPU threads of a training; empty: this machine's cores
force=false            # true: redo the stages although nothing changed

. ./path.sh || exit 1
help_message="Usage: local/run_pretrained.sh --corpora DIR [--option value]...
e.g.: local/run_pretrained.sh --corpora ../shared/data --models 'fast fast_b' --hours 2

Options (default):
$(list_options.sh "$0")

Stages; one that is done and unchanged is skipped:
  stage       writes
  1 data      data/pretrained/{train_speech,dev_clean,dev_noisy}, data/pretrained/{noises,rooms}/{train,dev}
  2 training  exp/pretrained/<model>
  3 scores    exp/pretrained/{noisy,<model>}/scoring/dev, exp/pretrained/RESULTS.md"
call=("$0" "$@")
. parse_options.sh
. log.sh
. recipe.sh
set -euo pipefail

[ $# -eq 0 ] || die "takes options only, got '$*'; see --help"
check_common
check_files config
[ -n "$corpora" ] || die "give --corpora: the folder of speech, noises and rooms"
check_dirs corpora also
for model in $models; do
  [ -f "conf/enhance_$model.yaml" ] || die "--models: no model '$model': conf/enhance_$model.yaml is not there"
done
start_recipe "$exp"
read -r -a systems <<< "$(with_seeds $models)"

if begin 1 "data"; then
  if [ ! -f "$data/rooms/dev/.made" ] || $force; then
    local/pretrained/prepare.py ${also:+--also "$also"} "$corpora" "$data"
    touch "$data/rooms/dev/.made"
  fi
  local/simulate_rooms.sh "${alone[@]}" --rooms "$simulated_rooms" --longest 0.8 "$data/simulated/train"
  local/simulate_rooms.sh "${alone[@]}" --rooms 10 --longest 0.8 --seed 2 "$data/simulated/dev"
  for split in train dev; do
    cp -p "$data/simulated/$split/wav/"*.wav "$data/rooms/$split/"
  done
  local/mix_noise.sh "${alone[@]}" --snrs "$snrs" --rir-dir "$data/rooms/dev" --rir-prob 0.25 \
    --babble-dir "$data/dev_speech" "$data/dev_speech" "$data/noises/dev" "$data/dev_noisy"
fi

if begin 2 "training"; then
  read -r -a more <<< "$train_options"
  limit=()
  if [ "$hours" != 0 ]; then limit=(timeout --signal TERM --foreground "${hours}h"); fi
  for name in "${systems[@]}"; do
    rc=0
    "${limit[@]}" steps/train.sh "${training[@]}" "conf/enhance_${name%_seed*}.yaml" "$exp/$name" \
      --train.seed "$(seed_of "$name")" --data.train "$data/train_speech" --data.noises "$data/noises/train" \
      --data.rirs "$data/rooms/train" --data.dev_noisy "$data/dev_noisy" --data.dev_clean "$data/dev_clean" \
      "${more[@]}" || rc=$?
    case $rc in
      0) ;;
      75 | 124 | 143) log "$exp/$name: stopped after $hours h: the same command goes on"; exit 75 ;;
      *) exit "$rc" ;;
    esac
  done
fi

if begin 3 "scores"; then
  for name in noisy "${systems[@]}"; do
    enhanced=$data/dev_noisy
    if [ "$name" != noisy ]; then
      enhanced=$exp/$name/wav/dev
      steps/enhance.sh "${alone[@]}" "$exp/$name" "$data/dev_noisy" "$enhanced"
    fi
    steps/score_enhancement.sh "${alone[@]}" "$data/dev_clean" "$enhanced" "$exp/$name/scoring/dev"
  done
  rows=() pairs=()
  for name in noisy $models; do rows+=("$name=$exp/$name,"); done
  for name in $models; do pairs+=(--pair noisy "$name"); done
  pyscripts/score_table.py --command "${call[*]}" --columns PESQ,eSTOI,STOI,SI-SDR --output "$exp/RESULTS.md" \
    "${pairs[@]}" "${rows[@]}"
  log "models: $exp/<model>  table: $exp/RESULTS.md"
fi

log "finished. [elapsed=${SECONDS}s]"
