#!/usr/bin/env bash
# Makes an exported graph 8 bit: of a recogniser if its WER stays, of an enhancer with PESQ and eSTOI before and after.
# Reads the folder that steps/export.sh wrote, and data directories; writes waveform.int8.onnx of an enhancer, and of a
# recogniser model.int8.onnx, stream_ctc.int8.onnx and sherpa_ctc.int8.onnx, where these graphs are there and get smaller.

method=dynamic # static: convolutions too, and the ranges of activations are those of a fifth of the recordings
max_wer_rise=2 # percent of the WER; where it rises by more nothing is written
num_utts=100   # utterances of the data, taken evenly

. ./path.sh
help_message="Usage: $0 [options] <onnx-dir> <data-dir> [<clean-data-dir>]
e.g.: $0 exp/asr_clean/onnx data/dev_clean                        a recogniser
      $0 --method static exp/fast/onnx data/dev_noisy data/dev_clean  an enhancer
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 2 ] || [ $# -eq 3 ] || die "expected <onnx-dir> <data-dir> [<clean-data-dir>], got $# words; see --help"
require "$1" steps/export.sh
# shellcheck disable=SC2154  # options
exec pyscripts/quantise.py --method "$method" --max-wer-rise "$max_wer_rise" --num-utts "$num_utts" "$@"
