# Reads what `cuobjdump -res-usage` and then `cuobjdump -sass` print, names demangled, and prints a line for each kernel:
#
#   kernel registers stack instructions narrow loop integer jumps
#
#   stack          bytes of local memory
#   instructions   up to the last exit
#   narrow         stores to memory of less than 16 bytes
#   loop           instructions of the hot loop, 0 if there is none; of them:
#   integer        what computes addresses and indices
#   jumps          but the one that closes it
#
# A loop is what a jump back encloses. Hot is the longest of those that do the work (products of the tensor cores, else
# arithmetic of floats) and have no other such inside. Of kernels for several types, that for fp16 is shown.

function short_name(s) {
    gsub(/\(anonymous namespace\)::|mv::|^void /, "", s)
    gsub(/__nv_bfloat16/, "bf16", s)
    gsub(/__half/, "half", s)
    gsub(/ /, "", s)
    sub(/\([^<>]*\)$/, "", s)
    gsub(/\((int|bool|unsigned)\)/, "", s)
    return s
}

function is_shown(name) {
    return name !~ /bf16/ && (name !~ /float/ || name ~ /half/)
}

function number(hex,    n, i) {
    n = 0
    hex = tolower(hex)
    for (i = 1; i <= length(hex); i++)
        n = 16 * n + index("0123456789abcdef", substr(hex, i, 1)) - 1
    return n
}

# Of the instructions from..to
function count(pattern, from, to,    i, n) {
    for (i = from; i <= to; i++)
        n += opcode[i] ~ pattern
    return n + 0
}

# True if loop a has loop b inside.
function encloses(a, b) {
    return a != b && first[b] >= first[a] && end[b] <= end[a] && (first[b] > first[a] || end[b] < end[a] || b < a)
}

# The hot loop by what its work is; 0: no loop has such work.
function hot(work,    a, b, best, inner) {
    for (a = 1; a <= loops; a++) {
        if (!(inner = count(work, first[a], end[a])))
            continue
        for (b = 1; b <= loops; b++)
            if (encloses(a, b) && count(work, first[b], end[b]))
                inner = 0
        if (inner && (!best || end[a] - first[a] > end[best] - first[best]))
            best = a
    }
    return best + 0
}

function finish(    i, last, best, narrow) {
    if (kernel == "" || !instructions)
        return
    for (i = 1; i <= instructions; i++)
        if (opcode[i] == "EXIT")
            last = i
    loops = 0
    for (i = 1; i <= last; i++) {
        narrow += opcode[i] ~ /^STG/ && opcode[i] !~ /\.128/
        if (opcode[i] ~ /^BRA/ && (target[i] in at) && at[target[i]] < i) {
            first[++loops] = at[target[i]]
            end[loops] = i
        }
    }
    best = hot("^HMMA")
    if (!best)
        best = hot("^(FFMA|FMUL|FADD|MUFU)")
    if (!best)
        best = hot(".")
    printf "%s %d %d %d %d", kernel, registers[symbol], stack[symbol], last, narrow
    if (best)
        printf " %d %d %d\n", end[best] - first[best] + 1, count(INTEGER, first[best], end[best]),
            count("^(BRA|CALL|BRX|JMP)", first[best], end[best] - 1)
    else
        print " 0 0 0"
}

function forget() {
    delete opcode
    delete target
    delete at
    delete first
    delete end
    instructions = 0
}

BEGIN {
    INTEGER = "^(IMAD($|\\.WIDE|\\.HI|\\.IADD|\\.X|\\.SHL)|IADD|VIADD|LEA|SHF|LOP3|ISETP|I2F|F2I|S2R|S2UR|R2UR|U[A-Z])"
}

/^ *Function .*:$/ { # of -res-usage
    used = $0
    sub(/^ *Function /, "", used)
    sub(/:$/, "", used)
    next
}
/REG:[0-9]+ STACK:[0-9]+/ {
    match($0, /REG:[0-9]+/)
    registers[used] = substr($0, RSTART + 4, RLENGTH - 4)
    match($0, /STACK:[0-9]+/)
    stack[used] = substr($0, RSTART + 6, RLENGTH - 6)
    match($0, /LOCAL:[0-9]+/)
    stack[used] += substr($0, RSTART + 6, RLENGTH - 6)
    next
}
/Function : / {
    finish()
    forget()
    symbol = $0
    sub(/^.*Function : /, "", symbol)
    kernel = short_name(symbol)
    if (!is_shown(kernel) || registers[symbol] == "")
        kernel = ""
    next
}
kernel != "" && /^ +\/\*[0-9a-f]+\*\/ / {
    text = $0
    match(text, /\/\*[0-9a-f]+\*\//)
    address = substr(text, RSTART + 2, RLENGTH - 4)
    text = substr(text, RSTART + RLENGTH)
    sub(/;.*/, "", text)
    sub(/^ +/, "", text)
    sub(/^@!?U?P[0-9T]+ +/, "", text)
    split(text, word, /[ ,]+/)
    opcode[++instructions] = word[1]
    at[number(address)] = instructions
    if (word[1] ~ /^BRA/ && match(text, /0x[0-9a-f]+/))
        target[instructions] = number(substr(text, RSTART + 2, RLENGTH - 2))
}
END { finish() }

# With ptxas=1: what `nvcc -Xptxas -v` prints. The figures that it does not tell are "-".
ptxas && /Compiling entry function/ {
    symbol = $0
    sub(/^[^']*'/, "", symbol)
    sub(/' for .*/, "", symbol)
    kernel = short_name(symbol)
    next
}
ptxas && /bytes stack frame/ { frame = $1 }
ptxas && /Used [0-9]+ registers/ {
    match($0, /Used [0-9]+/)
    if (kernel != "" && is_shown(kernel))
        print kernel, substr($0, RSTART + 5, RLENGTH - 5), frame, "- - - - -"
    kernel = ""
}
