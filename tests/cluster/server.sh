#!/usr/bin/env bash
# A cluster of one node for the tests, as root and without systemd: "server.sh slurm DIR" or "server.sh sge DIR".
# Installs what it needs where that is missing, keeps all files in DIR, writes DIR/env for those who submit, says
# "ready" and runs until a line or the end of its input comes: after a kill -9 of the tests nothing is left.
# Exit code 77: it cannot run here; the last line says why.
set -euo pipefail
kind=$1 dir=$2
daemons=()
host=$(hostname -s)

skip() {
  echo "$*"
  exit 77
}

wait_for() { # wait_for SECONDS COMMAND...
  local end=$((SECONDS + $1 + 1))
  while [ "$SECONDS" -lt "$end" ]; do
    if "${@:2}" > /dev/null 2>&1; then return 0; fi
    sleep 0.1
  done
  echo "$kind: this did not come true in $1 s: ${*:2}" >&2
  return 1
}

run() { # run COMMAND...: a daemon, with its output in DIR
  "$@" >> "$dir/daemons.log" 2>&1 < /dev/null &
  daemons+=($!)
}

stop() {
  local pid
  if [ "$kind" = slurm ]; then timeout 10 scancel --user=root; else timeout 10 qdel -u root; fi > /dev/null 2>&1 || true
  wait_for 8 bash -c "! pgrep -f '[s]lurmstepd: .*|[s]ge_shepherd'" || true
  for pid in "${daemons[@]}"; do kill "$pid" 2> /dev/null || true; done
  for pid in "${daemons[@]}"; do wait_for 2 bash -c "! kill -0 $pid" 2> /dev/null || kill -9 "$pid" || true; done
}

free_ports() {
  python3 -c 'import socket
s = [socket.socket() for _ in range(2)]
[x.bind(("127.0.0.1", 0)) for x in s]
print(*(x.getsockname()[1] for x in s))'
}

install() {
  local packages=(slurm-wlm munge gridengine-master gridengine-exec gridengine-client)
  if dpkg-query -W "${packages[@]}" > /dev/null 2>&1; then return; fi
  command -v apt-get > /dev/null || skip "no apt-get here to install ${packages[*]} with"
  export DEBIAN_FRONTEND=noninteractive
  debconf-set-selections <<< "gridengine-master shared/gridengineconfig boolean false"
  if [ ! -e /usr/sbin/policy-rc.d ]; then # installing does not start the daemons with the system's configuration
    trap 'rm /usr/sbin/policy-rc.d' EXIT
    printf '%s\n' '#!/bin/sh' 'exit 101' > /usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
  fi
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${packages[@]}"; } > "$dir/apt.log" 2>&1 ||
    skip "apt-get could not install ${packages[*]}: $(grep -E '^E:' "$dir/apt.log" | head -n 1)"
}

start_slurm() {
  local ports memory
  read -r -a ports <<< "$(free_ports)"
  memory=$(($(awk '/MemTotal/ {print $2}' /proc/meminfo) / 1024 - 512))
  mkdir -p "$dir"/{state,spool}
  touch "$dir/nvidia0" # stands for a device: jobs that ask for a GPU are scheduled, but see none
  echo "NodeName=$host Name=gpu File=$dir/nvidia0" > "$dir/gres.conf"
  cat > "$dir/slurm.conf" << CONF
ClusterName=tests
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${ports[0]}
SlurmdPort=${ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/munge.socket
CredType=cred/munge
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MailProg=/bin/true
GresTypes=gpu
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=512
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=100000
ReturnToService=2
KillWait=5
MaxArraySize=1001
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc --all) RealMemory=$memory Gres=gpu:1 State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
PartitionName=down Nodes=$host State=DOWN
CONF
  (umask 077 && head -c 128 /dev/urandom > "$dir/munge.key")
  run munged --foreground --force --key-file "$dir/munge.key" --socket "$dir/munge.socket" --pid-file "$dir/munged.pid" \
    --log-file "$dir/munged.log" --seed-file "$dir/munge.seed"
  wait_for 10 munge -S "$dir/munge.socket" -n
  export SLURM_CONF=$dir/slurm.conf
  run slurmctld -D -c
  wait_for 20 scontrol ping
  run slurmd -D -N "$host"
  wait_for 30 bash -c 'sinfo -h -p all -o %T | grep -qx idle'
  echo "SLURM_CONF=$SLURM_CONF" > "$dir/env"
}

change() { # change SED-SCRIPT WHAT [NAME]: edits an object of SGE's configuration
  local file=$dir/edit/${3:-$2}
  qconf "-s$2" "${@:3}" | sed "/^#/d; $1" > "$file"
  qconf "-M$2" "$file"
}

start_sge() {
  local ports common=$dir/sge/tests/common
  read -r -a ports <<< "$(free_ports)"
  mkdir -p "$common" "$dir"/{spooldb,qmaster/job_scripts,execd,edit}
  cp -a /var/lib/gridengine/{bin,lib,util,utilbin} "$dir/sge"
  export SGE_ROOT=$dir/sge SGE_CELL=tests SGE_ND=1 SGE_QMASTER_PORT=${ports[0]} SGE_EXECD_PORT=${ports[1]}
  sed "s#^admin_user .*#admin_user root#; s#/var/spool/gridengine#$dir#" /usr/share/gridengine/default-bootstrap \
    > "$common/bootstrap"
  /usr/share/gridengine/scripts/init_cluster "$SGE_ROOT" "$SGE_CELL" "$dir/spooldb" root > "$dir/init.log"
  echo "localhost $host" > "$common/host_aliases" # the address 127.0.0.1 is called localhost, the machine $host
  echo localhost > "$common/act_qmaster"
  run sge_qmaster
  wait_for 20 qconf -sh
  qconf -as localhost > /dev/null || true
  {
    change "s#^execd_spool_dir .*#execd_spool_dir $dir/execd#; s/^min_\([ug]\)id .*/min_\1id 0/" conf global
    change "s/^schedule_interval .*/schedule_interval 0:0:1/; s/^flush_\(submit\|finish\)_sec .*/flush_\1_sec 1/" sconf
    printf '%s\n' 'group_name @allhosts' 'hostlist localhost' > "$dir/edit/hosts"
    qconf -Ahgrp "$dir/edit/hosts"
    printf '%s\n' 'pe_name smp' 'slots 99' 'user_lists NONE' 'xuser_lists NONE' 'start_proc_args NONE' \
      'stop_proc_args NONE' "allocation_rule \$pe_slots" 'control_slaves FALSE' 'job_is_first_task TRUE' \
      'urgency_slots min' 'accounting_summary FALSE' 'qsort_args NONE' > "$dir/edit/smp"
    qconf -Ap "$dir/edit/smp"
    qconf -sq | sed "s/^qname .*/qname all.q/; s/^hostlist .*/hostlist @allhosts/; s/^slots .*/slots $(nproc --all)/
      s#^shell .*#shell /bin/bash#; s/^pe_list .*/pe_list smp/; s/^load_thresholds .*/load_thresholds NONE/" > "$dir/edit/all.q"
    run sge_execd
    wait_for 20 bash -c 'qconf -sel | grep -q localhost'
    qconf -Aq "$dir/edit/all.q"
  } > "$dir/qconf.log" 2>&1
  wait_for 30 bash -c "qstat -f | grep -qE 'all.q@localhost +BIP? +0/0/$(nproc --all) +[0-9.]+ +lx-amd64 *\$'"
  printf '%s\n' "SGE_ROOT=$SGE_ROOT" "SGE_CELL=$SGE_CELL" "SGE_QMASTER_PORT=${ports[0]}" "SGE_EXECD_PORT=${ports[1]}" \
    > "$dir/env"
}

[ "$(id -u)" = 0 ] || skip "only root can install and start $kind"
mkdir -p "$dir"
chmod 755 "$dir"
exec {lock}> /tmp/mimic-apt.lock
flock "$lock"
(install) || exit
exec {lock}>&-
trap stop EXIT
"start_$kind"
echo ready
read -r _ || true
