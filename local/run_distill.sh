#!/usr/bin/env bash
# Small self-supervised encoders, distilled from a large one and robust to noise and reverberation, and probes of what
# they encode, compared with their teacher and filterbanks on clean, noisy and reverberant speech. Options as in run.sh.
# local/distill/students.sh says how each student is trained, local/distill/probes.sh how each probe is trained and tested.
# shellcheck disable=SC2034,SC2154  # some options are read by their name; steps/lib/recipe.sh sets some variables

. steps/lib/recipe_options.sh || exit 1                   # --stage, --data, --exp, --nj, --ngpu, --dry-run and more: see --help
. steps/lib/corpus_options.sh                             # --min-dur, --max-dur, --valid-speakers
exp=exp/distill                                           # where everything goes but the demo corpus
corpus=demo                                               # 'demo', or a directory with {train,dev,test}_clean
teacher=exp/ssl/hubert1/encoder                           # wav2vec 2.0, HuBERT or WavLM: a directory of transformers or a file of torchaudio
teacher_dropout=0                                         # 0.1: the teacher runs in training mode, as in the published code
students="baseline robust"                                # any of baseline (clean speech), robust (noise, RIRs), enhance (and an enhancement head), pruned
distill_config=                                           # stage 2; empty: conf/distill_demo.yaml, with a directory conf/distill.yaml
pruned_config=                                            # stage 2: of the pruned student; empty: conf/distill_pruned(_demo).yaml
pruned_final_config=                                      # stage 2: of its second step; empty: conf/distill_pruned_final(_demo).yaml
keep_targets=                                             # true: the teacher's output is stored (1.5 GB an hour of Base, not for crops); default: demo
distill_options=""                                        # stage 2: further settings, as "--train.epochs 5"; split at spaces
probes="phone asr"                                        # stage 4: any of phone, asr, speaker (identification, verification), keyword, enhance: conf/probe_*.yaml
keywords="BOSTON CAIRO DUBLIN LONDON MADRID PARIS SYDNEY" # keyword: classes, of utterances with exactly one of these words
heldout_utterances=150                                    # speaker: number of training utterances that are held out for its test  # was: held-utterances
probe_options=""                                          # stage 4: further settings; split at spaces
conditions="clean noise reverb both"                      # stages 3 to 5: of the test sets
noise_dir=                                                # recorded noises: DIR/train and DIR/test, or DIR, which is then split by noise type
rir_dir=                                                  # RIRs, as --noise-dir; empty: simulated ones
simulated_rirs=60                                         # number of RIRs to simulate  # was: simulated-rooms
snrs="0 5 10 15"                                          # of dev and test mixtures, dB
demo_hours=0.5                                            # demo: hours of training speech
fbank_config=conf/fbank.conf                              # filterbanks to compare with
seeds=1                                                   # train from this many seeds: --seed, --seed + 1, ...
train_jobs=2                                              # models trained side by side; on one machine with --ngpu one after the other

. ./path.sh || exit 1
help_message="Usage: local/run_distill.sh [--option value]...
e.g.: local/run_pretrain_ssl.sh --debug true && local/run_distill.sh --debug true
      local/run_pretrain_ssl.sh && local/run_distill.sh         a small teacher and smaller students of the demo corpus
      local/run_distill.sh --corpus corpus --noise-dir noises --teacher wavlm-base-plus --ngpu 1

Options (default):
$(list_options.sh "$0")

Stages; one that is done and unchanged is skipped:
  stage           writes
  1 data          exp/distill/data/{dev_noisy,dev_clean}, exp/distill/data/test_*
  2 distillation  exp/distill/<student>, its encoder in exp/distill/<student>/encoder
  3 features      exp/distill/feats/<encoder>/{train,dev,test_*}
  4 probes        exp/distill/<probe>/<encoder>/{probe,<condition>}; enhance: and <condition>/wav/test
  5 scores        exp/distill/<probe>/RESULTS.md"
call=("$0" "$@")
. parse_options.sh
. log.sh
. recipe.sh
. local/distill/students.sh
. local/distill/probes.sh
set -euo pipefail

check_common "$@"
check_files fbank_config
check_dirs rir_dir
former_value students plain baseline
former_value conditions room reverb
check_words students baseline robust enhance pruned
check_words conditions clean noise reverb both
[ -z "$noise_dir" ] || [ -e "$noise_dir" ] || die "--noise-dir $noise_dir: no such directory"
made=$exp/data size=''
if $debug; then # the teacher is that of local/run_pretrain_ssl.sh --debug true
  simulated_rirs=4
  if [ "$teacher" = exp/ssl/hubert1/encoder ]; then teacher=exp/ssl_debug/hubert1/encoder; fi
fi
[ -e "$teacher" ] || "$dry_run" || die "--teacher $teacher: no such encoder; local/run_pretrain_ssl.sh trains a small one"
for probe in $probes; do [ -f "conf/probe_$probe.yaml" ] || die "--probes: conf/probe_$probe.yaml is not there"; done
if [ "$corpus" = demo ]; then
  whole_corpus
  source=$data size=_demo
  : "${noise_dir:=$demo/demo_audio/noise}" "${keep_targets:=true}"
else
  choose_source train_clean dev_clean test_clean
  [ -n "$noise_dir" ] || die "--corpus $corpus needs --noise-dir: the noises to mix in"
fi
: "${distill_config:=conf/distill$size.yaml}" "${keep_targets:=false}"
: "${pruned_config:=conf/distill_pruned$size.yaml}" "${pruned_final_config:=conf/distill_pruned_final$size.yaml}"
check_files distill_config pruned_config pruned_final_config
start_recipe "$exp"
if [ ! -e "$teacher" ]; then will_make "$teacher"; fi # only in a dry run: local/run_pretrain_ssl.sh makes it
rirs=$(former_dir "$made/rirs" "$made/rooms")
read -r -a names <<< "$students"
read -r -a models <<< "$(with_seeds "${names[@]}")"
read -r -a encoders <<< "$(with_seeds fbank teacher "${names[@]}")"
test_sets=(test)
if [[ " $probes " == *" speaker "* ]]; then test_sets=(test heldout); fi

if begin 1 "data"; then
  if [ "$corpus" = demo ]; then prepare_demo; fi
  if $selected; then select_sets "$corpus" "$source" {train,dev,test}_clean; fi
  local/split_recordings.sh --force "$force" "$noise_dir" "$made/noises"
  if [ -z "$rir_dir" ]; then
    rir_dir=$(former_dir "$made/simulated_rirs" "$made/simulated_rooms")
    local/simulate_rirs.sh "${common_2nj[@]}" --rirs "$simulated_rirs" "$rir_dir"
  fi
  local/split_recordings.sh --by-type false --force "$force" "$rir_dir" "$rirs"
  mix "$source/dev_clean" dev "$made/dev_noisy" "$snrs" 0.5
  if [[ " $probes " == *" speaker "* ]]; then
    steps/subset_data.sh --force "$force" "$source/train_clean" "$heldout_utterances" "$(data_dir_for heldout clean)"
    dry_run || local/distill/labels.py speakers "$(data_dir_for heldout clean)" "$source/train_clean" "$made/speakers"
  fi
  if [[ " $probes " == *" keyword "* ]] && ! dry_run; then
    for set in train dev test; do
      local/distill/labels.py keywords "$keywords" "$source/${set}_clean" "$made/keywords_$set"
    done
  fi
  for set in "${test_sets[@]}"; do
    for condition in $conditions; do mix_condition "$set" "$condition"; done
  done
fi

if begin 2 "distillation"; then
  if $keep_targets; then
    layers=$(pyscripts/print_settings.py "$distill_config" teacher.layers) || die "or give --keep-targets false"
    steps/extract_ssl.sh "${common_2nj[@]}" --layers "$layers" "$teacher" "$source/train_clean" "$exp/targets"
  fi
  for student in "${models[@]}"; do in_background "$train_jobs" train_student "$student"; done
  wait_all
fi

if begin 3 "features"; then
  for encoder in fbank teacher "${models[@]}"; do
    list_layers "$encoder"
    in_background 2 extract "$encoder" "$source/train_clean" train
    if [ "$probes" = enhance ]; then continue; fi # it mixes its own dev and test speech
    in_background 2 extract "$encoder" "$source/dev_clean" dev
    for set in "${test_sets[@]}"; do
      for condition in $conditions; do
        in_background 2 extract "$encoder" "$(data_dir_for "$set" "$condition")" "${set}_$condition"
      done
    done
  done
  wait_all
fi

if begin 4 "probes"; then
  for probe in $probes; do
    if [ "$probe" = enhance ]; then
      for condition in $conditions; do
        in_background "$train_jobs" score_enhanced "$condition" "$(data_dir_for test "$condition")" \
          "$(dir_of enhance unprocessed "$condition")"
      done
    fi
    for encoder in "${encoders[@]}"; do in_background "$train_jobs" "probe_$probe" "$encoder"; done
  done
  wait_all
fi

if begin 5 "scores"; then
  for probe in $probes; do
    case $probe in
      enhance) probe_table enhance "PESQ,eSTOI,STOI,SI-SDR" unprocessed ;;
      keyword) probe_table keyword accuracy ;;
      speaker)
        probe_table speaker accuracy
        probe_table verification EER
        ;;
      *) probe_table "$probe" "test CER,test WER" ;; # of phones, WER counts phones
    esac
  done
  if [[ " $conditions " == *" noise "* ]]; then
    for student in "${models[@]}"; do [[ $student != enhance* ]] || score_head "$student"; done
  fi
fi

finished "encoders: $exp/<student>/encoder  tables: $exp/<probe>/RESULTS.md"
