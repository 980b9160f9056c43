#!/usr/bin/env bash
# Clean speech, noises and RIRs for the pretrained enhancers (local/run_pretrained.sh), as 16 kHz wavs.
# Reads <corpora>: speechocean762, librispeech251, ljspeech, noise, noise2 and rooms (RIRs). Writes <out-dir>:
# {train,dev}_speech (data directories), noises/{train,dev} and rirs/{train,dev}. Of dev, speakers and noise types are not in
# train; the test folders of the corpora are not read.

also=       # data directory of more training speech, as train_clean of local/demo/prepare.sh
recordings= # so many of speech for each of train and dev; empty: all
force=false # true: run again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <corpora> <out-dir>
e.g.: $0 corpora data/pretrained/sources
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 2 ] || die "expected <corpora> <out-dir>, got $# words; see --help"
corpora=$1 dir=$2
inputs=("$corpora"/{speechocean762,librispeech251,ljspeech,noise,noise2,rooms})
for folder in "${inputs[@]}"; do [ -d "$folder" ] || die "no $folder: is $corpora the folder of all corpora?"; done
if [ -n "$also" ]; then
  require "$also/wav.scp" "local/demo/prepare.sh"
  inputs+=("$also")
fi
if up_to_date "$dir" --force "$force" --version 1 --input "${inputs[@]}" ${recordings:+--option "recordings=$recordings"}; then
  exit 0
fi
local/pretrained/prepare.py ${also:+--also "$also"} ${recordings:+--recordings "$recordings"} "$corpora" "$dir"
mark_done "$dir"
