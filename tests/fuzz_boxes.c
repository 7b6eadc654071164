/* libFuzzer: whatever the bytes, reading boxes from COCO's JSON or VOC's XML is safe, and what is read is in its
 * bounds.
 *
 * Covers: src/file/boxes.c
 */
#include <math.h>

#include "src/file/boxes.h"
#include "tests/fuzz.h"

static void look(mv_boxes *b, mv_status s, const mv_error *e)
{
    if (fuzz_refused(s, e))
        fuzz_expect(b->n == 0);
    for (int i = 0; i < b->n; i++) {
        const mv_boxed *p = &b->picture[i];
        const mv_boxed *found = mv_boxes_lookup(b, p->name);
        fuzz_expect(found && strcmp(found->name, p->name) == 0);
        fuzz_expect(p->w >= 1 && p->h >= 1 && p->w <= MV_BOXES_SIDE && p->h <= MV_BOXES_SIDE &&
                    p->n <= MV_BOXES_PER_PICTURE);
        for (int k = 0; k < p->n; k++)
            fuzz_expect(p->box[k].w > 0 && p->box[k].h > 0 && isfinite(p->box[k].x) && isfinite(p->box[k].y) &&
                        p->box[k].category >= -1 && p->box[k].category < b->categories);
    }
    mv_boxes_free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    mv_error e = {0}, f = {0};
    mv_boxes b = {0};
    look(&b, mv_boxes_coco(&b, bytes, size, "fuzz", &e), &e);
    look(&b, mv_boxes_voc(&b, bytes, size, "fuzz", &f), &f);
    return 0;
}
