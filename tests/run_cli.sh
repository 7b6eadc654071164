#!/bin/bash
# Runs the cases of tests/cli/*.cli, compares the manuals in man/ with the program's help, and runs the manuals' examples.
# Prints TAP.
#
#   MVSCOPE=PROGRAM tests/run_cli.sh [NAME...]      only these files of tests/cli (and "manuals", "examples")
#   MVSCOPE_BARE=PROGRAM                            a build without an embedded model
#   MVSCOPE_FOLDS=FOLDER                            a folder of a file system that ignores upper and lower case
#
# Each case runs in a fresh folder with photo.jpg, photos/, input.safetensors and input.npy. $MODEL is the file of the small
# model, $DATA is tests/data, and $PLUGIN is the GPU plug-in. Commands on PATH: `mvscope` is the program, `emulated` the same
# with a plug-in that emulates a GPU; `on_terminal` and `stop_after` (both in tests/cli) run a command on a terminal and send
# it a signal; `with_hub` (there, too) runs one beside a double of the Hugging Face hub. $CUT is a library to
# preload, which cuts the file $MVSCOPE_CUT when it is mapped. $DRIVER is a folder with an empty
# library in place of the GPU driver. The lines of a case are
#
#   == NAME         starts a case
#   needs CONDITION skips the case if the condition is false; "WHY: CONDITION" gives the reason
#   $ COMMAND       runs a command in bash; the lines up to the next $ are its expected results:
#   > TEXT          the next line of stdout is this text
#   ~ REGEX         the next line of stdout matches, as a whole
#   ...             any number of lines of stdout
#   = FILTER        jq -e FILTER is true for the whole of stdout
#   ! REGEX         the next line of stderr matches, as a whole; the line about the demo model need not be expected
#   + GLOB          the command created this file or folder
#   ? STATUS        the exit status (default 0)
#   # TEXT          a comment
#
# Anything else is a failure: further output, another status, a file left behind.
set -uo pipefail
shopt -s nullglob dotglob
cd "$(dirname "$0")/.." || exit 1

: "${MVSCOPE:=$PWD/mvscope}"
MVSCOPE=$(realpath -- "$MVSCOPE") || exit 1
[ -x "$MVSCOPE" ] || { echo "Bail out! $MVSCOPE is not a program"; exit 1; }
root=$PWD
export LC_ALL=C.UTF-8 MODEL=$root/assets/nano.safetensors DATA=$root/tests/data PLUGIN=$root/mvscope-cuda.so \
    DRIVER=${MVSCOPE%/*}/simt HUB_DOUBLE=${MVSCOPE%/*}/tests/double_hub CUT=${MVSCOPE%/*}/fault_cut.so MVSCOPE MVSCOPE_BARE=${MVSCOPE_BARE-}
unset SOURCE_DATE_EPOCH NO_COLOR MVSCOPE_MODEL ${!HF_*} XDG_CACHE_HOME
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM
mkdir "$tmp/bin" "$tmp/emulated" "$tmp/fixture" "$tmp/case" "$tmp/home"
ln -s "$MVSCOPE" "$tmp/bin/mvscope"
if [ -e "$DRIVER/mvscope-cuda.so" ]; then
    cp "$MVSCOPE" "$tmp/emulated/mvscope" && ln -s "$DRIVER/mvscope-cuda.so" "$tmp/emulated"
    printf '#!/bin/sh\nLD_LIBRARY_PATH=$DRIVER exec "%s" "$@"\n' "$tmp/emulated/mvscope" >"$tmp/bin/emulated"
    chmod +x "$tmp/bin/emulated"
fi
export PATH=$tmp/bin:$root/tests/cli:$PATH HOME=$tmp/home
have_jq=$(command -v jq) have_mandoc=$(command -v mandoc)

number=0 failed=0 filters=0
ok() { echo "ok $((++number)) - $1"; }
skip() { echo "ok $((++number)) - $1 # SKIP $2"; }
not_ok() { # NAME WHAT
    ((failed++))
    echo "not ok $((++number)) - $1"
    printf '%s\n' "$2" | sed 's/^/# /'
}

make_fixture() (
    cd "$tmp/fixture" || exit
    mkdir photos && cp "$root"/assets/samples/*.jpg photos && cp photos/church.jpg photo.jpg && chmod -R u+w .
    mvscope dump -q --site input -o input.safetensors photo.jpg && mvscope dump -q --site input -o input.npy photo.jpg
)

fresh() { # makes $tmp/case a copy of the fixture
    rm -rf "$tmp/case" && cp -r "$tmp/fixture" "$tmp/case"
}

listing() { (cd "$tmp/case" && find . -mindepth 1 | LC_ALL=C sort); }

# Compares the lines of a file with expectations ("kind text") and prints what is wrong.
compare() { # WHAT FILE EXPECTATION...
    local what=$1 any='' e kind text line i=0 lines
    mapfile -t lines <"$2"
    shift 2
    for e; do
        kind=${e%% *} text=${e#* }
        if [ "$kind" = ... ]; then
            any=1
            continue
        fi
        while :; do
            if ((i >= ${#lines[@]})); then
                echo "$what ends where expected: $text"
                return
            fi
            line=${lines[i++]}
            if [ "$kind" = '>' ]; then
                [ "$line" = "$text" ] && break
            elif [[ $line =~ ^($text)$ ]]; then
                break
            fi
            if [ -z "$any" ]; then
                echo "$what, line $i: $line"
                echo "expected: $text"
                return
            fi
        done
        any=
    done
    [ -n "$any" ] || ((i >= ${#lines[@]})) || echo "$what, line $((i + 1)), not expected: ${lines[i]}"
}

# The names of the commands, one a line; also for cases
commands() { mvscope --help | sed -n '/^Commands/,/^$/s/^  \([a-z0-9-]*\) .*/\1/p'; }
export -f commands

# Removes the line that every command prints that answers with the embedded model.
without_demo_line() { sed -i '/^mvscope: this is the demo model, which knows ten classes; /d' "$1"; }

# Runs one command in $tmp/case, checks its expectations and prints what is wrong.
check_command() { # COMMAND EXPECTATION...
    local command=$1 e status=0 want=0 out=() err=() new=() jq=() before after path glob known
    shift
    for e; do
        case $e in
        '> '* | '~ '* | ...) out+=("$e") ;;
        '>') out+=('> ') ;;
        '! '*) err+=("$e") ;;
        '+ '*) new+=("${e#+ }") ;;
        '= '*) jq+=("${e#= }") ;;
        '? '*) want=${e#? } ;;
        *) echo "a case has no such line: $e" ;;
        esac
    done
    before=$(listing)
    (cd "$tmp/case" && exec timeout 120 bash -c "$command") </dev/null >"$tmp/out" 2>"$tmp/err" || status=$?
    after=$(listing)
    [[ "${err[*]}" == *"demo model"* ]] || without_demo_line "$tmp/err"
    {
        [ "$status" = "$want" ] || echo "exit status $status, expected $want"
        ((${#jq[@]} && ! ${#out[@]})) && out=(...)
        compare stdout "$tmp/out" "${out[@]}"
        compare stderr "$tmp/err" "${err[@]}"
        for e in "${jq[@]}"; do
            [ -z "$have_jq" ] || jq -e -s "if length == 1 then .[0] else . end | $e" "$tmp/out" >"$tmp/jq" 2>&1 ||
                { echo "not true of stdout: $e"; head -c 300 "$tmp/jq"; }
        done
        for glob in "${new[@]}"; do
            known=
            while read -r path; do
                # shellcheck disable=SC2053  # a pattern is meant
                [[ ${path#./} == $glob ]] && known=1 && break
            done < <(comm -13 <(printf '%s\n' "$before") <(printf '%s\n' "$after"))
            [ -n "$known" ] || echo "no new file $glob"
        done
        while read -r path; do
            known=
            for glob in "${new[@]}"; do
                # shellcheck disable=SC2053
                [[ ${path#./} == $glob ]] && known=1
            done
            [ -n "$known" ] || echo "left behind: $path"
        done < <(comm -13 <(printf '%s\n' "$before") <(printf '%s\n' "$after"))
        comm -23 <(printf '%s\n' "$before") <(printf '%s\n' "$after") | sed 's/^/gone: /'
    } >"$tmp/wrong"
    if [ -s "$tmp/wrong" ]; then
        echo "\$ $command"
        cat "$tmp/wrong"
        echo "stderr: $(head -c 500 "$tmp/err")"
        return 1
    fi
}

run_file() { # FILE
    local line name='' why='' condition command='' expectations=() wrong='' group
    group=$(basename "$1" .cli)
    end_command() {
        [ -z "$command" ] || [ -n "$why" ] || [ -n "$wrong" ] || wrong=$(check_command "$command" "${expectations[@]}")
        command='' expectations=()
    }
    end_case() {
        end_command
        if [ -n "$name" ]; then
            if [ -n "$why" ]; then skip "$group: $name" "$why"
            elif [ -n "$wrong" ]; then not_ok "$group: $name" "$wrong"
            else ok "$group: $name"
            fi
        fi
        name='' why='' wrong=''
    }
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in
        '' | '#'*) ;;
        '== '*) end_case; name=${line#== }; fresh ;;
        'needs '*)
            condition=${line#needs }
            [ -n "$why" ] || (cd "$tmp/case" && eval "${condition#*: }") >/dev/null 2>&1 || why=${condition%%: *} ;;
        '$ '*) end_command; command=${line#$ } ;;
        *) expectations+=("$line") ;;
        esac
    done <"$1"
    end_case
}

# ---- the manuals

# Prints a page as plain text
man_text() { # PAGE
    mandoc -T utf8 -O width=1000 "$1" 2>/dev/null | sed $'s/.\b//g'
}
man_section() { # SECTION, of the page on stdin
    awk -v want="$1" '/^[A-Z]/ { in_it = ($0 == want); next } in_it'
}
# Prints the tagged lines of a section, or of the whole page, as the reader sees them: "-k, --top N"
man_tags() { # SECTION|all PAGE
    awk -v want=".SH $1" '/^\.SH / { in_it = (want == ".SH all" || $0 == want); next } in_it && tag { print } { tag = /^\.TP/ }' "$2" |
        sed -E 's/^\.[BIR]+ //; s/\\f[BIRP]//g; s/\\-/-/g; s/\\\(aq/'\''/g; s/\\&//g; s/"//g'
}
# Prints the options of --help in the same form
help_options() { sed -nE 's/^  (-[A-Za-z], |    )(--[a-z-]+( [^ ]+)?)  .*/\1\2/p' | sed 's/^ *//'; }

check_page() { # COMMAND
    local page=$root/man/mvscope-$1.1 usage synopsis
    mvscope "$1" --help >"$tmp/help"
    man_text "$page" >"$tmp/page"
    usage=$(sed -n '1s/^usage: //p' "$tmp/help")
    synopsis=$(man_section SYNOPSIS <"$tmp/page" | sed 's/^ *//;/^$/d')
    {
        [ "$usage" = "$synopsis" ] || printf 'usage: %s\nSYNOPSIS: %s\n' "$usage" "$synopsis"
        diff <(help_options <"$tmp/help") <(man_tags OPTIONS "$page") | sed -n 's/^</only in --help:/p; s/^>/only in OPTIONS:/p'
        sed -n '/^Examples/,/^$/s/^  //p' "$tmp/help" | while IFS= read -r line; do
            grep -qxF -- "$line" <(man_tags EXAMPLES "$page") || echo "not among EXAMPLES: $line"
        done
        (($(help_options <"$tmp/help" | wc -l) >= 2)) || echo "no options found in --help"
    } >"$tmp/wrong"
    if [ -s "$tmp/wrong" ]; then not_ok "manuals: $1 --help and its page agree" "$(<"$tmp/wrong")"
    else ok "manuals: $1 --help and its page agree"
    fi
}

check_examples() { # PAGE SECTION|all: runs all its examples in one folder, in their order
    local name line status n=0
    name=$(basename "$1")
    man_tags "$2" "$1" >"$tmp/examples"
    fresh
    mkdir -p "$tmp/case/home/.zfunc" "$tmp/case/home/.local/share/bash-completion/completions" "$tmp/case/home/.config/fish/completions"
    while IFS= read -r line; do
        ((n++))
        status=0
        if [ "$name" = mvscope-pull.1 ]; then
            printf -v line 'with_hub %q' "repository nvidia/MambaVision-T-1K && $line 2> >(grep -v ': fetching' >&2)"
        fi
        (cd "$tmp/case" && HOME=$tmp/case/home exec timeout 120 bash -c "$line") </dev/null >"$tmp/out" 2>"$tmp/err" || status=$?
        without_demo_line "$tmp/err"
        if [ "$status" != 0 ] || [ -s "$tmp/err" ]; then
            not_ok "examples: those of $name" "\$ $line"$'\n'"exit status $status: $(head -c 500 "$tmp/err")"
            return
        fi
    done <"$tmp/examples"
    ok "examples: the $n of $name run"
}

run_manuals() {
    local page c
    if [ -z "$have_mandoc" ]; then
        skip "manuals: pages against --help" "mandoc is not installed"
        return
    fi
    for c in $(commands); do
        if [ -f "$root/man/mvscope-$c.1" ]; then check_page "$c"
        else not_ok "manuals: $c has a page" "man/mvscope-$c.1 is missing"
        fi
    done
    for page in "$root"/man/*.[1-8]; do
        if mandoc -T lint -W warning "$page" >"$tmp/lint" 2>&1; then ok "manuals: $(basename "$page") is well formed"
        else not_ok "manuals: $(basename "$page") is well formed" "$(<"$tmp/lint")"
        fi
    done
}

run_examples() {
    local page
    if [ -z "$have_mandoc" ]; then
        skip "examples: those of the manuals" "mandoc is not installed"
        return
    fi
    for page in "$root"/man/*.[1-8]; do
        if [[ $page == *-tutorial.7 ]]; then check_examples "$page" all
        elif grep -q '^\.SH EXAMPLES' "$page"; then check_examples "$page" EXAMPLES
        fi
    done
}

if ! make_fixture; then
    echo "Bail out! mvscope dump cannot write input.safetensors"
    exit 1
fi
names=("$@")
((${#names[@]})) || names=($(basename -s .cli "$root"/tests/cli/*.cli) manuals examples)
plan=0 pages=("$root"/man/*.[1-8])
for file in "${names[@]}"; do
    case $file${have_mandoc:+ and mandoc} in
    "manuals and mandoc") ((plan += $(commands | wc -w) + ${#pages[@]})) ;;
    "examples and mandoc") ((plan += $(grep -l '^\.SH EXAMPLES' "${pages[@]}" | wc -l) + 1)) ;; # and the tutorial
    manuals* | examples*) ((plan++)) ;;
    *)
        ((plan += $(grep -c '^== ' "$root/tests/cli/$file.cli")))
        [ -n "$have_jq" ] || filters=$((filters + $(grep -c '^= ' "$root/tests/cli/$file.cli"))) ;;
    esac
done
echo "1..$((plan + (filters > 0)))"
for file in "${names[@]}"; do
    case $file in
    manuals | examples) "run_$file" ;;
    *) run_file "$root/tests/cli/$file.cli" ;;
    esac
done
if ((filters)); then skip "json: $filters filters" "jq is not installed"; fi
((failed == 0))
