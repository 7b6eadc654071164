#include "cmd/together.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/destination.h"
#include "cmd/findings.h"
#include "cmd/page_file.h"
#include "cmd/talk.h"
#include "src/base/text.h"
#include "src/explain/cells.h"
#include "src/explain/logits.h"
#include "src/explain/pca.h"
#include "viz/draw/raster.h"
#include "viz/page/sheet.h"

enum { MOST_COLUMNS = 12, MOST_ITEMS = 512, SIDE = 448, MAP_SIDE = 224 };

struct together_row {
    mv_image picture;
    char *name, *path;
    mv_maps maps; /* of all asks */
    float *features[CALL_ASKS];
    int channels[CALL_ASKS], of[CALL_ASKS]; /* of[a]: the number of the first map of ask a */
};

mv_status together_check(const call *c, int maps, mv_error *e)
{
    int pictures = c->o.sheet && c->o.sheet < c->pictures ? c->o.sheet : c->pictures;
    if (maps > MOST_COLUMNS)
        return mv_fail(e, MV_EINPUT,
                       "-o: found %d maps a picture for a page of several pictures, expected at most %d; a folder gets "
                       "a page for each picture",
                       maps, MOST_COLUMNS);
    if (maps * pictures > MOST_ITEMS)
        return mv_fail(e, MV_EINPUT,
                       "-o: found %d maps of each of %d pictures for one page, expected at most %d; a folder gets a "
                       "page for each picture",
                       maps, pictures, MOST_ITEMS);
    return MV_OK;
}

/* ---- what is kept */

/* The picture, its longer side at most SIDE px. */
static mv_status keep_picture(mv_image *out, const mv_image *in, mv_error *e)
{
    double scale = fmin(1, (double)SIDE / (in->w > in->h ? in->w : in->h));
    return mv_raster_picture(out, in, (int)fmax(1, round(in->w * scale)), (int)fmax(1, round(in->h * scale)), e);
}

/* Averages boxes of cells, so that no side has more than MAP_SIDE. The range stays that of the map itself. */
static mv_status keep_map(mv_map *out, const mv_map *in, mv_error *e)
{
    int longest = in->h > in->w ? in->h : in->w, box = (longest + MAP_SIDE - 1) / MAP_SIDE;
    int h = (in->h + box - 1) / box, w = (in->w + box - 1) / box;
    size_t channels = in->channels == 3 ? 3 : 1;
    *out = *in;
    out->raw = NULL;
    out->v = calloc((size_t)h * (size_t)w * channels, sizeof *out->v);
    if (!out->v)
        return mv_fail_memory(e, "maps");
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (size_t c = 0; c < channels; c++) {
                double sum = 0;
                int n = 0;
                for (int r = y * box; r < (y + 1) * box && r < in->h; r++)
                    for (int q = x * box; q < (x + 1) * box && q < in->w; q++, n++)
                        sum += (double)in->v[((size_t)r * (size_t)in->w + (size_t)q) * channels + c];
                out->v[((size_t)y * (size_t)w + (size_t)x) * channels + c] = (float)(sum / n);
            }
    out->h = h;
    out->w = w;
    return MV_OK;
}

static mv_status keep_features(struct together_row *row, const study *s, int ask, mv_error *e)
{
    const mv_cells *cells = mv_explainer_own(s->explainer, ask);
    row->features[ask] = mv_cells_read(cells, s->picture, e);
    row->channels[ask] = mv_cells_channels(cells);
    return row->features[ask] ? MV_OK : e->code;
}

static mv_status keep_maps(struct together_row *row, const call *c, const study *s, mv_error *e)
{
    mv_status status = MV_OK;
    for (int a = 0; a < c->asks && !status; a++) {
        bool colours = strcmp(c->ask[a].method->name, "pca") == 0;
        row->of[a] = row->maps.n;
        for (int i = 0; i < s->maps[a].n && !status; i++) {
            mv_map *map = mv_maps_add(&row->maps, e);
            status = map ? MV_OK : MV_ENOMEM;
            if (map && colours) { /* its cells are needed as they are */
                status = mv_map_new(map, s->maps[a].map[i].h, s->maps[a].map[i].w, e);
                float *v = map->v;
                *map = s->maps[a].map[i];
                map->raw = NULL;
                map->v = v;
                map->channels = 1;
            } else if (map)
                status = keep_map(map, &s->maps[a].map[i], e);
        }
        if (!status && colours)
            status = keep_features(row, s, a, e);
    }
    return status;
}

/* "church.jpg"; on contact sheets "church.jpg: church, p = 0.95". NULL without memory. */
static char *name_of(const call *c, const shot *t)
{
    char name[24], p[24], *text;
    int best = c->o.sheet ? mv_class_next(t->logits, c->session.config.classes, MV_MAP_NONE) : -1;
    if (best < 0)
        return strdup(t->base);
    double probability = mv_probability(t->logits, c->session.config.classes, best);
    return asprintf(&text, "%s: %s, %s", t->base, session_class(&c->session, best, name),
                    finding_probability(p, probability, 2)) < 0
               ? NULL
               : text;
}

static void row_free(struct together_row *row)
{
    mv_image_free(&row->picture);
    free(row->name);
    free(row->path);
    mv_maps_free(&row->maps);
    for (int a = 0; a < CALL_ASKS; a++)
        free(row->features[a]);
    *row = (struct together_row){0};
}

static mv_status write_page(together *t, call *c, const char *methods, mv_error *e);

mv_status together_add(together *t, call *c, const study *s, const char *methods, mv_error *e)
{
    if (!t->row)
        t->row = calloc(TOGETHER_MOST, sizeof *t->row);
    if (!t->row)
        return mv_fail_memory(e, s->shot->name);
    if (t->n == TOGETHER_MOST)
        return mv_fail(e, MV_EINPUT, "%s: found more than %d pictures for one page", s->shot->name, TOGETHER_MOST);
    struct together_row *row = &t->row[t->n++];
    row->name = name_of(c, s->shot);
    row->path = strdup(s->shot->path);
    mv_status status = row->name && row->path ? MV_OK : mv_fail_memory(e, s->shot->name);
    if (!status)
        status = keep_picture(&row->picture, s->shot->image, e);
    if (!status)
        status = keep_maps(row, c, s, e);
    if (status) { /* the picture failed: it has no row */
        t->n--;
        row_free(row);
    }
    return !status && t->n == c->o.sheet ? write_page(t, c, methods, e) : status;
}

static void rows_free(together *t)
{
    while (t->n > 0)
        row_free(&t->row[--t->n]);
}

static void together_free(together *t)
{
    rows_free(t);
    free(t->row);
    free(t->written);
    mv_fonts_free(t->fonts);
    *t = (together){0};
}

/* ---- the page */

/* Colours the pictures of each ask of the method pca together. */
static mv_status colour(together *t, const call *c, mv_error *e)
{
    mv_map *maps[TOGETHER_MOST];
    const float *features[TOGETHER_MOST];
    mv_status s = MV_OK;
    for (int a = 0; a < c->asks && !s; a++) {
        int n = 0, channels = 0;
        for (int i = 0; i < t->n; i++) {
            struct together_row *row = &t->row[i];
            if (!row->features[a])
                continue;
            maps[n] = &row->maps.map[row->of[a]];
            features[n++] = row->features[a];
            channels = row->channels[a];
        }
        if (n)
            s = mv_pca_colour(maps, features, n, channels, e);
    }
    return s;
}

/* One scale where all units agree, else one for each column. */
static void choose_scale(mv_sheet_content *sheet)
{
    const mv_map *first = NULL;
    sheet->scale = MV_SHEET_SCALE_ALL;
    for (int i = 0; i < sheet->item_count; i++) {
        const mv_map *m = sheet->items[i].map;
        if (!m || m->channels == 3)
            continue;
        first = first ? first : m;
        if (strcmp(m->unit, first->unit) != 0)
            sheet->scale = MV_SHEET_SCALE_GROUP;
    }
}

/* The rows of the table; *columns receives the maps of a row. NULL without memory. */
static mv_sheet_item *items_of(const together *t, int *columns)
{
    *columns = 0;
    for (int i = 0; i < t->n; i++)
        *columns = t->row[i].maps.n > *columns ? t->row[i].maps.n : *columns;
    mv_sheet_item *items = calloc((size_t)(t->n * *columns) + 1, sizeof *items);
    for (int i = 0; items && i < t->n; i++)
        for (int k = 0; k < *columns; k++)
            items[i * *columns + k] = (mv_sheet_item){.map = k < t->row[i].maps.n ? &t->row[i].maps.map[k] : NULL,
                                                      .picture = &t->row[i].picture,
                                                      .name = t->row[i].name};
    return items;
}

/* Its name is printed in the end, behind the results of all pictures. */
static mv_status remember(together *t, const char *name, mv_error *e)
{
    char *more;
    if (asprintf(&more, "%s%s\n", t->written ? t->written : "", name) < 0)
        return mv_fail_memory(e, name);
    free(t->written);
    t->written = more;
    return MV_OK;
}

static mv_status draw(together *t, call *c, const mv_sheet_content *sheet, const char *methods, mv_error *e)
{
    char title[FINDING], subtitle[240], page_number[32] = "";
    const mv_map **maps = calloc((size_t)sheet->item_count, sizeof *maps);
    mv_maps *all = calloc((size_t)c->asks, sizeof *all); /* the recipe's range: that of the first picture's maps */
    char *path = destination_sheet(c->pages, ++t->pages), *name = path ? mv_text_escape(path) : NULL;
    mv_status s = maps && all && name ? destination_make_folders(c->pages, path, e) : mv_fail_memory(e, "pages");
    if (!s) {
        for (int i = 0; i < sheet->item_count; i++)
            maps[i] = sheet->items[i].map;
        all[0] = t->row[0].maps;
        if (c->pages->folder)
            snprintf(page_number, sizeof page_number, "page %d  \xc2\xb7  ", t->pages);
        snprintf(subtitle, sizeof subtitle, "%s%d picture%s%s", page_number, t->n, t->n == 1 ? "" : "s",
                 c->failed ? "; those that failed are left out" : "");
        shot page = {.path = c->operand[0], /* the recipe names the operands as they were given */
                     .name = name,
                     .base = t->row[0].name,
                     .maps = all,
                     .page = path,
                     .page_name = name,
                     .fonts = (struct mv_fonts **)&t->fonts};
        page_words words = {.title = finding_of_pictures(title, maps, t->n, sheet->item_count / t->n),
                            .subtitle = subtitle,
                            .method = methods,
                            .others = c->operand + 1};
        s = page_write(c, &page, &mv_page_sheet, &words, sheet, e);
    }
    if (!s && !c->o.json && !page_is_stdout(c))
        s = remember(t, name, e);
    free(maps);
    free(all);
    free(path);
    free(name);
    return s;
}

/* Draws a page of what is kept, and drops it. */
static mv_status write_page(together *t, call *c, const char *methods, mv_error *e)
{
    mv_sheet_content sheet = {.table = true};
    mv_status s = colour(t, c, e);
    mv_sheet_item *items = s ? NULL : items_of(t, &sheet.columns);
    if (!s && !items)
        s = mv_fail_memory(e, "pages");
    if (!s) {
        sheet.items = items;
        sheet.item_count = t->n * sheet.columns;
        choose_scale(&sheet);
        if (c->o.sheet && sheet.columns == 1) { /* a grid of pictures */
            sheet.table = false;
            sheet.columns = 0;
        }
        s = sheet.item_count
                ? draw(t, c, &sheet, methods, e)
                : mv_fail(e, MV_EINPUT, "%s: found no map to draw: the model has no such class", t->row[0].name);
    }
    free(items);
    rows_free(t);
    return s;
}

mv_status together_close(together *t, call *c, const char *methods, mv_error *e)
{
    bool whole = c->joined && !c->stopped && !c->broken;
    mv_status s = whole && t->n ? write_page(t, c, methods, e) : MV_OK;
    if (whole && t->written)
        talk_results(t->written, strlen(t->written));
    together_free(t);
    return s;
}
