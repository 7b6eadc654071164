#include "src/file/npy.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "src/file/output.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the file's byte order is used unchanged");

enum { MAX_HEADER = 1 << 16 }; /* bytes of text; five dimensions need about 110 */

static const char magic[6] = "\x93NUMPY";
static const char *const descr[MV_DTYPES] = {
    [MV_F32] = "<f4", [MV_F16] = "<f2", [MV_F64] = "<f8", [MV_I64] = "<i8", [MV_I32] = "<i4", [MV_U8] = "|u1",
};

/* The header's text, a Python literal: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } */
typedef struct {
    const char *at, *end;
    const char *file;
    mv_error *e;
} literal;

static mv_status malformed(const literal *l, const char *expected)
{
    return mv_fail(l->e, MV_EINPUT, "%s: found a malformed .npy header, expected %s %zu bytes before its end", l->file,
                   expected, (size_t)(l->end - l->at));
}

static void skip_blanks(literal *l)
{
    while (l->at < l->end && (*l->at == ' ' || *l->at == '\t' || *l->at == '\n'))
        l->at++;
}

/* Consumes `c`, and blanks before it, if it comes next. */
static bool take(literal *l, char c)
{
    skip_blanks(l);
    if (l->at == l->end || *l->at != c)
        return false;
    l->at++;
    return true;
}

/* A quoted string of printable ASCII without escapes, into text. */
static mv_status take_string(literal *l, char text[32])
{
    char quote = take(l, '\'') ? '\'' : take(l, '"') ? '"' : 0;
    size_t n = 0;
    while (quote && n < 31 && l->at < l->end && *l->at != quote && *l->at != '\\' && *l->at >= ' ' && *l->at <= '~')
        text[n++] = *l->at++;
    text[n] = 0;
    if (!quote || l->at == l->end || *l->at != quote)
        return malformed(l, "a short string in quotes");
    l->at++;
    return MV_OK;
}

static mv_status take_type(literal *l, mv_tensor *out)
{
    char text[32];
    skip_blanks(l);
    if (l->at < l->end && *l->at == '[')
        return mv_fail(l->e, MV_EINPUT, "%s: found an array of records, expected one of plain numbers", l->file);
    if (take_string(l, text) != MV_OK)
        return MV_EINPUT;
    for (int i = 0; i < MV_DTYPES; i++)
        if (descr[i] && strcmp(text, descr[i]) == 0) {
            out->type = (mv_dtype)i;
            return MV_OK;
        }
    if (text[0] == '>')
        return mv_fail(l->e, MV_EINPUT, "%s: found numbers of type '%s' (big endian), expected little endian", l->file,
                       text);
    return mv_fail(l->e, MV_EINPUT, "%s: found numbers of type '%s', expected <f2 <f4 <f8 <i4 <i8 or |u1", l->file,
                   text);
}

static mv_status take_order(literal *l)
{
    skip_blanks(l);
    size_t left = (size_t)(l->end - l->at);
    if (left >= 4 && memcmp(l->at, "True", 4) == 0)
        return mv_fail(l->e, MV_EINPUT,
                       "%s: found an array in Fortran order, expected C order (numpy.ascontiguousarray)", l->file);
    if (left < 5 || memcmp(l->at, "False", 5) != 0)
        return malformed(l, "True or False");
    l->at += 5;
    return MV_OK;
}

static mv_status take_dimension(literal *l, mv_tensor *out)
{
    long long dim = 0;
    const char *first = l->at;
    while (l->at < l->end && *l->at >= '0' && *l->at <= '9') {
        dim = 10 * dim + (*l->at++ - '0');
        if (dim > INT_MAX)
            return mv_fail(l->e, MV_EINPUT, "%s: found dimension %d of its shape over %d, expected at most that",
                           l->file, out->nd, INT_MAX);
    }
    if (l->at == first)
        return malformed(l, "a number or )");
    if (out->nd == MV_MAX_DIMS)
        return mv_fail(l->e, MV_EINPUT, "%s: found more than %d dimensions, expected at most that", l->file,
                       MV_MAX_DIMS);
    out->dim[out->nd++] = (int)dim;
    return MV_OK;
}

/* () or (3,) or (2, 3) */
static mv_status take_shape(literal *l, mv_tensor *out)
{
    if (!take(l, '('))
        return malformed(l, "(");
    bool comma = true;
    while (!take(l, ')')) {
        if (!comma)
            return malformed(l, ", or )");
        if (take_dimension(l, out) != MV_OK)
            return MV_EINPUT;
        comma = take(l, ',');
    }
    return out->nd == 1 && !comma ? malformed(l, "a comma in a shape of one dimension,") : MV_OK;
}

static mv_status take_field(literal *l, mv_tensor *out, unsigned *seen)
{
    static const char *const names[] = {"descr", "fortran_order", "shape"};
    char name[32];
    if (take_string(l, name) != MV_OK)
        return MV_EINPUT;
    unsigned field = 0;
    while (field < 3 && strcmp(name, names[field]) != 0)
        field++;
    if (field == 3 || *seen & 1U << field)
        return mv_fail(l->e, MV_EINPUT,
                       "%s: found '%s'%s in the .npy header, expected descr, fortran_order and shape once each",
                       l->file, name, field == 3 ? "" : " twice");
    *seen |= 1U << field;
    if (!take(l, ':'))
        return malformed(l, ":");
    return field == 0 ? take_type(l, out) : field == 1 ? take_order(l) : take_shape(l, out);
}

static mv_status read_literal(literal *l, mv_tensor *out)
{
    unsigned seen = 0;
    if (!take(l, '{'))
        return malformed(l, "{");
    bool comma = true;
    while (!take(l, '}')) {
        if (!comma)
            return malformed(l, ", or }");
        if (take_field(l, out, &seen) != MV_OK)
            return MV_EINPUT;
        comma = take(l, ',');
    }
    skip_blanks(l);
    if (l->at != l->end)
        return malformed(l, "nothing after }");
    if (seen != 7)
        return mv_fail(l->e, MV_EINPUT,
                       "%s: found a .npy header that lacks descr, fortran_order or shape, expected all three", l->file);
    return MV_OK;
}

/* Reads type and shape from the first n bytes of `size`; the data begin at *start. */
static mv_status read_array(mv_tensor *out, size_t *start, const unsigned char *bytes, size_t n, uint64_t size,
                            const char *name, mv_error *e)
{
    if (n < 10 || memcmp(bytes, magic, sizeof magic) != 0)
        return mv_fail(e, MV_EINPUT, "%s: found other bytes at its start, expected those of a .npy file", name);
    unsigned major = bytes[6], minor = bytes[7];
    if (major < 1 || major > 3 || minor != 0)
        return mv_fail(e, MV_EINPUT, "%s: found .npy version %u.%u, expected 1.0, 2.0 or 3.0", name, major, minor);
    size_t prefix = major == 1 ? 10 : 12;
    uint32_t length = 0;
    if (n >= prefix)
        memcpy(&length, bytes + 8, major == 1 ? 2 : 4);
    if (n < prefix || length > size - prefix)
        return mv_fail(e, MV_EINPUT, "%s: found a .npy header of %u bytes in a file of %llu, expected a whole one",
                       name, length, (unsigned long long)size);
    if (length > MAX_HEADER || length > n - prefix)
        return mv_fail(e, MV_EINPUT, "%s: found a .npy header of %u bytes, expected at most %d", name, length,
                       MAX_HEADER);
    const char *text = (const char *)bytes + prefix;
    literal l = {text, text + length, name, e};
    if (read_literal(&l, out) != MV_OK)
        return MV_EINPUT;

    uint64_t there = size - prefix - length;
    size_t needed = mv_dtype_size(out->type);
    char shape[64];
    mv_shape_text(shape, out->nd, out->dim);
    for (int i = 0; i < out->nd; i++)
        if (__builtin_mul_overflow(needed, (size_t)out->dim[i], &needed))
            return mv_fail(e, MV_EINPUT, "%s: found shape %s, expected no more than memory can address", name, shape);
    if (there != needed)
        return mv_fail(e, MV_EINPUT, "%s: found %llu bytes of data, expected %zu for shape %s of %s", name,
                       (unsigned long long)there, needed, shape, mv_dtype_name(out->type));
    *start = prefix + length;
    return MV_OK;
}

mv_status mv_npy_of(mv_tensor *out, const void *bytes, size_t size, const char *name, mv_error *e)
{
    mv_tensor t = {0};
    size_t start = 0;
    mv_status s = read_array(&t, &start, bytes, size, size, name, e);
    if (s != MV_OK)
        return s;
    *out = t;
    out->data = (void *)((uintptr_t)bytes + start);
    return MV_OK;
}

mv_status mv_npy_peek(mv_tensor *out, size_t *start, const void *bytes, size_t n, uint64_t size, const char *name,
                      mv_error *e)
{
    mv_tensor t = {0};
    mv_status s = read_array(&t, start, bytes, n, size, name, e);
    if (s == MV_OK)
        *out = t;
    return s;
}

void mv_npy_header(char out[MV_NPY_HEADER], mv_dtype type, int nd, const int *dim)
{
    char text[MV_NPY_HEADER]; /* five dimensions of ten digits take 114 of the 118 bytes */
    const char *kind = type == MV_BF16 ? descr[MV_F32] : descr[type];
    int n = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (", kind);
    for (int i = 0; i < nd; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, i == 0 ? "%d" : ", %d", dim[i]);
    n += snprintf(text + n, sizeof text - (size_t)n, nd == 1 ? ",), }" : "), }");

    enum { PREFIX = 10, LENGTH = MV_NPY_HEADER - PREFIX };
    memset(out, ' ', MV_NPY_HEADER);
    memcpy(out, magic, sizeof magic);
    memcpy(out + 6, (char[]){1, 0, LENGTH, 0}, 4);
    memcpy(out + PREFIX, text, (size_t)n);
    out[MV_NPY_HEADER - 1] = '\n';
}

static void write_bf16(mv_output *o, mv_tensor t)
{
    uint16_t half[1024];
    float wide[1024];
    const char *at = t.data;
    for (size_t n = mv_tensor_count(t); n > 0;) {
        size_t part = n < 1024 ? n : 1024;
        memcpy(half, at, part * sizeof *half);
        mv_to_f32(wide, half, MV_BF16, part);
        if (mv_output_write(o, wide, part * sizeof *wide) != MV_OK)
            return;
        at += part * sizeof *half;
        n -= part;
    }
}

mv_status mv_npy_write(const char *path, mv_tensor t, mv_error *e)
{
    mv_error error = {0};
    mv_output *o = mv_output_open(path, &error);
    if (o) {
        char header[MV_NPY_HEADER];
        mv_npy_header(header, t.type, t.nd, t.dim);
        mv_output_write(o, header, sizeof header);
        if (t.type == MV_BF16)
            write_bf16(o, t);
        else
            mv_output_write(o, t.data, mv_tensor_bytes(t));
        mv_output_commit(o, &error);
    }
    return error.code == MV_OK ? MV_OK : mv_fail(e, error.code, "%s", error.text);
}
