# shellcheck shell=bash
# Where jobs run. Scripts write "$train_cmd JOB=1:4 exp/x/log/name.JOB.log program arguments", with the options
#   --mem 4G --num-threads 2 --gpu 1 --time 4:0:0 --max-jobs-run 8
# in front as needed, of which the last one of a kind counts. Change the switch here, or give run.sh --cmd-backend.
#   local   processes on this machine, as many at once as it has cores; --mem and --time change nothing
#   slurm   array jobs by sbatch; conf/slurm.conf says what the options become: partitions, accounts, GPUs
#   sge     array jobs by qsub; the same in conf/queue.conf
# steps/check_cluster.sh tries a back end and says what to change. All three are steps/lib/launch.py; Kaldi's run.pl,
# slurm.pl and queue.pl take the same words and read the same files: put one of them in place of "launch.py ...".
# launch.py gives a program its words as they stand, so names may hold anything but a line break. Kaldi's launchers give
# them to a shell: with these, names of directories hold letters, digits and . _ - / + : only.

: "${cmd_backend:=local}"

case $cmd_backend in
  local) _launch=launch.py ;;
  slurm | sge) _launch="launch.py --backend $cmd_backend" ;;
  *)
    echo "cmd.sh: unknown cmd_backend '$cmd_backend': local, slurm or sge" >&2
    return 1
    ;;
esac
export train_cmd="$_launch --mem 2G"  # features, scores: many short jobs
export decode_cmd="$_launch --mem 4G" # enhancement and decoding
export cuda_cmd="$_launch --mem 8G"   # training
unset _launch
