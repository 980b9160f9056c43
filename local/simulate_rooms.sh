#!/usr/bin/env bash
# The former name of local/simulate_rirs.sh, for one release.
help_message="local/simulate_rooms.sh is now local/simulate_rirs.sh; the old name will be removed in the next release"
echo "$help_message" >&2
exec local/simulate_rirs.sh "$@"
