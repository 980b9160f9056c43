#!/usr/bin/env bash
# Fetches VoiceBank-DEMAND (28 speakers, with text and logs: 5.7 GB) and LibriSpeech's lexicon into a directory.
# What is there, as a zip or unpacked, is checked and not fetched again; an interrupted file goes on where it was.
# files.tsv has names, sizes and MD5 sums. Where it has "-", nobody here knows the sum: the content is checked instead
# (every file in a zip has a CRC). <dir>/checksums.tsv keeps what came, and the next run compares. Zips stay zips.
# shellcheck disable=SC2034  # some options are read by their name

files=local/vbdemand/files.tsv  # what to fetch and from where
url=                            # a mirror that has the same names: URL/clean_testset_wav.zip and so on
tries=5                         # tries per file, as long as nothing comes
pause=2                         # seconds before the second try, doubled before each further one

. ./path.sh
help_message="Usage: $0 [options] <dir>
e.g.: $0 downloads/vbdemand
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 1 ] || die "expected <dir>, got $# words; see --help"
[ -f "$files" ] || die "--files $files: no such file"
dir=$1
error=$(mkdir -p "$dir" 2>&1) || die "$error"
lock_dir "$dir"
local/vbdemand/download.py --files "$files" --base-url "$url" --tries "$tries" --pause "$pause" "$dir"
