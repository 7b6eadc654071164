#include "src/explain/params.h"

#include "src/explain/rows.h"

const char *const mv_level_words[] = {"all", NULL};
const char *const mv_query_words[] = {"pooled", "received", NULL};

mv_status mv_query_check_text(const char *text, const char *place, mv_error *e)
{
    mv_query q;
    return mv_query_parse(&q, text, place, e);
}
