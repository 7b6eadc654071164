#include "src/base/coded.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int least(int a, int b)
{
    return a < b ? a : b;
}

mv_coded_window mv_coded_window_at(const mv_coded *c, int n)
{
    mv_coded_window w = {.top = n / c->across * c->window, .left = n % c->across * c->window};
    w.rows = least(c->window, c->h - w.top);
    w.columns = least(c->window, c->w - w.left);
    w.qrows = (w.rows + c->group - 1) / c->group;
    w.qcolumns = (w.columns + c->group - 1) / c->group;
    return w;
}

void mv_coded_count(mv_coded *c)
{
    c->rows = c->codes = 0;
    for (int n = 0; n < c->down * c->across; n++) {
        mv_coded_window w = mv_coded_window_at(c, n);
        size_t rows = (size_t)c->heads * (size_t)w.qrows * (size_t)w.qcolumns;
        c->rows += rows;
        c->codes += rows * (size_t)w.rows * (size_t)w.columns;
    }
}

mv_status mv_coded_new(mv_coded *c, mv_error *e)
{
    mv_coded_count(c);
    c->code = calloc(c->codes + 1, 1);
    c->most = calloc(c->rows + 1, sizeof *c->most);
    c->lost = c->padding > 0 ? calloc(c->rows + 1, sizeof *c->lost) : NULL;
    c->total = c->scan ? calloc(c->rows + 1, sizeof *c->total) : NULL;
    if (c->code && c->most && (c->lost || !(c->padding > 0)) && (c->total || !c->scan))
        return MV_OK;
    mv_coded_free(c);
    return mv_fail_memory(e, "coded rows");
}

void mv_coded_free(mv_coded *c)
{
    if (!c)
        return;
    free(c->code);
    free(c->most);
    free(c->lost);
    free(c->total);
    *c = (mv_coded){0};
}

float mv_coded_row(uint8_t *code, const float *v, size_t n)
{
    float most = 0, sum = 0;
    for (size_t i = 0; i < n; i++) {
        most = v[i] > most ? v[i] : most;
        sum += 0 * v[i]; /* NaN for what is not finite */
    }
    memset(code, 0, n);
    if (isnan(sum))
        return NAN;
    float scale = most > 0 ? 1 / most : 0;
    if (!isfinite(scale)) /* below what 1 / x can hold */
        return 0;
    for (size_t i = 0; i < n; i++)
        code[i] = (uint8_t)(v[i] > 0 ? 255 * sqrtf(v[i] * scale) + 0.5f : 0);
    return most;
}

float mv_coded_value(uint8_t code, float most)
{
    float root = (float)code / 255;
    return most * (root * root);
}

float mv_coded_signed(int8_t *code, const float *v, size_t n)
{
    float most = 0, sum = 0;
    for (size_t i = 0; i < n; i++) {
        most = fmaxf(most, fabsf(v[i]));
        sum += 0 * v[i];
    }
    memset(code, 0, n);
    if (isnan(sum))
        return NAN;
    for (size_t i = 0; i < n && most > 0; i++)
        code[i] = (int8_t)lrintf(127 * (v[i] / most));
    return most;
}
