#!/bin/bash
# Runs the program while every n-th request for memory fails (fault_malloc.c).
#
#   tests/run_faults.sh PLAIN SANITIZED      the folders of the plain and of the sanitized build
#
# For every n the program ends in one of two ways: with status 1, a message that says so and no file left behind, or, where
# a library can do without the memory, with status 0 and all its work done. It never crashes, hangs or leaks.
set -uo pipefail
plain=$PWD/$1 sanitized=$PWD/$2
cd "$(dirname "$0")/.." || exit 1
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT

# Requests of these libraries do not fail, because the libraries end the process by design when memory runs out:
# std::bad_alloc passes through oneDNN's C functions and its code generator, libgomp and g_malloc abort, popt exits,
# fontconfig and jansson assert. Requests of the program, libpng, zlib, libjpeg, nettle and the C library do fail
# (those of the C library not where it works for the others: fontconfig copies names by strdup, pango starts threads).
spare=libdnnl:libgomp:libstdc++:libgcc_s:libOpenCL:libpopt:libjansson:libglib:libgobject:libgio:libpango:libharfbuzz
spare+=:libfontconfig:libfreetype:libcairo:libpixman:libfribidi:libthai:libexpat

# Runs COMMAND in folder HERE. Request N fails; with "N+", all later ones fail, too. Prints what is wrong. OUT in an argument
# stands for the folder of the outputs.
wrong() { # HERE N COMMAND...
    local here=$1 status at=$2
    shift 2
    rm -rf "$here"
    mkdir -p "$here/out"
    MVSCOPE_FAULT_AT=$at MVSCOPE_FAULT_COUNT=$here/count timeout 60 "${@/#OUT/$here/out}" >"$here/stdout" 2>"$here/stderr"
    status=$?
    case $status in
    0) [[ $* != *OUT/page.png* || -s $here/out/page.png ]] && [[ $* != *OUT/page.html* || -s $here/out/page.html ]] ||
        echo "status 0, but no page" ;;
    1) # a thread cannot be started without memory, but the error of the system does not mention memory
        grep -aqE '^mvscope: .*(memory|cannot start thread)' "$here/stderr" ||
            echo "status 1, but says: $(head -c 300 "$here/stderr")"
        [ -z "$(ls -A "$here/out")" ] || echo "left behind: $(ls -A "$here/out")" ;;
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
    what=$(wrong "$folder/0" 0 "$@")
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

picture=assets/samples/church.jpg
preload=(env LD_PRELOAD="$plain/fault_malloc.so")
export ASAN_OPTIONS=${ASAN_OPTIONS-}:exitcode=99
"$plain/mvscope" dump -q -s levels.3.blocks.1,head -o "$folder/dump.npz" $picture || exit 1
echo 1..20
try "classify" 300 "${preload[@]}" MVSCOPE_FAULT_SPARE=$spare "$plain/mvscope" classify $picture
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
if python3 tests/torch_file.py deflated assets/nano.safetensors "$folder/nano.pth" 2>/dev/null; then
    try "classify with a checkpoint of PyTorch forgets nothing" 300 "$sanitized/mvscope-fault" classify \
        -m "$folder/nano.pth" $picture
else
    echo "ok - classify with a checkpoint of PyTorch forgets nothing # SKIP NumPy is not installed"
fi
try "classify forgets nothing" 1000 "$sanitized/mvscope-fault" classify $picture
try "attention with a page forgets nothing" 100 "$sanitized/mvscope-fault" attention -o OUT/page.png $picture
try "gradients forget nothing" 200 "$sanitized/mvscope-fault" explain --method held,hirescam \
    --raw OUT/a.safetensors $picture
try "compare networks forgets nothing" 100 "$sanitized/mvscope-fault" compare --with-model assets/nano.safetensors \
    --raw OUT/a.safetensors $picture
try "a page for browsers forgets nothing" 100 "$sanitized/mvscope-fault" report -q --html -o OUT/page.html $picture
