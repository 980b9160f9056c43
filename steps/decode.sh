#!/usr/bin/env bash
# Recognises a feature directory with a trained recogniser.
# Reads <model-dir> and <feat-dir>; writes <decode-dir>: text, which steps/score_asr.sh scores, ctm (utterance, channel,
# begin, seconds, word, confidence) and with --decode.nbest above 1 nbest.jsonl: transcripts, and a lattice of their words.

nj=2          # jobs
cmd=launch.py # where they run
ngpu=0        # 1: every job on a GPU
device=       # cpu, cuda or mps; empty: cuda with --ngpu, else cpu
batch_size=16 # utterances decoded at once  # was: batch-utterances
force=false   # true: decode again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <model-dir> <feat-dir> <decode-dir> [--decode.key value]...
e.g.: $0 --nj 4 exp/asr_clean exp/fbank/test_clean exp/asr_clean/decode_test --decode.beam 20 --decode.lm exp/lm
      $0 exp/ds2 exp/fbank/test_clean exp/ds2/decode_test_3gram --decode.search lexicon --decode.beam 100 \
        --decode.ngram exp/3gram/lm.arpa --decode.ngram_lm_scale 0.8 --decode.word_insertion_bonus 1.5
Options (default):
$(list_options.sh "$0")
Settings after <decode-dir> override the model's configuration:
  --decode.search NAME        joint (attention decoder and CTC), greedy, lexicon or lexicon-free (CTC alone); default:
                              joint for a model with an attention decoder, else greedy
  --decode.lm DIR             joint: a language model of steps/train.sh conf/lm.yaml DIR --data.tokens <model-dir> ...
  --decode.ngram FILE         an ARPA file (steps/train_lm.sh): of words for lexicon, of the model's tokens for
                              lexicon-free; for joint of tokens, or of words with --decode.ngram_unit word
  --decode.rescore DIR        a language model as for --decode.lm that rescores the --decode.nbest transcripts
  --decode.beam N, ...        all settings: pyscripts/mimic/decoding/config.py
steps/tune_decode.sh tunes the weights."
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -ge 3 ] || die "expected <model-dir> <feat-dir> <decode-dir>, got $# words; see --help"
model=$1 feats=$2 dir=$3
shift 3
require_model "$model" conf/asr.yaml
check_settings "$model" "$@"
require "$feats/feats.scp" "steps/make_feats.sh"

inputs=(--input "$model" --input "$feats")
words=("$@")
for ((i = 0; i + 1 < $#; i += 2)); do
  value=${words[i + 1]}
  case ${words[i]} in
    --decode.lm | --decode.rescore) [ -z "$value" ] || {
      require_model "$value" conf/lm.yaml
      inputs+=(--input "$value")
    } ;;
    --decode.ngram | --decode.lexicon)
      [ -z "$value" ] || {
        [ -f "$value" ] || pending "$value" || die "${words[i]} $value: no such file"
        inputs+=(--input "$value")
      }
      ;;
  esac
done
limit_jobs "$feats/feats.scp"
if up_to_date "$dir" --force "$force" --version 1 "${inputs[@]}" --option "decode=$*"; then
  exit 0
fi
choose_device
rm -rf "$dir"/{wer,cer}_* "$dir/scoring_kaldi" "$dir/nbest.jsonl" # of an earlier text
mkdir -p "$dir/log"
echo "$nj" > "$dir/num_jobs"

log "decoding $utterances utterances of $feats with $model"
# shellcheck disable=SC2086  # a command with its options, as in Kaldi
$cmd "${place[@]}" "$JOB=1:$nj" "$dir/log/decode.$JOB.log" \
  pyscripts/decode.py --job "$JOB" --nj "$nj" --device "$device" --batch-size "$batch_size" \
  "$model" "$feats" "$dir" "$@"

for job in $(seq "$nj"); do cat "$dir/text.$job"; done > "$dir/text.tmp"
[ "$(wc -l < "$dir/text.tmp")" = "$utterances" ] || die "$dir: not every utterance was decoded, see $dir/log"
mv "$dir/text.tmp" "$dir/text"
for job in $(seq "$nj"); do cat "$dir/ctm.$job"; done > "$dir/ctm"
if [ -f "$dir/nbest.1" ]; then for job in $(seq "$nj"); do cat "$dir/nbest.$job"; done > "$dir/nbest.jsonl"; fi
rm -f "$dir"/{text,ctm,nbest}.[0-9]*
mark_done "$dir"
