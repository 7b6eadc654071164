#include <math.h>

#include "src/model/json_impl.h"

const json_t *mv_json_get(const mv_json *r, const char *key)
{
    const json_t *v = json_object_get(r->root, key);
    return json_is_null(v) ? NULL : v;
}

mv_status mv_json_bad(const mv_json *r, const char *key, const char *expected)
{
    return mv_fail(r->e, MV_EINPUT, "%s: \"%s\" is not %s", r->place, key, expected);
}

bool mv_json_whole(const json_t *v, json_int_t *out)
{
    double d = json_number_value(v);
    if (!json_is_number(v) || d != floor(d) || fabs(d) > 9e15)
        return false;
    *out = json_is_integer(v) ? json_integer_value(v) : (json_int_t)d;
    return true;
}

bool mv_json_numbers(const json_t *v, int n, double *out)
{
    bool list = json_is_array(v);
    if (list && json_array_size(v) != (size_t)n)
        return false;
    for (int i = 0; i < n; i++) {
        const json_t *one = list ? json_array_get(v, (size_t)i) : v;
        if (!json_is_number(one))
            return false;
        out[i] = json_number_value(one);
    }
    return true;
}
