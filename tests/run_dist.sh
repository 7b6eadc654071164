#!/bin/bash
# Packs the program with its libraries and unpacks it elsewhere. There it must find every library in its own folder, all but
# the C library, and draw the page that ./mvscope draws.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT

. tests/case_of.sh

packed() {
    make --no-print-directory dist OUT="$folder/packed" || return
    mkdir "$folder/to" && tar -C "$folder/to" --strip-components=1 -xzf "$folder"/packed/mvscope-*.tar.gz
}

complete() {
    local loaded=("$folder"/to/lib/lib{curl.so.4,heif.so.1}) # these two when they are needed
    [ -e "${loaded[0]}" ] || return
    # A library that the program loads looks where the program does, but ldd does not know that.
    ! LD_LIBRARY_PATH=$folder/to/lib ldd "$folder/to/bin/mvscope" "${loaded[@]}" |
        awk '$2 == "=>"' | grep -vE "=> $folder/to/|^[[:space:]]lib(c|m|dl|pthread|rt|resolv)\.so"
}

draws() (
    mkdir "$folder/work" && cp assets/samples/church.jpg "$folder/work" && program=$PWD/mvscope && cd "$folder/work" || return
    "$program" report -o here.png church.jpg && mv here.png first.png &&
        env -i ../to/bin/mvscope report -o here.png church.jpg && cmp first.png here.png
)

licences() {
    command -v dpkg-query >/dev/null || return 0
    [ -s "$folder/to/share/doc/libraries/libcairo2" ] && [ -s "$folder/to/share/doc/mvscope/OFL.txt" ]
}

echo 1..4
case_of "make dist packs the program" packed
case_of "the packed program finds every library in its own folder" complete
case_of "the packed program draws the same page elsewhere" draws
case_of "the licences of the libraries are packed" licences
