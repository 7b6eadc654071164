#include "src/base/name_set.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/text.h"

mv_status mv_name_set_add(mv_name_set *s, const char *name, mv_error *e)
{
    if (s->n == s->room) {
        int room = s->room ? s->room + s->room / 2 : 64;
        uint64_t *hash = realloc(s->hash, (size_t)room * sizeof *hash);
        if (hash)
            s->hash = hash;
        bool *taken = hash ? realloc(s->taken, (size_t)room * sizeof *taken) : NULL;
        if (!taken)
            return mv_fail_memory(e, name);
        s->taken = taken;
        s->room = room;
    }
    s->taken[s->n] = false;
    s->hash[s->n++] = mv_text_hash(name);
    return MV_OK;
}

void mv_name_set_free(mv_name_set *s)
{
    free(s->hash);
    free(s->taken);
    *s = (mv_name_set){0};
}

static int by_hash(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

bool mv_name_set_take(mv_name_set *s, const char *name)
{
    uint64_t key = mv_text_hash(name);
    if (s->n && !s->sorted)
        qsort(s->hash, (size_t)s->n, sizeof *s->hash, by_hash);
    s->sorted = true;
    int from = 0, to = s->n; /* the first hash that is not below the key */
    while (from < to) {
        int middle = from + (to - from) / 2;
        if (s->hash[middle] < key)
            from = middle + 1;
        else
            to = middle;
    }
    for (; from < s->n && s->hash[from] == key; from++)
        if (!s->taken[from])
            return s->taken[from] = true;
    return false;
}
