#!/bin/bash
# Runs the program MVSCOPE under memcheck: no access out of bounds, no decision on uninitialized memory, no leak.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT

clean() { # NAME ARGUMENTS...
    local name=$1 log=$folder/$1.log
    shift
    if valgrind --quiet --error-exitcode=9 --leak-check=full --show-leak-kinds=definite \
        --errors-for-leak-kinds=definite --num-callers=20 "$MVSCOPE" "$@" >"$log" 2>&1; then
        echo "ok - $name"
    else
        head -n 60 "$log"
        echo "not ok - $name"
    fi
}

picture=assets/samples/church.jpg
echo 1..5
clean "classify" classify $picture &
(($(nproc) > 1)) || wait
clean "classify with a page" classify --explain -o "$folder/church.png" $picture &
wait -n
clean "attention with a page" attention -o "$folder/attention.png" $picture &
wait -n
clean "mixer with a film" mixer --level 3 --audit --matrix -o "$folder/mixer.png" --animate "$folder/scan.gif" $picture &
wait -n
clean "dump that can be resumed" dump -b 2 -s avgpool --resume -o "$folder/d.npz" assets/samples &
wait
