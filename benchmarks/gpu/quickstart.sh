#!/usr/bin/env bash
# The quickstart on one GPU, whole and timed by stage, in at most five minutes.
#
#     benchmarks/gpu/quickstart.sh                                        on a machine with one NVIDIA GPU
#     QUICKSTART_ARGS="--set data.test_limit=8" benchmarks/gpu/quickstart.sh      less of it, on whatever there is
#
# Prints JSON lines: the machine with its versions, each stage as its records tell it, and the whole. The study goes
# into an empty folder, so everything is computed. Python is `python` on the PATH, with Polytune installed;
# QUICKSTART_SECONDS stops the study after another time. Without a GPU the study runs as on any laptop.
set -uo pipefail
cd "$(dirname "$0")/../.."
storage=$(mktemp -d)
trap 'rm -rf "$storage"' EXIT

on_gpu=()
if command -v nvidia-smi > /dev/null; then
    # Eight trainings of a small model and one process that writes share the GPU; full fine-tuning has it alone.
    on_gpu=(--set resources.trial_gpus=0.1 --set resources.generator_gpus=0.2 --set resources.generators=1)
    nvidia-smi --query-gpu=utilization.gpu --format=csv,noheader,nounits --loop=1 > "$storage/busy.txt" &
    sampling=$!
fi
begin=$(date +%s.%N)
# shellcheck disable=SC2086 # several words
timeout --kill-after=20 "${QUICKSTART_SECONDS:-280}" python -m orchestrator run studies/quickstart.yaml \
    --set storage="$storage/runs" "${on_gpu[@]}" ${QUICKSTART_ARGS:-} > "$storage/answer.txt" 2> "$storage/log.txt"
status=$?
end=$(date +%s.%N)
[ -z "${sampling:-}" ] || kill "$sampling"
# A run that ended with another status says why in its last lines.
[ "$status" = 0 ] || tail -n 20 "$storage/log.txt" >&2
python -m benchmarks.gpu.stages "$storage" --begin "$begin" --end "$end" --status "$status"
exit "$status"
