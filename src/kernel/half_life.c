/* The median half-life of a token's states. Rates dt |A| are not negative, so their bits are in the order of their
 * values: the rate of a rank is found bit by bit, by counting, without sorting.
 */
#include <math.h>

#include "src/kernel/kernel_impl.h"

#define LN2 0.693147180559945309f

INLINE size_t padded(int n)
{
    return ((size_t)n + LANES - 1) / LANES * LANES;
}

size_t KERNEL(half_life_scratch)(int channels)
{
    return padded(channels * MV_STATES);
}

INLINE int32_t count_below(const int32_t *v, size_t n, int32_t than)
{
    const vi limit = than - (vi){0};
    vi below = {0};
    for (size_t i = 0; i < n; i += LANES) {
        vi x;
        memcpy(&x, v + i, sizeof x);
        below -= x < limit; /* a true lane is -1 */
    }
    int32_t sum = 0;
    for (int k = 0; k < LANES; k++)
        sum += below[k];
    return sum;
}

/* The value of rank k, from 0. */
INLINE int32_t ranked(const int32_t *v, size_t n, int32_t k)
{
    int32_t found = 0;
    for (int bit = 30; bit >= 0; bit--) {
        int32_t more = found | (int32_t)1 << bit;
        found = count_below(v, n, more) <= k ? more : found;
    }
    return found;
}

INLINE int32_t least_above(const int32_t *v, size_t n, int32_t than)
{
    int32_t least = INT32_MAX;
    for (size_t i = 0; i < n; i++)
        least = v[i] > than && v[i] < least ? v[i] : least;
    return least;
}

INLINE float float_of(int32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

void KERNEL(half_life)(float *out, const float *dt, const float *A, size_t tokens, int e, int from, int to,
                       float *scratch)
{
    const int32_t values = (to - from) * MV_STATES, infinity = 0x7f800000;
    const size_t n = padded(values);
    int32_t *rate = (int32_t *)(void *)scratch;
    for (size_t t = 0; t < tokens; t++, dt += e) {
        for (int c = from; c < to; c++)
            for (int s = 0; s < MV_STATES; s++)
                scratch[(c - from) * MV_STATES + s] = fabsf(dt[c] * A[c * MV_STATES + s]);
        for (size_t i = (size_t)values; i < n; i++)
            rate[i] = INT32_MAX;
        if (count_below(rate, n, infinity + 1) < values) { /* NaN */
            out[t] = NAN;
            continue;
        }
        int32_t low = ranked(rate, n, values / 2 - 1),
                high = count_below(rate, n, low + 1) > values / 2 ? low : least_above(rate, n, low);
        out[t] = 0.5f * (LN2 / float_of(low) + LN2 / float_of(high));
    }
}
