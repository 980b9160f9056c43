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
students="plain robust" # any of plain (clean speech), robust (noise, rooms), enhance (and an enhancement head), pruned
distill_config=        # stage 2; empty: conf/distill_demo.yaml, with a directory conf/distill.yaml
pruned_config=         # stage 2: of the pruned student; empty: conf/distill_pruned(_demo).yaml
pruned_final_config=   # stage 2: of its second step; empty: conf/distill_pruned_final(_demo).yaml
keep_targets=          # true: what the teacher says is stored once (1.5 GB an hour of Base, not for crops); default: demo
distill_options=""     # stage 2: further settings, as "--train.epochs 5"; split at spaces
probes="phone asr"     # stage 4: any of phone, asr, speaker (identified and verified), keyword, enhance: conf/probe_*.yaml
keywords="BOSTON CAIRO DUBLIN LONDON MADRID PARIS SYDNEY"  # keyword: which of these an utterance has that has one
held_utterances=150    # speaker: so many of the training set are for the test
probe_options=""       # stage 4: further settings; split at spaces
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
  4 probes        exp/distill/<probe>/<encoder>/{probe,<condition>}; enhance: and <condition>/wav/test
  5 scores        exp/distill/<probe>/RESULTS.md"
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
[ -e "$teacher" ] || die "--teacher $teacher: no such encoder; local/run_pretrain_ssl.sh trains a small one"
for student in $students; do
  [[ $student =~ ^(plain|robust|enhance|pruned)$ ]] ||
    die "--students are plain, robust, enhance and pruned, got '$student'"
done
for probe in $probes; do [ -f "conf/probe_$probe.yaml" ] || die "--probes: conf/probe_$probe.yaml is not there"; done
for condition in $conditions; do
  [[ $condition =~ ^(clean|noise|room|both)$ ]] || die "--conditions are clean, noise, room and both, got '$condition'"
done
source=$corpus data=$exp/data size=''
if [ "$corpus" = demo ]; then
  source=data size=_demo
  : "${noise_dir:=data/demo_audio/noise}" "${keep_targets:=true}"
else
  for set in train dev test; do [ -d "$corpus/${set}_clean" ] || die "--corpus $corpus has no directory ${set}_clean"; done
  [ -n "$noise_dir" ] || die "--corpus $corpus needs --noise-dir: the noises to mix in"
fi
: "${distill_config:=conf/distill$size.yaml}" "${keep_targets:=false}"
: "${pruned_config:=conf/distill_pruned$size.yaml}" "${pruned_final_config:=conf/distill_pruned_final$size.yaml}"
check_files distill_config pruned_config pruned_final_config
rooms=${rir_dir:-$data/simulated_rooms}
start_recipe "$exp"
read -r -a kinds <<< "$students"
read -r -a models <<< "$(with_seeds "${kinds[@]}")"
read -r -a encoders <<< "$(with_seeds fbank teacher "${kinds[@]}")"

heard() {  # heard SET CONDITION: its data directory
  case $1,$2 in
    test,clean) echo "$source/test_clean" ;;
    held,clean) echo "$data/held" ;;
    *) echo "$data/$1_$2" ;;
  esac
}
mix() {  # mix CLEAN NOISES OUT SNRS SHARE-IN-ROOMS
  local/mix_noise.sh "${alone[@]}" --snrs "$4" --rir-dir "$data/rooms/$2" --rir-prob "$5" --clean-out "$3_reference" \
    "$1" "$data/noises/$2" "$3"
}
tested_on=(test)
if [[ " $probes " == *" speaker "* ]]; then tested_on=(test held); fi

if begin 1 "data"; then
  if [ "$corpus" = demo ]; then local/demo/prepare.sh "${alone[@]}" --hours "$demo_hours" data; fi
  local/share_recordings.sh --force "$force" "$noise_dir" "$data/noises"
  if [ -z "$rir_dir" ]; then local/simulate_rooms.sh "${alone[@]}" --rooms "$simulated_rooms" "$rooms"; fi
  local/share_recordings.sh --by-kind false --force "$force" "$rooms" "$data/rooms"
  mix "$source/dev_clean" dev "$data/dev_noisy" "$snrs" 0.5
  for set in "${tested_on[@]}"; do
    if [ "$set" = held ]; then
      steps/subset_data.sh --force "$force" "$source/train_clean" "$held_utterances" "$data/held"
      awk 'NR == FNR { held[$1]; next } !($1 in held)' <(cat "$data/held/utt2spk") - < "$source/train_clean/utt2spk" \
        > "$data/speakers"
    fi
    for condition in $conditions; do
      case $condition in
        noise) mix "$(heard "$set" clean)" test "$data/${set}_noise" "$snrs" 0 ;;
        room) mix "$(heard "$set" clean)" test "$data/${set}_room" 60 1 ;;  # at 60 dB nobody hears the noise
        both) mix "$(heard "$set" clean)" test "$data/${set}_both" "$snrs" 1 ;;
      esac
    done
  done
  if [[ " $probes " == *" keyword "* ]]; then
    for set in train dev test; do
      awk -v list="$keywords" 'BEGIN { n = split(list, k, " "); for (i = 1; i <= n; i++) w[k[i]] = 1 }
        { c = 0; for (i = 2; i <= NF; i++) if ($i in w) { c++; found = $i } if (c == 1) print $1, found }' \
        < "$source/${set}_clean/text" > "$data/keywords_$set"
    done
  fi
fi

teach() {  # teach CONFIG DIR SEED [--section.key value]...
  local more
  read -r -a more <<< "$distill_options"
  steps/train.sh "${training[@]}" "$1" "$2" --train.seed "$3" --teacher.path "$teacher" \
    --teacher.dropout "$teacher_dropout" --data.train "$source/train_clean" --data.dev_noisy "$data/dev_noisy" \
    --data.dev_clean "$data/dev_noisy_reference" "${@:4}" "${more[@]}"
}
distil() {  # distil STUDENT
  local noisy=(--data.noises "$data/noises/train" --data.rirs "$data/rooms/train") known=() s
  s=$(seed_of "$1")
  if $keep_targets; then known=(--data.targets "$exp/targets"); fi
  case $1 in
    plain*) teach "$distill_config" "$exp/$1" "$s" "${known[@]}" --loss.enhance_weight 0 \
      --augment.noise_prob 0 --augment.clean_rir_prob 0 ;;
    robust*) teach "$distill_config" "$exp/$1" "$s" "${known[@]}" --loss.enhance_weight 0 "${noisy[@]}" ;;
    enhance*) teach "$distill_config" "$exp/$1" "$s" "${known[@]}" --loss.enhance_weight 2 "${noisy[@]}" ;;
    pruned*)
      teach "$pruned_config" "$exp/first_$1" "$s" "${noisy[@]}"
      teach "$pruned_final_config" "$exp/$1" "$s" "${noisy[@]}" --model.initial_encoder "$exp/first_$1/encoder" ;;
  esac
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
    aside 2 extract "$encoder" "$source/train_clean" train
    if [ "$probes" = enhance ]; then continue; fi  # it hears what it has mixed itself
    aside 2 extract "$encoder" "$source/dev_clean" dev
    for set in "${tested_on[@]}"; do
      for condition in $conditions; do aside 2 extract "$encoder" "$(heard "$set" "$condition")" "${set}_$condition"; done
    done
  done
  all_done
fi

tested() { echo "$exp/$1/${2%_seed*}/$3${2#"${2%_seed*}"}"; }  # tested PROBE ENCODER CONDITION: its directory
classify() {  # classify PROBE ENCODER SET CONDITION TRAINED [LABELS]
  steps/classify.sh --cmd "$train_cmd" --force "$force" ${6:+--labels "$6"} "$5" "$(feats_of "$2")/$3_$4" \
    "$(tested "$1" "$2" "$4")"
}
score() {  # score CONDITION DATA SYSTEM-DIR
  local clean=$data/test_$1_reference
  if [ "$1" = clean ]; then clean=$(heard test clean); fi
  steps/score_enhancement.sh "${common[@]}" "$clean" "$2" "$3/scoring/test"
}
probe() {  # probe PROBE ENCODER: trains it on clean speech, and scores it in every condition
  local from dir more states=1 sets reference=text condition to
  from=$(feats_of "$2") dir=$(tested "$1" "$2" probe)
  read -r -a more <<< "$probe_options"
  if [ -f "$from/layers" ]; then states=$(wc -w < "$from/layers"); fi
  sets=(--data.train "$from/train" --data.dev "$from/dev")
  case $1 in
    enhance)
      sets=(--data.features "$from/train" --data.train "$source/train_clean"
        --data.noises "$data/noises/train" --data.rirs "$data/rooms/train"
        --data.dev_noisy "$data/dev_noisy" --data.dev_clean "$data/dev_noisy_reference") ;;
    speaker)
      sets=(--data.train "$from/train" --data.labels "$data/speakers"
        --data.dev "$from/held_${conditions%% *}" --data.dev_labels "$data/held/utt2spk") ;;
    keyword) sets+=(--data.labels "$data/keywords_train" --data.dev_labels "$data/keywords_dev") ;;
  esac
  steps/train.sh "${training[@]}" "conf/probe_$1.yaml" "$dir" --train.seed "$(seed_of "$2")" \
    --model.states "$states" "${sets[@]}" "${more[@]}"
  if grep -q 'token_type: phn' "$dir/config.yaml"; then reference=text.phn; fi
  for condition in $conditions; do
    to=$(tested "$1" "$2" "$condition")
    case $1 in
      enhance)
        steps/enhance.sh "${common[@]}" "$dir" "$(heard test "$condition")" "$to/wav/test"
        score "$condition" "$to/wav/test" "$to" ;;
      keyword) classify keyword "$2" test "$condition" "$dir" "$data/keywords_test" ;;
      speaker)
        classify speaker "$2" held "$condition" "$dir"
        classify verification "$2" test "$condition" "$dir" ;;
      *)
        recognise "$to" test "$from/test_$condition" "$dir"
        steps/score_asr.sh "${common[@]}" --cer-spaces true --reference $reference "$from/test_$condition" \
          "$to/decode_test" ;;
    esac
  done
}

if begin 4 "probes"; then
  for name in $probes; do
    if [ "$name" = enhance ]; then
      for condition in $conditions; do
        aside "$train_jobs" score "$condition" "$(heard test "$condition")" "$(tested enhance unprocessed "$condition")"
      done
    fi
    for encoder in "${encoders[@]}"; do aside "$train_jobs" probe "$name" "$encoder"; done
  done
  all_done
fi

results() {  # results NAME COLUMNS [MORE-ROWS]
  local rows=() encoder condition dir
  for encoder in "${@:3}" fbank teacher $students; do
    for condition in $conditions; do
      dir=$(tested "$1" "$encoder" "$condition")
      if [ "$1" = enhance ]; then dir+=,; else dir=,$dir; fi  # the side that the table has it on
      rows+=("$encoder, $condition=$dir")
    done
  done
  pyscripts/results_table.py --command "${call[*]}" --columns "$2" --output "$exp/$1/RESULTS.md" "${rows[@]}"
  log "table: $exp/$1/RESULTS.md"
}

if begin 5 "scores"; then
  for name in $probes; do
    case $name in
      enhance) results enhance "PESQ,eSTOI,STOI,SI-SDR" unprocessed ;;
      keyword) results keyword accuracy ;;
      speaker) results speaker accuracy; results verification EER ;;
      *) results "$name" "test CER,test WER" ;;  # of phones, WER counts phones
    esac
  done
  for student in "${models[@]}"; do  # what the enhancement heads give
    if [[ $student != enhance* ]] || [[ " $conditions " != *" noise "* ]]; then continue; fi
    steps/enhance.sh "${common[@]}" "$exp/$student" "$data/test_noise" "$exp/$student/wav/test"
    score noise "$exp/$student/wav/test" "$exp/$student"
  done
fi

log "finished. [elapsed=${SECONDS}s]"
