#!/usr/bin/env bash
# Paints one picture on many machines of a Slurm cluster:
#
#     deploy/slurm/submit.sh 64 --size 262144x65536 --seed 7 --out /shared/picture.zarr
#
# The first word is the number of shards, the rest goes to run_sample.py. An array job
# paints the shards; a second job, which waits for it, makes one picture of them. If
# shards failed or ran out of time, the same command again paints what is missing, and
# only that. Options for sbatch are taken from SBATCH_OPTIONS, for the second job from
# FINISH_OPTIONS (the same, where that is not set; it needs no GPU):
#
#     SBATCH_OPTIONS="--account=art --partition=gpu --gpus-per-task=1" \
#         FINISH_OPTIONS="--account=art" deploy/slurm/submit.sh ...
set -euo pipefail

if [[ $# -lt 2 || ! $1 =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: $0 NUMBER_OF_SHARDS OPTIONS OF run_sample.py" >&2
    exit 2
fi
# Slurm runs copies of the scripts, so they are told where the project is.
export SHARDS="$1" PROJECT
PROJECT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
shift
here="$PROJECT/deploy/slurm"
read -ra options <<<"${SBATCH_OPTIONS:-}"
read -ra finish_options <<<"${FINISH_OPTIONS-${SBATCH_OPTIONS:-}}"

shards="$(sbatch --parsable --array="0-$((SHARDS - 1))" \
    ${options[@]+"${options[@]}"} "$here/shard.sbatch" "$@")"
end="$(sbatch --parsable --dependency="afterok:${shards%%;*}" \
    --kill-on-invalid-dep=yes \
    ${finish_options[@]+"${finish_options[@]}"} "$here/finish.sbatch" "$@")"
echo "shards: job ${shards%%;*}, end: job ${end%%;*}"
