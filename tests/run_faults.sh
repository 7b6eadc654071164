#!/bin/bash
# Runs the program while every n-th request for memory fails (fault_malloc.c).
#
#   tests/run_faults.sh PLAIN SANITIZED [NAME...]    the folders of the plain and of the sanitized build; the cases, or all
#
# For every n the program ends in one of two ways: with status 1 and a message that says so, or, where a library can do
# without the memory, with status 0 and all its work done. It never crashes, hangs or leaks. After status 1 each output is
# absent or whole: memory may end after the last byte of a page. With MVSCOPE_FAULTS=all ten times as many requests fail.
set -uo pipefail
plain=$PWD/$1 sanitized=$PWD/$2 cases=0
chosen=$(printf '%s|' "${@:3}")
[ $# -gt 2 ] || chosen=
cd "$(dirname "$0")/.." || exit 1
folder=$(mktemp -d) || exit 1
hub=
trap '[ -z "$hub" ] || kill "$hub"; rm -rf "$folder"' EXIT
. tests/case_of.sh

# Requests of these libraries do not fail, because the libraries end the process by design when memory runs out:
# std::bad_alloc passes through oneDNN's C functions and its code generator, libgomp and g_malloc abort, popt exits,
# fontconfig and jansson assert. Requests of the program, libpng, zlib, libjpeg, nettle and the C library do fail
# (those of the C library not where it works for the others: fontconfig copies names by strdup, pango starts threads).
spare=libdnnl:libgomp:libstdc++:libgcc_s:libOpenCL:libpopt:libjansson:libglib:libgobject:libgio:libpango:libharfbuzz
spare+=:libfontconfig:libfreetype:libcairo:libpixman:libfribidi:libthai:libexpat

# Is an output of a failed run as one of a run without a fault, which is in $folder/whole? `loose`: it may show other times
# or fewer pictures, and is whole if it ends as it should; a file of lines grows.
is_whole() { # HERE FILE
    cmp -s "$1/out/$2" "$folder/whole/$2" && return
    [ -n "$loose" ] && { is_complete "$1/out/$2" || { [[ $2 == *.jsonl ]] && [ ! -s "$1/out/$2" ]; }; }
}

# What is wrong with the outputs in HERE of a run that failed. `resumes`: the next run goes on with them.
wrong_outputs() { # HERE COMMAND...
    local here=$1 f
    shift
    if [ -n "$resumes" ]; then
        timeout 60 "$@" >"$here/stdout" 2>"$here/next" || echo "the next run says: $(head -c 300 "$here/next")"
        diff -r "$here/out" "$folder/whole" | head -n 3
        return
    fi
    find "$here/out" -mindepth 1 -type d -empty -printf 'left behind: %P\n'
    while read -r f; do
        is_whole "$here" "$f" || echo "not whole: $f"
    done < <(find "$here/out" -type f -printf '%P\n')
}

# Runs COMMAND in folder HERE. Request N fails; with "N+", all later ones fail, too. Prints what is wrong. OUT in an argument
# stands for the folder of the outputs.
wrong() { # HERE N COMMAND...
    local here=$1 status at=$2 command
    shift 2
    command=("${@/#OUT/$here/out}")
    command=("${command[@]/#HF_HOME=OUT/HF_HOME=$here/out}")
    rm -rf "$here"
    mkdir -p "$here/out"
    MVSCOPE_FAULT_AT=$at MVSCOPE_FAULT_COUNT=$here/count timeout 60 "${command[@]}" >"$here/stdout" 2>"$here/stderr"
    status=$?
    case $status in
    0) [ "$at" = 0 ] || diff -rq "$here/out" "$folder/whole" | grep -e "${loose:+^Only}" | head -n 2 | sed 's/^/status 0, but /' ;;
    1) # a thread cannot be started without memory, but the error of the system does not mention memory
        grep -aqE '^mvscope: .*(memory|cannot start thread)' "$here/stderr" ||
            echo "status 1, but says: $(head -c 300 "$here/stderr")"
        wrong_outputs "$here" "${command[@]}" ;;
    99) echo "sanitizer: $(grep -aE 'ERROR|SUMMARY|^    #[1-6] ' "$here/stderr" | head -n 14 | tr '\n' ' ')" ;;
    *) echo "status $status: $(tail -c 300 "$here/stderr")" ;;
    esac
}

# Prints every n if there are at most RUNS requests, else the first RUNS / 2 and then ever wider steps up to the last.
numbers() { # REQUESTS RUNS
    awk -v last="$1" -v runs="$2" 'BEGIN {
        near = last <= runs ? last : int(runs / 2)
        for (n = 1; n <= near; n++) print n
        if (near == last) exit
        k = exp(log(last / near) / (runs - near))
        for (x = near * k; x < last; x *= k) if (int(x) > n - 1) { n = int(x) + 1; print int(x) }
        print last
    }'
}

try() { # NAME RUNS COMMAND...
    local running=() name=$1 runs=$2 requests tried bad what verdict=ok workers w n
    shift 2
    [ -z "$chosen" ] || [[ "|$chosen" == *"|$name|"* ]] || return 0
    ((++cases))
    [ "${MVSCOPE_FAULTS-}" != all ] || runs=$((runs * 10))
    what=$(wrong "$folder/0" 0 "$@")
    rm -rf "$folder/whole"
    cp -a "$folder/0/out" "$folder/whole"
    requests=$(cat "$folder/0/count" 2>/dev/null)
    if [ -n "$what" ] || [ -z "$requests" ]; then
        echo "without a fault: $what"
        echo "not ok - $name"
        return
    fi
    { numbers "$requests" "$runs"; numbers "$requests" $((runs / 8)) | sed 's/$/+/'; } >"$folder/numbers"
    workers=$(nproc)
    for ((w = 0; w < workers; w++)); do
        awk "NR % $workers == $w" "$folder/numbers" | while read -r n; do
            what=$(wrong "$folder/$w" "$n" "$@")
            [ -z "$what" ] || echo "request $n of $requests: ${what//$'\n'/ }"
        done >"$folder/wrong-$w" &
        running[w]=$!
    done
    wait "${running[@]}"
    tried=$(wc -l <"$folder/numbers")
    bad=$(cat "$folder"/wrong-* | wc -l)
    if ((bad)); then
        verdict="not ok"
        cat "$folder"/wrong-* | head -n 12
        echo "$bad of $tried runs went wrong"
    fi
    echo "$verdict - $name ($tried runs over $requests requests)"
    rm -f "$folder"/wrong-*
}

picture=assets/samples/church.jpg loose='' resumes=''
preload=(env LD_PRELOAD="$plain/fault_malloc.so")
export ASAN_OPTIONS=${ASAN_OPTIONS-}:exitcode=99
"$plain/mvscope" dump -q -s levels.3.blocks.1,head -o "$folder/dump.npz" $picture || exit 1
mkdir -p "$folder/labelled/church" "$folder/labelled/golf ball"
cp $picture "$folder/labelled/church/" && cp assets/samples/golf-ball.jpg "$folder/labelled/golf ball/" || exit 1
start_hub "$plain"
"$plain/mvscope" classify --json --size 64 $picture >"$folder/answers" || exit 1
"$plain/mvscope" eval -q --size 64 --faith cam --steps 2 --seeds 1 --records "$folder/records" "$folder/labelled" >"$folder/said" ||
    exit 1
try "classify" 200 "${preload[@]}" MVSCOPE_FAULT_SPARE=$spare "$plain/mvscope" classify $picture
try "classify with a page" 150 "${preload[@]}" MVSCOPE_FAULT_SPARE=$spare:libc.so:ld-linux "$plain/mvscope" \
    classify --explain -o OUT/page.png $picture
try "an overlay as a JPEG" 120 "${preload[@]}" MVSCOPE_FAULT_SPARE=$spare:libc.so:ld-linux "$plain/mvscope" \
    classify --overlay OUT/over.jpg $picture
try "dump into a folder" 120 "${preload[@]}" MVSCOPE_FAULT_SPARE=$spare:libc.so:ld-linux "$plain/mvscope" \
    dump -s avgpool,head -o OUT/d/ $picture
try "attention as numbers" 120 "${preload[@]}" MVSCOPE_FAULT_SPARE=$spare:libc.so:ld-linux "$plain/mvscope" \
    attention --json --at 250,200 --raw OUT/ $picture
try "mixer with a page" 120 "${preload[@]}" MVSCOPE_FAULT_SPARE=$spare:libc.so:ld-linux "$plain/mvscope" \
    mixer --level 3 --audit -o OUT/page.png $picture
try "compare values with a dump" 60 "${preload[@]}" MVSCOPE_FAULT_SPARE=$spare:libc.so:ld-linux "$plain/mvscope" \
    compare --site levels.3.blocks.1,head --dump "$folder/dump.npz" -o OUT/page.png $picture
try "dump gradients" 120 "${preload[@]}" MVSCOPE_FAULT_SPARE=$spare:libc.so:ld-linux "$plain/mvscope" \
    dump --gradient --rules held --class church -s '**.mixer.y,input' -o OUT/d/ $picture
try "explain by gradients with a page" 120 "${preload[@]}" MVSCOPE_FAULT_SPARE=$spare:libc.so:ld-linux "$plain/mvscope" \
    explain --method held,hirescam -o OUT/page.png $picture
try "report with a page" 60 "${preload[@]}" MVSCOPE_FAULT_SPARE=$spare:libc.so:ld-linux "$plain/mvscope" \
    report -q --steps 2 --seeds 1 -o OUT/page.png $picture
try "a page for browsers" 120 "${preload[@]}" MVSCOPE_FAULT_SPARE=$spare:libc.so:ld-linux "$plain/mvscope" \
    report -q --html -o OUT/page.html $picture
try "ablate with a page" 60 "${preload[@]}" MVSCOPE_FAULT_SPARE=$spare:libc.so:ld-linux "$plain/mvscope" \
    ablate --sweep mixers -o OUT/page.png $picture
try "dump as .npz" 40 "${preload[@]}" MVSCOPE_FAULT_SPARE=$spare:libc.so:ld-linux "$plain/mvscope" \
    dump --size 64 -o OUT/d.npz $picture
try "dump as .safetensors" 40 "${preload[@]}" MVSCOPE_FAULT_SPARE=$spare:libc.so:ld-linux "$plain/mvscope" \
    dump --size 64 -o OUT/d.safetensors $picture
loose=1 try "eval with a page" 60 "${preload[@]}" MVSCOPE_FAULT_SPARE=$spare:libc.so:ld-linux "$plain/mvscope" \
    eval --size 64 --faith cam --steps 2 --seeds 1 --csv OUT/table.csv --records OUT/records.jsonl -o OUT/page.png \
    "$folder/labelled"
loose=1 try "bench with a page" 60 "${preload[@]}" MVSCOPE_FAULT_SPARE=$spare:libc.so:ld-linux "$plain/mvscope" \
    bench -q -b 1 --size 64 --seconds 0.01 -o OUT/page.png
# shellcheck disable=SC2016
resumes=1 try "classify goes on" 60 env MVSCOPE_FAULT_SPARE=$spare sh -c \
    '[ -s "$0/answers" ] || cp "$1" "$0/answers"; shift; LD_PRELOAD=${1%/*}/fault_malloc.so exec "$@" >>"$0/answers"' \
    OUT "$folder/answers" "$plain/mvscope" classify --resume --json --size 64 $picture assets/samples/golf-ball.jpg
resumes=1 try "pull" 60 "${preload[@]}" HF_HOME=OUT MVSCOPE_FAULT_SPARE=$spare "$plain/mvscope" pull T
if python3 tests/torch_file.py deflated assets/nano.safetensors "$folder/nano.pth" 2>/dev/null; then
    try "classify with a checkpoint of PyTorch forgets nothing" 200 "$sanitized/mvscope-fault" classify \
        -m "$folder/nano.pth" $picture
else
    ((++cases))
    echo "ok - classify with a checkpoint of PyTorch forgets nothing # SKIP NumPy is not installed"
fi
try "classify forgets nothing" 600 "$sanitized/mvscope-fault" classify $picture
try "attention with a page forgets nothing" 100 "$sanitized/mvscope-fault" attention -o OUT/page.png $picture
try "gradients forget nothing" 200 "$sanitized/mvscope-fault" explain --method held,hirescam \
    --raw OUT/a.safetensors $picture
try "compare networks forgets nothing" 100 "$sanitized/mvscope-fault" compare --with-model assets/nano.safetensors \
    --raw OUT/a.safetensors $picture
try "a page for browsers forgets nothing" 100 "$sanitized/mvscope-fault" report -q --html -o OUT/page.html $picture
try "dump forgets nothing" 60 "$sanitized/mvscope-fault" dump --size 64 -s avgpool,head -o OUT/d.npz $picture
loose=1 try "eval forgets nothing" 60 "$sanitized/mvscope-fault" eval --size 64 --faith cam --steps 2 --seeds 1 \
    --csv OUT/table.csv --records OUT/records.jsonl -o OUT/page.png "$folder/labelled"
try "records forget nothing" 200 "$sanitized/mvscope-fault" eval --merge --csv OUT/table.csv "$folder/records"
echo "1..$cases"
