#include "cmd/at.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cmd/reply.h"
#include "cmd/talk.h"
#include "src/explain/params.h"
#include "src/picture/preprocess.h"

/* ---- the option */

static bool parse(const char *text, int *x, int *y)
{
    int used = 0;
    bool digits = strspn(text, "0123456789,") == strlen(text);
    return digits && sscanf(text, "%9d,%9d%n", x, y, &used) == 2 && !text[used];
}

mv_status at_check_text(const char *text, const char *place, mv_error *e)
{
    int x, y;
    if (parse(text, &x, &y))
        return MV_OK;
    return mv_fail(e, MV_EINPUT, "%s: found '%.60s', expected a pixel of the photo as X,Y, column first", place, text);
}

void at_choose(call *c, const char *text, const mv_param_list *level, const char **query)
{
    if (!text)
        return;
    if (options_given(c, "query"))
        die(EXIT_MISUSE, "--at: has no effect beside --query, which names the cell itself; leave one of them out");
    parse(text, &c->at.x, &c->at.y);
    mv_shared_levels(c->at.level, level);
    if (!c->at.level[2] && !c->at.level[3])
        c->at.level[2] = c->at.level[3] = true;
    c->at.query = query;
}

/* ---- cells */

static int finest(const call *c)
{
    return c->at.level[2] ? 2 : 3;
}

/* The pixels of a side that the network sees, from *lo to *hi: the frame begins at `start` and is `size` long. */
static void range(int *lo, int *hi, double start, double size, int pixels)
{
    *lo = (int)fmax(0, ceil(start - 0.5));
    *hi = (int)fmin(pixels - 1, ceil(start + size - 0.5) - 1);
}

/* A cell's row or column: where the middle of a pixel is in the input of `side` px. */
static int cell_of(int pixel, double start, double size, int side, int cell)
{
    double at = (pixel + 0.5 - start) * side / size;
    return (int)fmin(fmax(at, 0), side - 1) / cell;
}

mv_status at_find(const call *c, int photo_w, int photo_h, int h, int w, at_cell *out, mv_error *e)
{
    double f[4] = {0, 0, w, h};
    int x[2], y[2], cell = 4 << finest(c);
    bool ready = photo_w == 0;
    if (!ready)
        mv_preprocess_frame(&c->session.config.preprocess, photo_w, photo_h, f);
    range(&x[0], &x[1], f[0], f[2], ready ? w : photo_w);
    range(&y[0], &y[1], f[1], f[3], ready ? h : photo_h);
    if (c->at.x < x[0] || c->at.x > x[1] || c->at.y < y[0] || c->at.y > y[1])
        return mv_fail(
            e, MV_EINPUT,
            "--at: found %d,%d, expected X from %d to %d and Y from %d to %d, which is what the network sees "
            "of the %s",
            c->at.x, c->at.y, x[0], x[1], y[0], y[1], ready ? "input" : "photo");
    *out = (at_cell){cell_of(c->at.y, f[1], f[3], h, cell), cell_of(c->at.x, f[0], f[2], w, cell)};
    return MV_OK;
}

void at_set(call *c, at_cell cell)
{
    snprintf(c->at.text, sizeof c->at.text, "%d,%d", cell.y, cell.x);
    *c->at.query = c->at.text;
}

/* ---- words */

/* The cell of a picture that has been answered. */
static at_cell cell_of_shot(const call *c, const shot *t)
{
    at_cell cell = {0};
    mv_error none;
    at_find(c, t->photo_w, t->photo_h, t->h, t->w, &cell, &none);
    return cell;
}

/* The same at a level that is shown. */
static at_cell at_level(const call *c, at_cell cell, int level)
{
    int by = 1 << (level - finest(c));
    return (at_cell){cell.y / by, cell.x / by};
}

const char *at_query(const call *c, const shot *t, const char *otherwise, char text[24])
{
    if (!c->at.query)
        return otherwise;
    at_cell cell = cell_of_shot(c, t);
    snprintf(text, 24, "%d,%d", cell.y, cell.x);
    return text;
}

const char *at_words(const call *c, const shot *t, char text[128])
{
    at_cell cell = cell_of_shot(c, t);
    snprintf(text, 128, "pixel %d,%d of the %s, in cell", c->at.x, c->at.y, t->photo_w ? "photo" : "input");
    for (int level = finest(c); level <= 3; level++) {
        at_cell here = at_level(c, cell, level);
        size_t used = strlen(text);
        if (c->at.level[level])
            snprintf(text + used, 128 - used, "%s %d,%d of level %d", level > finest(c) ? " and" : "", here.y, here.x,
                     level);
    }
    return text;
}

bool at_reply(const call *c, const shot *t, json_t *line)
{
    if (!c->at.query)
        return true;
    at_cell cell = cell_of_shot(c, t);
    json_t *cells = json_object();
    bool good = cells != NULL;
    for (int level = finest(c); level <= 3 && good; level++) {
        char key[16];
        at_cell here = at_level(c, cell, level);
        snprintf(key, sizeof key, "%d", level);
        good = !c->at.level[level] || reply_set(cells, key, json_pack("[i,i]", here.y, here.x));
    }
    json_t *at = json_pack("{s:i,s:i,s:o}", "x", c->at.x, "y", c->at.y, "cells", cells);
    return reply_set(line, "at", at) && good;
}
