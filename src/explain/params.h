/* Rows of parameter tables that several methods share. `at` is the offset of the member: a text for a site or a query,
 * an mv_param_list for levels and blocks. Each method says in its own words what the parameter does (`text`).
 */
#ifndef MV_EXPLAIN_PARAMS_H
#define MV_EXPLAIN_PARAMS_H

#include "src/base/param.h"
#include "src/explain/rows.h"

extern const char *const mv_level_words[], *const mv_query_words[];

/* For mv_param.check: a query that mv_query_parse refuses. */
mv_status mv_query_check_text(const char *text, const char *place, mv_error *e);

/* Levels 2 and 3; the word "all" is -1. */
#define MV_SHARED_LEVELS(at)                                                                                           \
    {                                                                                                                  \
        .name = "level", .letter = 'l', .kind = MV_PARAM_LIST, .offset = at, .least = 2, .most = 3,                    \
        .words = mv_level_words, .argument = "LEVEL", .help = "levels to show: 2, 3 or all, the default"               \
    }

#define MV_SHARED_BLOCKS(at, text)                                                                                     \
    {                                                                                                                  \
        .name = "block", .kind = MV_PARAM_LIST, .offset = at, .most = 511, .argument = "N", .help = text               \
    }

/* The levels of such a list; none set: both, which is the default. `level` starts all false. */
void mv_shared_levels(bool level[MV_LEVELS], const mv_param_list *list);

/* standard: the query without the parameter; NULL: none. */
#define MV_SHARED_QUERY(at, standard, text)                                                                            \
    {                                                                                                                  \
        .name = "query", .kind = MV_PARAM_TEXT, .offset = at, .otherwise = standard, .check = mv_query_check_text,     \
        .words = mv_query_words, .argument = "pooled|Y,X|received", .help = text                                       \
    }

/* Such a query, NULL: pooled, for the levels that mv_shared_levels has set. A cell is one of the level. With both
 * levels it is one of level 2, and level 3 shows the cell that holds it. */
mv_status mv_shared_query(mv_query_kind *kind, int cell[MV_LEVELS][2], const bool level[MV_LEVELS], const char *text,
                          const char *place, mv_error *e);

/* The site of cells.h. */
#define MV_SHARED_SITE(at, text)                                                                                       \
    {                                                                                                                  \
        .name = "site", .kind = MV_PARAM_TEXT, .offset = at, .otherwise = "levels.3", .argument = "SITE",              \
        .completes = MV_COMPLETE_SITE, .help = text                                                                    \
    }

#endif
