#!/bin/bash
# The device's tests on a GPU, in parts of some minutes at most, the most telling first. Called by `make check-cuda`.
#
#   tests/run_card.sh PLUGIN FOLDER [PART...]     FOLDER has the programs of a BARE build
#
#   ops        every operation against double loops, in fp32, fp16 and bf16
#   runs       kept values, recordings, replays, edits, late failures
#   nets       whole networks against the oracle's values, all published variants, maps against the CPU's, leaks
#   memcheck   compute-sanitizer on our own kernels, with the operations in their short form; racecheck, initcheck,
#   ...        synccheck likewise. NVIDIA's kernels are left out: known false reports, and minutes of their own.
#
# nets needs libraries: it takes build/card.tar.gz (`make card` on a machine that has them; the file may be carried here),
# or builds the test where `make deps` was run, or is skipped.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
plugin=$1 folder=$2
shift 2
export MVSCOPE_PLUGIN=$plugin CMOCKA_MESSAGE_OUTPUT=TAP
failed=() skipped=()

part() { # NAME COMMAND...
    local name=$1 began=$SECONDS
    shift
    echo "== $name"
    if "$@"; then
        echo "== $name: passed in $((SECONDS - began)) s"
    else
        echo "== $name: FAILED with status $? after $((SECONDS - began)) s"
        failed+=("$name")
    fi
}

leave_out() { # NAME WHY
    echo "== $1: skipped: $2"
    skipped+=("$1")
}

sanitizer=$(type -P compute-sanitizer || echo "${CUDA_HOME:-/usr/local/cuda}/bin/compute-sanitizer")

for name in "${@:-ops}"; do
    case $name in
    ops) part ops "$folder/tests/test_device_ops" ;;
    runs) part runs "$folder/tests/test_runs" ;;
    nets)
        [ ! -e build/card.tar.gz ] || [ -x build/card/test_backend ] || tar -C build -xzf build/card.tar.gz
        if [ -x build/card/test_backend ]; then
            part nets build/card/test_backend
        elif [ -z "$(env -u MAKEFLAGS -u MAKELEVEL make -s --no-print-directory missing TESTED=1)" ]; then
            part nets bash -c 'env -u MAKEFLAGS -u MAKELEVEL make -s build/gcc/tests/test_backend CC=gcc && build/gcc/tests/test_backend'
        else
            leave_out nets "neither build/card.tar.gz (\"make card\" elsewhere) nor the libraries of \"make deps\" are here"
        fi
        ;;
    memcheck | racecheck | initcheck | synccheck)
        if [ ! -x "$sanitizer" ]; then
            leave_out "$name" "compute-sanitizer was not found"
            continue
        fi
        for test in test_device_ops test_runs; do
            part "$name of $test" env MVSCOPE_TEST_SHORT=1 "$sanitizer" --tool "$name" --error-exitcode 9 \
                --kernel-name kns=_ZN2mv "$folder/tests/$test"
        done
        ;;
    *) echo "run_card.sh: no part '$name'; there are ops, runs, nets, memcheck, racecheck, initcheck, synccheck" >&2; exit 2 ;;
    esac
done
((${#skipped[@]})) && echo "skipped: ${skipped[*]}"
if ((${#failed[@]})); then
    printf 'FAILED  %s\n' "${failed[@]}"
    exit 1
fi
echo "check-cuda: all of it passed"
