/* Any order of declarations, rows, checkpoints and interruptions: what is committed is read back, and what is not
 * leaves nothing behind.
 *
 * Covers: src/file/store.c src/file/store_container.c src/file/safetensors_write.c src/file/zip_layout.c
 *         src/file/output.c src/file/folder.c src/file/partial.c
 */
#include "src/file/arrays.h"
#include "src/file/store.h"
#include "tests/fuzz.h"

enum { ARRAYS = 4, VALUES = 4096 };

typedef struct {
    char name[24];
    int nd, dim[6], rows;
} array;

typedef struct {
    fuzz_bytes b;
    mv_store *s;
    bool resumable, whole; /* whole: nothing was refused */
    int n;
    array a[ARRAYS];
} work;

static void declare(work *w)
{
    mv_error e = {0};
    array *a = &w->a[w->n];
    *a = (array){.nd = fuzz_byte(&w->b) % 7};
    fuzz_line(&w->b, a->name, sizeof a->name);
    for (int i = 0; i < 6; i++) {
        unsigned d = fuzz_byte(&w->b);
        a->dim[i] = d == 255 ? 0x7fffffff : d == 254 ? -1 : (int)(d % 5);
    }
    if (fuzz_refused(mv_store_declare(w->s, a->name, a->nd, a->dim, &e), &e))
        w->whole = false;
    else
        w->n++;
}

static void append(work *w)
{
    static float values[VALUES];
    mv_error e = {0};
    if (w->n == 0)
        return;
    array *a = &w->a[fuzz_byte(&w->b) % w->n];
    size_t row = 1;
    int rows = fuzz_byte(&w->b) % 4;
    for (int i = 1; i < a->nd; i++)
        row *= (size_t)a->dim[i];
    if (row * (size_t)rows > VALUES)
        return;
    for (int i = 0; i < VALUES; i++)
        values[i] = (float)i;
    if (fuzz_refused(mv_store_append(w->s, a->name, values, rows, &e), &e))
        w->whole = false;
    else
        a->rows += rows;
}

static void step(work *w)
{
    mv_error e = {0};
    char text[40];
    switch (fuzz_byte(&w->b) % 6) {
    case 0:
        if (w->n < ARRAYS)
            declare(w);
        break;
    case 1:
        if (mv_store_meta(w->s, "note", fuzz_line(&w->b, text, sizeof text), &e))
            w->whole = false;
        break;
    case 2:
        if (mv_store_checkpoint(w->s, fuzz_line(&w->b, text, sizeof text), &e))
            w->whole = false;
        break;
    case 3:
        if (mv_store_shrink(w->s, 1 + fuzz_byte(&w->b) % 4, fuzz_byte(&w->b) % 5, &e))
            w->whole = false;
        break;
    default: append(w);
    }
}

/* Every array is there, and its values are those that were written. */
static void read_back(const char *path, const work *w)
{
    mv_error e = {0};
    mv_arrays *a = mv_arrays_open(path, &e);
    fuzz_expect(a != NULL && mv_arrays_count(a) == w->n);
    for (int i = 0; i < w->n; i++) {
        mv_tensor t = {0};
        float first = -1;
        int k = mv_arrays_is_one(a) ? 0 : mv_arrays_lookup(a, w->a[i].name);
        fuzz_expect(k >= 0 && mv_arrays_shape(a, k, &t, &e) == MV_OK && t.nd == w->a[i].nd);
        fuzz_expect(mv_tensor_count(t) == 0 || (mv_arrays_read(a, k, 0, 1, &first, &e) == MV_OK && first == 0));
    }
    mv_arrays_close(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const ends[] = {"x.safetensors", "x.npz", "x.npy", "x/"};
    char path[PATH_MAX];
    mv_error e = {0};
    if (size < 3)
        return 0;
    work w = {.b = {data + 1, size - 1}, .whole = true, .resumable = data[0] & 4};
    fuzz_empty(fuzz_folder());
    fuzz_path(path, ends[data[0] & 3]);
    w.s = w.resumable ? mv_store_open_resumable(path, "model\n", &e) : mv_store_open(path, &e);
    fuzz_expect(w.s != NULL);
    while (w.b.left)
        step(&w);
    if (data[0] & 8) {
        mv_store_discard(w.s);
        fuzz_expect(fuzz_count(fuzz_folder()) == 0);
        return 0;
    }
    if (fuzz_refused(mv_store_commit(w.s, &e), &e))
        fuzz_expect(fuzz_count(fuzz_folder()) <= w.resumable);
    else {
        fuzz_expect(w.whole && fuzz_count(fuzz_folder()) == 1);
        if (w.n > 0)
            read_back(path, &w);
    }
    return 0;
}
