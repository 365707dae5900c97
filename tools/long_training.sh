#!/usr/bin/env bash
# Start or resume long trainings in the background: tools/long_training.sh CONFIG.yaml ...
# Each training runs on one core at low priority, from a fixed copy of the code, and resumes from its
# last checkpoint. Without arguments, print the state of all trainings. All files are in runs/long.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$PWD/runs/long
code=$folder/code
mkdir -p "$folder"
[ -d "$code" ] || git clone -q . "$code"

for config in "$@"; do
    name=$(basename "$config" .yaml)
    if [ -f "$folder/$name.pid" ] && kill -0 "$(cat "$folder/$name.pid")" 2>/dev/null; then
        continue
    fi
    PYTHONPATH=$code OMP_NUM_THREADS=1 setsid nohup nice -n 10 \
        python "$code/train.py" fit --config "$config" --ckpt_path last \
        --trainer.default_root_dir "$folder/$name" >>"$folder/$name.log" 2>&1 &
    echo $! >"$folder/$name.pid"
done
for log in "$folder"/*.log; do
    [ -f "$log" ] || continue
    pid=$(cat "${log%.log}.pid")
    state=stopped
    kill -0 "$pid" 2>/dev/null && state="process $pid"
    echo "$(basename "$log" .log) ($state): $(tail -c 300 "$log" | tr '\r' '\n' | grep . | tail -n 1)"
done
