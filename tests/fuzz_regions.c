/* Any bytes as what is marked on a picture: a file of COCO, of VOC or a mask; the pixels inside are of the input.
 *
 * Covers: cmd/regions.c src/file/boxes.c
 */
#include "cmd/regions.h"
#include "tests/fuzz_program.h"

enum { SIDE = 48, MOST_PIXELS = 1 << 14 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const as[] = {"coco.json", "marks/1.xml", "marks/1.png"};
    static session s;
    static mv_labels labels;
    mv_error e = {0};
    bool *inside = NULL;
    char path[PATH_MAX];
    if (size == 0)
        return 0;
    if (!s.labels) {
        static const char names[] = "n1\tchurch\nn2\tdog\n";
        fuzz_expect(mv_labels_parse(&labels, names, sizeof names - 1, "names", &e) == MV_OK);
        s.labels = &labels;
        s.config = *mv_config_at(0);
        s.config.classes = 2;
        s.config.preprocess.h = s.config.preprocess.w = SIDE;
    }
    unsigned kind = data[0] % 3;
    fuzz_empty(fuzz_folder());
    if (kind)
        mkdir(fuzz_path(path, "marks"), 0700);
    fuzz_file(as[kind], data + 1, size - 1);
    regions *r = regions_open(&s, fuzz_path(path, kind ? "marks" : as[0]), MOST_PIXELS, 0, &e);
    fuzz_expect(r ? !e.code : fuzz_refused(e.code, &e));
    if (r && fuzz_refused(regions_of(r, &s, "1.jpg", data[0] >> 4 & 1, SIDE, SIDE, &inside, &e), &e))
        fuzz_expect(!inside);
    if (inside) {
        int n = 0;
        for (int i = 0; i < SIDE * SIDE; i++)
            n += inside[i];
        fuzz_expect(n > 0);
    }
    free(inside);
    regions_free(r);
    return 0;
}
