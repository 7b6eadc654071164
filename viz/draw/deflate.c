/* Runs and Huffman codes: one dynamic block (RFC 1951, 3.2.7) for every call. */
#include "viz/draw/deflate.h"

#include <endian.h>
#include <stdbool.h>
#include <string.h>

enum {
    LITERALS = 286, /* bytes, the end, and 29 classes of length */
    END = 256,
    RUN = 1 << 15, /* a token with this bit is a run: the low bits are its length */
    LONGEST_RUN = 258,
    LONGEST_CODE = 15
};

/* --- lengths of runs --------------------------------------------------------------------------- */

/* Length 3..258 is a symbol from 257 on, and some extra bits (RFC 1951, 3.2.5). */
static void length_symbol(int length, int *symbol, int *extra_bits, int *extra)
{
    if (length == LONGEST_RUN) {
        *symbol = 285;
        *extra_bits = *extra = 0;
        return;
    }
    int n = length - 3;
    if (n < 8) {
        *symbol = 257 + n;
        *extra_bits = *extra = 0;
        return;
    }
    int top = 31 - __builtin_clz((unsigned)n);
    *extra_bits = top - 2;
    *symbol = 257 + 4 * (top - 1) + ((n >> (top - 2)) & 3);
    *extra = n & ((1 << (top - 2)) - 1);
}

/* --- Huffman codes ----------------------------------------------------------------------------- */

typedef struct {
    uint8_t length[LITERALS];
    uint16_t code[LITERALS]; /* bits reversed, as they are written */
} coder;

/* Depths of a Huffman tree over the `count` symbols that occur, by the two-queue method; one alone gets depth 1. */
static void tree_depths(const uint32_t *weight, const uint16_t *by_weight, int count, uint8_t *length)
{
    if (count < 2) {
        if (count == 1)
            length[by_weight[0]] = 1;
        return;
    }
    uint32_t node_weight[LITERALS];
    int16_t parent_of_leaf[LITERALS], parent_of_node[LITERALS];
    int leaf = 0, node = 0;
    for (int made = 0; made < count - 1; made++) {
        uint32_t sum = 0;
        for (int k = 0; k < 2; k++)
            if (leaf < count && (node == made || weight[by_weight[leaf]] <= node_weight[node])) {
                sum += weight[by_weight[leaf]];
                parent_of_leaf[leaf++] = (int16_t)made;
            } else {
                sum += node_weight[node];
                parent_of_node[node++] = (int16_t)made;
            }
        node_weight[made] = sum;
    }
    uint8_t depth[LITERALS];
    depth[count - 2] = 0;
    for (int i = count - 3; i >= 0; i--)
        depth[i] = (uint8_t)(depth[parent_of_node[i]] + 1);
    for (int i = 0; i < count; i++)
        length[by_weight[i]] = (uint8_t)(depth[parent_of_leaf[i]] + 1);
}

/* Code lengths of at most `limit` bits for the symbols that occur; one alone gets one bit. */
static void code_lengths(const uint32_t *weight, int n, int limit, uint8_t *length)
{
    uint16_t by_weight[LITERALS];
    int count = 0;
    memset(length, 0, (size_t)n);
    for (int i = 0; i < n; i++)
        if (weight[i]) {
            int at = count++;
            for (; at > 0 && weight[by_weight[at - 1]] > weight[i]; at--)
                by_weight[at] = by_weight[at - 1];
            by_weight[at] = (uint16_t)i;
        }
    tree_depths(weight, by_weight, count, length);
    if (count < 2)
        return;

    /* Too deep: cut to the limit, pay by deepening the rarest that can be, give back what was paid too much
     * to the most frequent: Kraft's sum must be 1 exactly. */
    int over = -(1 << limit);
    for (int i = 0; i < count; i++) {
        uint8_t *l = &length[by_weight[i]];
        *l = *l > limit ? (uint8_t)limit : *l;
        over += 1 << (limit - *l);
    }
    for (int i = 0; over > 0; i = (i + 1) % count)
        for (uint8_t *l = &length[by_weight[i]]; *l < limit && over > 0; ++*l)
            over -= 1 << (limit - *l - 1);
    for (int i = count - 1; over != 0; i = (i + count - 1) % count)
        for (uint8_t *l = &length[by_weight[i]]; *l > 1 && over + (1 << (limit - *l)) <= 0; --*l)
            over += 1 << (limit - *l);
}

static void assign_codes(const uint8_t *length, int n, uint16_t *code)
{
    unsigned next[LONGEST_CODE + 2] = {0}, count[LONGEST_CODE + 1] = {0};
    for (int i = 0; i < n; i++)
        count[length[i]]++;
    count[0] = 0;
    for (int bits = 1; bits <= LONGEST_CODE; bits++)
        next[bits] = (next[bits - 1] + count[bits - 1]) << 1;
    for (int i = 0; i < n; i++) {
        unsigned forward = next[length[i]]++, back = 0;
        for (int bit = 0; bit < length[i]; bit++)
            back |= ((forward >> bit) & 1) << (length[i] - 1 - bit);
        code[i] = (uint16_t)back;
    }
}

/* --- writing ----------------------------------------------------------------------------------- */

static inline void put(mv_deflate *p, unsigned value, int bits)
{
    p->bits |= (uint64_t)value << p->bit_count;
    p->bit_count += bits;
    while (p->bit_count >= 8) {
        p->out[p->size++] = (uint8_t)p->bits;
        p->bits >>= 8;
        p->bit_count -= 8;
    }
}

/* The lengths of the block's codes, themselves in runs and coded (RFC 1951, 3.2.7). */
static void put_header(mv_deflate *p, const coder *c, int final)
{
    static const uint8_t order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    uint8_t lengths[LITERALS + 1], symbol[LITERALS + 1], extra[LITERALS + 1];
    int n = LITERALS, count = 0;
    memcpy(lengths, c->length, LITERALS);
    while (c->length[n - 1] == 0)
        n--;
    int literals = n;
    lengths[n++] = 1; /* the one distance, 1 */

    uint32_t weight[19] = {0};
    for (int i = 0; i < n; count++) {
        int run = 1;
        while (i + run < n && lengths[i + run] == lengths[i])
            run++;
        if (lengths[i] == 0 && run >= 3) {
            run = run > 138 ? 138 : run;
            symbol[count] = run > 10 ? 18 : 17;
            extra[count] = (uint8_t)(run - (run > 10 ? 11 : 3));
        } else if (i > 0 && lengths[i] == lengths[i - 1] && run >= 3) {
            run = run > 6 ? 6 : run;
            symbol[count] = 16;
            extra[count] = (uint8_t)(run - 3);
        } else {
            run = 1;
            symbol[count] = lengths[i];
            extra[count] = 0;
        }
        weight[symbol[count]]++;
        i += run;
    }
    uint8_t length[19];
    uint16_t code[19];
    code_lengths(weight, 19, 7, length);
    assign_codes(length, 19, code);
    int sent = 19;
    while (sent > 4 && length[order[sent - 1]] == 0)
        sent--;

    put(p, final ? 1 : 0, 1);
    put(p, 2, 2);
    put(p, (unsigned)(literals - 257), 5);
    put(p, 0, 5);
    put(p, (unsigned)(sent - 4), 4);
    for (int i = 0; i < sent; i++)
        put(p, length[order[i]], 3);
    for (int i = 0; i < count; i++) {
        put(p, code[symbol[i]], length[symbol[i]]);
        if (symbol[i] >= 16)
            put(p, extra[i], symbol[i] == 16 ? 2 : symbol[i] == 17 ? 3 : 7);
    }
}

/* Whole bytes of `bits` go out at once, eight are stored and as many kept as there were. */
static inline uint8_t *store(uint8_t *out, uint64_t *bits, int *n)
{
    uint64_t word = htole64(*bits);
    memcpy(out, &word, 8);
    out += *n >> 3;
    *bits >>= *n & ~7;
    *n &= 7;
    return out;
}

static void put_tokens(mv_deflate *p, const coder *c, size_t count)
{
    uint64_t bits = p->bits;
    int n = p->bit_count;
    uint8_t *out = p->out + p->size;
    for (size_t i = 0; i < count; i++) {
        unsigned token = p->token[i];
        if (token < RUN) {
            bits |= (uint64_t)c->code[token] << n;
            n += c->length[token];
        } else {
            int symbol, extra_bits, extra;
            length_symbol((int)(token - RUN), &symbol, &extra_bits, &extra);
            bits |= (uint64_t)c->code[symbol] << n;
            n += c->length[symbol];
            bits |= (uint64_t)(unsigned)extra << n;
            n += extra_bits + 1; /* and a zero: the code of distance 1 */
        }
        if (n >= 40) /* a token has 21 bits at most, and 7 may stay */
            out = store(out, &bits, &n);
    }
    out = store(out, &bits, &n);
    p->bits = bits;
    p->bit_count = n;
    p->size = (size_t)(out - p->out);
}

/* --- reading ----------------------------------------------------------------------------------- */

/* How many of the n bytes equal `byte`. */
static size_t run_length(const uint8_t *bytes, size_t n, uint8_t byte)
{
    uint64_t pattern = byte * UINT64_C(0x0101010101010101), word;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        memcpy(&word, bytes + i, 8);
        if (word != pattern)
            break;
    }
    while (i < n && bytes[i] == byte)
        i++;
    return i;
}

/* Whether the three bytes from here on are all `byte`: one test that hardly ever holds in a photo. Four are read. */
static inline bool run_starts(const uint8_t *bytes, unsigned byte)
{
    uint32_t word;
    memcpy(&word, bytes, 4);
    return (htole32(word) & 0xffffff) == byte * UINT32_C(0x010101);
}

static size_t add_run(mv_deflate *p, size_t count, size_t run, uint32_t *weight)
{
    while (run >= 3) {
        /* the rest must not be 1 or 2, which is no run */
        size_t part = run <= LONGEST_RUN ? run : run - LONGEST_RUN < 3 ? LONGEST_RUN - 3 : LONGEST_RUN;
        int symbol, extra_bits, extra;
        length_symbol((int)part, &symbol, &extra_bits, &extra);
        weight[symbol]++;
        p->token[count++] = (uint16_t)(RUN | part);
        run -= part;
    }
    return count;
}

static size_t find_tokens(mv_deflate *p, const uint8_t *bytes, size_t n, uint32_t weight[LITERALS])
{
    uint32_t odd[256] = {0}; /* every other byte is counted here: a count need not wait for the one before */
    size_t count = 0, i = 0;
    unsigned last = p->last < 0 ? 256 : (unsigned)p->last; /* 256: no run can start */
    while (i < n) {
        if (i + 4 <= n && run_starts(bytes + i, last)) {
            size_t run = 3 + run_length(bytes + i + 3, n - i - 3, (uint8_t)last);
            i += run;
            count = add_run(p, count, run, weight);
        } else {
            last = bytes[i];
            (i & 1 ? odd : weight)[last]++;
            p->token[count++] = (uint16_t)last;
            i++;
        }
    }
    for (int k = 0; k < 256; k++)
        weight[k] += odd[k];
    p->last = last > 255 ? -1 : (int)last;
    return count;
}

/* Adler-32 (RFC 1950) in strips of 32 whose sums the compiler keeps in vectors. */
static void checksum(mv_deflate *p, const uint8_t *bytes, size_t n)
{
    enum { STRIP = 32, MODULUS = 65521 };
    uint32_t a = p->a, b = p->b;
    while (n >= STRIP) {
        size_t strips = n / STRIP;
        strips = strips > 5552 / STRIP ? 5552 / STRIP : strips; /* as many as cannot overflow */
        n -= strips * STRIP;
        for (; strips > 0; strips--, bytes += STRIP) {
            uint32_t sum = 0, ramp = 0;
            for (uint32_t k = 0; k < STRIP; k++) {
                sum += bytes[k];
                ramp += (STRIP - k) * bytes[k];
            }
            b += STRIP * a + ramp;
            a += sum;
        }
        a %= MODULUS;
        b %= MODULUS;
    }
    for (; n > 0; n--) {
        a += *bytes++;
        b += a;
    }
    p->a = a % MODULUS;
    p->b = b % MODULUS;
}

void mv_deflate_start(mv_deflate *p)
{
    p->bits = 0x0178; /* zlib's two bytes: deflate, a window of 32 KiB, fastest */
    p->bit_count = 16;
    p->last = -1;
    p->a = 1;
    p->b = 0;
    p->size = 0;
}

void mv_deflate_block(mv_deflate *p, const uint8_t *bytes, size_t n, int final)
{
    uint32_t weight[LITERALS] = {0};
    coder c;
    p->size = 0;
    checksum(p, bytes, n);
    size_t count = find_tokens(p, bytes, n, weight);
    weight[END]++;
    code_lengths(weight, LITERALS, LONGEST_CODE, c.length);
    assign_codes(c.length, LITERALS, c.code);
    put_header(p, &c, final);
    put_tokens(p, &c, count);
    put(p, c.code[END], c.length[END]);
    if (final) {
        put(p, 0, -p->bit_count & 7);
        for (int shift = 24; shift >= 0; shift -= 8)
            put(p, ((p->b << 16 | p->a) >> shift) & 0xff, 8);
    }
}
