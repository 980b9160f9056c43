# shellcheck shell=bash disable=SC2034
# Options of steps/train_{mono,deltas,lda_mllt,sat}.sh and steps/align_*.sh, which source this in their block of defaults.

boost_silence=1.0 # factor of the likelihoods of silence in alignment
beam=10           # of alignment
retry_beam=40     # of a second try, where the first finds no path
max_skip=0.01     # share of the utterances that may be left without an alignment in the end
cmd=launch.py     # where jobs run
force=false       # true: run again although nothing changed
