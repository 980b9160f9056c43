#!/usr/bin/env bash
# Downloads LJSpeech (24 hours of one reader, 2.7 GB packed, 3.8 GB unpacked) and LibriSpeech's lexicon into a directory
# and unpacks it there: <dir>/LJSpeech-1.1.
# shellcheck disable=SC2034  # some options are read by their name

. local/download_options.sh || exit 1
files=local/ljspeech/files.tsv # the files and their URLs
remove_archives=false          # true: remove an archive when it is unpacked

. ./path.sh
help_message="Usage: $0 [options] <dir>
e.g.: $0 downloads/ljspeech
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
. local/download.sh
set -euo pipefail

begin_download "$@"
fetch librispeech-lexicon.txt LJSpeech-1.1.tar.bz2=LJSpeech-1.1
unpack LJSpeech-1.1.tar.bz2 "" LJSpeech-1.1 metadata.csv
