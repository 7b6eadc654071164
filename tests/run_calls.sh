#!/bin/bash
# Runs the program while calls to the system go wrong one by one (fault_calls.c).
#
#   tests/run_calls.sh BUILD [NAME...]      the folder of the plain build; the cases, or all
#
# Each run ends in one of two ways: with status 0 and all its work done, the same bytes as if nothing had happened, or with
# status 1, a message that gives the error's own words, and every file as it was or as it should become. It never crashes,
# hangs or leaves a temporary. An interrupted call or one that moves less than was asked for is never a failure.
#
# In the short form, the first call of each place of the program fails in one case, and that call and all later ones of its
# name in another; in each case the last of several files fails that one place opens, which may be one that was read before;
# and calls fail that are spread over each run, most of them near its end, where outputs are finished. With
# MVSCOPE_FAULTS=all each call of each case fails, on files that exist and that do not, on an old file system and a new one.
# Lines that begin with a bar are a table: of each case, the runs that were tried and those that ended well.
set -uo pipefail
build=$(realpath "$1") || exit 1
shift
cd "$(dirname "$0")/.." || exit 1
folder=$(mktemp -d) || exit 1
hub=
trap '[ -z "$hub" ] || kill "$hub"; rm -rf "$folder"' EXIT
. tests/case_of.sh

run() { # HERE FAULTS... -- COMMAND...    runs COMMAND in HERE; its status
    local here=$1 faults=()
    shift
    while [ "$1" != -- ]; do faults+=("$1") && shift; done
    shift
    : >>"$here/stdout"
    (cd "$here" && exec timeout -k 5 "${MVSCOPE_FAULTS:+1}30" env "${faults[@]}" "$@" >>"${answers:-stdout}" 2>stderr </dev/null)
}

begin() { # HERE TARGET    an empty folder out, or with what an earlier run wrote
    rm -rf "$1"
    mkdir -p "$1/out"
    if [ "$2" = there ]; then cp -a "$folder/$name.old/." "$1/out/"; fi
}

# Is file F of a run that failed as it should be: as it was, as it becomes, or growing?
is_sound() { # HERE TARGET F
    local was=$folder/none part
    [ "$2" = there ] && was=$folder/$name.old
    for part in "$folder/$name.part"-*; do # of several pictures one failed
        cmp -s "$1/out/$3" "$part/out/$3" && return
    done
    # a list of pages names those that there are
    [[ $3 == */index.html && $(tail -n 1 "$1/out/$3") == "</html>" ]] && return
    cmp -s "$1/out/$3" "$was/$3" || cmp -s "$1/out/$3" "$folder/$name.new/out/$3" && return
    [[ $smaller == *" $3 "* ]] && is_complete "$1/out/$3" && return
    [[ $grows == *" $3 "* ]] || return
    [ -s "$1/out/$3" ] || return 0
    cmp -s -n "$(stat -c %s "$1/out/$3")" "$1/out/$3" "$folder/$name.new/out/$3"
}

# The names of what is not an output yet, or not any more.
aside=('(' -name '.mvscope-*' -o -name 'earlier-dump-*' ')')

# Do the messages say where what is left of an earlier run is now?
is_told() { # HERE
    local left
    left=$(cd "$1" && find out -maxdepth 1 "${aside[@]}")
    [ -n "$left" ] && grep -aqF "is left in $left" "$1/stderr"
}

# Was a folder or file not found, so that another list of pictures is worked on? Records are of one list.
is_unlisted() { # HERE WORDS
    [ -n "$resumes" ] && grep -qF "cannot be read: $2" "$1/stderr"
}

# Lines of a file that grows are in another order if a picture fails and is tried again.
sort_lines() { # FOLDER
    local f
    for f in $grows; do
        [ ! -f "$1/$f" ] || LC_ALL=C sort -o "$1/$f" "$1/$f"
    done
}

# What is wrong with the run in HERE that ended with STATUS, as HOW said.
judge() { # HERE TARGET HOW STATUS COMMAND...
    local here=$1 target=$2 how=$3 status=$4 call="" words="" f left
    shift 4
    [ -s "$here/said" ] && { read -r call && read -r words; } <"$here/said"
    case $status in
    0)
        [ -n "$varies" ] || cmp -s "$here/stdout" "$folder/$name.new/stdout" || echo "status 0, but says something else"
        [ -n "$varies" ] || diff -rq -x '.mvscope-*' -x 'earlier-dump-*' "$here/out" "$folder/$name.new/out" >"$here/diff" ||
            echo "status 0, but $(head -n 2 "$here/diff")" ;;
    1)
        [[ $how != interrupted && $how != short ]] || echo "status 1: $(head -c 200 "$here/stderr")"
        [[ $words == "Cannot allocate memory" ]] && words+=$'\nout of memory'
        [[ $call == pthread_create* ]] && words="cannot start thread"
        grep -aqF "${words:-?}" "$here/stderr" || echo "status 1 after $words, but says: $(head -c 300 "$here/stderr")"
        while read -r f; do
            [[ $f == *.partial/* || $f == *.incomplete || $f == *.lock ]] && [ -n "$resumes" ] && continue
            [ -n "$varies" ] && [ -s "$here/out/$f" ] && continue
            is_sound "$here" "$target" "$f" || echo "status 1, and $f is neither as it was nor whole"
        done < <(cd "$here/out" && find . "${aside[@]}" -prune -o -type f -printf '%P\n')
        if [ "$target" = there ]; then
            while read -r f; do
                [ -f "$here/out/$f" ] || is_told "$here" || echo "status 1, and $f is gone"
            done < <(cd "$folder/$name.old" && find . -type f -printf '%P\n')
        fi
        if [ -n "$resumes" ]; then
            [[ $call =~ ^(lstat|scandir) ]] && is_unlisted "$here" "$words" && return
            run "$here" -- "$@"
            sort_lines "$here/out"
            diff -rq -x 'earlier-dump-*' "$here/out" "$folder/$name.next" >"$here/diff" ||
                echo "the next run differs: $(head -n 2 "$here/diff") $(head -c 200 "$here/stderr")"
        fi ;;
    2) is_unlisted "$here" "${words:-?}" && grep -qF "is of another run" "$here/stderr" ||
        echo "status 2: $(tail -c 300 "$here/stderr")" ;;
    *) echo "status $status: $(tail -c 300 "$here/stderr")" ;;
    esac
    left=$(find "$here/out" "${aside[@]}")
    # what could not be removed is removed by the next run, or told
    [[ -z $left || $call =~ ^(unlink|rmdir|getdents) ]] || is_told "$here" || echo "left behind: $left"
}

attempt() { # HERE TARGET SYSTEM HOW N COMMAND...
    local here=$1 target=$2 system=$3 how=$4 n=$5 old=()
    shift 5
    [ "$system" = old ] && old=(MVSCOPE_FAULT_OLD=1)
    begin "$here" "$target"
    run "$here" "${old[@]}" LD_PRELOAD="$build/fault_calls.so" MVSCOPE_FAULT_AS="$how" MVSCOPE_FAULT_AT="$n" \
        MVSCOPE_FAULT_COUNT="$here/count" MVSCOPE_FAULT_SAID="$here/said" -- "$@"
    judge "$here" "$target" "$how" $? "$@"
}

# The numbers of the calls that are to fail, from the calls of an undisturbed run.
points() { # HOW COUNT
    awk -v how="$1" -v all="${MVSCOPE_FAULTS-}" -v seen="$folder/seen" '
        BEGIN { while ((getline line <seen) > 0) tried[line]++ }
        {
            place = how " " $0
            first = !(place in last)
            if (!first && $1 ~ /^open/) again[place]
            last[place] = NR
            if (all) {
                print NR
                if (first) print NR "+"
            } else if (first && tried[place] < 2) {
                print NR (tried[place] ? "+" : "") # one fails, and in another case all further ones
                print place >>seen
            }
        }
        END {
            if (!all && how ~ /^(error|full)$/)
                for (step = 1; step <= NR; step *= 3) print NR + 1 - step
            if (!all && how == "error")
                for (place in again) print last[place]
        }' "$2" | sort -u
}

# One case. `setup` makes what an earlier run wrote, in its folder; `varies`: two runs differ; `resumes`: what an unfinished
# run leaves is taken up by the next; `grows`: files that are written line by line; `smaller`: files that are complete
# without a picture that fails; `answers`: the file that standard output is appended to; `either`: arguments of which one
# may fail, and then the outputs are those of a run without it.
try() { # NAME COMMAND...
    name=$1
    shift
    ((${#chosen[@]})) && [[ " ${chosen[*]} " != *" $name "* ]] && return
    local running=() how system target what workers w n a word left tried=0 bad=0 verdict=ok
    workers=$(nproc)
    mkdir -p "$folder/$name.old"
    (cd "$folder/$name.old" && eval "$setup") >/dev/null 2>&1
    begin "$folder/$name.new" none
    if ! run "$folder/$name.new" -- "$@"; then
        head -c 300 "$folder/$name.new/stderr"
        ((cases++))
        echo "not ok - $name: does not run"
        return
    fi
    cp -a "$folder/$name.new/out" "$folder/$name.next"
    sort_lines "$folder/$name.next"
    for a in "${either[@]}"; do
        begin "$folder/$name.part-${a##*/}" none
        left=()
        for word; do [ "$word" = "$a" ] || left+=("$word"); done
        run "$folder/$name.part-${a##*/}" -- "${left[@]}"
    done
    ((cases++))
    : >"$folder/wrong"
    for way in ${MVSCOPE_FAULTS:+error:none:old error:there:new full:none:new} error:none:new full:there:old \
        interrupted:there:new short:none:old; do
        IFS=: read -r how target system <<<"$way"
        what=$(attempt "$folder/0" "$target" "$system" "$how" 0 "$@")
        [ -z "$what" ] || echo "$way, without a fault: $what" >>"$folder/wrong"
        points "$how" "$folder/0/count" >"$folder/points"
        tried=$((tried + $(wc -l <"$folder/points")))
        for ((w = 0; w < workers; w++)); do
            awk "NR % $workers == $w" "$folder/points" | while read -r n; do
                what=$(attempt "$folder/$w" "$target" "$system" "$how" "$n" "$@")
                [ -z "$what" ] || echo "$way, call $n ($(head -n 1 "$folder/$w/said")): ${what//$'\n'/; }"
            done >"$folder/wrong-$w" &
            running[w]=$!
        done
        wait "${running[@]}"
        cat "$folder"/wrong-* >>"$folder/wrong"
        rm "$folder"/wrong-*
    done
    bad=$(wc -l <"$folder/wrong")
    if ((bad)); then
        verdict="not ok"
        head -n 40 "$folder/wrong"
    fi
    printf '| %-24s %5d tried %5d survived\n' "$name" "$tried" $((tried - bad))
    echo "$verdict - $name"
    rm -rf "$folder/$name".*
}

# --- What the cases read
samples=$PWD/assets/samples model=$PWD/assets/nano.safetensors mvscope=$build/mvscope
picture=$samples/church.jpg other=$samples/golf-ball.jpg
chosen=("$@") cases=0
mkdir -p "$folder/none" "$folder/in/labelled/church" "$folder/in/labelled/golf ball"
cp "$picture" "$folder/in/labelled/church/" && cp "$other" "$folder/in/labelled/golf ball/" || exit 1
for class in 0 1 2 3; do # a grid takes pictures of four classes
    mkdir -p "$folder/in/four/$class" && cp "$picture" "$folder/in/four/$class/$class.jpg" || exit 1
done
"$mvscope" dump -q -s levels.3.blocks.1,head -o "$folder/in/dump.npz" "$picture" || exit 1
"$mvscope" dump -q -s input -o "$folder/in/input.npy" "$picture" || exit 1
start_hub "$build"
python3 tests/torch_file.py deflated assets/nano.safetensors "$folder/in/nano.pth" 2>/dev/null
python3 tests/torch_file.py shards assets/nano.safetensors "$folder/in/shards" 2>/dev/null

file() { setup="for f in $*; do echo old >\$f; done" varies='' resumes='' grows='' smaller='' answers='' either=(); }

# --- The cases
file page.png
try classify-page "$mvscope" classify --explain -o out/page.png "$picture"
file page.svg a.safetensors
try attention-svg "$mvscope" attention --json --at 250,200 --raw out/a.safetensors -o out/page.svg "$picture"
file page.pdf
try mixer-pdf "$mvscope" mixer --level 3 --block 0 -o out/page.pdf "$picture"
file page.png m.safetensors
try explain-page "$mvscope" explain --method held,hirescam --raw out/m.safetensors -o out/page.png "$picture"
file page.png a.safetensors
try ablate-page "$mvscope" ablate --sweep mixers --raw out/a.safetensors -o out/page.png "$picture"
file page.png
try compare-page "$mvscope" compare --site levels.3.blocks.1,head --dump "$folder/in/dump.npz" -o out/page.png "$picture"
file page.png
try report-page "$mvscope" report -q --steps 2 --seeds 1 -o out/page.png "$picture"
file page.html
try report-html "$mvscope" report -q --html -o out/page.html "$picture"
file over.jpg
try overlay "$mvscope" classify --overlay out/over.jpg "$picture"
file pages/church-classify.png
try pages-in-a-folder "$mvscope" classify --json --explain --size 64 -o out/pages/ "$samples"
file
setup="'$mvscope' classify --json --size 64 '$picture' >answers; head -c 20 answers >torn; cat torn >>answers; rm torn"
answers=out/answers grows=" answers " smaller=" answers " resumes=1
try answers-resume "$mvscope" classify --resume --json --size 64 "$picture" "$other"
file d.npz
either=("$picture" "$other")
try dump-npz "$mvscope" dump --size 64 -s levels.3,head -o out/d.npz "$picture" "$other"
file d.npy
either=("$picture" "$other")
try dump-npy "$mvscope" dump --size 64 -s head -o out/d.npy "$picture" "$other"
file d.safetensors
try dump-safetensors "$mvscope" dump --size 64 --gradient --class church -s '**.mixer.y,input' -o out/d.safetensors "$picture"
file
setup="'$mvscope' dump --size 64 -s head -o d/ '$other'"
try dump-folder "$mvscope" dump --size 64 -s avgpool,head -o out/d/ "$picture"
file d.npz
resumes=1
either=("$picture" "$other")
try dump-resume "$mvscope" dump --resume --size 64 -b 1 -s head -o out/d.npz "$picture" "$other"
file page.png table.csv
grows=" records.jsonl " smaller=" records.jsonl table.csv page.png "
try eval "$mvscope" eval --size 64 --faith cam --steps 2 --seeds 1 --csv out/table.csv --records out/records.jsonl \
    -o out/page.png "$folder/in/labelled"
file page.png
setup+="; '$mvscope' eval --size 64 --records records.jsonl '$folder/in/labelled'; sed -i '3,\$d' records.jsonl"
resumes=1 grows=" records.jsonl " smaller=" records.jsonl page.png "
try eval-resume "$mvscope" eval --resume --size 64 --records out/records.jsonl -o out/page.png "$folder/in/labelled"
file table.csv
smaller=" table.csv "
try eval-grid "$mvscope" eval --faith cam --steps 1 --without road,random --csv out/table.csv "$folder/in/four"
file pages/church.png
smaller=" pages/eval.png "
try eval-json "$mvscope" eval --json --size 64 -o out/pages/ "$folder/in/labelled"
file page.png
varies=1
try bench-page "$mvscope" bench -q -b 1 --size 64 --seconds 0.01 -o out/page.png
file
resumes=1
try pull env HF_HOME=out "$mvscope" pull T --json
file
try read-a-folder "$mvscope" classify --json "$folder/in/labelled"
file
try read-values "$mvscope" classify --json "$folder/in/input.npy"
file
try read-safetensors "$mvscope" classify --json -m "$model" "$picture"
if [ -s "$folder/in/nano.pth" ]; then
    file
    try read-pth "$mvscope" classify --json -m "$folder/in/nano.pth" "$picture"
    file
    try read-shards "$mvscope" classify --json -m "$folder/in/shards" "$picture"
elif ((!${#chosen[@]})) || [[ ${chosen[*]} == *read-@(pth|shards)* ]]; then
    ((cases++))
    echo "ok - checkpoints of PyTorch # SKIP NumPy is not installed"
fi
echo "1..$cases"
