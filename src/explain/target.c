#include "src/explain/target.h"

#include <math.h>
#include <string.h>

static void seed_against(const mv_target *t, const float *logits, int classes, float *seed)
{
    double most = -INFINITY, sum = 0;
    int found[MV_TARGET_AGAINST];
    for (int k = 0; k < t->n; k++) {
        found[k] = mv_class_of(t->against[k], logits, classes);
        for (int i = 0; i < k; i++) /* the second answer may be one of the others */
            if (found[i] == found[k])
                found[k] = MV_MAP_NONE;
        if (found[k] >= 0)
            most = fmax(most, (double)logits[found[k]]);
    }
    for (int k = 0; k < t->n; k++)
        sum += found[k] >= 0 ? exp((double)logits[found[k]] - most) : 0;
    for (int k = 0; k < t->n; k++)
        if (found[k] >= 0)
            seed[found[k]] -= (float)(exp((double)logits[found[k]] - most) / sum);
}

bool mv_target_same(const mv_target *a, const mv_target *b)
{
    return a->class_ == b->class_ && a->probability == b->probability && a->n == b->n &&
           memcmp(a->against, b->against, (size_t)a->n * sizeof *a->against) == 0;
}

double mv_target_seed(const mv_target *t, const float *logits, int classes, float *seed)
{
    int c = mv_class_of(t->class_, logits, classes);
    memset(seed, 0, (size_t)classes * sizeof *seed);
    if (c < 0)
        return 0;
    if (!t->probability) {
        seed[c] = 1;
        seed_against(t, logits, classes, seed);
        return mv_target_of(seed, logits, classes);
    }
    double p = mv_probability(logits, classes, c);
    int top = mv_class_next(logits, classes, -1);
    double most = mv_probability(logits, classes, top);
    for (int k = 0; k < classes; k++)
        seed[k] = (float)(p * ((k == c) - most * exp((double)logits[k] - (double)logits[top])));
    return p;
}

double mv_target_of(const float *seed, const float *logits, int classes)
{
    double sum = 0;
    for (int k = 0; k < classes; k++)
        sum += (double)seed[k] * (double)logits[k];
    return sum;
}
