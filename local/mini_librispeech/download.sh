#!/usr/bin/env bash
# Fetches Mini LibriSpeech (train-clean-5, dev-clean-2), LibriSpeech's test-clean and the noises and rooms of OpenRIR
# into a directory, and unpacks them there: <dir>/LibriSpeech/<part>, <dir>/RIRS_NOISES. 2 GB to fetch, 5 GB unpacked.
# What is there, packed or unpacked, is checked (MD5) and not fetched again; an interrupted file goes on where it was.
# shellcheck disable=SC2034  # some options are read by their name

remove_archives=false                   # true: remove an archive when it is unpacked
files=local/mini_librispeech/files.tsv  # what can be fetched and from where
url=                                    # a mirror that has the same names: URL/dev-clean-2.tar.gz and so on
tries=5                                 # tries per file, as long as nothing comes
pause=2                                 # seconds before the second try, doubled before each further one

. ./path.sh
help_message="Usage: $0 [options] <dir>
e.g.: $0 downloads/mini_librispeech
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 1 ] || die "expected <dir>, got $# words; see --help"
dir=$1
local/librispeech/download.sh --files "$files" --url "$url" --tries "$tries" --pause "$pause" \
  --remove-archives "$remove_archives" --parts "train-clean-5 dev-clean-2 test-clean" "$dir"
lock_dir "$dir"
local/mini_librispeech/openrir.py fetch --files "$files" --base-url "$url" --tries "$tries" --pause "$pause" "$dir"
local/mini_librispeech/openrir.py unpack "$dir"
if $remove_archives; then rm -f "$dir/rirs_noises.zip"; fi
