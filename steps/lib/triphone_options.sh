# shellcheck shell=bash disable=SC2034
# Options of steps/train_{deltas,lda_mllt,sat}.sh, which source this in their block of defaults.

num_iters=35             # passes
max_iter_inc=25          # last pass after which Gaussians are added
realign_iters="10 20 30" # passes that realign
power=0.25               # of the occupancies, by which Gaussians are allocated
thresh=300               # least gain of likelihood for which the tree splits a leaf
