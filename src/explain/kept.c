#include "src/explain/kept.h"

#include <stdlib.h>
#include <string.h>

#include "src/run/run.h"

void mv_kept_take(mv_kept *k, mv_run *r, const char *site, mv_tensor value, size_t each)
{
    size_t first = (size_t)mv_run_first(r), n = (size_t)mv_run_pictures(r), needed = (first + n) * each;
    if (mv_tensor_count(value) != n * each) {
        mv_run_fail(r, MV_EMISUSE, "%s: found %zu values of %zu pictures, expected %zu", site, mv_tensor_count(value),
                    n, n * each);
        return;
    }
    if (needed > k->room) {
        float *more = realloc(k->value, needed * sizeof *more);
        if (!more) {
            mv_run_fail(r, MV_ENOMEM, "%s: out of memory for %zu values", site, needed);
            return;
        }
        k->value = more;
        k->room = needed;
    }
    memcpy(k->value + first * each, value.data, n * each * sizeof *k->value);
    k->pictures = (int)(first + n);
}

const float *mv_kept_at(const mv_kept *k, int picture, size_t each)
{
    return picture >= 0 && picture < k->pictures ? k->value + (size_t)picture * each : NULL;
}
