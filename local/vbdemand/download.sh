#!/usr/bin/env bash
# Downloads VoiceBank-DEMAND (28 speakers, with text and logs: 5.7 GB) and LibriSpeech's lexicon into a directory.
# files.tsv has names, sizes and MD5 sums. Where it has "-", the sum is not known: the contents are checked instead (every
# file in a zip has a CRC). <dir>/checksums.tsv keeps the sums of what came, and the next run compares. Zips stay zips.
# shellcheck disable=SC2034  # some options are read by their name

. local/download_options.sh || exit 1
files=local/vbdemand/files.tsv # the files and their URLs

. ./path.sh
help_message="Usage: $0 [options] <dir>
e.g.: $0 downloads/vbdemand
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
. local/download.sh
set -euo pipefail

begin_download "$@"
local/vbdemand/download.py --files "$files" --base-url "$url" --tries "$tries" --pause "$pause" "$dir"
