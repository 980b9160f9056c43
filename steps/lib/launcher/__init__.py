"""The launcher: runs one command, or N of them as an array job, with their output in log files.

`launch.py` is the program; read the modules in this order:

request    one call: options, JOB=1:N, log, command
state      the states of a task, and what the launcher does in each (one transition function)
local      the back end for this machine           job, gpus: one process, its log and its GPUs
cluster    the back end for Slurm and SGE          scheduler, slurm, sge, conf: commands, answers, options
node       what a node of a cluster runs           processes: process groups, and the end of orphaned jobs
progress   the progress bar
"""
