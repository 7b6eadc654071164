#!/bin/bash
# Runs every fuzzer for FUZZ_SECONDS (15), as many at a time as there are cores.
#
#   tests/run_fuzz.sh FOLDER      the folder of the build
#
# The seeds are the small files of tests/data. New inputs, and those that fail, stay in build/fuzz/NAME.
set -uo pipefail
flavour=$1
cd "$(dirname "$0")/.." || exit 1

work=$PWD/build/fuzz
rm -rf "$work/seeds"
mkdir -p "$work/seeds"
while IFS= read -r f; do
    cp "$f" "$work/seeds/$(sha256sum "$f" | cut -c1-16)"
done < <(find tests/data -type f -size -64k)

one() {
    local name=$1 program=$flavour/tests/fuzz_$1
    mkdir -p "$work/$name"
    if [ ! -x "$program" ]; then
        echo "not ok - $name: was not built"
    elif "$program" -max_total_time="${FUZZ_SECONDS:-15}" -timeout=20 -rss_limit_mb=2048 -max_len=65536 -verbosity=1 \
        -print_final_stats=1 -artifact_prefix="$work/$name/" "$work/$name" "$work/seeds" >"$work/$name.log" 2>&1; then
        echo "ok - $name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$name.log") inputs"
    else
        grep -aE 'ERROR|SUMMARY|runtime error|Test unit written|^ +#[0-9] ' "$work/$name.log" | head -n 20
        echo "not ok - $name"
    fi
}

names=(tests/fuzz_*.c)
echo "1..${#names[@]}"
for f in "${names[@]}"; do
    f=${f##*/fuzz_}
    while (($(jobs -rp | wc -l) >= $(nproc))); do
        wait -n
    done
    one "${f%.c}" &
done
wait
