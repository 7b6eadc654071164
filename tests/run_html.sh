#!/bin/bash
# Opens pages of `report --html` in headless Chromium: events change the maps, pixels have the colours of a dump's numbers,
# nothing is loaded, nothing is said on the console. Prints TAP; without Chromium all cases are skipped.
#
#   MVSCOPE=PROGRAM tests/run_html.sh
#
# tests/html/drive.js, appended to a copy of the page, does what a reader does; tests/html/row.awk computes what it should
# find from the numbers that `mvscope dump` writes.
set -uo pipefail
export LC_ALL=C.UTF-8
cd "$(dirname "$0")/.." || exit 1
root=$PWD
: "${MVSCOPE:=$PWD/mvscope}"
: "${HTML:=report --html}"

browser=$(type -P chromium || type -P chromium-browser || type -P google-chrome) ||
    { echo "ok 1 - html # SKIP Chromium is not installed"; echo 1..1; exit 0; }
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM

number=0 failed=0
say() { # STATUS NAME DETAIL
    ((number++))
    if [ "$1" = 0 ]; then echo "ok $number - html: $2"; return; fi
    ((failed++))
    echo "not ok $number - html: $2"
    printf '%s\n' "${3-}" | head -n 30 | sed 's/^/# /'
}

. tests/html/browser.sh
trap 'browser_stop; rm -rf "$tmp"' EXIT
browser_start
say $? "the browser starts" "$(tail -n 5 "$tmp/log")"
((failed)) && { echo "1..$number"; exit 1; }

# The page of the last visit is quiet: the console says nothing, and nothing is asked of the network.
quiet() { # NAME PAGE
    [ -z "$(complaints)" ]
    say $? "$1: the console says nothing" "$(complaints)"
    [ -z "$(requests "$2")" ]
    say $? "$1: nothing is asked of the network" "$(requests "$2")"
}

# ---- what the numbers of a dump say

data_at() { echo $((10 + $(od -A n -t u2 -j 8 -N 2 "$1"))); } # byte of the first value of a .npy
floats() { # FILE FIRST COUNT
    od -A n -v -t f4 -w4 -j $(($(data_at "$1") + 4 * $2)) -N $((4 * $3)) "$1"
}
blocks() { ls "$1" | sed -n 's/^levels\.\(.*\)\.blocks\.\(.*\)\.mixer\.\(attn\|hidden_attn\)\.npy$/\1 \2 \3/p' | sort -n -k1,1 -k2,2; }

# The end of a colour bar: the largest value of a real cell in any row of a real query.
largest() { # FOLDER attn|hidden_attn
    local level block kind h window heads
    blocks "$1" | while read -r level block kind; do
        [ "$kind" = "$2" ] || continue
        h=${cells[level]} window=${windows[level]} heads=1
        [ "$kind" = attn ] && heads=${head[level]}
        floats "$1/levels.$level.blocks.$block.mixer.$kind.npy" 0 99999999 | awk -v h="$h" -v window="$window" -v heads="$heads" \
            -v scan="$([ "$kind" = attn ]; echo $?)" '
            BEGIN { T = window * window; across = int((h + window - 1) / window) }
            {
                j = (NR - 1) % T; t = int((NR - 1) / T) % T; n = int((NR - 1) / (T * T * heads))
                if (j == 0) { sum = 0; top = 0 }
                sum += $1
                y = int(n / across) * window + int(j / window); x = n % across * window + j % window
                if (y < h && x < h && $1 > top) top = $1
                if (j == T - 1) {
                    y = int(n / across) * window + int(t / window); x = n % across * window + t % window
                    v = scan ? (sum > 0 ? top / sum * (t + 1) : 0) : top * T
                    if (y < h && x < h && v > most) most = v
                }
            }
            END { printf "%.9g\n", most }'
    done | sort -g | awk '{ v = $1 } END { print v < 4 ? 4 : v }'
}

# JSON of one row: LEVEL BLOCK HEAD(-1: the mean; _: a mixer) Y X
row() {
    local level=$1 block=$2 h=${cells[$1]} window=${windows[$1]} size=$((4 << $1)) y=$4 x=$5 top=$attention_top scan=0
    local file=$folder/levels.$level.blocks.$block.mixer.attn.npy name="level $level block $block" first count=1 i
    local T=$((window * window)) across=$(((h + window - 1) / window)) cy=$(($4 * 16 / size)) cx=$(($5 * 16 / size))
    local n=$((cy / window * across + cx / window)) t=$((cy % window * window + cx % window)) heads=${head[$1]}
    case $3 in
    _) scan=1 heads=1 first=0 top=$scan_top file=${file/mixer.attn/mixer.hidden_attn} ;;
    -1) name+=" mean of $heads heads" first=0 count=$heads ;;
    *) name+=" head $3" first=$3 ;;
    esac
    for ((i = first; i < first + count; i++)); do
        floats "$file" $((((n * heads + i) * T + t) * T)) $T
    done | awk -f tests/html/row.awk -v tile="$name" -v y="$y" -v x="$x" -v size=$size -v h="$h" -v w="$h" \
        -v window="$window" -v scan=$scan -v top="$top" -v table=assets/colours/blue-red.inc
}

# ---- a page under test

# Drives the page of a sample at a size, in a window of a width. cells, windows, head: of levels 2 and 3, by number.
drive() { # NAME SIZE WIDTH ROWS...
    local name=$1 size=$2 width=$3 photo=assets/samples/parachute.jpg rows=() r answer level block kind scans=0 attends=0 tiles=0
    shift 3
    folder=$tmp/numbers
    rm -rf "$folder"
    "$MVSCOPE" dump -q --size "$size" -s '**.attn,**.hidden_attn' -o "$folder/" "$photo" >/dev/null 2>"$tmp/said" &&
        "$MVSCOPE" $HTML --size "$size" -o "$tmp/page.html" "$photo" >>"$tmp/said" 2>&1 &&
        answer=$("$MVSCOPE" classify --size "$size" --json --top 2 "$photo")
    say $? "$name: the page is written" "$(cat "$tmp/said")"
    [ -s "$tmp/page.html" ] || return
    attention_top=$(largest "$folder" attn) scan_top=$(largest "$folder" hidden_attn)
    for r; do rows+=("$(row $r)"); done
    local all=0 digit=0
    while read -r level block kind; do
        ((all++))
        if [ "$kind" = attn ]; then
            ((attends++, tiles += ${head[level]} + 1))
            ((digit)) || digit=$all
        else ((scans++, tiles++)); fi
    done < <(blocks "$folder")
    {
        cat "$tmp/page.html"
        printf '<script>const expected = {"w":%d,"h":%d,"tiles":%d,"blocks":%d,"sections":%d,"attention":%d,"first":"%s",' \
            "$size" "$size" $tiles $all $(((scans > 0) + (attends > 0))) $digit "Level 2, block 0"
        printf '"classes":[%s],"logits":[%s],"rows":[%s]};</script>\n<script>\n' \
            "$(grep -o '"name":"[^"]*"' <<<"$answer" | cut -d: -f2 | paste -sd,)" \
            "$(grep -o '"logit":[-+.0-9e]*' <<<"$answer" | cut -d: -f2 | paste -sd,)" "$(IFS=,; echo "${rows[*]}")"
        cat tests/html/drive.js
        echo '</script>'
    } >"$tmp/driven.html"
    visit "$tmp/driven.html" "$width" 900 && evaluate tap >"$tmp/tap"
    grep -q '^# end' "$tmp/tap"
    say $? "$name: the page answers" "$(cat "$tmp/tap")"
    while read -r line; do
        case $line in
        ok*) say 0 "$name: ${line#*html: }" ;;
        "not ok"*) found=
            [[ $line != *"# found"* ]] && read -r found
            say 1 "$name: ${line#*html: }" "$found" ;;
        esac
    done < <(grep -v '^# end' "$tmp/tap")
    quiet "$name" "$tmp/driven.html"
}

head=([2]=4 [3]=8)
windows=([2]=14 [3]=7)
cells=([2]=14 [3]=7)
drive "224 px" 224 1600 "2 4 1 3 4" "2 3 -1 0 0" "3 1 5 6 7" "2 1 _ 9 4" "3 0 _ 13 13"
cells=([2]=16 [3]=8)
drive "256 px, four windows" 256 800 "2 5 2 15 2" "3 1 -1 3 4" "2 0 _ 6 15"

# ---- what else a page must hold

size=$(stat -c %s "$tmp/page.html")
[ "$size" -lt 3000000 ]
say $? "a page of the small model is below 3 MB" "$size"

# These tests are some only if they hear what is wrong.
{ cat "$tmp/page.html"; echo '<script>fetch("http://127.0.0.1:9/").catch(() => 0); throw new Error("heard");</script>'; } >"$tmp/bad.html"
visit "$tmp/bad.html" 800 900 && evaluate 'String(1)' >/dev/null
[[ $(complaints) == *heard* && $(complaints) == *"Content Security Policy"* ]]
say $? "an error, and a request that the page forbids, would be heard" "$(complaints)"

for width in 360 800 1600; do
    for theme in light dark; do
        visit "$tmp/page.html" $width 900 $theme
        said=$(evaluate 'new Promise(done => setTimeout(done, 300)).then(() => [document.documentElement.scrollWidth <= innerWidth,
            getComputedStyle(document.body).backgroundColor, [...document.querySelectorAll("h1, h2, p, label, summary, .tile, select")]
            .filter(e => { const r = e.getBoundingClientRect(); return e.offsetParent && r.width && r.right > innerWidth + 1; }).length,
            [...document.querySelectorAll(".ticks span + span")].filter(e => e.getBoundingClientRect().left <
                e.previousElementSibling.getBoundingClientRect().right).length].join(" "))')
        paper="rgb(255, 255, 255)"
        [ $theme = dark ] && paper="rgb(16, 19, 24)"
        [ "$said" = "true $paper 0 0" ]
        say $? "$width px, $theme: nothing is cut off or covered, and the paper follows the reader's choice" "$said"
        quiet "$width px, $theme" "$tmp/page.html"
    done
done

# What a hand does, as the browser itself passes it on.
cell_of() { # CELL: waits up to three seconds for it, and says what is shown
    evaluate "(async () => { let said; for (let i = 0; i < 30; i++) { await new Promise(done => setTimeout(done, 100));
        said = document.querySelector('#attention .of').textContent.split(',').slice(0, 2).join();
        if (said === 'of cell $1') break; } return said; })()"
}
at() { # Y X: the middle of a cell of 16 px, in px of the window
    evaluate "(() => { const b = document.getElementById('stage').getBoundingClientRect(); return Math.round(b.left + (16 * $2 + 8) / 256 * b.width) +
        ' ' + Math.round(b.top + (16 * $1 + 8) / 256 * b.height); })()"
}
press() { call Input.dispatchKeyEvent "{\"type\":\"keyDown\",\"key\":\"$1\",\"code\":\"$1\",\"windowsVirtualKeyCode\":$2}"; }
visit "$tmp/page.html" 1600 900
read -r x y <<<"$(at 5 9)"
call Input.dispatchMouseEvent "{\"type\":\"mouseMoved\",\"x\":$x,\"y\":$y}"
said=$(cell_of 5,9)
[ "$said" = "of cell 5,9" ]
say $? "the mouse on a cell shows it" "$said"
call Emulation.setTouchEmulationEnabled '{"enabled":true}'
visit "$tmp/page.html" 800 900
cell_of any >/dev/null # three seconds, in which the browser learns where fingers matter
read -r x y <<<"$(at 7 3)"
call Input.dispatchTouchEvent "{\"type\":\"touchStart\",\"touchPoints\":[{\"x\":$x,\"y\":$y}]}"
said=$(cell_of 7,3)
call Input.dispatchTouchEvent '{"type":"touchEnd","touchPoints":[]}'
call Emulation.setTouchEmulationEnabled '{"enabled":false}'
[ "$said" = "of cell 7,3" ]
say $? "a finger keeps a cell" "$said"
visit "$tmp/page.html" 1600 900
stops=
for ((i = 0; i < 14; i++)); do
    press Tab 9
    stops+=" $(evaluate '(e => e.id || e.name || e.className || e.tagName.toLowerCase())(document.activeElement)')"
    [ $i != 1 ] || { press ArrowDown 40; stops+=" $(cell_of 2,7 | tr ' ' '-')"; }
done
[[ $stops == " theme stage of-cell-"*" drawn opacity button button button button button button method class against tile" ]]
say $? "the Tab key stops at the theme, the picture, its controls, the answers, the methods, the classes and the maps" "$stops"

name=$'<img src=x onerror=alert(1)>"\'&amp;.jpg'
cp assets/samples/church.jpg "$tmp/$name"
"$MVSCOPE" $HTML -o "$tmp/hostile.html" "$tmp/$name" >"$tmp/said" 2>&1
say $? "a hostile file name is written" "$(cat "$tmp/said")"
visit "$tmp/hostile.html" 800 900
said=$(evaluate 'document.getElementById("photo").alt')
[ "$said" = "$name" ]
say $? "a hostile file name is only text" "$said"
quiet "a hostile file name" "$tmp/hostile.html"

# ---- the index of a folder of pages

mkdir "$tmp/set" && cp assets/samples/church.jpg "$tmp/set/$name" && cp assets/samples/golf-ball.jpg "$tmp/set/b#?.jpg" &&
    cp assets/samples/parachute.jpg "$tmp/set/a.jpg" && "$MVSCOPE" classify --explain -q -o "$tmp/set-pages/" "$tmp/set" >"$tmp/said" 2>&1
say $? "an index is written" "$(cat "$tmp/said")"
for width in 360 1200; do
    for theme in light dark; do
        visit "$tmp/set-pages/index.html" $width 900 $theme
        said=$(evaluate '[document.documentElement.scrollWidth <= innerWidth, getComputedStyle(document.body).backgroundColor,
            [...document.images].filter(i => i.naturalWidth > 0).length].join(" ")')
        paper="rgb(255, 255, 255)"
        [ $theme = dark ] && paper="rgb(16, 19, 24)"
        [ "$said" = "true $paper 3" ]
        say $? "index, $width px, $theme: nothing is cut off, and the thumbnails are there" "$said"
        quiet "index, $width px, $theme" "$tmp/set-pages/index.html"
    done
done
said=$(evaluate '[...document.querySelectorAll("tbody a")].map(a => a.textContent.split("/").pop()).sort().join("|")')
[ "$said" = "$(printf '%s|a.jpg|b#?.jpg' "$name")" ]
say $? "index: hostile names are only text" "$said"
said=$(evaluate '[...document.querySelectorAll("tbody a")].map(a => decodeURIComponent(a.href.split("/").pop())).sort().join("\n")')
[ "$said" = "$(cd "$tmp/set-pages" && ls | grep png | LC_ALL=C sort)" ]
say $? "index: links lead to the pages" "$said"
rows() { evaluate '[...document.querySelectorAll("tbody tr")].map(r => r.cells[2].textContent).join("|")'; }
for ((i = 0; i < 2; i++)); do press Tab 9; done # Name, Class
call Input.dispatchKeyEvent '{"type":"keyDown","key":"Enter","code":"Enter","windowsVirtualKeyCode":13,"text":"\r"}'
said=$(rows)
[ "$said" = "church|golf ball|parachute" ]
say $? "index: the Enter key sorts by class" "$said"
call Log.enable '{}'
said=$(evaluate '(() => { const b = document.querySelectorAll("thead button")[2], p = () => [...document.querySelectorAll("tbody tr")].map(r => +r.dataset.p);
    b.click(); const down = p().every((v, i, a) => !i || a[i - 1] >= v); b.click(); const up = p().every((v, i, a) => !i || a[i - 1] <= v);
    return [down, up, b.parentElement.getAttribute("aria-sort")].join(" "); })()')
[ "$said" = "true true ascending" ]
say $? "index: a click sorts by probability, a second one the other way" "$said"

echo "1..$number"
exit $((failed > 0))
