/* Any bytes as a file of class names: its short forms are their beginnings, and not empty.
 *
 * Covers: src/model/labels.c
 */
#include "src/model/labels.h"
#include "tests/fuzz.h"

static void look(const mv_labels *l)
{
    char **brief = mv_labels_short((const char *const *)l->name, l->n);
    fuzz_expect(brief);
    for (int i = 0; i < l->n; i++) {
        const char *name = l->name[i];
        fuzz_expect(!name == !brief[i]);
        if (!name)
            continue;
        fuzz_expect(strncmp(name, brief[i], strlen(brief[i])) == 0);
        fuzz_expect(!*name || *brief[i]);
        mv_labels_names(name, brief[i]);
    }
    mv_labels_short_free(brief, l->n);
    mv_labels_agree(l, l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mv_error e = {0};
    mv_labels l = {0};
    if (fuzz_refused(mv_labels_parse(&l, (const char *)data, size, "fuzz", &e), &e))
        fuzz_expect(l.n == 0 && !l.name);
    else
        look(&l);
    mv_labels_free(&l);
    return 0;
}
