#include "src/explain/params.h"

#include <string.h>

const char *const mv_level_words[] = {"all", NULL};
const char *const mv_query_words[] = {"pooled", "received", NULL};

mv_status mv_query_check_text(const char *text, const char *place, mv_error *e)
{
    mv_query q;
    return mv_query_parse(&q, text, place, e);
}

void mv_shared_levels(bool level[MV_LEVELS], const mv_param_list *list)
{
    for (int i = 0; i < list->n; i++)
        if (list->v[i] >= 0)
            level[list->v[i]] = true;
        else /* "all" */
            level[2] = level[3] = true;
    if (level[2] && level[3])
        memset(level, 0, MV_LEVELS * sizeof *level);
}

mv_status mv_shared_query(mv_query_kind *kind, int cell[MV_LEVELS][2], const bool level[MV_LEVELS], const char *text,
                          const char *place, mv_error *e)
{
    mv_query q = {.kind = MV_QUERY_POOLED};
    if (text && mv_query_parse(&q, text, place, e))
        return e->code;
    bool both = level[2] == level[3];
    *kind = q.kind;
    cell[2][0] = q.y, cell[2][1] = q.x;
    cell[3][0] = both ? q.y / 2 : q.y, cell[3][1] = both ? q.x / 2 : q.x;
    return MV_OK;
}
