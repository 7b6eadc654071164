#!/bin/bash
# Runs the program with random command lines: a sanitized build, which overlooks nothing. Prints TAP and a table of figures.
#
#   MVSCOPE=PROGRAM tests/run_argv.sh [FIRST [LAST]]    ARGV_RUNS=240 is how many lines there are, ARGV_SEED=1 which ones
#
# A line depends on the seed, its number and what the program says of its options, on nothing else. With FIRST only these
# lines run, and what they print is shown: so a failure is repeated by its number.
#
# Commands, examples, options, ranges and words are the program's own, from --help and from what it offers to a shell, so
# a new option is covered by itself. Most lines are examples with some words changed, the others are put together. Values
# are valid, at an end of their range, outside, or fit nowhere. Inputs are pictures, dumps and models, empty or cut files,
# devices, links to themselves, pipes, and names that somebody else chose. Standard input is a picture, nothing or closed;
# standard output is a file, a full disk, a reader that leaves, or closed. Two lines of three are meant to be valid: one that
# is refused for an option runs again without it.
#
# A line that was not refused runs again with standard output in a file that it reads or writes, which must be refused, and
# that file must stay. The table counts such runs as shared.
#
# Whatever the line: its status is one of the manual's, and a message says why; nothing is printed that acts on a
# terminal; nothing hidden is left; no file changes but an output; with status 2 nothing was done. A line that takes longer
# than 8 s gets SIGTERM, and 10 s later SIGHUP, by one of which it ends; one that only waits, without computing, fails.
set -uo pipefail
shopt -s nullglob dotglob
cd "$(dirname "$0")/.." || exit 1

: "${MVSCOPE:=$PWD/build/gcc-address-undefined/mvscope}" "${ARGV_RUNS:=240}" "${ARGV_SEED:=1}"
MVSCOPE=$(realpath -- "$MVSCOPE") || exit 1
unset SOURCE_DATE_EPOCH NO_COLOR XDG_CACHE_HOME
workers=$(nproc) # before OMP_NUM_THREADS, which it obeys
folder=$(mktemp -d) || exit 1
hub=
trap '[ -z "$hub" ] || kill "$hub"; rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM
. tests/case_of.sh
start_hub "${MVSCOPE%/*}"
export LC_ALL=C.UTF-8 OMP_NUM_THREADS=1
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:allocator_may_return_null=1}:exitcode=99:max_allocation_size_mb=1024
export UBSAN_OPTIONS=print_stacktrace=1:exitcode=99 LSAN_OPTIONS=suppressions=$PWD/tests/lsan.supp:print_suppressions=0

# --- What the program says of itself. Of an option, KIND is flag, values or files.
commands=()
declare -A operands examples options letter kind own beyond offered exemplary fitting
good_outputs=(o.png o.svg o.pdf o.npz o.npy o.safetensors o.gif o.jpg o.csv o.jsonl o.html o/ new/)

# Sets the words for an option from the range in its help text: its ends and what is inside, and what is beyond.
set_range() { # OPTION HELP
    [[ $2 =~ \((-?[0-9.e+]+)\ to\ (-?[0-9.e+]+)[\;\)] ]] || return 0
    local from=${BASH_REMATCH[1]} to=${BASH_REMATCH[2]}
    own[$1]=$from$'\n'$to beyond[$1]="-$from ${from}00000 ${to}1 1e$to"
    [[ $from == *.* || $((from + 3)) -gt $to ]] || own[$1]+=$'\n'$((from + 1))$'\n'$((from + 3)) beyond[$1]+=" $((from - 1))"
}

# Sets the names of outputs that an option takes, if its help says that.
set_endings() { # OPTION HELP
    local output
    for output in "${good_outputs[@]}"; do
        [[ $output == */ && $2 == *FOLDER/* || $output != */ && $2 == *".${output#*.}"* ]] || continue
        fitting[$1]+="$output "
    done
}

# The long name of an option, or nothing.
name_of() { # COMMAND OPTION
    local name
    for name in ${options[$1]}; do
        [[ $2 == @("$name"|"-${letter[$1 $name]:-none}") ]] && REPLY=$name && return
    done
    REPLY=''
}

# Adds the values that examples give to an option.
learn_examples() { # COMMAND
    local line name word words
    while IFS= read -r line; do
        set -f
        eval "words=($line)"
        set +f
        name=''
        for word in "${words[@]}"; do
            [[ -z $name || -z ${kind[$1 $name]} || $'\n'${exemplary[$name]-}$'\n' == *$'\n'"$word"$'\n'* ]] ||
                exemplary[$name]+=${exemplary[$name]+$'\n'}$word
            name_of "$1" "$word"
            name=$REPLY
        done
    done <<<"${examples[$1]%$'\n'}"
}

# Adds what a shell is offered for an option; it is the same for all commands that share it.
offers() { # COMMAND NAME HELP
    local what=${offered[$2 $3]-}
    if [ -z "$what" ]; then
        what=$("$MVSCOPE" completion next -- "$1" "$2" "" 2>/dev/null | cut -f1 | head -n 60)
        offered[$2 $3]=$what
    fi
    [[ $what != files* ]] || kind[$1 $2]=files
    [[ $what != *$'\n'* ]] || own[$1 $2]+=${own[$1 $2]+$'\n'}${what#*$'\n'}
}

learn() { # COMMAND
    local c=$1 line at='' name help
    while IFS= read -r line; do
        if [[ $line == usage:* ]]; then
            operands[$c]=${line#*"[OPTIONS]"}
        elif [[ $line == Examples ]]; then
            at=examples
        elif [[ $at == examples && $line == "  mvscope "* ]]; then
            line=${line#"  mvscope "}
            examples[$c]+=${line%% > *}$'\n'
        elif [[ $line =~ ^\ \ (-(.),\ |\ \ \ \ )--([a-z0-9-]+)(\ ([^\ ]+))?\ \ +(.*)$ ]]; then
            name=--${BASH_REMATCH[3]} help=${BASH_REMATCH[6]}
            letter[$c $name]=${BASH_REMATCH[2]} kind[$c $name]=${BASH_REMATCH[5]:+values}
            options[$c]+="$name "
            set_endings "$c $name" "${BASH_REMATCH[5]} $help"
            [ -z "${kind[$c $name]}" ] || { set_range "$c $name" "$help"; offers "$c" "$name" "$help"; }
        fi
    done < <("$MVSCOPE" "$c" --help)
}

while read -r name _; do
    commands+=("$name")
    learn "$name"
done < <("$MVSCOPE" --help | sed -n '/^Commands/,/^$/s/^  //p')
for name in "${commands[@]}"; do learn_examples "$name"; done
mapfile -t methods < <("$MVSCOPE" methods | awk ' # METHOD, and METHOD:PARAMETER= for each of its parameters
    /^[a-z]/ { print name = $1; params = 0; next }
    $1 == "params" { params = 1; sub(/params/, "") }
    params && match($1, /^[a-z]+=/) { print name ":" substr($1, 1, RLENGTH) }')
((${#commands[@]} > 10 && ${#methods[@]} > 5)) || { echo "Bail out! the help of $MVSCOPE cannot be read"; exit 1; }

# --- What the lines read, copied for each of them
room=$folder/room samples=assets/samples
mkdir -p "$room"/{photos,names,classes/church,"classes/golf ball",marks,deep/er} || exit 1
cp tests/data/image/colour.jpg "$room/photo.jpg"
cp $samples/church.jpg $samples/golf-ball.jpg tests/data/image/{halved.jpg,bits.png,alpha.tga,moving.gif} "$room/photos"
head -c 20000 $samples/church.jpg >"$room/photos/cut.jpg"
cp tests/data/image/colour.jpg "$room/classes/church" && cp tests/data/image/grey.jpg "$room/classes/golf ball"
cp tests/data/boxes/* tests/data/config/timm.json tests/data/cli/*.png "$room"
cp tests/data/image/bits.png "$room/marks/church.png"
"$MVSCOPE" dump -q --size 64 -s input -o "$room/input.safetensors" "$room/photo.jpg" &&
    "$MVSCOPE" dump -q --size 64 -s input -o "$room/input.npy" "$room/photo.jpg" &&
    "$MVSCOPE" dump -q --size 64 -s levels.3,head -o "$room/hook.npz" "$room/photo.jpg" &&
    "$MVSCOPE" dump -q --size 64 -s head -o "$room/hook.d/" "$room/photo.jpg" || exit 1
for name in "$room"/photos/*; do echo "${name##*/} church"; done >"$room/truth.txt"
for i in 1 2; do # records
    "$MVSCOPE" eval -q --size 64 --shard $i/2 --records "$room/$i.jsonl" "$room/classes" >"$folder/said" 2>&1 || exit 1
done
: >"$room/empty"
: >"$room/empty.jpg"
for name in hook.npz input.npy input.safetensors 1.jsonl coco.json photos/church.jpg; do
    head -c $(($(stat -c %s "$room/$name") * 2 / 3)) "$room/$name" >"$room/cut.${name##*.}"
done
head -c 3000 assets/nano.safetensors >"$room/cut-model.safetensors"
cp assets/nano.safetensors "$room"
ln -s loop "$room/loop" && ln -s nowhere "$room/dangling" && ln -s .. "$room/deep/er/up" && ln -s ../photos "$room/deep/photos"
mkfifo "$room/pipe"
hostile=($'csi \e[31m.jpg' $'row\nmvscope: done.jpg' $'turned \u202egpj.jpg' $'c1 \xc2\x9b31m.jpg' $'cut \xe2\x82.jpg'
    $'invalid \xff\xfe.jpg' $'bell\a.jpg' '%s%n%1$s.jpg' '-q' '<script>alert(1)<!--.jpg' '  blanks  .jpg' "quotes \"'.jpg")
for name in "${hostile[@]}"; do cp tests/data/image/grey.jpg "$room/names/$name"; done
(cd "$room" && find . -type f -print0 | xargs -0 sha256sum) >"$folder/sums"
sum_of() { sha256sum <"$1"; }
things() { (cd "$1" && find . | wc -l); }

# --- Words
good_inputs=(photo.jpg photos photos/ photos/church.jpg input.safetensors input.npy hook.npz classes truth.txt 1.jsonl coco.json)
inputs=("${good_inputs[@]}" photos/ hook.d names bits.png nano.safetensors T - missing.jpg '' . empty empty.jpg cut.jpg cut.npz cut.npy cut.safetensors cut.jsonl cut.json
    cut-model.safetensors timm.json 2.jsonl marks loop dangling deep pipe vast.png bomb.png
    /dev/null /dev/zero /dev/full /dev/fd/99 /proc/self/mem /proc/self/fd photo.jpg/x photos/../photo.jpg ./photo.jpg)
for name in "${hostile[@]}"; do inputs+=("names/$name"); done
outputs=("${good_outputs[@]}" o photos/ new/o.png new/er/ .png o.PNG
    - '' / . .. photo.jpg input.npy hook.npz hook.d hook.d/ classes empty loop dangling pipe /dev/null /dev/full /dev/stdout
    missing/x.png photo.jpg/x.png nano.safetensors/ "${hostile[0]}" "${hostile[1]}" "$(printf 'n%.0s' {1..300}).png")
numbers=(0 1 2 3 7 -1 0.5 1.5 1e3 1e-9 07 0x10 nan inf -inf 1e400 2147483647 2147483648 -2147483649 9223372036854775808
    99999999999999999999 1M 1K 3G 1T ' 2' '2 ' +2 1,1 0,0 -1,-1 999999,999999 32 64 64x48 32x32 16384x16384 64x 1/2 2/2 2/1 0/0
    1/100000)
texts=('' '**' '*' head input norm,avgpool,head 'levels.*' 'levels.3.**.attn' '**.attn[head=0]' 'levels.3.blocks.1.mixer=zero'
    'levels.2.blocks.*.mixer.v[head=1]=mean' 'head=1e400' '=' ':' , ,, '[' '[a-' '[]]' '[!]' church 'golf ball' top second 3 10
    all mean received '-' -- --bogus --output= "$(printf '?%.0s' {1..200})" "$(printf '*%.0s' {1..500})"
    "$(printf 'x%.0s' {1..5000})" "$(printf 'a/%.0s' {1..2000})" "$(printf '1,%.0s' {1..200})" '%s%n' '$(touch x)' $'a\e[31mb' $'a\nb'
    $'\xff' $'\u202e')

writes='@(--output|-o|--raw|--overlay|--animate|--csv|--records)' # the options that name an output

roll() { REPLY=$((RANDOM % $1)); } # 0 to $1 - 1
one_of() { REPLY=${*:RANDOM % $# + 1:1}; }

# A word for an option of a command that takes one; `wild`: it may fit nowhere.
value_of() { # COMMAND NAME
    local mine method
    mapfile -t mine <<<"${own[$1 $2]-}"
    roll 10
    if ((wild && REPLY < 2)); then
        any_word
    elif [[ $wild == 1 && $REPLY -lt 5 && ${beyond[$1 $2]-} ]]; then
        one_of ${beyond[$1 $2]}
    elif [[ $2 == --method && $REPLY -lt 8 ]]; then
        one_of "${methods[@]}"
        method=$REPLY
        [[ $method != *= ]] || { one_of "${numbers[@]}" gradient held levels.2; method+=$REPLY; }
        REPLY=$method
    elif [[ ${kind[$1 $2]} == files && $2 == $writes ]]; then
        ((wild)) && one_of "${outputs[@]}" || one_of ${fitting[$1 $2]:-"${good_outputs[@]}"}
    elif [[ $2 == --model ]]; then
        ((wild)) && one_of nano.safetensors T cut-model.safetensors input.safetensors photos missing '' || REPLY=nano.safetensors
    elif [[ $wild == 0 && ${exemplary[$2]-} ]]; then
        mapfile -t mine <<<"${exemplary[$2]}"
        one_of "${mine[@]}"
    elif [[ ${kind[$1 $2]} == files ]]; then
        ((wild)) && one_of "${inputs[@]}" || one_of "${good_inputs[@]}"
    elif [ -n "${mine[0]}" ]; then
        one_of "${mine[@]}"
    else
        one_of "${numbers[@]}" "${texts[@]}"
    fi
}

# Appends an option to `more`, with its value, as people write it.
add_option() { # COMMAND
    local name short
    one_of ${options[$1]}
    [[ $REPLY != --@(help|version) ]] || one_of ${options[$1]}
    name=$REPLY short=${letter[$1 $REPLY]}
    if [ -z "${kind[$1 $name]}" ]; then
        more+=("$name")
        return
    fi
    value_of "$1" "$name"
    set -- "$REPLY"
    roll 4
    if [[ $REPLY == 0 && -n $short ]]; then more+=("-$short$1")
    elif [[ $REPLY == 1 && -n $short ]]; then more+=("-$short" "$1")
    elif [[ $REPLY == 2 ]]; then more+=("$name=$1")
    else more+=("$name" "$1")
    fi
}

any_word() {
    roll 4
    case $REPLY in
    0) one_of "${inputs[@]}" ;;
    1) one_of "${outputs[@]}" ;;
    2) one_of "${numbers[@]}" ;;
    3) one_of "${texts[@]}" ;;
    esac
}

# Makes the line of a number: `words`, `command`, `wild`, and how standard input and output are: `from` and `to`.
make_line() { # NUMBER
    local i more lines c
    RANDOM=$(((ARGV_SEED * 1000003 + $1 * 97) % 2147483647))
    for i in 1 2 3 4; do roll 2; done # lines that follow each other begin alike
    command=${commands[$1 % ${#commands[@]}]} c=$command
    roll 3 && wild=$((REPLY == 0))
    roll 20 && from=$REPLY
    roll 20 && to=$REPLY
    mapfile -t lines <<<"${examples[$c]%$'\n'}"
    roll 4
    if ((REPLY || !wild)); then
        one_of "${lines[@]}"
        set -f
        eval "words=($REPLY)"
        set +f
    else
        words=("$c")
        roll 3
        more=()
        for ((i = REPLY; i >= 0; i--)); do add_option "$c"; done
        words+=("${more[@]}")
        roll 4
        [ -n "${operands[$c]}" ] || REPLY=0
        for ((i = REPLY > 1 ? REPLY - 1 : REPLY; i > 0; i--)); do
            one_of "${inputs[@]}"
            words+=("$REPLY")
        done
    fi
    roll 3
    for ((i = REPLY + wild; i > 0; i--)); do change "$c"; done
}

# Takes the option that the program refused out of a line. False if it named none.
drop_refused() { # HERE
    local name kept=() i word
    name_of "$command" "$(sed -nE 's/^mvscope: (-[A-Za-z], )?(--[a-z0-9-]+|-[A-Za-z])[ :,].*/\2/p' "$1.err" | head -n 1)"
    name=$REPLY
    [ -n "$name" ] || return
    for ((i = 0; i < ${#words[@]}; i++)); do
        word=${words[i]}
        name_of "$command" "$word"
        if [ "$REPLY" = "$name" ]; then
            [ -z "${kind[$command $name]}" ] || ((i++))
        elif [[ $word != "$name="* && $word != "-${letter[$command $name]:-none}"* ]]; then
            kept+=("$word")
        fi
    done
    ((${#kept[@]} < ${#words[@]})) && words=("${kept[@]}")
}

# Changes a word, or adds an option somewhere.
change() { # COMMAND
    local at more=()
    roll ${#words[@]}
    at=$REPLY
    ((at)) || { roll ${#words[@]}; at=$REPLY; } # seldom the command
    roll 12
    ((wild)) || REPLY=9
    case $REPLY in
    0) unset "words[at]" && words=("${words[@]}") ;;
    1) words+=("${words[at]}") ;;
    2) any_word && words[at]=$REPLY ;;
    3) any_word && words+=("$REPLY") ;;
    4 | 5) one_of "${inputs[@]}" && words[-1]=$REPLY ;;
    6) words[at]=${words[at]:0:${#words[at]} / 2} ;;
    7) any_word && words[at]+=$REPLY ;;
    8) one_of "${commands[@]}" && words[0]=$REPLY ;;
    *)
        add_option "$1"
        words=("${words[@]:0:1}" "${more[@]}" "${words[@]:1}") ;;
    esac
    ((${#words[@]})) || words=('')
}

# --- One line
limit=8 grace=20
quoted() { LC_ALL=C printf ' %q' "$@" | cut -c1-600; }

# What a terminal would obey: control characters but the line feed, marks that turn text round, and what is no UTF-8.
acts() { # FILE
    LC_ALL=C grep -qaP '[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]' "$1" ||
        grep -qaxv '.*' "$1"
}

# Does the line name this file, or its folder, as an output?
is_output() { # FILE
    local word before=''
    for word in "${words[@]}"; do
        [[ $before != $writes && $word != $writes=* && $word != -o* ]] || [[ ${word%/} != *@("$1"|"${1%/*}") ]] || return 0
        before=$word
    done
    return 1
}

run_line() { # HERE: its status, and in `cpu` the milliseconds of computing
    local here=$1 feed='' times a b c d
    if [[ " ${words[*]}" == *pipe* ]]; then
        setsid bash -c 'while :; do cat "$1" >"$2"; done' writer "$room/photo.jpg" "$here/pipe" 2>/dev/null &
        feed=$!
    fi
    TIMEFORMAT='%3U %3S'
    times=$(
        cd "$here" || exit
        ulimit -f 262144
        case $from in
        0) exec <&- ;;
        1 | 2) exec <photo.jpg ;;
        *) exec </dev/null ;;
        esac
        export HF_HOME=$here.hub
        # a page that was begun is finished; the second signal ends the program at once
        go=(timeout -s HUP -k $grace $((limit + grace / 2)) timeout "$limit" "$MVSCOPE" "${words[@]}")
        case $to in
        0) time "${go[@]}" 2>"$here.err" >&- ;;
        1) time "${go[@]}" 2>"$here.err" >/dev/full ;;
        2) time "${go[@]}" 2>"$here.err" > >(head -c 9 >/dev/null) ;;
        '>>') time "${go[@]}" 2>"$here.err" >>"$into" ;;
        '>') time "${go[@]}" 2>"$here.err" >"$into" ;;
        *) time "${go[@]}" 2>"$here.err" >"$here.out" ;;
        esac 2>&1
        echo $?
    )
    [ -z "$feed" ] || { kill -- "-$feed"; wait "$feed"; } 2>/dev/null
    times=${times//[$'\n.']/ }
    read -r a b c d status <<<"$times"
    cpu=$((10#$a * 1000 + 10#$b + 10#$c * 1000 + 10#$d))
}

# What is wrong after a line.
wrong() { # HERE
    local here=$1 left
    if grep -qaE 'runtime error:|ERROR: [A-Za-z]*Sanitizer|^SUMMARY: ' "$here.err"; then
        grep -aE 'runtime error:|ERROR: [A-Za-z]*Sanitizer|^ +#[0-6] |^SUMMARY: ' "$here.err" | cut -c1-300 | head -n 20
    fi
    case $status in
    0) ;;
    1 | 2) grep -qa '^mvscope: ' "$here.err" || echo "status $status without a message" ;;
    124) ((cpu > limit * 30)) || echo "waits: $cpu ms of computing in $limit s" ;;
    141) [ "$to" = 2 ] || echo "SIGPIPE" ;;
    *) echo "status $status" ;;
    esac
    ! acts "$here.err" || echo "stderr acts on a terminal: $(LC_ALL=C tr -d '\n' <"$here.err" | head -c 400 | od -An -c -w64 | head -n 6)"
    [ ! -s "$here.out" ] || [[ $(head -c 4 "$here.out" | LC_ALL=C tr '\0\211' '.p') == @(pPNG|%PDF|PK*|GIF8) ]] ||
        [[ "${words[*]}" == *completion* ]] || ! acts "$here.out" || echo "stdout acts on a terminal: $(head -c 200 "$here.out" | od -An -c -w64)"
    left=$(find "$here" \( -name '.mvscope-*' -o -name '*.tmp' -o -name '*.lock' \) -printf ' %P')
    [ -z "$left" ] || echo "left behind:$left"
    left=$(find "$here" \( -name '*.partial' -o -name '*.incomplete' \) -printf ' %P')
    [[ -z $left || " ${words[*]}" == *--res* ]] || echo "left behind:$left"
    # the names of overlays are known late: the picture fails
    if [ -n "$into" ] && ! { ((status == 1)) && grep -qaF 'standard output' "$here.err"; }; then
        # a model that the shell has emptied is none
        ((status == 2 || first == 1)) || [[ $status$to == '1>' ]] || echo "is not refused"
        [ "$(sum_of "$here/$into")" = "$held" ] || echo "$into has changed"
    fi
    ((status != 2)) || [ "$(things "$here")" = "$there" ] || echo "status 2, and there are other files than before"
    while IFS= read -r left; do
        left=${left#\\} left=${left#./} left=${left%: FAILED*}
        [ "$left" = "$into" ] || is_output "$left" || echo "$left has changed"
    done < <(cd "$here" && sha256sum -c --quiet "$folder/sums" 2>/dev/null)
}

try_line() { # HERE: sets `what`
    local held='' there
    rm -rf "$1" "$1.hub"
    cp -a "$room" "$1" && : >"$1.out" && : >"$1.err"
    if [ -n "$into" ]; then
        mkdir -p "$(dirname -- "$1/$into")" && : >>"$1/$into"
        [ "$to" = '>>' ] || : >"$1/$into"
        held=$(sum_of "$1/$into")
    fi
    there=$(things "$1")
    run_line "$1"
    what=$(wrong "$1")
    [[ -z $into$what && $status == 2 && $wild == 0 ]] && drop_refused "$1" && try_line "$1"
}

# The line again, with standard output in one of its inputs or in an output that it has just written.
try_shared() { # HERE
    local word name='' files
    local -A last
    mapfile -d '' -t files < <(cd "$1" && find . -type f -newer "$folder/sums" -printf '%P\0' | sort -z)
    for word in "${words[@]}"; do # of an option that is repeated, the last value may be all that is read
        name_of "$command" "${word%%=*}"
        [ -z "$name" ] && last[${REPLY:-operand $word}]=$word || last[$name]=$word
        [[ $word == *=* ]] && name='' || name=$REPLY
    done
    for word in "${last[@]}"; do
        word=${word##*[=@]}
        [[ -n $word && $word != *..* && ! -L $room/$word && -e $room/$word ]] || continue
        while IFS= read -rd '' word; do
            is_output "$word" || files+=("$word")
        done < <(cd "$room" && find "./$word" -type f -print0 | xargs -r0 realpath -z --relative-to=. | sort -z)
    done
    roll 3
    if [[ $REPLY == 0 && ${kind[$command --model]-} && -z ${last[--model]-} ]]; then
        words=("${words[0]}" --model nano.safetensors "${words[@]:1}") files=(nano.safetensors)
    fi
    # what prints and does nothing else is not held against the words beside it
    [[ ${#files[@]} != 0 && " ${words[*]}" != *\ @(-h|--help|-V|--version)* ]] || return 0
    one_of '>' '>>' && to=$REPLY
    one_of "${files[@]}" && into=$REPLY
    try_line "$1"
}

lines() { # WORKER FROM TO EVERY
    local n what here=$folder/$1 command words wild from to into status first cpu
    for ((n = $2; n <= $3; n += $4)); do
        make_line "$n"
        into=''
        try_line "$here"
        first=$status
        [[ -n $what || $status == 2 || $to == [012] ]] || try_shared "$here"
        # on a machine that is busy with something else, more time shows whether it waits
        if [[ $status == 137 || $what == waits:* ]]; then limit=60 grace=120 try_line "$here"; fi
        echo "$command $first ${into:+shared-}$status $([ -z "$what" ] || echo wrong)" >>"$folder/results-$1"
        if [ -n "$shown" ]; then
            echo "#$(quoted mvscope "${words[@]}") # in $from, out $to${into:+ $(quoted "$into")}, status $status, $cpu ms"
            cat -v "$here.out" "$here.err" | cut -c1-500 | head -n 60 | sed 's/^/#    /'
        fi
        [ -z "$what" ] || printf '%s\n' "line $n (in $from, out $to${into:+ $(quoted "$into")}, status $status):$(quoted mvscope "${words[@]}")" "$what" |
            sed 's/^/# /'
    done
}

first=${1:-1} last=${2:-${1:-$ARGV_RUNS}} shown=${1-} running=()
echo "# ARGV_SEED=$ARGV_SEED, lines $first to $last"
for ((w = 0; w < workers; w++)); do
    lines $w $((first + w)) "$last" "$workers" >"$folder/said-$w" 2>&1 &
    running+=($!)
done
wait "${running[@]}"
cat "$folder"/said-*
cat "$folder"/results-* | sort | awk '
    { tried[$1]++; of[$1, $2 > 2 ? "else" : $2]++; shared[$1] += $3 == "shared-2"; if ($4 != "") bad[$1]++ }
    END {
        for (c in tried) {
            printf "| %-12s %5d tried %5d survived %5d done %5d failed %5d refused %5d stopped %5d shared\n", c,
                tried[c], tried[c] - bad[c], of[c, 0], of[c, 1], of[c, 2], of[c, "else"], shared[c] | "sort"
        }
        close("sort")
        for (c in tried) print (bad[c] ? "not ok" : "ok") " - " c | "sort -k 4"
        for (c in tried) n++
        close("sort -k 4")
        print "1.." n
        for (c in tried) if (bad[c]) exit 1
    }'
