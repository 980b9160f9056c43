#!/usr/bin/env bash
# The example sentences of WordNet as text for language models: 48,000 short everyday sentences and phrases, one per line,
# for steps/train_lm.sh --mix, local/run_ligru.sh --mix.
# Reads <src>: the directory of local/wordnet/download.sh, or one with data.noun, data.verb, data.adj and data.adv, such as
# /usr/share/wordnet of Debian's package wordnet-base. Writes <text>. Takes two seconds.
# shellcheck disable=SC2034  # some options are read by their name

normaliser=plain # plain: upper-case words; none, upper, voicebank: as in steps/train_lm.sh

. ./path.sh
help_message="Usage: $0 [options] <src> <text>
e.g.: $0 downloads/wordnet corpora/wordnet.txt
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 2 ] || die "expected <src> <text>, got $# words; see --help"
src=$1 text=$2
[ -d "$src" ] || pending "$src" || die "$src: no such directory: local/wordnet/download.sh $src fetches it"
if dry_run; then
  echo "$text: to be made of $src"
  will_make "$text"
else
  local/wordnet/prepare.py --normaliser "$normaliser" "$src" "$text"
fi
