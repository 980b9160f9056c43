#!/usr/bin/env bash
# Downloads the Free Spoken Digit Dataset (3,000 digits of 6 speakers, 8 kHz, 16 MB packed) into a directory and unpacks it
# there: <dir>/free-spoken-digit-dataset-1.0.10.
# shellcheck disable=SC2034  # some options are read by their name

. local/download_options.sh || exit 1
files=local/digits/files.tsv # the file and its URLs
remove_archives=false        # true: remove the archive when it is unpacked

. ./path.sh
help_message="Usage: $0 [options] <dir>
e.g.: $0 downloads/fsdd
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
. local/download.sh
set -euo pipefail

begin_download "$@"
fetch v1.0.10.tar.gz=free-spoken-digit-dataset-1.0.10
unpack v1.0.10.tar.gz "" free-spoken-digit-dataset-1.0.10 recordings
