#!/bin/bash
# Runs what uses several threads under a race detector. Prints TAP.
#
#   tests/run_threads.sh BUILD PLUGIN [NAME...]     the cases, or all
#
# BUILD is the folder of a build with SANITIZE=thread. PLUGIN is the folder of the plug-in of an emulated GPU, built without
# the detector, as one thread alone calls the GPU. Each case ends with the status that it should, while no access to memory
# races with another. The detector sees the program's own code and what libraries call of the C library; tests/tsan.supp
# says what it does not see.
set -uo pipefail
build=$(realpath "$1") plugin=$(realpath "$2") || exit 1
shift 2
cd "$(dirname "$0")/.." || exit 1
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM
unset SOURCE_DATE_EPOCH NO_COLOR MVSCOPE_MODEL ${!HF_*} XDG_CACHE_HOME
export LC_ALL=C.UTF-8 MVSCOPE_TEST_SHORT=1 IN=$folder/in TESTS=$build/tests DRIVER=$plugin ROOT=$PWD
export PATH=$folder/bin:$PWD/tests/cli:$PATH TSAN_OPTIONS="suppressions=$PWD/tests/tsan.supp history_size=4 exitcode=0"

# The detector cannot work where the kernel spreads addresses widely. setarch -R ends that, if it may.
race='#include <pthread.h>
int n;
void *add(void *of) { n++; return of; }
int main(void) { pthread_t t; return pthread_create(&t, 0, add, 0) || n++ > 1 || pthread_join(t, 0); }'
"${CC:-gcc}" -fsanitize=thread -g -pthread -o "$folder/race" -x c - <<<"$race" || exit 1
finds_races() { env TSAN_OPTIONS=exitcode=0 "$@" "$folder/race" 2>&1 | grep -q 'data race'; }
through=
if ! finds_races; then
    through='setarch -R'
    finds_races $through ||
        { echo "ok 1 - threads # SKIP the race detector does not run here: $("$folder/race" 2>&1 | head -n 1)"; exit; }
fi

mkdir -p "$folder/bin" "$folder/emulated" "$IN/photos" "$IN/mixed" "$IN/crowd" "$IN/few"
cp "$build/mvscope" "$folder/emulated/mvscope" && ln -s "$plugin/mvscope-cuda.so" "$folder/emulated" || exit 1
printf '#!/bin/sh\nexec %s "%s" "$@"\n' "$through" "$build/mvscope" >"$folder/bin/mvscope"
printf '#!/bin/sh\nLD_LIBRARY_PATH=$DRIVER exec %s "%s" -q "$@" -d cuda\n' "$through" "$folder/emulated/mvscope" >"$folder/bin/emulated"
printf '#!/bin/sh\nt=$1\nshift\nexec %s "$TESTS/$t" "$@"\n' "$through" >"$folder/bin/program"
chmod +x "$folder/bin"/*

# Pictures of all formats. Behind each of them is one that is text, empty, cut, or larger than what is allowed.
pictures() { # TO FILE...
    local to=$1 n=100 p
    shift
    for p; do
        cp "$p" "$to/$((++n)).${p##*.}"
        case $((n % 4)) in
        0) echo text >"$to/$n-bad.jpg" ;;
        1) : >"$to/$n-bad.png" ;;
        2) head -c $(($(stat -c %s "$p") / 2)) "$p" >"$to/$n-bad.${p##*.}" ;;
        3) printf 'P6 100000 100000 255\n' >"$to/$n-bad.ppm" ;;
        esac
    done
}
for p in church golf-ball parachute; do cp assets/samples/$p.jpg "$IN/photos"; done
pictures "$IN/mixed" tests/data/image/*.*
# A crowd for the readers: many files to read, of which few are pictures, as the GPU is slow in emulation.
cp "$IN/mixed/"*-bad.* "$IN/crowd"
for p in church golf-ball parachute; do cp assets/samples/$p.jpg "$IN/crowd/000-$p.jpg" && cp assets/samples/$p.jpg "$IN/crowd/900-$p.jpg"; done
pictures "$IN/few" assets/samples/*.jpg tests/data/image/grey*.jpg tests/data/image/orient-[1-4].jpg
printf 'church.jpg church\ngolf-ball.jpg golf ball\nparachute.jpg parachute\n' >"$IN/truth"

# NAME|STATUS|COMMAND of the shell, which runs in a folder of its own
small="-q -j4 --size 32"
cases=(
    "threads that decode|0|cd \$ROOT && program test_image"
    "files that are cut while threads read them|0|cd \$ROOT && program test_mapping"
    "bad pictures between|1|mvscope classify $small \$IN/mixed missing.jpg"
    "16 readers|1|emulated classify -j16 -b2 --size 32 \$IN/crowd missing.jpg"
    "16 readers with little memory|1|emulated classify -j16 -b2 --size 32 --max-memory 6M \$IN/crowd"
    "16 readers and a reader of results that leaves|141|emulated classify -j16 -b2 --size 32 \$IN/crowd | head -n 1"
    "16 readers and Ctrl-C|130|stop_after INT line:church emulated classify -j16 -b2 --size 32 \$IN/crowd"
    "pages of a GPU|1|emulated classify --explain -j16 -b2 --size 32 -o pages/ \$IN/crowd"
    "pages|1|mvscope classify $small --explain -o pages/ \$IN/few"
    "pages and Ctrl-C, and what is left|1|stop_after INT 'file:pages/*.png' mvscope classify $small --explain -o pages/ \$IN/few || mvscope classify $small --explain -o pages/ --resume \$IN/few"
    "pages and a hang-up|129|stop_after HUP 'file:pages/*.png' mvscope attention $small --level 3 -o pages/ --raw raw/ \$IN/few"
    "pages and a reader who leaves|141|mvscope explain $small -o pages/ \$IN/few | head -n 1"
    "overlays|1|mvscope explain $small --overlay maps/ --raw maps/ \$IN/few"
    "further passes|0|mvscope explain $small --method rise:n=8,occlusion:side=16,stride=16 -o pages/ \$IN/photos"
    "gradients|1|mvscope explain $small --method integrated:nodes=2,chefer,held -b4 -o pages/ \$IN/few"
    "progress on a terminal|0|on_terminal 80 mvscope explain -j4 --size 64 --method rise:n=24 -o pages/ \$IN/photos"
    "mixers|0|mvscope mixer $small --level 3 -o pages/ --raw raw/ \$IN/photos"
    "a report|0|mvscope report $small --steps 2 --seeds 1 --without heads,branches -o pages/ \$IN/photos/church.jpg \$IN/photos/parachute.jpg"
    "ablations|0|mvscope ablate $small --sweep mixers -o pages/ \$IN/photos"
    "a comparison|0|mvscope compare $small -o c.pdf --raw c.safetensors \$IN/photos/church.jpg \$IN/photos/parachute.jpg"
    "reports with an index|1|mvscope report $small --html -o pages/ \$IN/few"
    "dumps|1|for o in d.npz d.safetensors d/; do mvscope dump $small -b2 -o \$o \$IN/few; done"
    "a dump, Ctrl-C and what is left|1|stop_after INT 'file:*/*.npy' mvscope dump $small -b1 --resume -o d/ \$IN/few || mvscope dump $small -b1 --resume -o d/ \$IN/few"
    "eval|0|mvscope eval $small --faith cam --steps 5 --seeds 1 --records r --csv r.csv -o r.png --truth \$IN/truth \$IN/photos"
)

# Runs case I, and writes its TAP.
run() { # I
    local name expected command status here=$folder/case.$1
    IFS='|' read -r name expected command <<<"${cases[$1]}"
    mkdir "$here" "$here/in"
    (cd "$here/in" && TSAN_OPTIONS="$TSAN_OPTIONS log_path=$here/race" exec timeout 600 bash -o pipefail -c "$command") \
        </dev/null >"$here/out" 2>"$here/err"
    status=$?
    if [ $status = "$expected" ] && ! compgen -G "$here/race*" >/dev/null; then
        echo "ok - $name" >"$here/tap"
    else
        { echo "not ok - $name"; echo "status $status, expected $expected"; tail -n 3 "$here/err"; cat "$here"/race*; } 2>/dev/null |
            head -n 40 >"$here/tap"
    fi
    rm -rf "$here/in"
}

chosen=()
for i in "${!cases[@]}"; do
    [ $# = 0 ] && chosen+=("$i")
    for name; do [ "$name" = "${cases[i]%%|*}" ] && chosen+=("$i"); done
done
echo "1..${#chosen[@]}"
for i in "${chosen[@]}"; do
    while (($(jobs -rp | wc -l) >= $(nproc))); do wait -n; done
    run "$i" &
done
wait
for i in "${chosen[@]}"; do cat "$folder/case.$i/tap"; done
! grep -q '^not ok' "$folder"/case.*/tap
