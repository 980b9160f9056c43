#!/usr/bin/env bash
# LJSpeech as data directories: <data>/{train,dev}_clean, of one speaker, LJ; LJ001-0002 becomes LJ-001-0002.
# Reads <ljspeech-dir>: LJSpeech-1.1/{metadata.csv,wavs/*.wav}, librispeech-lexicon.txt. The transcript is the one with
# numbers in words, in upper case, without punctuation and accents; the last utterances are the development set.
# At 16 kHz also <data>/lang and phones (text.phn): resampling takes about 5 minutes in 4 jobs.
# shellcheck disable=SC2034  # some options are read by their name

rate=16000         # 16000: resampled, once; own: the files of 22,050 Hz as they are, without phones
dev_utterances=655 # as published: 12,445 remain for training
lexicon=           # at 16 kHz: in place of <ljspeech-dir>/librispeech-lexicon.txt
oov_policy=g2p     # words that it does not have: fail, skip (their utterances), g2p (from their spelling)
max_skip=0.01      # share of a set's utterances that may be unusable
nj=4               # jobs that resample
cmd=launch.py      # where they run
force=false        # true: run again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <ljspeech-dir> <data-dir>
e.g.: $0 --rate own downloads/ljspeech data/ljspeech_22k
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 2 ] || die "expected <ljspeech-dir> <data-dir>, got $# words; see --help"
src=$1 data=$2
[ -f "$src/LJSpeech-1.1/metadata.csv" ] || pending "$src" ||
  die "$src/LJSpeech-1.1/metadata.csv: no such file: local/ljspeech/download.sh $src fetches it"
if [ "$rate" = own ]; then
  if pending "$src"; then for set in train dev; do will_make "$data/${set}_clean"; done; fi
  if dry_run; then exit; fi
  local/ljspeech/prepare.py --dev-utterances "$dev_utterances" "$src/LJSpeech-1.1" "$data"
  for set in train dev; do steps/validate_data.sh --no-wav "$data/${set}_clean"; done
  exit 0
fi
: "${lexicon:=$src/librispeech-lexicon.txt}"
[ -f "$lexicon" ] || pending "$lexicon" || die "no $lexicon: local/ljspeech/download.sh $src fetches it, --lexicon names another"
if pending "$src"; then for set in train dev; do will_make "$data/as_recorded/${set}_clean"; done; fi
dry_run || local/ljspeech/prepare.py --dev-utterances "$dev_utterances" "$src/LJSpeech-1.1" "$data/as_recorded"
local/import_corpus.sh --nj "$nj" --cmd "$cmd" --force "$force" --corpus "$data/as_recorded" --lexicon "$lexicon" \
  --oov-policy "$oov_policy" --max-skip "$max_skip" "$data"
