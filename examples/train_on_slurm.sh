#!/bin/bash
# Training on several nodes: sbatch --nodes 2 --gpus-per-node 8 examples/train_on_slurm.sh RECIPE TOKENS OUT [--replay DIR] [--set k=v …]
#
# One torchrun a node, one process a GPU. Before the time limit, and when the job is preempted, SIGTERM lets the step end and
# saves a checkpoint; the job is then queued again and goes on from there. TOKENS and OUT must lie where every node sees them.
# Preemption needs a grace period of the partition (GraceTime) as long as a step and a checkpoint take; without one, what is
# lost is the work since the last checkpoint (train.checkpoint_minutes).

#SBATCH --job-name=astrollama
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --output=%x-%j.log
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:TERM@300

set -u
recipe=${1:?give a recipe} tokens=${2:?give the directory of the tokens} out=${3:?give the directory of the run}
shift 3

head_node=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 20000))
# seconds that torchrun gives its processes between SIGTERM and SIGKILL (30 if it is not told); less than the 300 above
export TORCH_ELASTIC_SHUTDOWN_TIMEOUT=240

# SIGTERM must reach torchrun and not srun, which would kill the tasks at once
stopping=no
trap 'stopping=yes; scancel --signal=TERM "$SLURM_JOB_ID"' TERM

# the shell heeds a signal only while it waits, so srun runs beside it
srun --kill-on-bad-exit=1 torchrun \
    --nnodes "$SLURM_JOB_NUM_NODES" \
    --nproc-per-node gpu \
    --rdzv-backend c10d \
    --rdzv-endpoint "$head_node:$port" \
    --rdzv-id "$SLURM_JOB_ID.${SLURM_RESTART_COUNT:-0}" \
    -m astrollama.cli train "$recipe" --tokens "$tokens" --out "$out" --resume "$@" &
step=$!
code=0
wait "$step" || code=$?
while kill -0 "$step" 2>/dev/null; do # the signal ended the wait, not the step
    code=0
    wait "$step" || code=$?
done

if [ "$stopping" = no ]; then
    exit "$code"
fi
# a torchrun that was stopped exits with 1 whatever its processes say: the manifest tells whether the run is complete
if [ -f "$out/manifest.json" ]; then
    exit 0
fi
# a job that was cancelled is not running any more, and one that was preempted is queued again by Slurm itself
if [ "$(squeue --noheader --format=%T --jobs="$SLURM_JOB_ID")" = RUNNING ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
