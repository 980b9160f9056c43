#!/usr/bin/env bash
# Downloads WordNet's database (16 MB packed, 54 MB unpacked) into a directory and unpacks it there: <dir>/dict, for
# local/wordnet/prepare.sh. Debian's package wordnet-base has the same files in /usr/share/wordnet.
# shellcheck disable=SC2034  # some options are read by their name

. local/download_options.sh || exit 1
files=local/wordnet/files.tsv # the file and its URLs
remove_archives=false         # true: remove the archive when it is unpacked

. ./path.sh
help_message="Usage: $0 [options] <dir>
e.g.: $0 downloads/wordnet
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
. local/download.sh
set -euo pipefail

begin_download "$@"
fetch WNdb-3.0.tar.gz=dict
unpack WNdb-3.0.tar.gz "" dict data.noun
