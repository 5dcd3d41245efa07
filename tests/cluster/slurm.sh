# shellcheck shell=sh disable=SC2154
# A Slurm of one node on this machine, for tests that source this after cluster.sh: slurm_start, slurm_stop. Everything lies in
# a temporary folder and on ports of its own, so that a Slurm that runs here anyway is left alone.

PATH=$PATH:/usr/sbin:/sbin
for program in munged slurmctld slurmd sbatch srun scontrol squeue scancel; do
    if ! command -v "$program" >/dev/null; then
        echo "Slurm is not installed here: no $program (Debian: slurm-wlm munge)"
        exit 77
    fi
done

# ended PID: ends a process that was started here, by force if it takes too long.
ended() {
    kill "$1" 2>/dev/null || return
    (sleep 5 && kill -KILL "$1") >/dev/null 2>&1 &
    force=$!
    wait "$1" 2>/dev/null
    kill "$force" 2>/dev/null
}

# The processes slurmd starts for steps are no children of this shell; they are known by their configuration.
step_processes() {
    for process in /proc/[0-9]*; do
        grep -qs '^slurmstepd' "$process/comm" && grep -qsaF "SLURM_CONF=$slurm/slurm.conf" "$process/environ" &&
            echo "${process#/proc/}"
    done
}

no_steps() {
    [ -z "$(step_processes)" ]
}

# Jobs first, munged last: a step that cannot report its end waits for minutes.
slurm_stop() {
    [ -n "${slurm-}" ] || return
    if [ -n "${slurmd_pid-}" ]; then
        squeue -h -o %A 2>/dev/null | while read -r running; do scancel "$running"; done
        until_true 15 no_steps
    fi
    for pid in ${slurmd_pid-} ${slurmctld_pid-} ${munged_pid-}; do ended "$pid"; done
    for pid in $(step_processes); do kill -KILL "$pid" 2>/dev/null; done
}

slurm_give_up() {
    echo "FAIL: $1"
    for log in "$slurm"/*.log; do
        echo "== $log"
        tail -n 15 "$log"
    done
    exit 1
}

node_is_idle() {
    sinfo -h -o %T | grep -q '^idle'
}

slurm_start() {
    slurm=$work/slurm
    mkdir -p "$slurm/state" "$slurm/spool"
    chmod 755 "$work" "$slurm"
    node=$(uname -n)
    node=${node%%.*}
    me=$(id -un)
    port=$((21000 + $$ % 19000))
    (umask 077 && dd if=/dev/urandom of="$slurm/munge.key" bs=128 count=1 2>/dev/null)
    cat >"$slurm/slurm.conf" <<CONF
ClusterName=latgrad
SlurmctldHost=$node(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 20000))
SlurmUser=$me
SlurmdUser=$me
AuthType=auth/munge
AuthInfo=socket=$slurm/munge.socket,cred_expire=5
StateSaveLocation=$slurm/state
SlurmdSpoolDir=$slurm/spool
SlurmctldPidFile=$slurm/slurmctld.pid
SlurmdPidFile=$slurm/slurmd.pid
SlurmctldLogFile=$slurm/slurmctld.log
SlurmdLogFile=$slurm/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=5
SchedulerParameters=sched_interval=1,batch_sched_delay=0,defer=no
NodeName=$node NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
PartitionName=test Nodes=$node Default=YES MaxTime=INFINITE State=UP
CONF
    export SLURM_CONF="$slurm/slurm.conf"
    munged --foreground --force --num-threads=2 --key-file="$slurm/munge.key" --socket="$slurm/munge.socket" \
        --pid-file="$slurm/munged.pid" --log-file="$slurm/munged.log" --seed-file="$slurm/munged.seed" \
        >>"$slurm/munged.out.log" 2>&1 &
    munged_pid=$!
    until_true 60 test -S "$slurm/munge.socket" || slurm_give_up "munged does not start"
    slurmctld -D >>"$slurm/slurmctld.out.log" 2>&1 &
    slurmctld_pid=$!
    slurmd -D -N "$node" >>"$slurm/slurmd.out.log" 2>&1 &
    slurmd_pid=$!
    until_true 120 node_is_idle || slurm_give_up "the node does not come up"
}
