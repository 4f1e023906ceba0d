#!/usr/bin/env bash
# Measure every figure of docs/evidence/skill.md: scripts/measure_skill.sh KLINES WIDE OUT
#
# KLINES holds SYMBOL-5m.parquet of the symbols that were tuned on, WIDE those of others; OUT gets the
# results as JSON and the tables as text. An interrupted run resumes where OUT ends.
set -euo pipefail

if [ $# -ne 3 ] || [ ! -d "$1" ] || [ ! -d "$2" ]; then
    echo "usage: scripts/measure_skill.sh KLINES WIDE OUT: two folders of recordings, and a third" >&2
    exit 2
fi
klines=$1 wide=$2 out=$3
mkdir -p "$out"

# 1. Every second of the wide symbols is trained on with all of the others; the rest is never seen.
names() { find "$1" -name '*-5m.parquet' -printf '%f\n' | sed 's/-5m\.parquet$//' | LC_ALL=C sort; }
names "$klines" >"$out/own.txt"
names "$wide" | awk 'NR % 2 == 0' >"$out/unseen.txt"
{ cat "$out/own.txt"; names "$wide" | awk 'NR % 2 == 1'; } >"$out/seen.txt"

span=(--train-from 2025-01-01 --train-to 2025-04-01 --score-to 2025-05-01)
products=(--only default --only "own candles, gradient")
skill() {
    local name=$1
    shift
    echo "== $name"
    .venv/bin/python -m benchmarks.skill "${span[@]}" --json "$out/$name.json" "$@" \
        2>"$out/$name.log" | tee "$out/$name.txt"
}

# 2. The symbols trained on, and those never seen, from January on and from the first scored candle.
own=(--klines "$klines" --by-symbol)
skill own "${own[@]}" "${products[@]}"
skill own-cold "${own[@]}" "${products[@]}" --cold
both=(--klines "$klines" "$wide" --train-symbols "@$out/seen.txt"
    --score-symbols "@$out/unseen.txt" --by-symbol)
skill unseen "${both[@]}" "${products[@]}"
skill unseen-cold "${both[@]}" "${products[@]}" --cold

# 3. One setting changed at a time, and the market measured in other ways.
skill ablation "${both[@]}" --ablation --cold
skill no-baskets "${both[@]}" --no-baskets --cold
skill market-of-10 "${both[@]}" --market-symbols 10 --cold
skill market-of-all "${both[@]}" --market-symbols 0 --cold
