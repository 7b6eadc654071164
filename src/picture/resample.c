#include "src/picture/resample.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "src/kernel/kernels.h"

/* A pass makes lines from lines: out[i] = sum over t of weight[i][t] * in[lo[i] + t]. In the vertical pass a line is a
 * row. In the horizontal pass it is a column of 32 pixels, so 32 rows are transposed; both passes then share one loop,
 * whose bytes are independent of one another. Lines are read when they are needed and kept in a buffer of limited size
 * that slides along. */

enum {
    BLOCK_ROWS = 32, /* rows of one horizontal block */
    COLUMN = 3 * BLOCK_ROWS,
    MAX_COLUMNS = 4096,       /* columns of a block in the buffer: 384 KB */
    MAX_ROWS_BYTES = 4 << 20, /* of rows in the buffer */
    MAX_WEIGHTS = 1 << 20,    /* weights in a table; more are computed when they are used */
    PIECE = 4096,             /* weights that are then computed at a time */
    MOST_BETWEEN = 1 << 29    /* pixels that the horizontal pass makes */
};

/* ---- weights */

typedef struct {
    int lo, taps; /* input lines lo .. lo + taps - 1 */
    double sum;   /* of the unnormalised filter */
} filter_span;

/* An interpolating function, and how far it reaches. */
typedef struct {
    double (*weight)(double x);
    double support; /* in output pixels where the image shrinks, in input pixels where it grows */
} interpolator;

typedef struct {
    interpolator by;
    double scale, shrink; /* input pixels per output pixel; the same but at least 1: how much wider the filter is */
    int64_t first;        /* output i is pixel first + i of the resized side */
    int n, most_taps;
    filter_span *span;
    int32_t *weight; /* n x most_taps, or one PIECE if that is too many */
    bool kept;       /* the whole table of weights */
} filter;

/* Keys' cubic convolution, a = -0.5, in Pillow's order of operations. */
static double bicubic(double x)
{
    x = fabs(x);
    if (x < 1)
        return ((-0.5 + 2.0) * x - (-0.5 + 3.0)) * x * x + 1;
    if (x < 2)
        return (((x - 5) * x + 8) * x - 4) * -0.5;
    return 0;
}

static double bilinear(double x)
{
    x = fabs(x);
    return x < 1 ? 1 - x : 0;
}

static const interpolator interpolators[] = {
    [MV_RESAMPLE_BICUBIC] = {bicubic, 2}, [MV_RESAMPLE_BILINEAR] = {bilinear, 1}};

static double centre(const filter *f, int i)
{
    return ((double)(f->first + i) + 0.5) * f->scale;
}

static double filter_at(const filter *f, int i, int line)
{
    return f->by.weight((line - centre(f, i) + 0.5) * (1.0 / f->shrink));
}

/* The weights of taps from .. from + n - 1 of output i. */
static void weigh(const filter *f, int i, int from, int n, int32_t *weight)
{
    const filter_span *p = &f->span[i];
    for (int t = 0; t < n; t++) {
        double w = filter_at(f, i, p->lo + from + t);
        if (p->sum != 0)
            w /= p->sum;
        w *= 1 << MV_BICUBIC_FRACTION;
        weight[t] = (int32_t)(w < 0 ? w - 0.5 : w + 0.5);
    }
}

static void filter_free(filter *f)
{
    free(f->span);
    free(f->weight);
}

/* For a side of `in` pixels that becomes one of `scaled`, of which n from `first` on are computed. False without
 * memory. */
static bool filter_new(filter *f, interpolator by, int in, int64_t scaled, int64_t first, int n)
{
    /* Pillow's length is a float */
    *f = (filter){.by = by, .scale = (double)(float)in / (double)scaled, .first = first, .n = n};
    f->shrink = f->scale < 1 ? 1 : f->scale;
    f->span = malloc((size_t)n * sizeof *f->span);
    if (!f->span)
        return false;
    double support = by.support * f->shrink;
    for (int i = 0; i < n; i++) {
        double c = centre(f, i), lo = c - support + 0.5, hi = c + support + 0.5;
        filter_span *p = &f->span[i];
        p->lo = lo < 0 ? 0 : (int)lo;
        p->taps = (hi > in ? in : (int)hi) - p->lo;
        p->sum = 0;
        for (int t = 0; t < p->taps; t++)
            p->sum += filter_at(f, i, p->lo + t);
        if (p->taps > f->most_taps)
            f->most_taps = p->taps;
    }
    size_t all = (size_t)n * (size_t)f->most_taps;
    f->kept = all <= MAX_WEIGHTS;
    f->weight = malloc((f->kept ? all : PIECE) * sizeof *f->weight);
    if (!f->weight)
        return false;
    if (f->kept)
        for (int i = 0; i < n; i++)
            weigh(f, i, 0, f->span[i].taps, f->weight + (size_t)i * (size_t)f->most_taps);
    return true;
}

/* The lines of the input that are read. */
static int lines_of(const filter *f)
{
    const filter_span *last = &f->span[f->n - 1];
    return last->lo + last->taps - f->span[0].lo;
}

/* ---- a pass */

typedef struct {
    filter filter;
    const mv_kernels *kernels;
    size_t bytes; /* of a line, a multiple of MV_BICUBIC_LANES */
    int end;      /* the whole pass reads lines filter.span[0].lo .. end - 1 */
    int room;     /* lines the buffer holds */
    int lo, hi;   /* it holds lines lo .. hi - 1 */
    uint8_t *lines;
    int32_t *sums;  /* of one line, between pieces */
    uint8_t *mixed; /* one line, and one more byte that horizontal_write may read */
    void *context;
    void (*read)(void *context, int lo, int hi, uint8_t *lines);
    void (*write)(void *context, int i, const uint8_t *line);
} pass;

static void pass_free(pass *p)
{
    filter_free(&p->filter);
    free(p->lines);
    free(p->sums);
    free(p->mixed);
}

/* Allocates the buffers, after filter_new, with bytes, room, context, read and write set. False without memory. */
static bool pass_start(pass *p)
{
    const filter *f = &p->filter;
    int all = lines_of(f);
    p->end = f->span[0].lo + all;
    if (p->room > all)
        p->room = all;
    p->kernels = mv_kernels_best();
    p->lines = calloc((size_t)p->room, p->bytes);
    p->sums = malloc(p->bytes * sizeof *p->sums);
    p->mixed = malloc(p->bytes + 1);
    return p->lines && p->sums && p->mixed;
}

/* Returns lines lo .. hi - 1, at most `room` of them. What else fits into the buffer is read ahead. */
static const uint8_t *pass_lines(pass *p, int lo, int hi)
{
    if (lo < p->lo || hi > p->hi) {
        int keep = lo >= p->lo && lo < p->hi ? p->hi - lo : 0;
        if (keep)
            memmove(p->lines, p->lines + (size_t)(lo - p->lo) * p->bytes, (size_t)keep * p->bytes);
        p->lo = lo;
        p->hi = p->end - lo > p->room ? lo + p->room : p->end;
        p->read(p->context, lo + keep, p->hi, p->lines + (size_t)keep * p->bytes);
    }
    return p->lines + (size_t)(lo - p->lo) * p->bytes;
}

static void pass_run(pass *p)
{
    const filter *f = &p->filter;
    p->lo = p->hi = 0;
    for (int i = 0; i < f->n; i++) {
        const filter_span *span = &f->span[i];
        int most = f->kept || p->room < PIECE ? p->room : PIECE;
        for (int from = 0, n; from < span->taps; from += n) {
            n = span->taps - from < most ? span->taps - from : most;
            const int32_t *weight = f->weight;
            if (f->kept)
                weight += (size_t)i * (size_t)f->most_taps + (size_t)from;
            else
                weigh(f, i, from, n, f->weight);
            const uint8_t *lines = pass_lines(p, span->lo + from, span->lo + from + n);
            p->kernels->bicubic(p->mixed, p->sums, p->bytes, lines, p->bytes, weight, n, from == 0,
                                from + n == span->taps);
        }
        p->write(p->context, i, p->mixed);
    }
}

/* ---- horizontal: columns of a block of rows */

typedef struct {
    pass pass;
    const mv_image *in;
    int row, rows; /* the block */
    uint8_t *out;  /* its resized rows */
    size_t stride;
} horizontal;

/* Copies four bytes for a pixel of three where the next copy overwrites the fourth. */
static void horizontal_read(void *context, int lo, int hi, uint8_t *lines)
{
    const horizontal *a = context;
    int whole = hi < a->in->w ? hi : hi - 1; /* the image's last pixel has no fourth byte */
    for (int r = 0; r < BLOCK_ROWS; r += 4, lines += 12) {
        const uint8_t *row[4]; /* a short block repeats its last row */
        for (int i = 0; i < 4; i++) {
            int y = a->row + (r + i < a->rows ? r + i : a->rows - 1);
            row[i] = a->in->rgb + ((size_t)y * (size_t)a->in->w + (size_t)lo) * 3;
        }
        const uint8_t *p = row[0], *q = row[1], *s = row[2], *t = row[3];
        uint8_t *out = lines;
        for (int x = lo; x < whole; x++, p += 3, q += 3, s += 3, t += 3, out += COLUMN) {
            memcpy(out, p, 4);
            memcpy(out + 3, q, 4);
            memcpy(out + 6, s, 4);
            memcpy(out + 9, t, 3);
        }
        if (whole < hi) {
            memcpy(out, p, 3);
            memcpy(out + 3, q, 3);
            memcpy(out + 6, s, 3);
            memcpy(out + 9, t, 3);
        }
    }
}

static void horizontal_write(void *context, int i, const uint8_t *line)
{
    const horizontal *a = context;
    uint8_t *out = a->out + 3 * (size_t)i;
    if (i + 1 < a->pass.filter.n)
        for (int r = 0; r < a->rows; r++, out += a->stride)
            memcpy(out, line + 3 * r, 4);
    else
        for (int r = 0; r < a->rows; r++, out += a->stride)
            memcpy(out, line + 3 * r, 3);
}

/* ---- vertical: rows that the horizontal pass makes */

typedef struct {
    pass pass;
    horizontal *rows;
    uint8_t *rgb;
    size_t stride, row_bytes;
} vertical;

static void vertical_read(void *context, int lo, int hi, uint8_t *lines)
{
    const vertical *d = context;
    horizontal *a = d->rows;
    for (; lo < hi; lo += BLOCK_ROWS, lines += BLOCK_ROWS * d->pass.bytes) {
        a->row = lo;
        a->rows = hi - lo < BLOCK_ROWS ? hi - lo : BLOCK_ROWS;
        a->out = lines;
        a->stride = d->pass.bytes;
        pass_run(&a->pass);
    }
}

static void vertical_write(void *context, int i, const uint8_t *line)
{
    const vertical *d = context;
    memcpy(d->rgb + (size_t)i * d->stride, line, d->row_bytes);
}

mv_status mv_resample(const mv_image *in, mv_resample_filter with, const mv_resample_area *area, uint8_t *rgb,
                      size_t stride, mv_error *e)
{
    if (area->w < 1 || area->h < 1)
        return MV_OK;
    horizontal a = {.in = in};
    vertical d = {.rows = &a, .rgb = rgb, .stride = stride, .row_bytes = (size_t)area->w * 3};

    a.pass.bytes = COLUMN;
    a.pass.room = MAX_COLUMNS;
    a.pass.context = &a;
    a.pass.read = horizontal_read;
    a.pass.write = horizontal_write;

    d.pass.bytes = (d.row_bytes + MV_BICUBIC_LANES - 1) / MV_BICUBIC_LANES * MV_BICUBIC_LANES;
    d.pass.room = (int)(MAX_ROWS_BYTES / d.pass.bytes);
    d.pass.context = &d;
    d.pass.read = vertical_read;
    d.pass.write = vertical_write;

    bool ready = filter_new(&a.pass.filter, interpolators[with], in->w, area->scaled_w, area->left, area->w) &&
                 filter_new(&d.pass.filter, interpolators[with], in->h, area->scaled_h, area->top, area->h);
    size_t between = ready ? (size_t)lines_of(&d.pass.filter) * (size_t)area->w : 0;
    if (between > MOST_BETWEEN) {
        pass_free(&a.pass);
        pass_free(&d.pass);
        return mv_fail(e, MV_EINPUT,
                       "resizing %d x %d pixels to %lld x %lld takes %zu million pixels between width and height, "
                       "expected at most %d million: crop the picture, or take a smaller --size",
                       in->w, in->h, (long long)area->scaled_w, (long long)area->scaled_h, between / 1000000,
                       MOST_BETWEEN / 1000000);
    }
    ready = ready && pass_start(&a.pass) && pass_start(&d.pass);
    if (ready)
        pass_run(&d.pass);
    pass_free(&a.pass);
    pass_free(&d.pass);
    return ready ? MV_OK : mv_fail_memory(e, "pre-processing");
}
