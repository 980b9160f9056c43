#!/usr/bin/env bash
# Exports a trained enhancer (waveform to waveform), recogniser (waveform to CTC log-probabilities) or self-supervised
# encoder (waveform to hidden states) to ONNX.
# Reads <model-dir>; writes <out-dir>: model.onnx, model.json, example.py, which needs neither torch nor this recipe,
# and tokens.txt of a recogniser. The graph takes any number of samples; it is compared with torch in onnxruntime.
# Of a causal enhancer of spectra (conf/enhance_fast.yaml): waveform.onnx, spectrum.onnx and stream.json, a hop per call,
# and sherpa.onnx, which sherpa-onnx's speech denoisers run. Of a recogniser of CTC in one direction
# (conf/deepspeech2_streaming_demo.yaml) also stream_ctc.onnx, .json and .py, a chunk per call. Of recognisers on features of
# conf/fbank_sherpa.conf also sherpa_ctc.onnx, which sherpa-onnx runs: of those in one direction online, of others offline.

cmd=launch.py # where it runs
force=false   # true: export again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <model-dir> <out-dir>
e.g.: $0 exp/enhance_mimic exp/enhance_mimic/onnx
      exp/enhance_mimic/onnx/example.py noisy.wav enhanced.wav
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 2 ] || die "expected <model-dir> <out-dir>, got $# words; see --help"
model=$1 dir=$2
[ -f "$model/config.json" ] || require_model "$model" conf/asr.yaml
if up_to_date "$dir" --force "$force" --version 1 --input "$model"; then
  exit 0
fi
$cmd "$dir/log/export.log" pyscripts/export.py "$model" "$dir"
chmod +x "$dir"/*.py
mark_done "$dir"
log "$(summary "$dir/log/difference.json"), in $dir"
