#!/usr/bin/env bash
# Mini LibriSpeech and OpenRIR for local/run_denoise.sh.
# Reads <dir> as local/mini_librispeech/download.sh leaves it. Writes <data>/corpus/{train,dev,test}_clean, data
# directories that point to the FLAC files there, and <data>/openrir/{noises,rooms}/{train,test}/wav.scp: point sources
# and isotropic noises, and measured RIRs, of which a quarter is for the test set only. Takes a second.

. ./path.sh
help_message="Usage: $0 <dir> <data-dir>
e.g.: $0 downloads/mini_librispeech data/denoise"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 2 ] || die "expected <dir> <data-dir>, got $# words; see --help"
src=$1 data=$2
if pending "$src"; then
  for set in corpus/{train,dev,test}_clean openrir; do will_make "$data/$set"; done
  exit
fi
for name in LibriSpeech RIRS_NOISES; do
  [ -d "$src/$name" ] || die "$src/$name: no such directory: local/mini_librispeech/download.sh $src fetches it"
done
for pair in train=train-clean-5 dev=dev-clean-2 test=test-clean; do
  part=${pair#*=}
  [ -d "$src/LibriSpeech/$part" ] ||
    die "$src/LibriSpeech/$part: no such directory: local/mini_librispeech/download.sh $src fetches it"
  dry_run || local/librispeech/prepare.py "$src/LibriSpeech" "$data/corpus/${pair%%=*}_clean" "$part"
done
dry_run || local/mini_librispeech/openrir.py list "$src" "$data/openrir"
