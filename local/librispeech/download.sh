#!/usr/bin/env bash
# Fetches LibriSpeech and its lexicon into a directory, and unpacks it there: <dir>/LibriSpeech/<part>/...
# What is there, packed or unpacked, is checked (MD5) and not fetched again; an interrupted file goes on where it was.
# The default is 960 hours of training speech and the two clean sets: 60 GB to fetch, 60 GB more unpacked.
# shellcheck disable=SC2034  # some options are read by their name

parts="train-clean-100 train-clean-360 train-other-500 dev-clean test-clean"  # of dev, test: also dev-other test-other
lm_text=false                      # true: also the text for language models, 1.4 GB packed
remove_archives=false              # true: remove an archive when it is unpacked
files=local/librispeech/files.tsv  # what can be fetched and from where
url=                               # a mirror that has the same names: URL/dev-clean.tar.gz and so on
tries=5                            # tries per file, as long as nothing comes
pause=2                            # seconds before the second try, doubled before each further one

. ./path.sh
help_message="Usage: $0 [options] <dir>
e.g.: $0 --parts 'train-clean-100 dev-clean test-clean' downloads/librispeech
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
set -euo pipefail

[ $# -eq 1 ] || die "expected <dir>, got $# words; see --help"
[ -f "$files" ] || die "--files $files: no such file"
dir=$1
error=$(mkdir -p "$dir/LibriSpeech" 2>&1) || die "$error"
lock_dir "$dir"
names=(librispeech-lexicon.txt)
for part in $parts; do names+=("$part.tar.gz=LibriSpeech/$part"); done
if $lm_text; then names+=(librispeech-lm-norm.txt.gz); fi
local/fetch.py --files "$files" --base-url "$url" --tries "$tries" --pause "$pause" --script "$0" "$dir" "${names[@]}"

for part in $parts; do
  if [ ! -d "$dir/LibriSpeech/$part" ]; then  # it is moved there whole
    log "unpacking $dir/$part.tar.gz"
    rm -rf "$dir/unpacking"
    mkdir "$dir/unpacking"
    tar -xz -C "$dir/unpacking" < "$dir/$part.tar.gz" || die "$dir/$part.tar.gz: cannot be unpacked, see the line above"
    [ -d "$dir/unpacking/LibriSpeech/$part" ] || die "$dir/$part.tar.gz has no LibriSpeech/$part: remove it and try again"
    find "$dir/unpacking/LibriSpeech" -maxdepth 1 -type f -exec mv -t "$dir/LibriSpeech" {} +
    mv "$dir/unpacking/LibriSpeech/$part" "$dir/LibriSpeech/"
    rm -rf "$dir/unpacking"
  fi
  if $remove_archives; then rm -f "$dir/$part.tar.gz"; fi
done
