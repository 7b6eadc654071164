# Reads what `cuobjdump -res-usage` and then `cuobjdump -sass` print, names demangled, and prints a line for each kernel:
#
#   kernel registers stack instructions narrow loop integer jumps path alone round products powers loads loads_before beside beside_round
#
#   stack          bytes of local memory
#   instructions   up to the last exit
#   narrow         stores to memory of less than 16 bytes
#   loop           instructions of the hot loop, 0 if there is none; of them:
#   integer        what computes addresses and indices
#   jumps          but the one that closes it
#   path, alone    instructions of a warp that takes no conditional jump, and the cycles that it would take alone: the
#                  stalls that the compiler put between instructions, and what it waits for, by LATENCY
#   round          the same cycles, of a round of the hot loop
#   products, powers, loads   of the tensor cores, of 2, and from memory, in the hot loop: with what the emulation counts
#                  of a warp they give the number of its rounds; loads_before are those in front of the loop
#   beside         where the powers of 2 have a loop apart from that of the products, because half of the warps do each:
#                  the instructions of that loop, and the cycles of a round
#
# A loop is what a jump back encloses. Hot is the one with most of the work (products of the tensor cores, else arithmetic
# of floats) of those that have no other with such work inside. Of kernels for several types, that for fp16 is shown.

function short_name(s,    i, depth, c) {
    gsub(/\(anonymous namespace\)::|mv::|^void /, "", s)
    gsub(/__nv_bfloat16/, "bf16", s)
    gsub(/__half/, "half", s)
    gsub(/ /, "", s)
    gsub(/\((int|bool|unsigned)\)/, "", s)
    for (i = 1; i <= length(s); i++) { # without the parameters
        c = substr(s, i, 1)
        depth += c == "<" ? 1 : c == ">" ? -1 : 0
        if (c == "(" && depth == 0)
            return substr(s, 1, i - 1)
    }
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

# The hot loop by what its work is, of those that do not enclose `other`; 0: no loop has such work.
function hot(work, other,    a, b, best, inner, most) {
    for (a = 1; a <= loops; a++) {
        if (other && (a == other || encloses(a, other)))
            continue
        if (!(inner = count(work, first[a], end[a])))
            continue
        for (b = 1; b <= loops; b++)
            if (encloses(a, b) && count(work, first[b], end[b]))
                inner = 0
        if (inner > most || (inner && inner == most && end[a] - first[a] > end[best] - first[best])) {
            best = a
            most = inner
        }
    }
    return best + 0
}

function finish(    i, last, best, beside, narrow, alone, all) {
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
    beside = best ? hot("^MUFU.EX2", best) : 0
    if (beside && (encloses(best, beside) || count("^HMMA", first[beside], end[beside])))
        beside = 0
    if (!best)
        best = hot("^(FFMA|FMUL|FADD|MUFU)")
    if (!best)
        best = hot(".")
    delete done
    alone = pass(1, last, 0)
    all = path
    printf "%s %d %d %d %d", kernel, registers[symbol], stack[symbol], last, narrow
    if (best)
        printf " %d %d %d %d %d %d %d %d %d %d", end[best] - first[best] + 1, count(INTEGER, first[best], end[best]),
            count("^(BRA|CALL|BRX|JMP)", first[best], end[best] - 1), all, alone, round_of(best),
            count("^HMMA", first[best], end[best]), count("^MUFU.EX2", first[best], end[best]) + \
            (beside ? count("^MUFU.EX2", first[beside], end[beside]) : 0), count("^LDG", first[best], end[best]), \
            count("^LDG", 1, first[best] - 1)
    else
        printf " 0 0 0 %d %d 0 0 0 0 0", all, alone
    if (beside)
        printf " %d %d\n", end[beside] - first[beside] + 1, round_of(beside)
    else
        print " 0 0"
}

# The cycle in which a warp alone is ready to issue what follows from..to, if it issues `from` in cycle t; `path` is how
# many it issues. Each instruction carries how long to stall, which of six counters it sets (when it has written, when it
# has read), and which it waits for.
function pass(from, to, t,    i, b, word, latency) {
    path = 0
    for (i = from; i <= to; i++) {
        path++
        if (!guarded[i] && opcode[i] == "EXIT")
            break
        if (!guarded[i] && opcode[i] == "BRA" && (target[i] in at) && at[target[i]] > i && at[target[i]] <= to) {
            i = at[target[i]] - 1
            continue
        }
        word = control[i]
        for (b = 0; b < 6; b++)
            if (int(word / 2 ^ (12 + b)) % 2 && done[b] > t)
                t = done[b]
        latency = 25
        if (match(opcode[i], /^[A-Z0-9]+/) && (substr(opcode[i], 1, RLENGTH) in LATENCY))
            latency = LATENCY[substr(opcode[i], 1, RLENGTH)]
        b = int(word / 64) % 8
        if (b < 6)
            done[b] = t + latency
        b = int(word / 512) % 8
        if (b < 6 && done[b] < t + 15)
            done[b] = t + 15
        b = int(word / 2) % 16
        t += b ? b : 1
    }
    return t
}

# The second time that a warp goes through a loop
function round_of(loop,    t) {
    delete done
    t = pass(first[loop], end[loop], 0)
    return pass(first[loop], end[loop], t) - t
}

function forget() {
    delete opcode
    delete control
    delete target
    delete at
    delete first
    delete end
    instructions = 0
}

BEGIN {
    # Cycles, of H100: from the second level of the cache, shared memory, special functions, other lanes. What is not
    # named and sets a counter: 25.
    split("LDG 400 LDGSTS 400 LDS 30 LDSM 33 LDC 40 MUFU 22 SHFL 25 S2R 30 S2UR 30 I2F 20 F2I 20 STG 20 STS 20", word, " ")
    for (i = 1; i in word; i += 2)
        LATENCY[word[i]] = word[i + 1]
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
    guard = sub(/^@!?U?P[0-9T]+ +/, "", text)
    split(text, word, /[ ,]+/)
    opcode[++instructions] = word[1]
    guarded[instructions] = guard || text ~ /^BRA[^ ]* +!?U?P[0-9]/
    at[number(address)] = instructions
    if (word[1] ~ /^BRA/ && match(text, /0x[0-9a-f]+/))
        target[instructions] = number(substr(text, RSTART + 2, RLENGTH - 2))
    next
}
kernel != "" && instructions && /^ +\/\* 0x[0-9a-f]+ \*\/$/ { # the second half of the instruction
    match($0, /0x/)
    control[instructions] = number(substr($0, RSTART + 2, 6))
}
END { finish() }

# With ptxas=1: what `nvcc -Xptxas -v` prints. The figures that it does not print are "-".
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
        print kernel, substr($0, RSTART + 5, RLENGTH - 5), frame, "- - - - - - - - - - - - - -"
    kernel = ""
}
