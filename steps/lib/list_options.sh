#!/usr/bin/env bash
# Prints the options of a script for its --help: the lines "name=value  # meaning" of its block of defaults, which ends at
# help_message=, then those of files *_options.sh that the block sources, less what the script sets itself. So the help
# cannot differ from what the script does. Old names ("# was: name") are left out.
awk '
  function option(line) {
    if (!match(line, /^[a-z][a-z0-9_]*=[^#]*# /)) return 0
    pair = substr(line, 1, RLENGTH - 2); meaning = substr(line, RLENGTH + RSTART)
    name = substr(pair, 1, index(pair, "=") - 1); value = substr(pair, index(pair, "=") + 1)
    sub(/ *# was: .*/, "", meaning)
    gsub(/_/, "-", name); gsub(/["\047]| +$/, "", value)
    if (name in printed) return 1
    printed[name] = 1
    printf "  --%-19s %s%s\n", name, meaning, value == "" ? "" : " (" value ")"
    return 1
  }
  /^help_message=/ { exit }
  /^\. [^ ]*_options\.sh/ { shared[++n] = $2; next }
  { option($0) }
  END { for (i = 1; i <= n; i++) while ((getline line < shared[i]) > 0) option(line) }
' "$1"
