#include "src/device/yardstick.h"

#include <stdlib.h>

#include "src/base/clock.h"

enum { LEAST = 256, MOST = 8192, CALLS = 10, WIDER = 4 };
#define LONG_ENOUGH 0.01 /* seconds */

struct mv_yardstick {
    mv_backend *b;
    int side, calls; /* a measurement is of so many calls */
    int wider;       /* x is side x side, the product's result side x wider side */
    mv_tensor x, out;
    mv_dense w;
};

/* Values in [-1, 1) that look random: a product of constants takes less power, and a processor runs it faster. */
static void fill(float *v, size_t n)
{
    unsigned z = 1;
    for (size_t i = 0; i < n; i++) {
        z = z * 1664525u + 1013904223u;
        v[i] = (float)(z >> 8) * (float)(2.0 / (1 << 24)) - 1.0f;
    }
}

static void drop(mv_yardstick *y)
{
    y->b->dense_free(y->b, &y->w);
    y->b->release(y->b, y->x.data);
    y->b->release(y->b, y->out.data);
    y->w = (mv_dense){0};
    y->x.data = y->out.data = NULL;
}

/* Matrices of side x side in place of the ones before. */
static mv_status take(mv_yardstick *y, int side, mv_error *e)
{
    size_t n = (size_t)side * (size_t)side, wider = (size_t)y->wider;
    mv_backend *b = y->b;
    drop(y);
    y->side = side;
    float *values = malloc(n * wider * sizeof *values);
    y->x = mv_tensor_of(b->alloc(b, n * mv_dtype_size(b->act)), b->act, 2, side, side);
    y->out = mv_tensor_of(b->alloc(b, n * wider * mv_dtype_size(b->act)), b->act, 2, side, y->wider * side);
    mv_status s = MV_OK;
    if (!values || !y->x.data || !y->out.data)
        s = mv_fail_memory(e, "yardstick");
    else {
        fill(values, n * wider);
        s = b->write(b, mv_view_of(y->x), values, e);
        s = s ? s : b->write(b, mv_view_of(y->out), values, e);
        s = s ? s : b->dense_new(b, &y->w, side, y->wider * side, values, NULL, e);
    }
    free(values);
    return s;
}

static mv_status multiply(mv_yardstick *y, mv_error *e)
{
    return y->b->linear(y->b, y->out, y->x, &y->w, MV_ACT_NONE, (mv_vector){0}, (mv_tensor){0}, e);
}

static mv_status sum(mv_yardstick *y, mv_error *e)
{
    mv_tensor out = mv_tensor_of(y->out.data, y->out.type, 2, y->side, y->side);
    return y->b->add(y->b, out, y->x, (mv_vector){0}, out, e);
}

/* Seconds of one call */
static mv_status seconds_of(mv_yardstick *y, mv_status (*call)(mv_yardstick *, mv_error *), int calls, double *seconds,
                            mv_error *e)
{
    double begin = mv_clock_now();
    mv_status s = MV_OK;
    for (int i = 0; i < calls && !s; i++)
        s = call(y, e);
    s = s ? s : y->b->finish(y->b, e);
    *seconds = (mv_clock_now() - begin) / calls;
    return s;
}

/* Seconds of a product: the least of three, after one that warms up. */
static mv_status best_of(mv_yardstick *y, double *seconds, mv_error *e)
{
    mv_status s = multiply(y, e);
    *seconds = 1e9;
    for (int i = 0; i < 3 && !s; i++) {
        double t = 0;
        s = seconds_of(y, multiply, y->calls, &t, e);
        *seconds = t < *seconds ? t : *seconds;
    }
    return s;
}

mv_yardstick *mv_yardstick_new(mv_backend *device, mv_error *e)
{
    mv_yardstick *y = calloc(1, sizeof *y);
    if (!y) {
        mv_fail_memory(e, "yardstick");
        return NULL;
    }
    y->b = device;
    y->wider = device->fp8 ? WIDER : 1;    /* square layers stay fp16 there */
    y->calls = device->record ? CALLS : 1; /* its calls return before they are done */
    mv_status s = take(y, LEAST, e);
    for (double seconds = 0; !s && y->side < MOST;) {
        s = best_of(y, &seconds, e);
        if (s || seconds > LONG_ENOUGH)
            break;
        mv_error full = {0};
        int side = y->side;
        if (take(y, 2 * side, &full)) { /* there is no memory for more */
            s = take(y, side, e);
            break;
        }
    }
    if (!s)
        s = multiply(y, e);
    if (!s)
        return y;
    mv_yardstick_free(y);
    return NULL;
}

void mv_yardstick_free(mv_yardstick *y)
{
    if (!y)
        return;
    drop(y);
    free(y);
}

int mv_yardstick_side(const mv_yardstick *y)
{
    return y->side;
}

mv_status mv_yardstick_product(mv_yardstick *y, double *macs_a_second, mv_error *e)
{
    double seconds = 0, n = y->side, macs = n * n * n * y->wider;
    mv_status s = seconds_of(y, multiply, y->calls, &seconds, e);
    *macs_a_second = macs / seconds;
    return s;
}

mv_status mv_yardstick_sum(mv_yardstick *y, double *bytes_a_second, mv_error *e)
{
    double seconds = 0;
    mv_status s = seconds_of(y, sum, y->calls, &seconds, e);
    *bytes_a_second = 3 * (double)mv_tensor_bytes(y->x) / seconds;
    return s;
}
