/* Any lines as edits of a network's values: they are refused with a sentence, or are of a place that exists.
 *
 * Covers: src/run/edit.c src/base/pattern.c
 */
#include <math.h>

#include "src/run/edit.h"
#include "tests/fuzz.h"

static void add(mv_edits *ed, fuzz_bytes *b)
{
    static float values[64];
    char text[600];
    mv_error e = {0};
    mv_tensor t = {0};
    unsigned kind = fuzz_byte(b);
    int nd = (int)(kind >> 4 & 7);
    if (kind & 8) {
        int n = 1;
        t = (mv_tensor){.data = values, .type = MV_F32, .nd = nd < 5 ? nd : 5};
        for (int i = 0; i < t.nd; i++) {
            t.dim[i] = 1 + fuzz_byte(b) % 4;
            if (n * t.dim[i] > 64)
                t.dim[i] = 1;
            n *= t.dim[i];
        }
    }
    fuzz_line(b, text, sizeof text);
    if ((kind & 7) == 5)
        fuzz_refused(mv_edits_add_noise(ed, text, kind, 1, &e), &e);
    else
        fuzz_refused(mv_edits_add(ed, text, (mv_edit_kind)(kind & 3), t, &e), &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static mv_sites sites;
    fuzz_bytes b = {data, size};
    mv_error e = {0};
    if (!sites.n) {
        mv_config c = *mv_config_at(0);
        fuzz_expect(mv_sites_list(&sites, &c, 2, 64, 64, &e) == MV_OK);
    }
    if (size > 1024)
        return 0;
    mv_edits *ed = mv_edits_new(&e);
    fuzz_expect(ed != NULL);
    mv_edits_start(ed, fuzz_byte(&b) % 3);
    while (b.left) {
        mv_edits_only(ed, *b.at % 3 - 1);
        add(ed, &b);
    }
    fuzz_refused(mv_edits_check(ed, &sites, &e), &e);
    mv_edits_free(ed);
    return 0;
}
