#!/bin/bash
# Installs into an empty folder. The program, its manuals and its completions must be there, the program must run without
# this source tree, and `make uninstall` must leave nothing behind. Two lists of packages must agree.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT

. tests/case_of.sh

installed() {
    make --no-print-directory install DESTDIR="$folder/to" PREFIX=/usr || return
    local f m
    for f in bin/mvscope share/bash-completion/completions/mvscope share/zsh/site-functions/_mvscope \
        share/fish/vendor_completions.d/mvscope.fish share/doc/mvscope/LICENSE share/doc/mvscope/README.md; do
        [ -s "$folder/to/usr/$f" ] || { echo "$f is missing"; return 1; }
    done
    for m in man/*.[1-8]; do
        cmp "$m" "$folder/to/usr/share/man/man${m##*.}/${m##*/}" || return
    done
}

runs_alone() (
    cp assets/samples/church.jpg "$folder/" && cd "$folder" || return
    env -i ./to/usr/bin/mvscope classify --explain -o church.png church.jpg && [ -s church.png ]
)

gone() {
    make --no-print-directory uninstall DESTDIR="$folder/to" PREFIX=/usr || return
    [ -z "$(find "$folder/to" -type f)" ] || { find "$folder/to" -type f; return 1; }
}

# debian/control and .ci/deps each list what the build needs; compilers and make come with debhelper.
same_packages() {
    diff <(sed -n '/^build=(/,/)/p; /^build_wish=(/p' .ci/deps | tr -d '()' | sed 's/^build=//; s/^build_wish=//' | tr -s ' ' '\n' | grep -vxE 'gcc|libc6-dev|make|pkg-config|' |
        sort) <(sed -n '/^Build-Depends/,/^[A-Z]/p' debian/control | sed -n 's/^ \([a-z0-9.+-]*\),*$/\1/p' | sort)
}

echo 1..4
case_of "make install installs all files" installed
case_of "the installed program runs on its own, in another folder" runs_alone
case_of "make uninstall leaves nothing behind" gone
case_of "the Debian package is built from the same packages" same_packages
