#!/usr/bin/env bash
# Paints one picture on many machines of a Slurm cluster:
#
#     deploy/slurm/submit.sh 64 --size 262144x65536 --seed 7 --out /shared/picture.zarr
#
# The first word is the number of shards, the rest goes to run_sample.py. An array job
# paints the shards; a second job, which waits for it, makes one picture of them. If
# shards failed, the same command again paints what is missing, and only that.
# Options for sbatch (account, partition, time, GPUs) are taken from SBATCH_OPTIONS:
#
#     SBATCH_OPTIONS="--partition=gpu --gpus-per-task=1" deploy/slurm/submit.sh ...
set -euo pipefail

if [[ $# -lt 2 || ! $1 =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: $0 NUMBER_OF_SHARDS OPTIONS OF run_sample.py" >&2
    exit 2
fi
export SHARDS="$1"
shift
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
read -ra options <<<"${SBATCH_OPTIONS:-}"

shards="$(sbatch --parsable --array="0-$((SHARDS - 1))" "${options[@]}" \
    --chdir="$here/../.." "$here/shard.sbatch" "$@")"
end="$(sbatch --parsable --dependency="afterok:${shards%%;*}" --kill-on-invalid-dep=yes \
    --chdir="$here/../.." "$here/finish.sbatch" "$@")"
echo "shards: job ${shards%%;*}, end: job ${end%%;*}"
