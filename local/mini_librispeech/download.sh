#!/usr/bin/env bash
# Downloads Mini LibriSpeech (train-clean-5, dev-clean-2), LibriSpeech's test-clean and the noises and RIRs of OpenRIR into
# a directory and unpacks them there: <dir>/LibriSpeech/<part>, <dir>/RIRS_NOISES. 2 GB to download, 5 GB unpacked.
# shellcheck disable=SC2034  # some options are read by their name

. local/download_options.sh || exit 1
files=local/mini_librispeech/files.tsv # the files and their URLs
remove_archives=false                  # true: remove an archive when it is unpacked

. ./path.sh
help_message="Usage: $0 [options] <dir>
e.g.: $0 downloads/mini_librispeech
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
. local/download.sh
set -euo pipefail

begin_download "$@"
parts=(train-clean-5 dev-clean-2 test-clean)
names=(librispeech-lexicon.txt rirs_noises.zip=RIRS_NOISES)
for part in "${parts[@]}"; do names+=("$part.tar.gz=LibriSpeech/$part"); done
fetch "${names[@]}"
for part in "${parts[@]}"; do unpack "$part.tar.gz" LibriSpeech "$part"; done
local/mini_librispeech/openrir.py unpack "$dir"
if $remove_archives; then rm -f "$dir/rirs_noises.zip"; fi
