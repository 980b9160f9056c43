#!/usr/bin/env bash
# The former name of local/split_recordings.sh, for one release.
help_message="local/share_recordings.sh is now local/split_recordings.sh; the old name will be removed in the next release"
echo "$help_message" >&2
exec local/split_recordings.sh "$@"
