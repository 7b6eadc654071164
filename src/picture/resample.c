#include "src/picture/resample.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* One pass mixes lines into lines: out[i] = sum over t of weight[i][t] * in[lo[i] + t]. The vertical
 * pass mixes rows. The horizontal pass is the same thing on 32 rows turned on their side, a line being one
 * column of 32 pixels, so both share one loop whose lanes are independent.
 * Lines are asked for when they are needed and kept in a bounded buffer that slides along. */

enum {
    FRACTION = 32 - 8 - 2, /* Pillow's PRECISION_BITS: 8 for the pixel, 2 for the filter's overshoot */
    HALF = 1 << (FRACTION - 1),
    LANES = 32,      /* lines are padded to this many bytes */
    BLOCK_ROWS = 32, /* rows of one horizontal block */
    COLUMN = 3 * BLOCK_ROWS,
    MAX_COLUMNS = 4096, /* columns of a block held at a time: 384 KB */
    MAX_ROWS_BYTES = 4 << 20,
    MAX_WEIGHTS = 1 << 20, /* weights kept in a table; beyond it they are computed when used */
    PIECE = 4096           /* weights computed at a time then */
};

/* --- weights --------------------------------------------------------------------------------------- */

struct span {
    int lo, taps; /* input lines lo .. lo + taps - 1 */
    double sum;   /* of the unnormalised filter */
};

struct side {
    double scale, shrink; /* input per output pixel; the same, at least 1: how far the filter is widened */
    int64_t first;        /* output i of this pass is pixel first + i of the resized side */
    int n, most_taps;
    struct span *span;
    int32_t *weight; /* n x most_taps, or one PIECE when that would be too many */
    bool kept;
};

/* Keys' cubic convolution, a = -0.5, in the order of operations that Pillow has. */
static double bicubic(double x)
{
    x = fabs(x);
    if (x < 1)
        return ((-0.5 + 2.0) * x - (-0.5 + 3.0)) * x * x + 1;
    if (x < 2)
        return (((x - 5) * x + 8) * x - 4) * -0.5;
    return 0;
}

static double centre(const struct side *s, int i)
{
    return ((double)(s->first + i) + 0.5) * s->scale;
}

static double filter_at(const struct side *s, int i, int line)
{
    return bicubic((line - centre(s, i) + 0.5) * (1.0 / s->shrink));
}

/* Weights of taps from .. from + n - 1 of output i. */
static void weigh(const struct side *s, int i, int from, int n, int32_t *weight)
{
    const struct span *p = &s->span[i];
    for (int t = 0; t < n; t++) {
        double w = filter_at(s, i, p->lo + from + t);
        if (p->sum != 0)
            w /= p->sum;
        w *= 1 << FRACTION;
        weight[t] = (int32_t)(w < 0 ? w - 0.5 : w + 0.5);
    }
}

static void side_free(struct side *s)
{
    free(s->span);
    free(s->weight);
}

/* `in` pixels become `scaled`, of which n from `first` are wanted. False: out of memory. */
static bool side_new(struct side *s, int in, int64_t scaled, int64_t first, int n)
{
    /* Pillow holds the length in a float */
    *s = (struct side){.scale = (double)(float)in / (double)scaled, .first = first, .n = n};
    s->shrink = s->scale < 1 ? 1 : s->scale;
    s->span = malloc((size_t)n * sizeof *s->span);
    if (!s->span)
        return false;
    double support = 2 * s->shrink;
    for (int i = 0; i < n; i++) {
        double c = centre(s, i), lo = c - support + 0.5, hi = c + support + 0.5;
        struct span *p = &s->span[i];
        p->lo = lo < 0 ? 0 : (int)lo;
        p->taps = (hi > in ? in : (int)hi) - p->lo;
        p->sum = 0;
        for (int t = 0; t < p->taps; t++)
            p->sum += filter_at(s, i, p->lo + t);
        if (p->taps > s->most_taps)
            s->most_taps = p->taps;
    }
    size_t all = (size_t)n * (size_t)s->most_taps;
    s->kept = all <= MAX_WEIGHTS;
    s->weight = malloc((s->kept ? all : PIECE) * sizeof *s->weight);
    if (!s->weight)
        return false;
    if (s->kept)
        for (int i = 0; i < n; i++)
            weigh(s, i, 0, s->span[i].taps, s->weight + (size_t)i * (size_t)s->most_taps);
    return true;
}

/* --- the loop that takes the time ---------------------------------------------------------------------- */

/* sums[l] += sum over t of weight[t] * line t's byte l, for `lanes` bytes of lines `stride` apart. The first
 * piece of a span starts from the rounding half instead; the last also rounds, clips and writes `out`. */
typedef void mix_fn(uint8_t *out, int32_t *sums, size_t lanes, const uint8_t *lines, size_t stride,
                    const int32_t *weight, int taps, bool first, bool last);

static void mix_plain(uint8_t *out, int32_t *sums, size_t lanes, const uint8_t *lines, size_t stride,
                      const int32_t *weight, int taps, bool first, bool last)
{
    if (first)
        for (size_t l = 0; l < lanes; l++)
            sums[l] = HALF;
    for (int t = 0; t < taps; t++, lines += stride)
        for (size_t l = 0; l < lanes; l += LANES) /* a count known beforehand: every compiler vectorises it */
            for (size_t i = l; i < l + LANES; i++)
                sums[i] += weight[t] * lines[i];
    if (last)
        for (size_t l = 0; l < lanes; l++) {
            int32_t x = sums[l] >> FRACTION;
            out[l] = (uint8_t)(x < 0 ? 0 : x > 255 ? 255 : x);
        }
}

#if defined(__x86_64__)
/* The same with the sums held in registers; gcc 12 finds neither that nor the widening of bytes by itself. */
__attribute__((target("avx2"))) static void mix_avx2(uint8_t *out, int32_t *sums, size_t lanes, const uint8_t *lines,
                                                     size_t stride, const int32_t *weight, int taps, bool first,
                                                     bool last)
{
    const __m256i half = _mm256_set1_epi32(HALF), in_order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    for (size_t l = 0; l < lanes; l += LANES) {
        __m256i *sum = (__m256i *)(void *)(sums + l);
        __m256i a = first ? half : _mm256_loadu_si256(sum), b = first ? half : _mm256_loadu_si256(sum + 1);
        __m256i c = first ? half : _mm256_loadu_si256(sum + 2), d = first ? half : _mm256_loadu_si256(sum + 3);
        const uint8_t *p = lines + l;
        for (int t = 0; t < taps; t++, p += stride) {
            __m256i w = _mm256_set1_epi32(weight[t]);
            const __m128i *q = (const __m128i *)(const void *)p;
            __m256i pa = _mm256_cvtepu8_epi32(_mm_loadl_epi64(q)), pc = _mm256_cvtepu8_epi32(_mm_loadl_epi64(q + 1));
            __m256i pb = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(p + 8)));
            __m256i pd = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(p + 24)));
            a = _mm256_add_epi32(a, _mm256_mullo_epi32(w, pa));
            b = _mm256_add_epi32(b, _mm256_mullo_epi32(w, pb));
            c = _mm256_add_epi32(c, _mm256_mullo_epi32(w, pc));
            d = _mm256_add_epi32(d, _mm256_mullo_epi32(w, pd));
        }
        if (last) { /* the packs saturate, which is the clip */
            a = _mm256_packs_epi32(_mm256_srai_epi32(a, FRACTION), _mm256_srai_epi32(b, FRACTION));
            c = _mm256_packs_epi32(_mm256_srai_epi32(c, FRACTION), _mm256_srai_epi32(d, FRACTION));
            a = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(a, c), in_order);
            _mm256_storeu_si256((__m256i *)(void *)(out + l), a);
        } else {
            _mm256_storeu_si256(sum, a);
            _mm256_storeu_si256(sum + 1, b);
            _mm256_storeu_si256(sum + 2, c);
            _mm256_storeu_si256(sum + 3, d);
        }
    }
}
#endif

static mix_fn *mix_here(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2"))
        return mix_avx2;
#endif
    return mix_plain;
}

/* --- a pass ------------------------------------------------------------------------------------------- */

struct pass {
    struct side side;
    mix_fn *mix;
    size_t lanes; /* bytes of a line, a multiple of LANES */
    int end;      /* lines the whole pass reads: side.span[0].lo .. end - 1 */
    int room;     /* lines the buffer holds */
    int lo, hi;   /* lines in it now */
    uint8_t *lines;
    int32_t *sums;  /* of one line, between pieces */
    uint8_t *mixed; /* one line, and a byte that across_write may read */
    void *context;
    void (*read)(void *context, int lo, int hi, uint8_t *lines);
    void (*write)(void *context, int i, const uint8_t *line);
};

static void pass_free(struct pass *p)
{
    side_free(&p->side);
    free(p->lines);
    free(p->sums);
    free(p->mixed);
}

/* After side_new, with lanes, room, context, read and write set. */
static bool pass_start(struct pass *p)
{
    const struct side *s = &p->side;
    const struct span *last = &s->span[s->n - 1];
    p->end = last->lo + last->taps;
    int all = p->end - s->span[0].lo;
    if (p->room > all)
        p->room = all;
    p->mix = mix_here();
    p->lines = calloc((size_t)p->room, p->lanes);
    p->sums = malloc(p->lanes * sizeof *p->sums);
    p->mixed = malloc(p->lanes + 1);
    return p->lines && p->sums && p->mixed;
}

/* Lines lo .. hi - 1, at most `room` of them; what else fits is read ahead. */
static const uint8_t *pass_lines(struct pass *p, int lo, int hi)
{
    if (lo < p->lo || hi > p->hi) {
        int keep = lo >= p->lo && lo < p->hi ? p->hi - lo : 0;
        if (keep)
            memmove(p->lines, p->lines + (size_t)(lo - p->lo) * p->lanes, (size_t)keep * p->lanes);
        p->lo = lo;
        p->hi = p->end - lo > p->room ? lo + p->room : p->end;
        p->read(p->context, lo + keep, p->hi, p->lines + (size_t)keep * p->lanes);
    }
    return p->lines + (size_t)(lo - p->lo) * p->lanes;
}

static void pass_run(struct pass *p)
{
    const struct side *s = &p->side;
    p->lo = p->hi = 0;
    for (int i = 0; i < s->n; i++) {
        const struct span *span = &s->span[i];
        int most = s->kept || p->room < PIECE ? p->room : PIECE;
        for (int from = 0, n; from < span->taps; from += n) {
            n = span->taps - from < most ? span->taps - from : most;
            const int32_t *weight = s->weight;
            if (s->kept)
                weight += (size_t)i * (size_t)s->most_taps + (size_t)from;
            else
                weigh(s, i, from, n, s->weight);
            const uint8_t *lines = pass_lines(p, span->lo + from, span->lo + from + n);
            p->mix(p->mixed, p->sums, p->lanes, lines, p->lanes, weight, n, from == 0, from + n == span->taps);
        }
        p->write(p->context, i, p->mixed);
    }
}

/* --- horizontal: columns of a block of rows ------------------------------------------------------------ */

struct across {
    struct pass pass;
    const mv_image *in;
    int row, rows; /* the block */
    uint8_t *out;  /* its resized rows */
    size_t stride;
};

/* Four bytes are moved in one go where the fourth is overwritten after it. */
static void across_read(void *context, int lo, int hi, uint8_t *lines)
{
    const struct across *a = context;
    int whole = hi < a->in->w ? hi : hi - 1; /* the picture's last pixel has no fourth byte */
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

static void across_write(void *context, int i, const uint8_t *line)
{
    const struct across *a = context;
    uint8_t *out = a->out + 3 * (size_t)i;
    if (i + 1 < a->pass.side.n)
        for (int r = 0; r < a->rows; r++, out += a->stride)
            memcpy(out, line + 3 * r, 4);
    else
        for (int r = 0; r < a->rows; r++, out += a->stride)
            memcpy(out, line + 3 * r, 3);
}

/* --- vertical: rows that the horizontal pass makes ------------------------------------------------------- */

struct down {
    struct pass pass;
    struct across *across;
    uint8_t *rgb;
    size_t stride, bytes;
};

static void down_read(void *context, int lo, int hi, uint8_t *lines)
{
    const struct down *d = context;
    struct across *a = d->across;
    for (; lo < hi; lo += BLOCK_ROWS, lines += BLOCK_ROWS * d->pass.lanes) {
        a->row = lo;
        a->rows = hi - lo < BLOCK_ROWS ? hi - lo : BLOCK_ROWS;
        a->out = lines;
        a->stride = d->pass.lanes;
        pass_run(&a->pass);
    }
}

static void down_write(void *context, int i, const uint8_t *line)
{
    const struct down *d = context;
    memcpy(d->rgb + (size_t)i * d->stride, line, d->bytes);
}

mv_status mv_resample(const mv_image *in, const mv_window *win, uint8_t *rgb, size_t stride, mv_error *e)
{
    if (win->w < 1 || win->h < 1)
        return MV_OK;
    struct across a = {.in = in};
    struct down d = {.across = &a, .rgb = rgb, .stride = stride, .bytes = (size_t)win->w * 3};

    a.pass.lanes = COLUMN;
    a.pass.room = MAX_COLUMNS;
    a.pass.context = &a;
    a.pass.read = across_read;
    a.pass.write = across_write;

    d.pass.lanes = (d.bytes + LANES - 1) / LANES * LANES;
    d.pass.room = (int)(MAX_ROWS_BYTES / d.pass.lanes);
    d.pass.context = &d;
    d.pass.read = down_read;
    d.pass.write = down_write;

    bool ready = side_new(&a.pass.side, in->w, win->scaled_w, win->left, win->w) &&
                 side_new(&d.pass.side, in->h, win->scaled_h, win->top, win->h) && pass_start(&a.pass) &&
                 pass_start(&d.pass);
    if (ready)
        pass_run(&d.pass);
    pass_free(&a.pass);
    pass_free(&d.pass);
    return ready ? MV_OK : mv_fail_memory(e, "pre-processing");
}
