#!/usr/bin/env bash
# speechocean762 (OpenSLR 101: read English of children and adults) as clean data directories.
# Reads <src>: utterances.tsv (utt speaker gender age split text), audio/<utt>.opus, lexicon.txt.
# Writes <out>/{train,dev,test}_clean and <out>/lang/lexicon.txt in a second. Audio stays where it is. Then:
#   local/mix_noise.sh ... makes the noisy side, ./run.sh --corpus <out> ... runs the recipe on it.

help_message="Usage: $0 <src> <out>
e.g.: $0 speechocean762 corpora/speechocean762"

. ./path.sh
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 2 ] || die "expected <src> <out>, got $# words; see --help"
for file in utterances.tsv lexicon.txt audio; do [ -e "$1/$file" ] || die "no $1/$file: is $1 the corpus folder?"; done
local/speechocean762/prepare.py "$1" "$2"
for set in train dev test; do steps/validate_data.sh --no-wav "$2/${set}_clean"; done
