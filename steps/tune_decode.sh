#!/usr/bin/env bash
# Tunes the LM scale of an n-gram model and the word insertion bonus on a development set (lexicon, lexicon-free).
# Reads <model-dir> and <feat-dir>, which must not be a test set; writes <out-dir>: outputs/ (the CTC log-probabilities,
# for which the network runs once, whatever is tuned later), table.tsv (WER) and options, which steps/decode.sh takes:
#   xargs -a exp/ds2/tune/options steps/decode.sh exp/ds2 exp/fbank/test_clean exp/ds2/decode_test_3gram

lm_scales="0.2 0.4 0.6 0.8 1.0 1.3 1.6 2.0" # of the n-gram model (alpha): --decode.ngram_lm_scale  # was: lm-weights
word_insertion_bonuses="-1 0 1 2 3"         # per word (beta): --decode.word_insertion_bonus  # was: word-bonuses
nj=2                                        # jobs
cmd=launch.py                               # where they run
ngpu=0                                      # 1: the network runs on a GPU
device=                                     # cpu, cuda or mps; empty: cuda with --ngpu, else cpu
batch_size=16                               # utterances in a batch  # was: batch-utterances
force=false                                 # true: run again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <model-dir> <feat-dir> <out-dir> --decode.search NAME --decode.ngram FILE [--decode.key value]...
e.g.: $0 exp/ds2 exp/fbank/dev_clean exp/ds2/tune --decode.search lexicon --decode.ngram exp/3gram/lm.arpa --decode.beam 100
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -ge 3 ] || die "expected <model-dir> <feat-dir> <out-dir>, got $# words; see --help"
model=$1 feats=$2 dir=${3%/}
shift 3
require_model "$model" conf/asr.yaml
check_settings "$model" "$@"
require "$feats/feats.scp" "steps/make_feats.sh"
require "$feats/text" "steps/make_feats.sh"
inputs=(--input "$feats/text" --input "$model")
words=("$@")
for ((i = 0; i + 1 < $#; i += 2)); do
  case ${words[i]} in
    --decode.ngram | --decode.lexicon)
      [ -f "${words[i + 1]}" ] || pending "${words[i + 1]}" || die "${words[i]} ${words[i + 1]}: no such file"
      inputs+=(--input "${words[i + 1]}")
      ;;
    --decode.ngram_lm_scale | --decode.word_insertion_bonus | --decode.ngram_weight | --decode.word_bonus)
      die "${words[i]} is what is tuned: --lm-scales, --word-insertion-bonuses"
      ;;
  esac
done
choose_device

limit_jobs "$feats/feats.scp"
if ! up_to_date "$dir/outputs" --force "$force" --kind outputs --version 1 --input "$model" --input "$feats"; then
  log "the CTC outputs of $model for $utterances utterances of $feats"
  mkdir -p "$dir/outputs/log"
  # shellcheck disable=SC2086  # a command with its options, as in Kaldi
  $cmd "${place[@]}" "$JOB=1:$nj" "$dir/outputs/log/outputs.$JOB.log" pyscripts/tune_decode.py outputs --job "$JOB" --nj "$nj" \
    --device "$device" --batch-size "$batch_size" "$model" "$feats" "$dir/outputs"
  for job in $(seq "$nj"); do cat "$dir/outputs/ctc.$job.scp"; done | sort > "$dir/outputs/ctc.tmp"
  [ "$(wc -l < "$dir/outputs/ctc.tmp")" = "$utterances" ] || die "$dir/outputs: utterances are missing, see its log"
  mv "$dir/outputs/ctc.tmp" "$dir/outputs/ctc.scp"
  mark_done "$dir/outputs"
fi
if up_to_date "$dir/weights" --force "$force" --kind weights --version 1 "${inputs[@]}" --input "$dir/outputs" \
  --option "decode=$*" "lm_scales=$lm_scales" "word_insertion_bonuses=$word_insertion_bonuses"; then
  exit 0
fi
work=$dir/weights
mkdir -p "$work/log"
ln -sfn ../outputs "$work/outputs"
# shellcheck disable=SC2086
$cmd "$JOB=1:$nj" "$work/log/search.$JOB.log" pyscripts/tune_decode.py search --job "$JOB" --nj "$nj" \
  --lm-scales "$lm_scales" --word-insertion-bonuses " $word_insertion_bonuses" "$model" "$feats" "$work" "$@"
pyscripts/tune_decode.py choose --nj "$nj" "$model" "$feats" "$work" "$@"
rm "$work"/points.* "$work/outputs"
cp "$work/table.tsv" "$work/options" "$dir/"
mark_done "$work"
