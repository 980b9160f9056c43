#!/usr/bin/env bash
# The whole recipe: from a corpus to a table of scores. Every stage only calls local/ and steps/ scripts.
# Each line "name=value  # meaning" below is an option: --stop-stage 3 sets stop_stage. See ./run.sh --help.
# shellcheck disable=SC2034  # some options are read by their name

stage=1                # first stage to run
stop_stage=7           # last stage to run
config=                # bash file of name=value lines, read before the other options
corpus=demo            # 'demo' speaks one by itself; or a directory with {train,dev,test}_{clean,noisy}
train_clean=           # one Kaldi data directory per set, in place of --corpus
train_noisy=           # same utterances and lengths as --train-clean
dev_clean=             # (likewise)
dev_noisy=             # (likewise)
test_clean=            # (likewise)
test_noisy=            # (likewise)
lexicon=               # own corpus: WORD PH PH lines, where data directories have no text.phn
oov_policy=fail        # own corpus: a word that is not in the lexicon: fail, skip or g2p
allow_pipes=false      # own corpus: true runs the commands that wav.scp may hold
max_skip=0.01          # own corpus: share of a set's utterances that may be unusable
channel=               # own corpus: channel to take of audio that has several, from 0
text_normaliser=upper  # own corpus: none, upper, plain (drops punctuation) or voicebank
demo_hours=0.5         # demo: hours of training speech
noise_dir=             # demo: directory of recorded noises to mix in, in place of made ones
rir_dir=               # demo: directory of recorded room responses
perceptual_config=conf/perceptual_demo.yaml  # stage 3: model and training
enhance_config=conf/enhance_demo.yaml        # stage 4: model and training
asr_config=conf/asr_demo.yaml                # stage 6: the recogniser for clean speech
asr_finetune_config=conf/asr_finetune_demo.yaml  # stage 6: how the others go on from it
seed=1                 # of all training
seeds=1                # train the enhancers from this many seeds: --seed, --seed + 1, ...
nj=                    # jobs per step, of which two run side by side; empty: one per two cores, 4 at most
train_jobs=2           # models trained side by side in stages 4 and 6; with --ngpu one after the other
ngpu=0                 # GPUs for training; 0 is the CPU
cmd_backend=           # where jobs run: local; empty: what cmd.sh says
force=false            # true: redo the stages although nothing changed

. ./path.sh || exit 1
help_message="Usage: ./run.sh [--option value]...
e.g.:  ./run.sh                                            the demo corpus, everything
       ./run.sh --corpus mycorpus --lexicon cmudict.txt    your own data
       ./run.sh --stage 6 --stop-stage 7                   recognition and scores again

Options (default):
$(list_options.sh "$0")

Stages; one that is done and unchanged is skipped (times: demo corpus, 2 cores):
  stage           reads                       writes                               time
  1 data          corpus                      data/{train,dev,test}_{clean,noisy}  1 min
  2 features      data/*                      exp/stft/*  exp/fbank/*              1 min
  3 perceptual    exp/stft/*_clean            exp/perceptual                       2 min
  4 enhancement   exp/stft/*  exp/perceptual  exp/enhance_{mse,mimic}              4 min
  5 dump          exp/enhance_*  data/*_noisy exp/enhance_*/enhanced/*             1 min
  6 recognition   exp/fbank/*  the dump       exp/asr_{clean,noisy,mse,mimic}      5 min
  7 scoring       all of these                exp/*/scoring/*  exp/RESULTS.md      1 min"
command_line="$0 $*"
. parse_options.sh
. log.sh
set -euo pipefail

# What cannot work is said before anything runs.
[ $# -eq 0 ] || die "takes options only, got '$*'; see --help"
cores=$(nproc)
if [ -z "$nj" ]; then nj=$((cores < 4 ? 1 : cores < 8 ? cores / 2 : 4)); fi
for name in stage stop_stage seed seeds nj train_jobs ngpu; do
  [[ ${!name} =~ ^[0-9]+$ ]] || die "--${name//_/-} takes a whole number, got '${!name}'"
done
for name in seeds nj train_jobs; do [ "${!name}" -ge 1 ] || die "--$name must be at least 1"; done
[ "$stage" -le "$stop_stage" ] || die "--stage $stage is behind --stop-stage $stop_stage"
[[ $oov_policy =~ ^(fail|skip|g2p)$ ]] || die "--oov-policy is fail, skip or g2p, got '$oov_policy'"
sets=(train_clean train_noisy dev_clean dev_noisy test_clean test_noisy)
own=()
for name in "${sets[@]}"; do if [ -n "${!name}" ]; then own+=("--${name//_/-}" "${!name}"); fi; done
if [ ${#own[@]} -gt 0 ]; then
  [ "$corpus" = demo ] || die "give either --corpus or one option per set, not both"
  [ ${#own[@]} -eq 12 ] || die "one option per set means all six of them, got ${own[*]}"
elif [ "$corpus" != demo ]; then
  for name in "${sets[@]}"; do [ -d "$corpus/$name" ] || die "--corpus $corpus has no directory $name"; done
  own=(--corpus "$corpus")
fi
if [ ${#own[@]} -gt 0 ]; then
  [ -z "$noise_dir$rir_dir" ] || die "--noise-dir and --rir-dir are for the demo corpus; local/mix_noise.sh mixes your own"
elif [ -n "$lexicon" ] || [ "$allow_pipes" = true ]; then
  die "--lexicon and --allow-pipes are for your own data: give --corpus too"
fi
for name in config lexicon perceptual_config enhance_config asr_config asr_finetune_config; do
  [ -z "${!name}" ] || [ -f "${!name}" ] || die "--${name//_/-} ${!name}: no such file"
done
for name in noise_dir rir_dir; do [ -z "${!name}" ] || [ -d "${!name}" ] || die "--${name//_/-} ${!name}: no such directory"; done
. ./cmd.sh || exit 1

error=$({ mkdir -p exp && : >> exp/.lock; } 2>&1) || die "$error"
exec {lock}>> exp/.lock
flock -w 3 "$lock" || die "another run.sh (process $(cat exp/.lock)) is at work in exp: wait for it, or end it"
echo $$ > exp/.lock
export MIMIC_RUN_PID=$$  # jobs end when this process is gone, however it went

steps/setup.sh
common=(--nj "$nj" --cmd "$train_cmd" --force "$force")
alone=(--nj $((2 * nj)) --cmd "$train_cmd" --force "$force")  # where no other step runs beside
decoding=(--nj "$nj" --cmd "$decode_cmd" --force "$force")
if [ "$ngpu" -gt 0 ]; then train_jobs=1; fi
threads=$((cores > train_jobs ? cores / train_jobs : 1))
training=(--cmd "$cuda_cmd" --ngpu "$ngpu" --num-threads "$threads" --force "$force")
enhancers=(mse mimic)  # and mse_seed2 mimic_seed2 ... for further seeds
for ((s = seed + 1; s < seed + seeds; s++)); do enhancers+=("mse_seed$s" "mimic_seed$s"); done
seed_of() { if [[ $1 == *_seed* ]]; then echo "${1##*_seed}"; else echo "$seed"; fi; }

# heard_by NAME SET: the features that recogniser NAME is trained on and decodes
heard_by() {
  case $1 in
    clean | noisy) echo "exp/fbank/$2_$1" ;;
    *) echo "exp/enhance_$1/enhanced/$2" ;;
  esac
}

# dump ENHANCER-DIR SET: enhanced waves and their features
dump() {
  steps/enhance.sh "${common[@]}" "$1" "data/$2_noisy" "$1/wav/$2"
  steps/make_feats.sh "${common[@]}" --type fbank "$1/wav/$2" "$1/enhanced/$2"
}

begin() { [ "$stage" -le "$1" ] && [ "$stop_stage" -ge "$1" ] && log "stage $1: $2"; }

if begin 1 "data"; then
  if [ ${#own[@]} -gt 0 ]; then
    local/import_corpus.sh "${alone[@]}" "${own[@]}" --lexicon "$lexicon" --oov-policy "$oov_policy" \
      --allow-pipes "$allow_pipes" --max-skip "$max_skip" --channel "$channel" --text-normaliser "$text_normaliser" data
  else
    local/demo/prepare.sh "${alone[@]}" --hours "$demo_hours" --noise-dir "$noise_dir" --rir-dir "$rir_dir" data
  fi
fi

if begin 2 "features"; then
  for name in "${sets[@]}"; do
    for type in stft fbank; do
      aside 2 steps/make_feats.sh "${common[@]}" --type "$type" "data/$name" "exp/$type/$name"
    done
  done
  all_done
fi

if begin 3 "perceptual model on clean speech"; then
  steps/train.sh "${training[@]}" "$perceptual_config" exp/perceptual --train.seed "$seed" \
    --data.train exp/stft/train_clean --data.dev exp/stft/dev_clean
fi

if begin 4 "enhancement, without and with mimic loss"; then
  for name in "${enhancers[@]}"; do
    loss=(--loss.perceptual exp/perceptual)
    [[ $name == mimic* ]] || loss=(--loss.mimic_weight 0)
    aside "$train_jobs" steps/train.sh "${training[@]}" "$enhance_config" "exp/enhance_$name" --train.seed "$(seed_of "$name")" "${loss[@]}" \
      --data.train_noisy exp/stft/train_noisy --data.train_clean exp/stft/train_clean \
      --data.dev_noisy exp/stft/dev_noisy --data.dev_clean exp/stft/dev_clean
  done
  all_done
fi

if begin 5 "dump of enhanced speech"; then
  for name in "${enhancers[@]}"; do
    for set in train dev test; do
      aside 2 dump "exp/enhance_$name" "$set"
    done
  done
  all_done
fi

if begin 6 "recognition"; then
  steps/train.sh "${training[@]}" "$asr_config" exp/asr_clean --train.seed "$seed" \
    --data.train exp/fbank/train_clean --data.dev exp/fbank/dev_clean
  for name in noisy "${enhancers[@]}"; do
    aside "$train_jobs" steps/train.sh "${training[@]}" "$asr_finetune_config" "exp/asr_$name" --data.init exp/asr_clean \
      --train.seed "$(seed_of "$name")" --data.train "$(heard_by "$name" train)" --data.dev "$(heard_by "$name" dev)"
  done
  all_done
  for name in clean noisy "${enhancers[@]}"; do
    for set in dev test; do
      aside 2 steps/decode.sh "${decoding[@]}" "exp/asr_$name" "$(heard_by "$name" "$set")" "exp/asr_$name/decode_$set"
    done
  done
  all_done
fi

if begin 7 "scores"; then
  for name in clean noisy "${enhancers[@]}"; do
    for set in dev test; do
      aside 2 steps/score_asr.sh "${common[@]}" "$(heard_by "$name" "$set")" "exp/asr_$name/decode_$set"
    done
  done
  aside 2 steps/score_enhancement.sh "${common[@]}" data/test_clean data/test_noisy exp/noisy/scoring/test
  for name in "${enhancers[@]}"; do
    dir=exp/enhance_$name
    aside 2 steps/score_enhancement.sh "${common[@]}" data/test_clean "$dir/enhanced/test" "$dir/scoring/test"
  done
  all_done
  pyscripts/results_table.py --command "$command_line" clean=,exp/asr_clean noisy=exp/noisy,exp/asr_noisy \
    MSE=exp/enhance_mse,exp/asr_mse "MSE + mimic=exp/enhance_mimic,exp/asr_mimic"
  log "scores: exp/*/scoring  decoded text: exp/asr_*/decode_*  logs: exp/*/log  table: exp/RESULTS.md"
fi

log "finished. [elapsed=${SECONDS}s]"
