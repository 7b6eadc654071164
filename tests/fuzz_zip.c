/* libFuzzer: whatever the bytes, opening an archive is safe, and so is reading every entry of what opens. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "src/file/zip_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* A refusal comes with its reason. */
static int told(const mv_error *e)
{
    if (e->code == MV_OK || !e->text[0])
        abort();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    enum { MOST = 1 << 20 };
    mv_error e = {0};
    mv_zip *z = mv_zip_of(bytes, size, "fuzz", &e);
    if (!z)
        return told(&e);
    for (int i = 0; i < mv_zip_count(z); i++) {
        if (mv_zip_lookup(z, mv_zip_name_at(z, i)) != i)
            abort();
        uint64_t n = mv_zip_size_at(z, i);
        unsigned char *out = malloc(n < MOST ? n + 1 : MOST);
        mv_error mine = {0};
        if (out && mv_zip_read(z, i, out, n < MOST ? n : MOST, "fuzz", &mine))
            told(&mine);
        free(out);
        if (mv_zip_stored(z, i))
            mv_zip_check(z, i, "fuzz", NULL);
    }
    mv_zip_close(z);
    return 0;
}
