#!/usr/bin/env bash
# The former name of local/run_denoise.sh, for one release. Works in exp/mask and data/mask, as before.
help_message="local/run_mask.sh is now local/run_denoise.sh; the old name will be removed in the next release"
echo "$help_message" >&2
exec local/run_denoise.sh --exp exp/mask "$@"
