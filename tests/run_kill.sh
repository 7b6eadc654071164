#!/bin/bash
# Kills the program while it writes, at random moments, and looks at what is left. Prints TAP, and a table of figures.
#
#   MVSCOPE=PROGRAM tests/run_kill.sh [NAME...]       only these commands
#
# KILL_RUNS=60 is how many kills there are in all; with KILL_OLD=1 all of them are on an old file system.
#
# For each command that writes: one run without interruption is the reference. Then it is killed, three times of four by
# SIGKILL and else by TERM, INT, HUP and QUIT in turn; every other time over the outputs of an earlier run with other
# settings; every other time on an old file system, without O_TMPFILE and RENAME_EXCHANGE, where unfinished outputs have a
# name. Right after the kill each output is whole, the earlier one or absent, and after any signal but SIGKILL nothing
# hidden is left. The next run ends well, its outputs are the reference's bytes, and nothing else is there. At last two
# runs write the same outputs at once, and one meets a full disk.
set -uo pipefail
shopt -s nullglob dotglob
cd "$(dirname "$0")/.." || exit 1

: "${MVSCOPE:=$PWD/mvscope}" "${KILL_RUNS:=60}" "${KILL_OLD:=}"
MVSCOPE=$(realpath -- "$MVSCOPE") || exit 1
export LC_ALL=C.UTF-8 MODEL=$PWD/assets/nano.safetensors HUB_DOUBLE=${MVSCOPE%/*}/tests/double_hub
unset SOURCE_DATE_EPOCH MVSCOPE_MODEL ${!HF_*} XDG_CACHE_HOME
root=$PWD
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM
mkdir "$tmp/bin" "$tmp/in" "$tmp/in/photos"
ln -s "$MVSCOPE" "$tmp/bin/mvscope"
export PATH=$tmp/bin:$root/tests/cli:$PATH IN=$tmp/in OMP_NUM_THREADS=1
for p in church golf-ball parachute; do cp "$root/assets/samples/$p.jpg" "$IN/photos"; done
cp "$IN/photos/church.jpg" "$IN/photo.jpg"
cp "$IN/photos/golf-ball.jpg" "$IN/other.jpg"
printf 'church.jpg church\ngolf-ball.jpg golf ball\nparachute.jpg parachute\n' >"$IN/truth"

# NAME|COMMAND|RESUME: words added to the next run|BEFORE: words added to the earlier run
small="-q -j1 --size 64"
cases=(
    "classify|mvscope classify $small --explain -o pages/ \$IN/photos||--theme dark"
    "classify --json|mvscope classify $small --json \$IN/photos >>answers|--resume|"
    "attention|mvscope attention $small --level 3 -o pages/ --raw raw/ \$IN/photos||--theme dark"
    "explain|mvscope explain $small --overlay maps/ --raw maps.npz \$IN/photos||--alpha 0.3"
    "mixer|mvscope mixer $small --level 3 -o m.svg --animate m.gif --raw m.safetensors \$IN/photo.jpg||--theme dark"
    "ablate|mvscope ablate $small --set levels.3.blocks.1.mixer=zero -o pages/ --raw raw/ \$IN/photos||--theme dark"
    "compare|mvscope compare $small -o c.pdf --raw c.safetensors \$IN/photo.jpg \$IN/other.jpg||--theme dark"
    "report|mvscope report $small -o pages/ \$IN/photos||--theme dark"
    "report --html|mvscope report $small --html -o pages/ \$IN/photos||--method cam"
    "report --resume|mvscope report $small -o pages/ \$IN/photos|--resume|"
    "dump .safetensors|mvscope dump $small -b1 -o d.safetensors \$IN/photos||--site head"
    "dump .npz|mvscope dump $small -b1 -o d.npz \$IN/photos||--site head"
    "dump folder/|mvscope dump $small -b1 -o d/ \$IN/photos||--site head"
    "dump --resume|mvscope dump $small -b1 --resume -o d/ \$IN/photos||--site head"
    "eval|mvscope eval $small --faith cam --steps 5 --seeds 1 --records r --csv r.csv -o r.png --truth \$IN/truth \$IN/photos >text|--resume|"
    "pull|with_hub 'repository a/b; mvscope pull -q a/b'||"
)
signals=(TERM INT HUP QUIT)

# Runs a command of the shell in a folder.
in_folder() { (cd "$1" && exec bash -c "$2") </dev/null; }

# Names and checksums of all files of a folder; links by what they are.
sums() { (cd "$1" && find . -type f ! -path '*/.locks/*' -print0 | LC_ALL=C sort -z | xargs -0r sha256sum && find . -type l -printf 'link %p %l\n' | sort); }

# What is wrong in a folder right after a kill.
wrong_after() { # FOLDER SIGNAL REFERENCE BEFORE
    local line name
    while read -r line; do
        name=${line#*  }
        case $name in
        *.partial/* | *.incomplete | ./answers | ./r | ./text | ./hub/* | link\ *) ;; # grow, by design
        ./pages/index.html) ;;                                                      # lists the pages that there are
        *.mvscope-* | *.tmp) [ "$2" = KILL ] || echo "left behind: $name" ;;
        *) grep -qxF -- "$line" "$3" "$4" || echo "neither whole nor absent: $name" ;;
        esac
    done < <(sums "$1")
    [ "$2" = KILL ] || find "$1" -name '.mvscope-*' -printf 'left behind: %P\n'
}

# What is wrong after the run that follows.
wrong_at_last() { # FOLDER REFERENCE
    diff "$2" <(sums "$1") | head -n 4
    find "$1" \( -name '.mvscope-*' -o -name '*.partial' -o -name '*.incomplete' -o -name '*.tmp' \) -printf 'left behind: %P\n'
}

# Kills one run of a case. Prints what is wrong; writes "KILLED LEFT" to $here.figures: 1 or 0 each.
kill_once() { # HERE CASE SIGNAL OVER OLD SECONDS
    local here=$1 name command resume before seconds=$6 left=0 child status start="env --default-signal=INT,QUIT"
    IFS='|' read -r name command resume before <<<"${cases[$2]}"
    rm -rf "$here" && mkdir "$here"
    [ "$5" = 0 ] || start+=" MVSCOPE_FAULT_OLD=1 LD_PRELOAD=${MVSCOPE%/*}/fault_calls.so"
    : >"$here.before"
    if [ "$4" = 1 ] && [ -d "$tmp/$2.before" ]; then
        cp -a "$tmp/$2.before/." "$here"
        sums "$here" >"$here.before"
    fi
    if [[ $command == with_hub* ]]; then
        command="with_hub 'repository a/b; $start mvscope pull -q a/b & sleep $seconds; kill -$3 \$!; wait \$!'"
        in_folder "$here" "$command" >"$here.out" 2>&1
        status=$?
    else
        (cd "$here" && exec bash -c "exec $start $command") </dev/null >"$here.out" 2>&1 & # no further process
        child=$!
        sleep "$seconds"
        kill -s "$3" $child 2>/dev/null
        wait $child 2>/dev/null
        status=$?
    fi
    wrong_after "$here" "$3" "$tmp/$2.sums" "$here.before"
    [ -z "$(find "$here" -name '.mvscope-*')" ] || left=1
    echo "$((status > 128)) $left" >"$here.figures"
    IFS='|' read -r name command resume before <<<"${cases[$2]}"
    if [[ $command == *'>>answers' || $status -gt 0 || -z $resume ]]; then
        in_folder "$here" "${command/ --size/ $resume --size}" >"$here.out" 2>&1 || echo "the next run: $(tail -n 1 "$here.out")"
    fi
    wrong_at_last "$here" "$tmp/$2.sums"
}

number=0 failed=0
verdict() { # NAME WHAT-IS-WRONG
    if [ -z "$2" ]; then
        echo "ok $((++number)) - $1"
    else
        ((failed++))
        echo "not ok $((++number)) - $1"
        head -n 12 <<<"$2" | sed 's/^/# /'
    fi
}

chosen=()
for ((i = 0; i < ${#cases[@]}; i++)); do
    [ $# = 0 ] && chosen+=("$i")
    for name; do [ "$name" = "${cases[i]%%|*}" ] && chosen+=("$i"); done
done

# The references, and how long they take.
for i in "${chosen[@]}"; do
    IFS='|' read -r name command resume before <<<"${cases[i]}"
    mkdir "$tmp/$i"
    start=$(date +%s%N)
    in_folder "$tmp/$i" "$command" >"$tmp/out" 2>&1 || verdict "$name: a run of its own" "$(tail -n 2 "$tmp/out")"
    echo $((($(date +%s%N) - start) / 1000000)) >"$tmp/$i.ms"
    sums "$tmp/$i" >"$tmp/$i.sums"
    if [ -n "$before" ]; then
        mkdir "$tmp/$i.before"
        in_folder "$tmp/$i.before" "${command/ --size/ $before --size}" >"$tmp/out" 2>&1 || verdict "$name: an earlier run" "$(tail -n 2 "$tmp/out")"
    fi
done

# The kills: number k is of case k modulo their count. Two at a time.
worker() { # WORKER
    local k i signal over old seconds
    for ((k = $1; k < KILL_RUNS; k += 2)); do
        i=${chosen[k % ${#chosen[@]}]} signal=KILL
        local turn=$((k / ${#chosen[@]}))
        ((turn % 4 == 3 || (k + turn) % 4 == 3)) && signal=${signals[(k + turn) / 4 % 4]}
        over=$(((turn + k) % 2)) old=${KILL_OLD:-$(((turn / 2 + k / 2) % 2))}
        seconds=$(awk -v ms="$(<"$tmp/$i.ms")" -v r=$RANDOM 'BEGIN { printf "%.3f", (0.1 + r / 32768) * ms / 1000 }')
        kill_once "$tmp/w$1" "$i" $signal $over $old "$seconds" >"$tmp/wrong.$k"
        echo "$i $signal $over $old $seconds $(<"$tmp/w$1.figures")" >"$tmp/done.$k"
    done
}
worker 0 2>/dev/null & worker 1 2>/dev/null & wait

printf '| %-18s %5s %6s %12s %11s %11s %6s\n' command runs killed 'by a signal' 'old system' 'hidden left' wrong
for i in "${chosen[@]}"; do
    name=${cases[i]%%|*} wrong=
    for done in "$tmp"/done.*; do
        read -r case signal over old seconds rest <"$done"
        [ "$case" = "$i" ] && [ -s "${done/done/wrong}" ] && wrong+="$signal after $seconds s, over $over, old $old: $(<"${done/done/wrong}")"$'\n'
    done
    cat "$tmp"/done.* | awk -v i="$i" -v name="$name" -v wrong="$(grep -c ' after ' <<<"$wrong")" '
        $1 == i { n++; killed += $6; soft += $6 && $2 != "KILL"; old += $6 && $4; left += $7 }
        END { printf "| %-18s %5d %6d %12d %11d %11d %6d\n", name, n, killed, soft, old, left, wrong }'
    verdict "killed: $name" "$wrong"
done

# Two at once. Journals and standard output that is appended to are one run's alone.
for i in "${chosen[@]}"; do
    IFS='|' read -r name command resume before <<<"${cases[i]}"
    [[ $command == *'>'* || $command == *--resume* || $command == with_hub* ]] && continue
    mkdir "$tmp/two"
    in_folder "$tmp/two" "$command" >"$tmp/one.out" 2>&1 & first=$!
    in_folder "$tmp/two" "$command" >"$tmp/out" 2>&1 || echo "status $?: $(tail -n 1 "$tmp/out")" >>"$tmp/two.wrong"
    wait $first || echo "status $?: $(tail -n 1 "$tmp/one.out")" >>"$tmp/two.wrong"
    wrong_at_last "$tmp/two" "$tmp/$i.sums" >>"$tmp/two.wrong"
    verdict "two at once: $name" "$(<"$tmp/two.wrong")"
    rm -rf "$tmp/two" "$tmp/two.wrong"
done

# A disk that is full in the middle: half of what the outputs take.
full() { # CASE
    local name command resume before size status
    IFS='|' read -r name command resume before <<<"${cases[$1]}"
    size=$(du -sk --apparent-size "$tmp/$1" | awk '{ print int($1 / 2) + 4 }')
    mkdir -p "$tmp/full" && mount -t tmpfs -o "size=${size}k" none "$tmp/full" || return
    [ ! -d "$tmp/$1.before" ] || cp -a "$tmp/$1.before/." "$tmp/full" 2>/dev/null || rm -rf "${tmp:?}/full"/*
    sums "$tmp/full" >"$tmp/full.before"
    in_folder "$tmp/full" "$command" >"$tmp/full.out" 2>&1
    status=$?
    ((status == 1)) || echo "status $status, expected 1"
    grep -q 'No space left on device\|free, expected' "$tmp/full.out" || echo "says: $(tail -n 1 "$tmp/full.out")"
    wrong_after "$tmp/full" TERM "$tmp/$1.sums" "$tmp/full.before"
}
if unshare -rm true 2>/dev/null; then
    export -f full wrong_after sums in_folder
    for i in "${chosen[@]}"; do
        [[ ${cases[i]} == *'>'* || ${cases[i]} == *with_hub* ]] && continue
        verdict "a full disk: ${cases[i]%%|*}" "$(tmp=$tmp unshare -rm bash -c "$(declare -p cases); full $i" 2>&1)"
    done
else
    echo "ok $((++number)) - a full disk # SKIP no file system can be mounted here"
fi
echo "1..$number"
exit $((failed > 0))
