/* Any bytes as a config.json, and as a preprocessor_config.json after it: they are read or refused with a sentence.
 *
 * Covers: src/model/config.c src/model/config_json.c src/model/processor_json.c src/model/labels_json.c
 * src/model/json.c src/file/json.c
 */
#include <math.h>

#include "src/model/config.h"
#include "tests/fuzz.h"

static void check(const mv_config *c)
{
    const mv_preprocess *p = &c->preprocess;
    if (c->dim < 1 || p->h < MV_SIZE_MIN || p->w > MV_SIZE_MAX || (c->dim << 3) % c->heads[3])
        __builtin_trap();
    if (!(p->crop_pct >= 0.01 && p->crop_pct <= 4))
        __builtin_trap();
    for (int i = 0; i < 3; i++)
        if (!isfinite(p->mean[i]) || !isfinite(p->std[i]) || p->std[i] <= 0)
            __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mv_error e = {0};
    mv_labels labels = {0};
    mv_warnings warnings = {0};
    unsigned has = 0;
    mv_config c = *mv_config_at((int)(size % 11));
    c.classes = (int)(size % 7);
    const char *text = (const char *)data;
    mv_status s = mv_config_parse(&c, &labels, &has, text, size, "fuzz", &warnings, &e);
    if (!s)
        s = mv_config_parse_processor(&c, &has, text, size, "fuzz", "fuzz", &warnings, &e);
    if (!s && !mv_config_check(&c, "fuzz", &e))
        check(&c);
    else if (!e.code || !*e.text)
        __builtin_trap();
    if (labels.n && labels.n != c.classes)
        __builtin_trap();
    mv_labels_free(&labels);
    return 0;
}
