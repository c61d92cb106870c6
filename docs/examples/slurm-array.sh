#!/bin/bash
# One comparison as an array of jobs: sbatch docs/examples/slurm-array.sh SUITE.toml OUT
# OUT must be on a file system that all nodes share. Submitted again, with an array of any size,
# it does what is left.
#SBATCH --job-name=cl-strategies
#SBATCH --array=0-15
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --time=04:00:00
#SBATCH --requeue
set -euo pipefail

suite=${1:?give a suite file}
out=${2:?give a folder that all nodes share}
first=${SLURM_ARRAY_TASK_MIN:?start this with sbatch}
shards=$((SLURM_ARRAY_TASK_MAX - first + 1))
shard=$((SLURM_ARRAY_TASK_ID - first))
if ((shards != SLURM_ARRAY_TASK_COUNT)); then
    echo "an array with gaps would leave runs out: give one such as --array=0-15" >&2
    exit 2
fi

# A run uses run.threads threads (1 unless the suite says more), so four runs at a time.
export OMP_NUM_THREADS=1
cl-strategies compare "$suite" --out "$out" --shard "$shard/$shards" \
    --jobs "${SLURM_CPUS_PER_TASK:-1}"

# Each shard writes the report of what is finished by then; the last one has it all. To be sure:
#   cl-strategies report OUT
