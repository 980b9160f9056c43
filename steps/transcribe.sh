#!/usr/bin/env bash
# Transcribes audio files of any rate, length and number of channels, with times and confidences.
# Reads <model-dir> and <in>; writes <out>, or standard output.

format=text        # text, json, srt, vtt or ctm
enhance=           # directory of an enhancer, applied before; true: the default of pretrained/
enhancement_ratio= # of it, 0 to 1, or auto; empty: its default  # was: enhance-ratio
max_seconds=15     # longer recordings are split in pauses into segments of at most this
ngpu=0             # 1: on a GPU
device=            # cpu, cuda or mps; empty: cuda with --ngpu, else cpu
allow_pipes=false  # true runs the commands that a wav.scp may hold

. ./path.sh
help_message="Usage: $0 [options] <model-dir> <in> [<out>] [--decode.key value]...
e.g.: $0 exp/asr_clean talk.flac
      $0 --enhance true exp/asr_clean talk.flac
      $0 --format srt --enhance exp/enhance_mimic exp/asr_mimic films subtitles
      $0 --format ctm exp/asr_clean data/test_clean - --decode.beam 20 > test.ctm
<in>: an audio file, a folder of them, a data directory, a wav.scp, or - for standard input
<out>: a file; for several recordings a folder with a file for each; - or nothing: standard output
Options (default):
$(list_options.sh "$0")
Settings after <out> override those of the search: pyscripts/mimic/decoding/config.py"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -ge 2 ] || die "expected <model-dir> <in> [<out>], got $# words; see --help"
require_model "$1" conf/asr.yaml
case $enhance in
  '' | false) enhance='' ;;
  true) enhance=$(default_model) ;;
esac
if [ -n "$enhance" ]; then require_model "$enhance" conf/enhance.yaml; fi
ratio=()
if [ -n "$enhancement_ratio" ]; then ratio=(--enhancement-ratio "$enhancement_ratio"); fi
choose_device
exec pyscripts/transcribe.py --format "$format" --enhance "$enhance" "${ratio[@]}" --max-seconds "$max_seconds" \
  --device "$device" --allow-pipes "$allow_pipes" "$@"
