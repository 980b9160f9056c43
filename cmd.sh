# shellcheck shell=bash
# Where jobs run. Scripts write "$train_cmd JOB=1:4 exp/x/log/name.JOB.log program arguments", with the options
#   --mem 4G --num-threads 2 --gpu 1 --time 4:0:0 --max-jobs-run 8
# in front as needed. Change the switch here, or give run.sh --cmd-backend.
#   local   processes on this machine, as many at once as it has cores (steps/lib/launch.py)
# Kaldi's run.pl takes the same words: set the three commands to "run.pl" to use it.

: "${cmd_backend:=local}"

case $cmd_backend in
  local)
    export train_cmd=launch.py   # features, scores: many short jobs
    export decode_cmd=launch.py  # enhancement and decoding
    export cuda_cmd=launch.py    # training
    ;;
  *)
    echo "cmd.sh: unknown cmd_backend '$cmd_backend': 'local' is the one there is" >&2
    return 1
    ;;
esac
