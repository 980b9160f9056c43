# shellcheck shell=bash disable=SC2034
# Options of all local/*/download.sh, which source this in their block of defaults.

url=    # a mirror with the same file names: URL/NAME; empty: where --files says
tries=5 # tries per file, as long as nothing comes
pause=2 # seconds before the second try, doubled before each further one
