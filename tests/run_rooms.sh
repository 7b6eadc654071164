#!/bin/bash
# The law of the rooms: every #include "..." is checked against the table in CONTRIBUTING.md, every library's header
# against the files that may include it, and the built libraries against what they must not call. Speaks TAP. Needs no
# build; what is built is checked as well.
#
#   tests/run_rooms.sh [FOLDER]      of this folder; the project's if left out
set -uo pipefail
export LC_ALL=C
cd "${1:-$(dirname "$0")/..}" || exit 1

LONGEST=500 # lines of a file

# The table is the fenced block after "<!-- rooms -->". A line is a room, then what it may include besides itself: a
# folder with all below it, or one header. A file belongs to the longest room that its path begins with.
table=$(awk '/^<!-- rooms -->/ { on = 1; next } on && /^```/ { if (on++ == 2) exit; next } on == 2' CONTRIBUTING.md)
[ -n "$table" ] || { echo "Bail out! CONTRIBUTING.md has no table after <!-- rooms -->"; exit 1; }

# A library: the beginning of its headers' names, as a regular expression, then the only files that may include it.
libraries='stb/                src/picture/stb.c
j(peglib|error)     src/picture/jpeg.c viz/draw/jpeg_file.c
webp/               src/picture/webp.c
tiffio              src/picture/tiff
libheif             src/picture/heif.c
oneapi/             src/device/dnnl
dlfcn               cmd/stop.c src/device/plugin.c src/picture/heif.c src/file/fetch.c src/base/library.c
pthread             src/device viz/draw/fonts.c cmd
nettle              src/file
expat               src/file
curl/               src/file/fetch.c
jansson             src/file src/model cmd
zlib                src/file src/picture/png.c viz/draw viz/html/stream
libdeflate          viz/draw/png_file.c
(cairo|pango)       viz/draw
(fontconfig|hb)     viz/draw
png\.h              src/picture/png.c viz/draw
gif_lib             src/picture/gif.c viz/draw
popt                cmd
(cuda|cublas|cudnn) cuda
[a-z]mmintrin|arm_  src/kernel'

number=0 failed=0
say() { # NAME FAULTS
    if [ -z "$2" ]; then
        echo "ok $((++number)) - rooms: $1"
    else
        ((failed++))
        echo "not ok $((++number)) - rooms: $1"
        printf '%s\n' "$2" | sed 's/^/# /'
    fi
}

files=$(find src viz cmd cuda assets tests -name '*.[ch]' -o -name '*.cu' -o -name '*.inc' | sort)
includes=$(grep -nHE '^\s*#\s*include' $(grep -E '^(src|viz|cmd|cuda)/' <<<"$files") |
    sed -E 's/^([^:]+):([0-9]+):\s*#\s*include\s*/\1 \2 /')

say "an arrow goes where the table allows it" "$(awk -v table="$table" -v files="$files" '
    BEGIN {
        n = split(table, line, "\n")
        for (i = 1; i <= n; i++) {
            k = split(line[i], word, /[ \t]+/)
            for (j = 1; j <= k; j++) allowed[word[1], j - 1] = word[j]
            if (k) room[word[1]] = k - 1
        }
        n = split(files, path, "\n")
        for (i = 1; i <= n; i++) exists[path[i]] = 1
    }
    function home(path,   r, best) {
        for (r in room) if (index(path, r "/") == 1 && length(r) > length(best)) best = r
        return best
    }
    function may(from, to,   i, what) {
        for (i = 1; i <= room[from]; i++) {
            what = allowed[from, i]
            if (what == to || home(to) == what || (!(what in room) && index(to, what "/") == 1)) return 1
        }
        return 0
    }
    $3 ~ /^"/ {
        to = $3; gsub(/"/, "", to); from = home($1); there = home(to)
        if (from == "") print $1 ": is in no room of the table"
        else if (!(to in exists)) print $1 ":" $2 ": " to " is no path from the root"
        else if (to ~ /_impl\.h$/ && from != there) print $1 ":" $2 ": " to " is private to " there
        else if (from != there && !may(from, to)) print $1 ":" $2 ": " from " may not include " to
    }' <<<"$includes")"

say "every folder of sources is in the table" "$(
    while read -r folder; do
        grep -qE "^$folder( |\$)" <<<"$table" || echo "$folder: has no line in the table"
    done < <(grep -E '^(src|viz|cmd|cuda)/' <<<"$files" | sed 's|/[^/]*$||' | sort -u))"

while read -r header places; do
    say "<$header> is included by $places only" "$(awk -v header="^<($header)" -v places="$places" '
        $3 ~ header {
            k = split(places, place, " "); ok = 0
            for (i = 1; i <= k; i++) if (index($1, place[i]) == 1) ok = 1
            if (!ok) print $1 ":" $2 ": " $3
        }' <<<"$includes")"
done <<<"$libraries"

say "no file is longer than $LONGEST lines" "$(wc -l $(grep -E '^(src|viz|cmd|cuda)/' <<<"$files") |
    awk -v most=$LONGEST '$2 != "total" && $1 > most { print $2 ": has " $1 " lines" }')"

# Two headers with one guard cannot be included together.
say "no two headers share a guard" "$(grep -hE '^#ifndef [A-Z0-9_]+_H$' $(grep -E '\.h$' <<<"$files") | sort | uniq -d)"

# What was built. Sanitizers and coverage add calls and data of their own, so those builds are left out.
for lib in build/*/libmvscope.a build/*/libmvviz.a; do
    case $lib in *-address* | *-undefined* | *-thread* | *-fuzzer* | *-coverage* | *'*'*) continue ;; esac
    [ -e "$lib" ] || continue
    say "$lib does not print, exit or read the environment" "$(nm -A "$lib" 2>/dev/null |
        grep -E ' U (v?f?d?printf|f?puts|f?putc|putchar|perror|psignal|exit|_exit|quick_exit|abort|(secure_)?getenv|setenv|environ|std(out|err|in))$')"
    # Constants that hold addresses are in .data.rel.ro. Exceptions: the switches of stb_image, which nobody sets; the
    # lock for what cairo keeps for the whole process; the lists of temporaries and of mappings, which signal handlers
    # must reach.
    say "$lib has no mutable globals" "$(objdump -t "$lib" 2>/dev/null | awk '
        /^[^ ]+\.o:/ { object = $1; sub(/:$/, "", object) }
        / O \.(data|bss)/ && !/\.data\.rel\.ro/ && object != "stb.o" && !(object == "fonts.o" && $NF == "lock") &&
        !((object == "temporary.o" || object == "mapping.o") && $NF == "list") {
            print object ": " $NF }')"
done
for stb in build/*/src/picture/stb.o; do
    case $stb in *-address* | *-undefined* | *-thread* | *-fuzzer* | *-coverage* | *'*'*) continue ;; esac
    say "$stb has no reader but those of BMP, TGA and PNM" "$(nm "$stb" | grep -iE 'stbi_+(gif|pic|hdr|jpeg|jpg|png|zlib)')"
done
for kernels in build/*/src/kernel/plain; do
    case $kernels in *-address* | *-undefined* | *-thread* | *-fuzzer* | *-coverage* | *'*'*) continue ;; esac
    say "${kernels%/plain} takes no memory, starts no threads and reports no errors" "$(
        nm -A "${kernels%/plain}"/*/*.o | grep -E ' U (m|c|re|aligned_)alloc$| U free$| U (pthread_|mv_fail|mv_tensor)')"
done
echo "1..$number"
exit $((failed > 0))
