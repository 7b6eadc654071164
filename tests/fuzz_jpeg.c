/* Any bytes as a JPEG: as they are, and as the contents of a file whose structure is right, without which the fuzzer
 * would hardly come to the entropy-coded data: process, size, components, sampling and scans are taken from the bytes.
 *
 * Covers: src/picture/jpeg.c
 */
#include "tests/fuzz_picture.h"

typedef struct {
    const uint8_t *in;
    size_t left;
    uint8_t *out;
} maker;

static uint8_t next(maker *m)
{
    m->left -= m->left > 0;
    return m->left ? *m->in++ : 0;
}

static void put(maker *m, const void *bytes, size_t n)
{
    memcpy(m->out, bytes, n);
    m->out += n;
}

static void put_byte(maker *m, unsigned byte)
{
    *m->out++ = (uint8_t)byte;
}

/* A scan of some components, and some of the bytes as its data. */
static void put_scan(maker *m, int components, bool progressive)
{
    unsigned what = next(m), last = what & 64 ? 63 : next(m) & 63, first = what & 32 ? 0 : next(m) & 63;
    unsigned n = what & 16 ? (unsigned)components : 1, from = n > 1 ? 0 : (what & 3) % (unsigned)components;
    put(m, "\xFF\xDA\0", 3);
    put_byte(m, 6 + 2 * n);
    put_byte(m, n);
    for (unsigned i = 0; i < n; i++) {
        put_byte(m, 1 + from + i);
        put_byte(m, what & 4 ? 0x11 : 0);
    }
    put_byte(m, progressive ? first : 0);
    put_byte(m, progressive ? (first ? last : 0) : 63);
    put_byte(m, progressive ? next(m) : 0);
    for (size_t n_data = 4 * (size_t)next(m); n_data && m->left; n_data--) {
        uint8_t byte = next(m);
        put_byte(m, byte);
        if (byte == 0xFF && m->left && (*m->in & 0xF8) != 0xD0) /* restart markers stay */
            put_byte(m, 0);
    }
}

static void put_jpeg(maker *m)
{
    static const uint8_t process[] = {0xC0, 0xC1, 0xC2, 0xC2, 0xC9, 0xCA};
    static const int counts[] = {1, 3, 3, 4};
    unsigned kind = process[next(m) % sizeof process], adobe = next(m), w = next(m) & 127, h = next(m) & 127;
    int components = counts[next(m) & 3];
    put(m, "\xFF\xD8\xFF\xDB\0\x43\0", 7);
    for (int i = 0; i < 64; i++)
        put_byte(m, 1 + (unsigned)i);
    if (adobe & 4) {
        put(m,
            "\xFF\xEE\0\x0E"
            "Adobe\0\x64\0\0\0\0",
            15);
        put_byte(m, adobe & 3);
    }
    if (adobe & 8) {
        put(m, "\xFF\xDD\0\4\0", 5);
        put_byte(m, adobe >> 4);
    }
    put(m, "\xFF", 1);
    put_byte(m, kind);
    put(m, "\0", 1);
    put_byte(m, 8 + 3 * (unsigned)components);
    put(m, "\10\0", 2);
    put_byte(m, h + 1);
    put_byte(m, 0);
    put_byte(m, w + 1);
    put_byte(m, (unsigned)components);
    for (int i = 0; i < components; i++) {
        unsigned sampling = next(m);
        put_byte(m, 1 + (unsigned)i);
        put_byte(m, (sampling & 3) + 1 + ((sampling >> 4 & 3) + 1) * 16);
        put_byte(m, 0);
    }
    for (int scans = 0; m->left && scans < 120; scans++)
        put_scan(m, components, kind == 0xC2 || kind == 0xCA);
    put(m, "\xFF\xD9", 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_picture(data, size);
    uint8_t *jpeg = malloc(4096 + 2 * size);
    if (!jpeg)
        return 0;
    maker m = {data, size, jpeg};
    put_jpeg(&m);
    fuzz_picture(jpeg, (size_t)(m.out - jpeg));
    free(jpeg);
    return 0;
}
