#!/usr/bin/env bash
# LibriSpeech as data directories: <data>/{train,dev,test}_clean and <data>/lang.
# Reads <librispeech-dir>: LibriSpeech/<part>/SPEAKER/CHAPTER/*.flac and *.trans.txt, LibriSpeech/SPEAKERS.TXT,
# librispeech-lexicon.txt. Utterance 103-1240-0000 is of speaker 103. Audio stays where it is, as FLAC; it is decoded
# once to check it: about 1 h for 960 hours in 8 jobs. Noisy speech: local/mix_noise.sh.
# shellcheck disable=SC2034  # some options are read by their name

train_parts="train-clean-100 train-clean-360 train-other-500" # parts of <data>/train_clean
dev_parts=dev-clean                                           # parts of <data>/dev_clean
test_parts=test-clean                                         # parts of <data>/test_clean
lexicon=                                                      # in place of <librispeech-dir>/librispeech-lexicon.txt
oov_policy=g2p                                                # words without pronunciation: fail, skip (their utterances), g2p (from their spelling)
max_skip=0.01                                                 # share of a set's utterances that may be unusable
nj=4                                                          # jobs that decode audio
cmd=launch.py                                                 # where they run
force=false                                                   # true: run again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <librispeech-dir> <data-dir>
e.g.: $0 --nj 8 downloads/librispeech data/librispeech
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 2 ] || die "expected <librispeech-dir> <data-dir>, got $# words; see --help"
src=$1 data=$2
[ -d "$src/LibriSpeech" ] || pending "$src" || die "$src/LibriSpeech: no such directory: local/librispeech/download.sh $src fetches it"
: "${lexicon:=$src/librispeech-lexicon.txt}"
[ -f "$lexicon" ] || pending "$lexicon" || die "no $lexicon: local/librispeech/download.sh $src fetches it, --lexicon names another"
for set in train dev test; do
  name=${set}_parts
  if pending "$src"; then will_make "$data/librispeech/${set}_clean"; fi
  # shellcheck disable=SC2086  # a list
  dry_run || local/librispeech/prepare.py "$src/LibriSpeech" "$data/librispeech/${set}_clean" ${!name}
done
local/import_corpus.sh --nj "$nj" --cmd "$cmd" --force "$force" --corpus "$data/librispeech" --lexicon "$lexicon" \
  --oov-policy "$oov_policy" --max-skip "$max_skip" "$data"
