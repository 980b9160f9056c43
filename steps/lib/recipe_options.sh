# shellcheck shell=bash disable=SC2034
# Options of all recipes (run.sh, local/run_*.sh, local/librispeech/run_pretrain.sh), which source this in their block of
# defaults; lines after that add options or change a default. --help lists them (list_options.sh).

stage=1       # first stage to run
stop_stage=   # last stage to run; empty: all that follow
config=       # bash file of name=value lines, read before the other options
data=data     # where the data directories go
exp=exp       # where everything else goes; several corpora in one clone: --data data/mine --exp exp/mine
seed=1        # of all training
nj=           # jobs per step, of which two run side by side; empty: one per two cores, 4 at most
ngpu=0        # GPUs for training; 0: train on CPUs
device=       # of training: cpu, cuda or mps (Apple's GPUs); empty: cuda with --ngpu, else cpu
cmd_backend=  # where jobs run: local, slurm or sge; empty: the one in cmd.sh
num_threads=  # CPU threads of a training; empty: this machine's cores divided among the trainings, on a cluster 4
set=          # settings of models and features, over all files: 'train.epochs=3 enhance_*:train.lr=1e-4 fbank.num_mel_bins=40', one word
debug=false   # true: every stage in minutes, in <exp>_debug and <data>_debug: few utterances, four steps of each training
force=false   # true: run the stages again although nothing changed; what was there goes to <dir>.old
dry_run=false # true: only print what would be made, and why
