/* What the command `mixer` says of its maps: a line for each block, as a table, as JSON, and as the content of a page.
 */
#ifndef MIXER_REPLY_H
#define MIXER_REPLY_H

#include <jansson.h>

#include "cmd/page_file.h"
#include "src/explain/audit.h"
#include "viz/page/mixer.h"

/* One block. Maps are borrowed; NULL where they were not asked for. */
typedef struct {
    int level, block, tokens;                           /* of a window */
    const mv_map *map[MV_MIXER_KINDS], *matrix[2];      /* of hidden attention and of contributions */
    double half_life, step, norm, ratio;                /* medians over the cells */
    double scan_share;                                  /* NaN: not computed */
    double padding, hidden_on_padding, norm_on_padding; /* 0 to 1 */
} mixer_line;

/* The blocks of the maps of mv_method_inside, in their order; *out is the caller's to free. Their number, or -1
 * without memory. */
int mixer_lines(const mv_maps *maps, mixer_line **out, mv_error *e);

void mixer_table(FILE *out, const mixer_line *line, int lines);
void mixer_audit_table(FILE *out, const mv_audit *audit, const call *c);

/* The line of --json. NULL without memory. */
json_t *mixer_json(const call *c, const shot *t, const mixer_line *line, int lines);

/* Prints a file's name, safe to print, on a line of its own. */
mv_status mixer_print_name(FILE *out, const char *path, mv_error *e);

/* ---- pages */

typedef struct {
    char title[160], subtitle[640], film[400];
} mixer_words;

void mixer_words_of(mixer_words *w, const call *c, const shot *t, const mixer_line *line, int lines);

/* A page and what it is made of. */
typedef struct {
    page_words words;
    mv_mixer_content content;
    mixer_words text;
    mv_mixer_column column[MV_MIXER_KINDS];
    mv_mixer_row *row;
    char (*note)[160];
    mv_map *mean; /* two for each block: the matrices, as means over windows */
    mv_mixer_grid grid[2 * MV_FLIPS];
    char (*name)[40];
    const char **names;
    double *value;
    char grids_note[640];
} mixer_page;

/* What a page shows besides states and hidden attention. */
typedef struct {
    int film; /* pictures of each scan; 0: none */
    bool contributions, matrix;
} mixer_show;

/* `audit` may be NULL. End it with mixer_page_free, also after a failure. */
mv_status mixer_page_of(mixer_page *p, const call *c, const shot *t, const mixer_line *line, int lines,
                        const mixer_show *show, const mv_audit *audit, mv_error *e);
void mixer_page_free(mixer_page *p);

#endif
