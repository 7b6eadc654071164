#include "cmd/map_arrays.h"

#include <stdlib.h>

/* Every map as an array. */
typedef struct {
    int n, room;
    raw_array *array;
    char (*name)[ASKS_NAME + MV_MAP_NAME];
} arrays;

static mv_status arrays_of(arrays *out, const call *c, const asks *names, const mv_maps *maps, mv_error *e)
{
    for (int a = 0; a < c->asks; a++)
        out->room += maps[a].n;
    out->array = calloc((size_t)out->room + 1, sizeof *out->array);
    out->name = calloc((size_t)out->room + 1, sizeof *out->name);
    if (!out->array || !out->name)
        return mv_fail_memory(e, "maps");
    for (int a = 0; a < c->asks; a++)
        for (int i = 0; i < maps[a].n; i++) {
            const mv_map *m = &maps[a].map[i];
            bool colour = m->channels == 3;
            out->array[out->n] = (raw_array){.name = asks_map_name(names, &maps[a], a, i, out->name[out->n]),
                                             .nd = colour ? 4 : 3,
                                             .dim = {1, m->h, m->w, colour ? 3 : 0},
                                             .values = mv_map_raw(m),
                                             .map = m};
            out->n++;
        }
    return MV_OK;
}

static void arrays_free(arrays *a)
{
    free(a->array);
    free(a->name);
}

mv_status map_arrays_add(raw_file *f, call *c, const asks *a, const study *s, mv_error *e)
{
    arrays all = {0};
    mv_status status = arrays_of(&all, c, a, s->maps, e);
    if (!status)
        status = raw_file_add(f, c, s->shot, all.array, all.n, e);
    arrays_free(&all);
    return status;
}

mv_status map_arrays_write(const call *c, const asks *a, const shot *t, mv_error *e)
{
    arrays all = {0};
    mv_status s = arrays_of(&all, c, a, t->maps, e);
    if (!s)
        s = raw_write(t->raw, t, all.array, all.n, e);
    arrays_free(&all);
    return s;
}
