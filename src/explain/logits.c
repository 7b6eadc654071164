#include "src/explain/logits.h"

#include <math.h>

#include "src/base/tensor.h"

int mv_class_next(const float *logits, int classes, int before)
{
    int found = MV_MAP_NONE;
    for (int i = 0; i < classes; i++) {
        bool left = before < 0 || logits[i] < logits[before] || (i > before && logits[i] == logits[before]);
        if (left && (found < 0 || logits[i] > logits[found]))
            found = i;
    }
    return found;
}

int mv_class_of(int wanted, const float *logits, int classes)
{
    int found = MV_MAP_NONE;
    if (wanted > MV_CLASS_TOP)
        return wanted;
    for (int rank = 0; rank <= MV_CLASS_TOP - wanted; rank++) {
        found = mv_class_next(logits, classes, found);
        if (found < 0)
            break;
    }
    return found;
}

double mv_probability(const float *logits, int classes, int c)
{
    double most = -INFINITY, sum = 0;
    if (classes == 1)
        return 1 / (1 + exp(-(double)logits[c]));
    for (int i = 0; i < classes; i++)
        most = fmax(most, (double)logits[i]);
    for (int i = 0; i < classes; i++)
        sum += exp((double)logits[i] - most);
    return exp((double)logits[c] - most) / sum;
}

mv_status mv_logits_check(const float *logits, int classes, const char *place, mv_error *e)
{
    size_t bad = mv_first_not_finite(logits, (size_t)classes);
    if (bad == (size_t)classes)
        return MV_OK;
    return mv_fail(e, MV_EINPUT, "%s: the logit of class %zu is %f, expected a finite number", place, bad,
                   (double)logits[bad]);
}
