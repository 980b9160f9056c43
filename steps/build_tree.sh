#!/usr/bin/env bash
# The tree of LF-MMI (conf/lfmmi_*.yaml) from alignments: pdfs of a phone and the one to its left, at a third of the frame
# rate, in the topology in which a phone may last one frame.
# Writes <tree-dir>: final.mdl, tree, frame_subsampling_factor. steps/mkgraph.sh --self-loop-scale 1.0 makes its graph.

frame_subsampling_factor=3 # frames of the features for one of the network's
thresh=300                 # least gain of likelihood for which the tree splits a leaf
max_skip=0.01              # share of the utterances that may be too short
cmd=launch.py              # where jobs run
force=false                # true: run again although nothing changed

. ./path.sh
help_message="Usage: $0 [options] <num-leaves> <feat-dir> <lang-dir> <ali-dir> <tree-dir>
e.g.: $0 1000 exp/mfcc/train_clean data/ligru/lang exp/ligru/tri3_ali_clean exp/ligru/lfmmi_tree
Options (default):
$(list_options.sh "$0")"
. parse_options.sh
. log.sh
. gmm.sh
set -euo pipefail

lfmmi_tree "$@"
