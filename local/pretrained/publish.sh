#!/usr/bin/env bash
# Writes a trained enhancer as a pretrained model (pretrained/NAME): weights in safetensors, stream.onnx, configuration,
# ratio.json if it was fitted, and a card (README.md, card.json) with all that its training and its scores say.
# Reads <exp-dir> and its scoring/<set>, and those of noisy speech. The model gives the same output to the bit.

noisy=        # directory whose scoring/<set> are those of noisy speech; empty: noisy beside <exp-dir>
default=false # true: the model to use where none is named
cmd=launch.py # where it runs
force=false   # true: write it again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <exp-dir> <out-dir>
e.g.: $0 --default true exp/pretrained/fast pretrained/fast_t
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 2 ] || die "expected <exp-dir> <out-dir>, got $# words; see --help"
model=${1%/} dir=${2%/}
: "${noisy:=$(dirname "$model")/noisy}"
require_model "$model" conf/mask_fast.yaml
inputs=("$model")
for path in "$model"/ratio.json "$model"/scoring/* "$noisy"/scoring/*; do [ ! -e "$path" ] || inputs+=("$path"); done
if ! up_to_date "$dir" --force "$force" --version 1 --input "${inputs[@]}"; then
  $cmd "$dir/log/publish.log" local/pretrained/publish.py --noisy "$noisy" "$model" "$dir"
  mark_done "$dir"
  log "$dir: a pretrained model, made from $model"
fi
if $default && ! dry_run; then basename "$dir" > "$(dirname "$dir")/default"; fi
