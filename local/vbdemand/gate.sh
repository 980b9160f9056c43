#!/usr/bin/env bash
# The former name of local/vbdemand/check_pesq.sh, for one release.
help_message="local/vbdemand/gate.sh is now local/vbdemand/check_pesq.sh; the old name will be removed in the next release"
echo "$help_message" >&2
exec local/vbdemand/check_pesq.sh "$@"
