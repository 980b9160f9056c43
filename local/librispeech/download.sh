#!/usr/bin/env bash
# Downloads LibriSpeech and its lexicon into a directory and unpacks it there: <dir>/LibriSpeech/<part>/...
# The default is 960 hours of training speech and the two clean sets: 60 GB to download, 60 GB more unpacked.
# shellcheck disable=SC2034  # some options are read by their name

. local/download_options.sh || exit 1
parts="train-clean-100 train-clean-360 train-other-500 dev-clean test-clean" # of dev, test: also dev-other test-other
lm_text=false                                                                # true: also the text for language models, 1.4 GB packed
files=local/librispeech/files.tsv                                            # the files and their URLs
remove_archives=false                                                        # true: remove an archive when it is unpacked

. ./path.sh
help_message="Usage: $0 [options] <dir>
e.g.: $0 --parts 'train-clean-100 dev-clean test-clean' downloads/librispeech
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
. local/download.sh
set -euo pipefail

begin_download "$@"
names=(librispeech-lexicon.txt)
for part in $parts; do names+=("$part.tar.gz=LibriSpeech/$part"); done
if $lm_text; then names+=(librispeech-lm-norm.txt.gz); fi
fetch "${names[@]}"
for part in $parts; do unpack "$part.tar.gz" LibriSpeech "$part"; done
