#!/bin/bash
# The machine code of the GPU's kernels, for compute capability 9.0, compared with tests/data/machine_code: registers,
# local memory, instructions, and what the hot loop has of them (machine_code.awk). A figure that is more than 5 % above
# the table is a failure. Promises that the table names hold exactly:
#
#   wide       every store to memory is of 16 bytes
#   straight   the hot loop does not jump
#
# Speaks TAP, after a table. It needs build/cuda, and cuobjdump and nvdisasm: in the PATH, in the CUDA Toolkit, or in the
# Python packages nvidia-cuda-cuobjdump and nvidia-cuda-nvdisasm of $PYTHON (python3). Without them only
# registers and local memory are compared, which nvcc prints. Another nvcc than that of the table makes other code: then
# only promises are compared.
#
#   tests/run_machine_code.sh [--write]      writes the table anew; promises stay
set -uo pipefail
export LC_ALL=C
cd "$(dirname "$0")/.." || exit 1

table=tests/data/machine_code
nvcc=${NVCC:-$(type -P nvcc || echo /usr/local/cuda/bin/nvcc)}
[ -x "$nvcc" ] || { echo "1..0 # SKIP nvcc is not installed"; exit 0; }
version=$("$nvcc" --version | sed -n 's/.*release \([0-9.]*\).*/\1/p')

# Where Python packages of NVIDIA put their programs
of_python() {
    "${PYTHON:-python3}" -c 'import glob, nvidia; print(":".join(glob.glob(list(nvidia.__path__)[0] + "/cu*/bin")))' 2>/dev/null
}
PATH=$PATH:${nvcc%/*}:$(of_python)

by_cuobjdump() {
    local object
    for object in build/cuda/*.o; do
        cuobjdump -res-usage -arch sm_90 "$object" 2>/dev/null
        cuobjdump -sass -arch sm_90 "$object" 2>/dev/null
    done | c++filt | awk -f tests/machine_code.awk
}

# Keeps what nvcc prints of a source until the source changes. The figures that are missing are "-".
by_ptxas() {
    local source printed
    mkdir -p build/machine_code
    for source in cuda/*.cu; do
        printed=build/machine_code/${source##*/}
        [ -e "$printed" ] && [ -z "$(find "$source" cuda/*.h -newer "$printed")" ] ||
            "$nvcc" -std=c++17 -O3 -I. -arch=sm_90 -Xptxas -v -cubin -o /dev/null "$source" >"$printed" 2>&1
        cat "$printed"
    done | c++filt | awk -v ptxas=1 -f tests/machine_code.awk
}

if type cuobjdump nvdisasm &>/dev/null; then how=by_cuobjdump; else how=by_ptxas; fi
now=$($how | sort)
[ -n "$now" ] || { echo "Bail out! build/cuda has no kernels; \"make cuda\" builds them"; exit 1; }

head="kernel registers stack instructions narrow loop integer jumps path alone round products powers loads loads_before beside beside_round"
if [ "${1-}" = --write ]; then
    [ $how = by_cuobjdump ] || { echo "to write the table needs cuobjdump and nvdisasm" >&2; exit 1; }
    {
        sed -n '/^#/p' $table | grep -v '^# nvcc'
        echo "# nvcc $version"
        {
            echo "$head promises"
            awk 'FILENAME != "-" { promised[$1] = $NF; next } { print $0, promised[$1] == "" ? "-" : promised[$1] }' \
                <(grep -v '^#' $table) - <<<"$now"
        } | column -t
    } >$table.new && mv $table.new $table
    exit
fi

{ echo "$head"; echo "$now"; } | column -t | sed 's/^/  | /'
[ $how = by_cuobjdump ] || echo "ok - instructions and loops # SKIP cuobjdump and nvdisasm are not installed: only registers and local memory"
same=1
grep -qx "# nvcc $version" $table || {
    same=0
    echo "ok - figures # SKIP the table is of $(sed -n 's/^# nvcc/nvcc/p' $table), this is $version: only promises"
}
awk -v same=$same '
    function complain(text) { said = said (said == "" ? "" : "; ") text }
    function at_most(what, got, most) {
        if (same && got != "-" && got > most * 1.05 + (what ~ /jumps|integer/ ? 1 : 0))
            complain(what " " got ", expected " most)
    }
    /^#/ || $1 == "kernel" { next }
    NR == FNR {
        for (i = 2; i <= 11; i++) want[$1, i] = $i
        promised[$1] = $NF
        next
    }
    {
        said = ""
        if (!($1 in promised)) complain("is not in the table; tests/run_machine_code.sh --write adds it")
        else {
            at_most("registers", $2, want[$1, 2])
            if ($3 > want[$1, 3]) complain($3 " bytes of local memory, expected " want[$1, 3])
            at_most("instructions", $4, want[$1, 4])
            at_most("hot loop", $6, want[$1, 6])
            at_most("integer instructions in the hot loop", $7, want[$1, 7])
            at_most("cycles of the hot loop", $11, want[$1, 11])
            at_most("jumps in the hot loop", $8, want[$1, 8])
            if (promised[$1] ~ /wide/ && $5 != "-" && $5 > 0) complain($5 " stores of less than 16 bytes, promised none")
            if (promised[$1] ~ /straight/ && $8 != "-" && $8 > 0) complain($8 " jumps in the hot loop, promised none")
        }
        print (said == "" ? "ok - " : "not ok - ") $1 (said == "" ? "" : ": " said)
        seen[$1] = 1
    }
    END { for (k in promised) if (!(k in seen)) print "not ok - " k ": is in the table, but was not compiled" }
' $table <(echo "$now")
