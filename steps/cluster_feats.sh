#!/usr/bin/env bash
# The former name of steps/apply_kmeans.sh, for one release.
help_message="steps/cluster_feats.sh is now steps/apply_kmeans.sh; the old name will be removed in the next release"
echo "$help_message" >&2
exec steps/apply_kmeans.sh "$@"
