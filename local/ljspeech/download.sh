#!/usr/bin/env bash
# Fetches LJSpeech (24 hours of one reader, 2.7 GB packed, 3.8 GB unpacked) and LibriSpeech's lexicon into a directory,
# and unpacks it there: <dir>/LJSpeech-1.1. What is there, packed or unpacked, is checked (MD5) and not fetched again;
# an interrupted file goes on where it was.
# shellcheck disable=SC2034  # some options are read by their name

remove_archives=false           # true: remove the archive when it is unpacked
files=local/ljspeech/files.tsv  # what can be fetched and from where
url=                            # a mirror that has the same names: URL/LJSpeech-1.1.tar.bz2
tries=5                         # tries per file, as long as nothing comes
pause=2                         # seconds before the second try, doubled before each further one

. ./path.sh
help_message="Usage: $0 [options] <dir>
e.g.: $0 downloads/ljspeech
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 1 ] || die "expected <dir>, got $# words; see --help"
[ -f "$files" ] || die "--files $files: no such file"
dir=$1 name=LJSpeech-1.1
error=$(mkdir -p "$dir" 2>&1) || die "$error"
lock_dir "$dir"
local/fetch.py --files "$files" --base-url "$url" --tries "$tries" --pause "$pause" --script "$0" "$dir" \
  librispeech-lexicon.txt "$name.tar.bz2=$name"

if [ ! -d "$dir/$name" ]; then  # it is moved there whole
  log "unpacking $dir/$name.tar.bz2"
  rm -rf "$dir/unpacking"
  mkdir "$dir/unpacking"
  # Python can read it where there is no bzip2.
  python3 -m tarfile -e "$dir/$name.tar.bz2" "$dir/unpacking" ||
    die "$dir/$name.tar.bz2: cannot be unpacked, see the line above"
  [ -f "$dir/unpacking/$name/metadata.csv" ] || die "$dir/$name.tar.bz2 has no $name/metadata.csv: remove it and try again"
  mv "$dir/unpacking/$name" "$dir/"
  rm -rf "$dir/unpacking"
fi
if $remove_archives; then rm -f "$dir/$name.tar.bz2"; fi
