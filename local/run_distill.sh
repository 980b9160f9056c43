#!/usr/bin/env bash
# Small encoders that a large one teaches, and that hear through noise: distillation, and probes of what they have learnt,
# beside their teacher and filterbanks, in clean speech, noise, rooms and both.
# Options as in run.sh: each line "name=value  # meaning" below is one.
# shellcheck disable=SC2034,SC2154  # some options are read by their name; steps/lib/recipe.sh sets some variables

stage=1                # first stage to run
stop_stage=5           # last stage to run
config=                # bash file of name=value lines, read before the other options
corpus=demo            # 'demo', or a directory with {train,dev,test}_clean
exp=exp/distill        # where everything goes, but the data of demo
teacher=exp/ssl/hubert1/encoder  # wav2vec 2.0, HuBERT, WavLM: a directory of transformers or a file of torchaudio
teacher_dropout=0      # 0.1: the teacher teaches in training mode, as in the published code
students="plain robust" # any of plain (clean speech), robust (noise, rooms), enhance (robust with enhancement head)
distill_config=        # stage 2; empty: conf/distill_demo.yaml, with a directory conf/distill.yaml
keep_targets=          # true: what the teacher says is stored once (1.5 GB an hour of Base, not for crops); default: demo
distill_options=""     # stage 2: further settings, as "--train.epochs 5"
probes="phone asr"     # stage 4: conf/probe_<name>.yaml
probe_options=""       # stage 4: further settings
conditions="clean noise room both"  # stages 3 to 5: what the probes are tested on
noise_dir=             # recorded noises: DIR/train and DIR/test, or DIR, whose kinds are then shared out
rir_dir=               # room impulse responses, likewise; empty: simulated ones
simulated_rooms=60     # so many
snrs="0 5 10 15"       # of dev and test mixtures, dB
demo_hours=0.5         # demo: hours of training speech
fbank_config=conf/fbank.conf   # features beside those of the encoders
seed=1                 # of all training
seeds=1                # train from this many seeds: --seed, --seed + 1, ...
nj=                    # jobs per step, of which two run side by side; empty: one per two cores, 4 at most
train_jobs=2           # models trained side by side; with --ngpu one after the other
ngpu=0                 # GPUs for training; 0 is the CPU
cmd_backend=           # where jobs run: local, slurm or sge; empty: what cmd.sh says
num_threads=           # CPU threads of a training; empty: this machine's cores shared out, on a cluster 4
force=false            # true: redo the stages although nothing changed

. ./path.sh || exit 1
help_message="Usage: local/run_distill.sh [--option value]...
e.g.: local/run_pretrain_ssl.sh && local/run_distill.sh         a small teacher and smaller students of the demo corpus
      local/run_distill.sh --corpus corpus --noise-dir noises --teacher wavlm-base-plus --ngpu 1

Options (default):
$(list_options.sh "$0")

Stages; one that is done and unchanged is skipped:
  stage           writes
  1 data          exp/distill/data/{dev_noisy,dev_clean}, exp/distill/data/test_*
  2 distillation  exp/distill/<student>, its encoder alone in exp/distill/<student>/encoder
  3 features      exp/distill/feats/<encoder>/{train,dev,test_*}
  4 probes        exp/distill/<probe>/<encoder>/{probe,<condition>}
  5 scores        exp/distill/<probe>/RESULTS.md"
command_line="$0 $*"
. parse_options.sh
. log.sh
. recipe.sh
set -euo pipefail

[ $# -eq 0 ] || die "takes options only, got '$*'; see --help"
check_common
check_numbers simulated_rooms
check_files config distill_config fbank_config
check_dirs rir_dir
[ -z "$noise_dir" ] || [ -e "$noise_dir" ] || die "--noise-dir $noise_dir: no such directory"
[ -e "$teacher" ] || die "--teacher $teacher: no such encoder; local/run_pretrain_ssl.sh trains a small one"
for student in $students; do
  [[ $student =~ ^(plain|robust|enhance)$ ]] || die "--students are plain, robust and enhance, got '$student'"
done
for probe in $probes; do [ -f "conf/probe_$probe.yaml" ] || die "--probes: conf/probe_$probe.yaml is not there"; done
for condition in $conditions; do
  [[ $condition =~ ^(clean|noise|room|both)$ ]] || die "--conditions are clean, noise, room and both, got '$condition'"
done
source=$corpus data=$exp/data
if [ "$corpus" = demo ]; then
  source=data
  : "${noise_dir:=data/demo_audio/noise}" "${distill_config:=conf/distill_demo.yaml}" "${keep_targets:=true}"
else
  for set in train dev test; do [ -d "$corpus/${set}_clean" ] || die "--corpus $corpus has no directory ${set}_clean"; done
  [ -n "$noise_dir" ] || die "--corpus $corpus needs --noise-dir: the noises to mix in"
fi
: "${distill_config:=conf/distill.yaml}" "${keep_targets:=false}"
[[ $keep_targets =~ ^(true|false)$ ]] || die "--keep-targets is true or false, got '$keep_targets'"
check_files distill_config
rooms=${rir_dir:-$data/simulated_rooms}
start_recipe "$exp"
read -r -a kinds <<< "$students"
read -r -a models <<< "$(with_seeds "${kinds[@]}")"
read -r -a encoders <<< "$(with_seeds fbank teacher "${kinds[@]}")"

mix() {  # mix SET OUT NOISE-SNRS SHARE-IN-ROOMS
  local/mix_noise.sh "${alone[@]}" --snrs "$3" --rir-dir "$data/rooms/$1" --rir-prob "$4" --clean-out "$2_reference" \
    "$source/$1_clean" "$data/noises/$1" "$2"
}

if begin 1 "data"; then
  if [ "$corpus" = demo ]; then local/demo/prepare.sh "${alone[@]}" --hours "$demo_hours" data; fi
  local/share_recordings.sh --force "$force" "$noise_dir" "$data/noises"
  if [ -z "$rir_dir" ]; then local/simulate_rooms.sh "${alone[@]}" --rooms "$simulated_rooms" "$rooms"; fi
  local/share_recordings.sh --by-kind false --force "$force" "$rooms" "$data/rooms"
  mix dev "$data/dev_noisy" "$snrs" 0.5
  for condition in $conditions; do
    case $condition in
      noise) mix test "$data/test_noise" "$snrs" 0 ;;
      room) mix test "$data/test_room" 60 1 ;;  # at 60 dB nobody hears the noise
      both) mix test "$data/test_both" "$snrs" 1 ;;
    esac
  done
fi

distil() {  # distil STUDENT
  local how=() more
  read -r -a more <<< "$distill_options"
  case $1 in
    plain*) how=(--augment.noise_prob 0 --augment.quiet_room_prob 0) ;;
    *) how=(--data.noises "$data/noises/train" --data.rooms "$data/rooms/train") ;;
  esac
  case $1 in
    enhance*) how+=(--loss.enhance_weight 2) ;;
    *) how+=(--loss.enhance_weight 0) ;;
  esac
  if $keep_targets; then how+=(--data.targets "$exp/targets"); fi
  steps/train.sh "${training[@]}" "$distill_config" "$exp/$1" --train.seed "$(seed_of "$1")" \
    --teacher.path "$teacher" --teacher.dropout "$teacher_dropout" --data.train "$source/train_clean" \
    --data.dev_noisy "$data/dev_noisy" --data.dev_clean "$data/dev_noisy_reference" "${how[@]}" "${more[@]}"
}

if begin 2 "distillation"; then
  if $keep_targets; then
    taught=$(sed -n 's/.*teacher: {.*layers: \[\([0-9, ]*\)\].*/\1/p' "$distill_config")
    [ -n "$taught" ] || die "$distill_config: no line 'teacher: {layers: [...]}': give --keep-targets false"
    steps/extract_ssl.sh "${alone[@]}" --layers "${taught//,/}" "$teacher" "$source/train_clean" "$exp/targets"
  fi
  for student in "${models[@]}"; do aside "$train_jobs" distil "$student"; done
  all_done
fi

feats=$exp/feats
heard() { if [ "$1" = clean ]; then echo "$source/test_clean"; else echo "$data/test_$1"; fi; }  # heard CONDITION
model_of() { if [ "$1" = teacher ]; then echo "$teacher"; else echo "$exp/$1"; fi; }
feats_of() {  # feats_of ENCODER: further seeds of what has none hear the same
  case $1 in
    fbank* | teacher*) echo "$feats/${1%_seed*}" ;;
    *) echo "$feats/$1" ;;
  esac
}
extract() {  # extract ENCODER DATA SET
  if [ "$1" = fbank ]; then
    make_fbank "$2" "$feats/$1/$3"
  else
    steps/extract_ssl.sh "${common[@]}" --layers "$(cat "$feats/$1/layers")" "$(model_of "$1")" "$2" "$feats/$1/$3"
  fi
}

if begin 3 "features"; then
  for encoder in fbank teacher "${models[@]}"; do
    mkdir -p "$feats/$encoder"
    if [ "$encoder" != fbank ]; then pyscripts/ssl_layers.py "$(model_of "$encoder")" > "$feats/$encoder/layers"; fi
    for set in train dev; do aside 2 extract "$encoder" "$source/${set}_clean" $set; done
    for condition in $conditions; do aside 2 extract "$encoder" "$(heard "$condition")" "test_$condition"; done
  done
  all_done
fi

tested() { echo "$exp/$1/${2%_seed*}/$3${2#"${2%_seed*}"}"; }  # tested PROBE ENCODER CONDITION: its directory
probe() {  # probe PROBE ENCODER: trains it on clean speech, and scores it in every condition
  local from dir more states=1 reference=text condition
  from=$(feats_of "$2") dir=$(tested "$1" "$2" probe)
  read -r -a more <<< "$probe_options"
  if [ -f "$from/layers" ]; then states=$(wc -w < "$from/layers"); fi
  steps/train.sh "${training[@]}" "conf/probe_$1.yaml" "$dir" --train.seed "$(seed_of "$2")" \
    --model.states "$states" --data.train "$from/train" --data.dev "$from/dev" "${more[@]}"
  if grep -q 'token_type: phn' "$dir/config.yaml"; then reference=text.phn; fi
  for condition in $conditions; do
    recognise "$(tested "$1" "$2" "$condition")" test "$from/test_$condition" "$dir"
    steps/score_asr.sh "${common[@]}" --cer-spaces true --reference $reference "$from/test_$condition" \
      "$(tested "$1" "$2" "$condition")/decode_test"
  done
}

if begin 4 "probes"; then
  for name in $probes; do
    for encoder in "${encoders[@]}"; do aside "$train_jobs" probe "$name" "$encoder"; done
  done
  all_done
fi

if begin 5 "scores"; then
  for name in $probes; do
    rows=()
    for encoder in fbank teacher $students; do
      for condition in $conditions; do rows+=("$encoder, $condition=,$(tested "$name" "$encoder" "$condition")"); done
    done
    pyscripts/results_table.py --command "$command_line" --columns "test CER,test WER" --output "$exp/$name/RESULTS.md" \
      "${rows[@]}"
    log "table: $exp/$name/RESULTS.md (of phones, WER counts phones)"
  done
fi

log "finished. [elapsed=${SECONDS}s]"
