#!/usr/bin/env bash
# Fills the table of docs/benchmarks: TinyLlama's shape in each format and a real model, against both peers, in one run.
# bench/table.sh CACHE LLAMA OPENVINO MODEL...   folders for made files, of llama.cpp's library and of OpenVINO's archive; models to measure besides the shape. SLIPSTREAM is the tool (default: slipstream).
set -euo pipefail
[ $# -ge 3 ] || { sed -n '2,3s/^# //p' "$0"; exit 2; }
cache=$1 llama=$2 openvino=$3
shift 3
tool=${SLIPSTREAM:-slipstream}
common=(--cache-dir "$cache" --repeat "${REPEAT:-5}" --peer llama.cpp --peer openvino --peer-path "$llama" --peer-path "$openvino")
for format in Q8_0 Q4_0 Q4_K_M BF16; do
    activations=auto
    [ "$format" = BF16 ] && activations=bf16
    $tool bench --shape tinyllama-1.1b --format "$format" --activations "$activations" "${common[@]}" --prefill 128,512 --decode 32 --verify 1,6 --batch 16
    echo
done
for model in "$@"; do
    $tool bench --model "$model" "${common[@]}" --prefill 128,1000 --decode 64 --verify 1,6 --batch 4,16
    echo
done
