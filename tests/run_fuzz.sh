#!/bin/bash
# Runs fuzzers, as many at a time as there are cores.
#
#   tests/run_fuzz.sh FOLDER            of a build: every input that is kept, then FUZZ_SECONDS (5) of new ones
#   tests/run_fuzz.sh FOLDER coverage   what the inputs reach, by file: needs a build with COVERAGE=1
#   tests/run_fuzz.sh FOLDER corpora    packs the inputs anew: the fewest that reach all that was reached
#
# FUZZ="png gif" runs only these. Of a fuzzer NAME, tests/fuzz has
#   NAME.tar.gz   its inputs: few and small; those that once failed are called bug-* and stay
#   NAME.dict     words of the format
# and tests/fuzz_NAME.c a line "Covers:" with the files whose coverage counts. New inputs, and those that fail, stay in
# build/fuzz/NAME. The small files of tests/data are its inputs where it has none, and candidates for the pack.
set -uo pipefail
flavour=$1 mode=${2:-run}
cd "$(dirname "$0")/.." || exit 1

work=$PWD/build/fuzz
memory=/dev/shm
[ -d "$memory" ] && [ -w "$memory" ] || memory=/tmp
TMPDIR=$(mktemp -d "$memory/mvscope-fuzz.XXXXXX") || exit 1
export TMPDIR LLVM_PROFILE_FILE=/dev/null
trap 'rm -rf "$TMPDIR"' EXIT
rm -rf "$work/seeds"
mkdir -p "$work/seeds"
find tests/data -type f -size -64k -exec cp --parents -t "$work/seeds" {} +

# Unpacks the inputs of a fuzzer; says where they are.
inputs() {
    local to=$work/kept/$1
    if [ ! -e "tests/fuzz/$1.tar.gz" ]; then
        echo "$work/seeds"
        return
    fi
    rm -rf "$to"
    mkdir -p "$to"
    tar -C "$to" -xzf "tests/fuzz/$1.tar.gz" && echo "$to"
}

# fuzz NAME OPTION...: calls a fuzzer with what all modes share.
fuzz() {
    local name=$1 options=(-timeout=120 -rss_limit_mb=2560 -max_len=65536 -close_fd_mask=3)
    [ ! -e "tests/fuzz/$name.dict" ] || options+=(-dict="tests/fuzz/$name.dict")
    "$flavour/tests/fuzz_$name" "${options[@]}" -artifact_prefix="$work/$name/" "${@:2}" >"$work/$name.log" 2>&1
}

run() {
    local kept
    kept=$(inputs "$1")
    if fuzz "$1" -max_total_time="${FUZZ_SECONDS:-5}" -print_final_stats=1 "$work/$1" "$kept"; then
        echo "ok - $1: $(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$1.log") inputs"
    else
        grep -aE 'ERROR|SUMMARY|runtime error|Test unit written|^ +#[0-9] ' "$work/$1.log" | head -n 20
        echo "not ok - $1"
    fi
}

# A line for each file: covered regions, lines and branches in per cent.
coverage() {
    local profile=$TMPDIR/$1 kept files
    kept=$(inputs "$1")
    files=$(sed -n '/Covers:/,/\*\//{s/^ \* *Covers://;s/^ \*\/*//;p}' "tests/fuzz_$1.c")
    LLVM_PROFILE_FILE=$profile.raw fuzz "$1" -runs=0 "$work/$1" "$kept"
    if llvm-profdata merge -o "$profile" "$profile.raw" 2>>"$work/$1.log"; then
        # llvm-cov's own choice of files does not know names that were shortened when they were compiled.
        llvm-cov report "$flavour/tests/fuzz_$1" -instr-profile="$profile" 2>>"$work/$1.log" |
            awk -v name="$1" -v files="${files//$'\n'/ }" '
                BEGIN { for (i = split(files, file, " "); i; i--) wanted[file[i]] = 1 }
                $1 in wanted { printf "%-14s %-32s %8s %8s %8s\n", name, $1, $4, $10, $13; delete wanted[$1] }
                END { for (one in wanted) printf "%-14s %-32s %8s %8s %8s\n", name, one, "-", "-", "-" }'
        echo "ok - $1"
    else
        echo "not ok - $1: left no profile"
    fi
    rm -f "$profile" "$profile.raw"
}

corpora() {
    local kept to=$work/pack/$1 sources=("$work/$1" "$work/seeds")
    kept=$(inputs "$1")
    [ "$kept" = "$work/seeds" ] || sources+=("$kept")
    rm -rf "$to"
    mkdir -p "$to" tests/fuzz
    if fuzz "$1" -merge=1 "$to" "${sources[@]}"; then
        find "${sources[@]}" -maxdepth 1 -name 'bug-*' -exec cp -t "$to" {} +
        tar -C "$to" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=a=r,u+w -cf - . |
            gzip -9n >"tests/fuzz/$1.tar.gz"
        echo "ok - $1: $(find "$to" -type f | wc -l) inputs in $(stat -c %s "tests/fuzz/$1.tar.gz") bytes"
    else
        echo "not ok - $1: its inputs cannot be merged, see $work/$1.log"
    fi
}

read -ra names <<<"${FUZZ:-}"
if [ ${#names[@]} = 0 ]; then
    names=(tests/fuzz_*.c)
    names=("${names[@]#tests/fuzz_}")
    names=("${names[@]%.c}")
fi
echo "1..${#names[@]}"
[ "$mode" != coverage ] || printf '%-14s %-32s %8s %8s %8s\n' fuzzer file regions lines branches
for name in "${names[@]}"; do
    while (($(jobs -rp | wc -l) >= $(nproc))); do
        wait -n
    done
    mkdir -p "$work/$name"
    if [ -x "$flavour/tests/fuzz_$name" ]; then
        "$mode" "$name" &
    else
        echo "not ok - $name: was not built"
    fi
done
wait
