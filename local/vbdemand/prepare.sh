#!/usr/bin/env bash
# Stage 1 for VoiceBank-DEMAND: data/{train,dev,test}_{clean,noisy} and data/lang from the files of download.sh.
# Reads <vbdemand-dir>: the zips, or the folders in them, or clean and noisy folders called *_16k as other recipes make
# them; logfiles.zip; librispeech-lexicon.txt. Writes <data>/vbdemand (zips unpacked at 48 kHz: 7 GB, and data directories
# that point there), then imports it: 16 kHz wavs, both sides through the same soxr filter (2.4 GB).
# Speakers are split by file name; p226_001.wav becomes utterance p226-001, so that ids begin with their speaker.
# Pronunciations: lexicon_extra.txt, then LibriSpeech's first ones, words with an apostrophe also without it.
# shellcheck disable=SC2034  # some options are read by their name

valid_speakers="p226 p287" # training speakers held out as dev set
lexicon=                   # in place of <vbdemand-dir>/librispeech-lexicon.txt
oov_policy=g2p             # words that no lexicon has: fail, skip (their utterances), g2p (from their spelling)
max_skip=0.01              # share of a set's utterances that may be unusable
check_counts=true          # false: no warning where the sets have other sizes than the published ones
nj=4                       # jobs that decode audio
cmd=launch.py              # where they run
force=false                # true: run again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <vbdemand-dir> <data-dir>
e.g.: $0 --nj 4 downloads/vbdemand data
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 2 ] || die "expected <vbdemand-dir> <data-dir>, got $# words; see --help"
src=$1 data=$2 corpus=$2/vbdemand
[ -d "$src" ] || pending "$src" || die "$src: no such directory: local/vbdemand/download.sh $src fetches the corpus"
zips=()
if pending "$src"; then
  for set in {train,dev,test}_{clean,noisy}; do will_make "$corpus/$set"; done
else
  list=$(local/vbdemand/unpack.py --list "$src")
  mapfile -t zips <<< "$list"
fi
if [ -n "${zips[*]}" ] && ! up_to_date "$corpus/unpacked" --force "$force" --version 1 \
  --input "${zips[@]}"; then
  log "unpacking ${#zips[@]} zips of $src"
  local/vbdemand/unpack.py "$src" "$corpus/unpacked"
  mark_done "$corpus/unpacked"
fi

options=(--check-counts "$check_counts" --valid-speakers "$valid_speakers")
if [ -n "$lexicon" ]; then options+=(--lexicon "$lexicon"); fi
dry_run || local/vbdemand/prepare.py "${options[@]}" "$src" "$corpus/unpacked" "$corpus"
local/import_corpus.sh --nj "$nj" --cmd "$cmd" --force "$force" --corpus "$corpus" --text-normaliser voicebank \
  --oov-policy "$oov_policy" --max-skip "$max_skip" "$data"
