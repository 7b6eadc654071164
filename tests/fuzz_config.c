/* Any bytes as a config: they are read or refused with a sentence. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "src/model/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mv_error e = {0};
    mv_labels labels = {0};
    mv_warnings warnings = {0};
    unsigned has;
    mv_config c = *mv_config_at((int)(size % 11));
    if (!mv_config_parse(&c, &labels, &has, (const char *)data, size, "fuzz", &warnings, &e) &&
        !mv_config_check(&c, "fuzz", &e)) {
        if (c.dim < 1 || c.preprocess.h < MV_SIZE_MIN || c.preprocess.w > MV_SIZE_MAX || (c.dim << 3) % c.heads[3])
            __builtin_trap();
    } else if (!e.code || !*e.text)
        __builtin_trap();
    mv_labels_free(&labels);
    return 0;
}
