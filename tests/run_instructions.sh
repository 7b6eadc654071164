#!/bin/bash
# The instructions that the CPU's loops execute, counted by valgrind's callgrind, compared with tests/data/instructions:
# more than 5 % above the table is a failure. Counts do not depend on what else the machine does. Valgrind has no AVX-512:
# AVX2 and plain C are counted, which are the same sources. Another compiler makes other code: then nothing is compared.
#
#   tests/run_instructions.sh PROGRAM [--write]      PROGRAM is bench_kernels; writes the table anew
set -uo pipefail
export LC_ALL=C
cd "$(dirname "$0")/.." || exit 1

program=$1 table=tests/data/instructions compiler=$(gcc -dumpfullversion)
for tool in valgrind callgrind_annotate; do
    type $tool &>/dev/null || { echo "1..0 # SKIP $tool is not installed"; exit 0; }
done
[ "$(uname -m)" = x86_64 ] || { echo "1..0 # SKIP the table is of x86-64"; exit 0; }
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT

# "avx2 fp32 layernorm 123456" for each loop
count() {
    local isa type
    for isa in avx2 plain; do
        for type in fp32 bf16; do
            valgrind -q --tool=callgrind --callgrind-out-file="$tmp/out" "$program" --once $isa $type &>"$tmp/log" ||
                { echo "Bail out! $(tail -n 1 "$tmp/log")"; return; }
            callgrind_annotate --inclusive=yes --threshold=100 "$tmp/out" |
                sed -n "s/^ *\([0-9,]*\) .*:one_\([a-z0-9_]*\)\( .*\)*$/$isa $type \2 \1/p" | tr -d ,
        done
    done | sort -u
}

if [ "${2-}" = --write ]; then
    now=$(count)
    case $now in *"Bail out"*) echo "$now" >&2; exit 1 ;; esac
    { sed -n '/^#/p' $table | grep -v '^# gcc'; echo "# gcc $compiler"; echo "$now"; } >"$tmp/new" && cp "$tmp/new" $table
    exit
fi
[ "$(sed -n 's/^# gcc //p' $table)" = "$compiler" ] ||
    { echo "1..0 # SKIP the table is of gcc $(sed -n 's/^# gcc //p' $table), this is $compiler"; exit 0; }
now=$(count)
case $now in *"Bail out"*) echo "$now"; exit 1 ;; esac
{ grep -v '^#' $table; echo --; echo "$now"; } | awk '
    $0 == "--" { second = 1; next }
    !second { was[$1 " " $2 " " $3] = $4; next }
    { is[$1 " " $2 " " $3] = $4; if (!($1 " " $2 " " $3 in was)) was[$1 " " $2 " " $3] = 0 }
    END {
        for (k in was) {
            n++
            if (!(k in is)) print "not ok " n " - " k " is not counted any more"
            else if (!was[k]) print "not ok " n " - " k " is not in the table: " is[k] " instructions"
            else if (is[k] > 1.05 * was[k]) printf "not ok %d - %s: %d instructions, the table has %d\n", n, k, is[k], was[k]
            else print "ok " n " - " k ": " is[k] " instructions" (is[k] < 0.95 * was[k] ? ", fewer than the table has" : "")
            if (!(k in is) || !was[k] || is[k] > 1.05 * was[k]) bad = 1
        }
        print "1.." n
        exit bad
    }'
