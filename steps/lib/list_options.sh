#!/usr/bin/env bash
# Prints the options of a script for its --help: the lines "name=value  # meaning" of its block of defaults, which
# ends at help_message=. So the help cannot differ from what the script does. Old names ("# was: name") are left out.
awk '
  /^help_message=/ { exit }
  match($0, /^[a-z][a-z0-9_]*=[^#]*# /) {
    split(substr($0, 1, RLENGTH - 2), pair, "=")
    meaning = substr($0, RLENGTH + RSTART)
    sub(/ *# was: .*/, "", meaning)
    gsub(/_/, "-", pair[1]); gsub(/["\047]| +$/, "", pair[2])
    printf "  --%-19s %s%s\n", pair[1], meaning, pair[2] == "" ? "" : " (" pair[2] ")"
  }' "$1"
