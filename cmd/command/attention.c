#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cmd/options.h"
#include "cmd/pictures.h"
#include "cmd/sheet.h"
#include "src/explain/attention.h"
#include "src/file/npy.h"
#include "src/file/safetensors.h"

static const char *level_text, *block_text, *head_text, *query_text, *raw;
static int rollout, shared_scale;

static struct poptOption own[] = {
    {"level", 'l', POPT_ARG_STRING, &level_text, 0, "2, 3 or all; all if left out", "LEVEL"},
    {"block", 0, POPT_ARG_STRING, &block_text, 0,
     "only this block of a level, counted from 0; all that attend if left out", "N"},
    {"head", 0, POPT_ARG_STRING, &head_text, 0, "a head counted from 0, mean or all; mean if left out", "N|mean|all"},
    {"query", 0, POPT_ARG_STRING, &query_text, 0,
     "who looks: pooled (the mean over cells, which the model pools), one cell of the level, or received (what a cell "
     "gets)",
     "pooled|Y,X|received"},
    {"rollout", 0, POPT_ARG_NONE, &rollout, 0, "through all attention blocks of a level", NULL},
    {"shared-scale", 0, POPT_ARG_NONE, &shared_scale, 0, "one colour scale for all maps of the page", NULL},
    {"raw", 0, POPT_ARG_STRING, &raw, 0, "write the shares as numbers to .npy (one map) or .safetensors", "FILE"},
    POPT_TABLEEND};

static const struct poptOption options[] = {OPTIONS_INCLUDE(own, "Options"),
                                            OPTIONS_INCLUDE(options_model, "Model and device"),
                                            OPTIONS_INCLUDE(options_picture, "Pictures"),
                                            OPTIONS_INCLUDE(options_output, "Output"),
                                            OPTIONS_INCLUDE(options_page, "Pages"),
                                            OPTIONS_INCLUDE(options_talk, "General"),
                                            POPT_TABLEEND};

/* One map that is shown. */
typedef struct {
    mv_attention_block block;
    int head; /* or MV_HEAD_MEAN */
    const mv_attention_map *seen;
    mv_map even; /* against an even spread: what is drawn */
} view;

typedef struct {
    session *s;
    mv_attention_maps *maps;
    int head, n;
    view *view;
    mv_query_kind query;
    mv_page_style style;
    char subtitle[400];
    int status;
} work;

/* ---- words */

/* Y,X counts cells of the level; with both levels, of level 2: level 3 shows the cell that holds it. */
static void parse_query(mv_attention_options *o)
{
    int used = 0, y, x;
    o->query = MV_QUERY_POOLED;
    if (!query_text || strcmp(query_text, "pooled") == 0)
        return;
    if (strcmp(query_text, "received") == 0)
        o->query = MV_QUERY_RECEIVED;
    else if (sscanf(query_text, "%d,%d%n", &y, &x, &used) == 2 && !query_text[used]) {
        bool both = !o->level[2] && !o->level[3];
        o->query = MV_QUERY_CELL;
        o->cell[2][0] = y, o->cell[2][1] = x;
        o->cell[3][0] = both ? y / 2 : y, o->cell[3][1] = both ? x / 2 : x;
    } else
        die(EXIT_MISUSE, "--query: found '%s', expected pooled, received or a cell as Y,X", query_text);
}

static const char *query_words(const work *w, char text[96])
{
    switch (w->query) {
    case MV_QUERY_POOLED: return "Pooled query";
    case MV_QUERY_RECEIVED: return "Received attention: the share each cell gets from the queries of its window";
    case MV_QUERY_CELL: snprintf(text, 96, "Query at cell %s", query_text); return text;
    }
    return "";
}

/* The maps that are shown, in the order of the network */
static void choose_views(work *w)
{
    int count = mv_attention_maps_count(w->maps), room = 0;
    for (int i = 0; i < count; i++)
        room += mv_attention_maps_block_at(w->maps, i).heads + 1;
    w->view = calloc((size_t)room + 1, sizeof *w->view);
    if (!w->view)
        die(EXIT_FAILED, "out of memory");
    for (int i = 0; i < count; i++) {
        mv_attention_block b = mv_attention_maps_block_at(w->maps, i);
        if ((b.block == MV_BLOCK_ROLLOUT) != (rollout != 0))
            continue;
        for (int head = w->head == MV_HEAD_EACH ? 0 : w->head; head < b.heads; head++) {
            view *v = &w->view[w->n];
            mv_error e = {0};
            *v = (view){.block = b, .head = head, .seen = mv_attention_maps_lookup(w->maps, 0, i, head)};
            if (!v->seen)
                die(EXIT_FAILED, "attention: level %d was not seen", b.level);
            if (mv_rows_against_even(&v->even, &v->seen->map, b.query, &b.grid, &e))
                die_of(&e);
            w->n++;
            if (w->head != MV_HEAD_EACH)
                break;
        }
    }
}

/* "3" or "rollout"; "0" or "mean" */
static const char *block_name(const view *v, char text[16])
{
    snprintf(text, 16, v->block.block == MV_BLOCK_ROLLOUT ? "rollout" : "%d", v->block.block);
    return text;
}

static const char *head_name(const view *v, char text[16])
{
    snprintf(text, 16, v->head == MV_HEAD_MEAN ? "mean" : "%d", v->head);
    return text;
}

/* ---- results in words */

static void print_maps(const work *w)
{
    printf("level    block  head   times even             entropy   reach px   on padding\n");
    for (int i = 0; i < w->n; i++) {
        const view *v = &w->view[i];
        char block[16], head[16], figures[64] = "      -          -";
        if (!rollout)
            snprintf(figures, sizeof figures, "%7.3f  %9.1f", v->seen->stats.entropy, v->seen->stats.distance);
        printf("%5d  %7s  %4s   %8.3f to %8.3f  %s     %6.1f %%\n", v->block.level, block_name(v, block),
               head_name(v, head), (double)v->even.lo, (double)v->even.hi, figures, 100 * v->seen->padding);
    }
}

static void print_json(const work *w, const char *name)
{
    json_t *maps = json_array();
    for (int i = 0; i < w->n; i++) {
        const view *v = &w->view[i];
        json_t *m = json_pack("{s:i,s:i,s:i,s:f,s:f,s:f,s:f}", "level", v->block.level, "h", v->block.grid.h, "w",
                              v->block.grid.w, "least", (double)v->seen->map.lo, "greatest", (double)v->seen->map.hi,
                              "on_padding", v->seen->padding, "padding", v->block.grid.padding);
        json_object_set_new(m, "block", rollout ? json_string("rollout") : json_integer(v->block.block));
        json_object_set_new(m, "head", v->head == MV_HEAD_MEAN ? json_string("mean") : json_integer(v->head));
        if (!rollout) {
            json_object_set_new(m, "entropy", json_real(v->seen->stats.entropy));
            json_object_set_new(m, "reach_px", json_real(v->seen->stats.distance));
        }
        json_array_append_new(maps, m);
    }
    json_t *line = json_pack("{s:s,s:s,s:s,s:s,s:o}", "image", name, "model", w->s->name, "device",
                             session_device(w->s), "precision", session_precision(w->s), "maps", maps);
    char *text = line ? json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    if (!text)
        die(EXIT_FAILED, "%s: out of memory, or a name that is not UTF-8", name);
    puts(text);
    free(text);
    json_decref(line);
}

/* ---- raw numbers: a tensor (h, w) a map, named after it */

static bool raw_ends(const char *ending)
{
    size_t n = strlen(raw), k = strlen(ending);
    return n > k && strcasecmp(raw + n - k, ending) == 0;
}

static bool write_raw(const work *w)
{
    mv_error e = {0};
    size_t n = (size_t)w->n;
    bool npy = raw_ends(".npy");
    char(*names)[64] = calloc(n, sizeof *names);
    const char **name = calloc(n, sizeof *name);
    mv_tensor *value = calloc(n, sizeof *value);
    if (!names || !name || !value)
        die(EXIT_FAILED, "out of memory");
    for (size_t i = 0; i < n; i++) {
        const view *v = &w->view[i];
        char block[16], head[16];
        snprintf(names[i], sizeof *names, "levels.%d.%s%s%s%s", v->block.level, rollout ? "" : "blocks.",
                 block_name(v, block),
                 rollout                   ? ""
                 : v->head == MV_HEAD_MEAN ? "."
                                           : ".head.",
                 rollout ? "" : head_name(v, head));
        name[i] = names[i];
        value[i] = mv_tensor_of(v->seen->map.v, MV_F32, 2, v->block.grid.h, v->block.grid.w);
    }
    if (npy && n != 1)
        mv_fail(&e, MV_EINPUT,
                "%s: a .npy holds one array, found %zu maps; choose one by --level, --block and --head, or write a "
                ".safetensors",
                raw, n);
    else if (npy)
        mv_npy_write(raw, value[0], &e);
    else {
        const char *keys[] = {"unit", "query", "software"},
                   *values[] = {"share of the query's attention", query_text ? query_text : "pooled",
                                "mvscope " MV_VERSION};
        mv_safetensors_write(raw, w->n, name, value, 3, keys, values, &e);
    }
    free(names);
    free(name);
    free(value);
    if (e.code)
        complain("%s", e.text);
    return !e.code;
}

/* ---- pages */

typedef struct {
    char title[48], text[8][96];
    const char *line[8];
    int lines;
} words;

static void add_line(words *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add_line(words *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(t->text[t->lines], sizeof *t->text, format, args);
    va_end(args);
    t->lines++;
}

static const char *windows_text(const mv_grid *g, char text[48])
{
    snprintf(text, 48, g->windows > 1 ? "%d \xc3\x97 %d windows" : "one window", g->down, g->across);
    return text;
}

static const char *padding_text(const mv_grid *g, char text[48])
{
    snprintf(text, 48, g->padding > 0 ? "%.0f %% padding" : "no padding", 100 * g->padding);
    return text;
}

/* What stands beside a map */
static void describe(words *t, const view *v)
{
    char text[48];
    const mv_grid *g = &v->block.grid;
    *t = (words){0};
    if (rollout)
        snprintf(t->title, sizeof t->title, "Level %d, rollout", v->block.level);
    else
        snprintf(t->title, sizeof t->title, "Level %d, block %d", v->block.level, v->block.block);
    if (v->head == MV_HEAD_MEAN)
        add_line(t, "%d heads", v->block.heads);
    else
        add_line(t, "head %d of %d", v->head, v->block.heads);
    add_line(t, "%d \xc3\x97 %d cells of %d px", g->h, g->w, g->cell);
    if (g->windows == 1 && g->padding <= 0)
        add_line(t, "%s", "one window, no padding");
    else {
        add_line(t, "%s", windows_text(g, text));
        add_line(t, "%s", padding_text(g, text));
    }
    add_line(t, "%s", "");
    if (!rollout) {
        add_line(t, "entropy  %.2f of 1", v->seen->stats.entropy);
        add_line(t, "reach  %.0f px", v->seen->stats.distance);
    }
    if (g->padding > 0)
        add_line(t, "%.1f %% falls on padding", 100 * v->seen->padding);
}

static void draw_rows(work *w, const picture *p, sheet *to)
{
    mv_error e = {0};
    words *text = calloc((size_t)w->n, sizeof *text);
    mv_attention_row *row = calloc((size_t)w->n, sizeof *row);
    if (!text || !row)
        die(EXIT_FAILED, "out of memory");
    for (int i = 0; i < w->n; i++) {
        const view *v = &w->view[i];
        describe(&text[i], v);
        for (int k = 0; k < text[i].lines; k++)
            text[i].line[k] = text[i].text[k];
        row[i] = (mv_attention_row){.title = text[i].title,
                                    .lines = text[i].line,
                                    .line_count = text[i].lines,
                                    .map = &v->even,
                                    .window = v->block.grid.windows > 1 ? v->block.grid.window : 0};
    }
    mv_attention_page page = {.title = "Where self-attention looks",
                              .subtitle = w->subtitle,
                              .picture = &p->shown,
                              .rows = row,
                              .row_count = w->n,
                              .shared_scale = shared_scale != 0,
                              .recipe = to->recipe};
    mv_status status = mv_page_attention(&page, &w->style, NULL, &to->target, &e);
    w->status |= !sheet_close(to, status, &e);
    free(text);
    free(row);
}

typedef struct {
    char title[32], note[64];
} block_words;

static void draw_heads(work *w, const picture *p, sheet *to)
{
    mv_error e = {0};
    int blocks = 0, levels = 0;
    mv_heads_block *block = calloc((size_t)w->n, sizeof *block);
    block_words *text = calloc((size_t)w->n, sizeof *text);
    mv_map *map = calloc((size_t)w->n, sizeof *map);
    mv_heads_level level[MV_LEVELS] = {{0}};
    char titles[MV_LEVELS][16], notes[MV_LEVELS][160];
    if (!block || !text || !map)
        die(EXIT_FAILED, "out of memory");
    for (int i = 0; i < w->n; i += w->view[i].block.heads, blocks++) {
        const view *v = &w->view[i];
        const mv_grid *g = &v->block.grid;
        double least = INFINITY, most = -INFINITY;
        for (int k = 0; k < v->block.heads; k++) {
            map[i + k] = v[k].even;
            least = fmin(least, v[k].seen->stats.entropy), most = fmax(most, v[k].seen->stats.entropy);
        }
        snprintf(text[blocks].title, sizeof text->title, "Block %d", v->block.block);
        snprintf(text[blocks].note, sizeof text->note, "entropy %.2f to %.2f", least, most);
        block[blocks] = (mv_heads_block){
            .title = text[blocks].title, .note = text[blocks].note, .heads = &map[i], .head_count = v->block.heads};
        if (i == 0 || v->block.level != v[-1].block.level) {
            char windows[48], padding[48];
            bool cut = g->windows > 1 || g->padding > 0;
            snprintf(titles[levels], sizeof *titles, "Level %d", v->block.level);
            snprintf(notes[levels], sizeof *notes, "%d \xc3\x97 %d cells of %d px, %d heads a block%s%s%s%s", g->h,
                     g->w, g->cell, v->block.heads, cut ? ", " : "", cut ? windows_text(g, windows) : "",
                     cut ? ", " : "", cut ? padding_text(g, padding) : "");
            level[levels] = (mv_heads_level){.title = titles[levels],
                                             .note = notes[levels],
                                             .blocks = &block[blocks],
                                             .window = g->windows > 1 ? g->window : 0};
            levels++;
        }
        level[levels - 1].block_count++;
    }
    mv_heads_page page = {.title = "Every head",
                          .subtitle = w->subtitle,
                          .picture = &p->shown,
                          .levels = level,
                          .level_count = levels,
                          .recipe = to->recipe};
    mv_status status = mv_page_heads(&page, &w->style, NULL, &to->target, &e);
    w->status |= !sheet_close(to, status, &e);
    free(block);
    free(text);
    free(map);
}

static void draw(work *w, const picture *p)
{
    char path[4096];
    double lo = INFINITY, hi = -INFINITY;
    sheet to;
    for (int i = 0; i < w->n; i++)
        lo = fmin(lo, (double)w->view[i].even.lo), hi = fmax(hi, (double)w->view[i].even.hi);
    sheet_place(path, p->path, "attention", false);
    if (!sheet_open(&to, w->s, path, p->path, "attention", rollout ? "attention rollout" : "attention rows", lo, hi)) {
        w->status = EXIT_FAILED;
        return;
    }
    if (w->head == MV_HEAD_EACH)
        draw_heads(w, p, &to);
    else
        draw_rows(w, p, &to);
    if (!w->status && !shared.json && strcmp(path, "/dev/stdout"))
        printf("%s\n", path);
}

/* ---- the command */

static void done(void *context, const picture *p, int at, const float *logits)
{
    (void)at;
    work *w = context;
    char text[96], class[24];
    const char *slash = strrchr(p->path, '/'), *base = slash ? slash + 1 : p->path;
    int best = 0;
    for (int i = 1; i < w->s->config.classes; i++)
        if (logits[i] > logits[best])
            best = i;
    snprintf(w->subtitle, sizeof w->subtitle, "%s%s  \xc2\xb7  %.200s, answered %s", query_words(w, text),
             w->head == MV_HEAD_MEAN ? ", mean of heads" : "", base, session_class(w->s, best, class));
    choose_views(w);
    if (shared.json)
        print_json(w, p->path);
    else if (!shared.out || strcmp(shared.out, "-")) /* "-o -": stdout is the page's */
        print_maps(w);
    if (raw && !write_raw(w))
        w->status = EXIT_FAILED;
    if (!raw || shared.out) /* --raw alone wants numbers, no page */
        draw(w, p);
}

static int run(int n, const char **words_given)
{
    if (n != 1)
        die(EXIT_MISUSE, "attention: found %d pictures, expected one (mvscope attention --help)", n);
    session s;
    mv_error e = {0};
    work w = {.s = &s, .head = MV_HEAD_MEAN, .style = option_page_style()};
    mv_attention_options o = {.heads = 1, .rollout = rollout != 0};
    int pictures, h, width;
    if (level_text && strcmp(level_text, "all"))
        o.level[option_integer("--level", level_text, 2, 3)] = true;
    if (head_text && strcmp(head_text, "all") == 0)
        w.head = MV_HEAD_EACH;
    else if (head_text && strcmp(head_text, "mean"))
        w.head = option_integer("--head", head_text, 0, 8191);
    if (rollout && w.head != MV_HEAD_MEAN)
        die(EXIT_MISUSE, "--rollout: follows the mean of heads, found --head %s", head_text);
    if (rollout && block_text)
        die(EXIT_MISUSE, "--rollout: goes through all blocks of a level, found --block %s", block_text);
    if (block_text)
        o.block[o.blocks++] = option_integer("--block", block_text, 0, 511);
    o.head[0] = w.head;
    parse_query(&o);
    w.query = o.query;
    if (raw && !raw_ends(".npy") && !raw_ends(".safetensors"))
        die(EXIT_MISUSE, "--raw: found '%s', expected a name ending in .npy or .safetensors", raw);
    sheet_check(false);
    session_open(&s);
    operands all = operands_of(n, words_given);
    if (all.n != 1)
        die(EXIT_MISUSE, "attention: found %d pictures in %s, expected one picture", all.n, words_given[0]);
    picture_size(&s, all.path[0], &pictures, &h, &width);
    if (pictures != 1)
        die(EXIT_FAILED, "%s: found %d pictures, expected one", all.path[0], pictures);
    w.maps = mv_attention_maps_new(&o, &s.config, h, width, &e);
    if (!w.maps)
        die_of(&e);
    inputs *read = inputs_new(&s, &all);
    session_load(&s);
    int status = pictures_run(&s, read, 1, mv_attention_maps_probe(w.maps), true, NULL, done, &w);
    for (int i = 0; i < w.n; i++)
        mv_map_free(&w.view[i].even);
    free(w.view);
    mv_attention_maps_free(w.maps);
    inputs_free(read);
    operands_free(&all);
    session_close(&s);
    return status ? status : w.status;
}

static const char *const examples[] = {"attention photo.jpg", "attention --level 3 --head all -o heads.png photo.jpg",
                                       "attention --level 2 --query 5,9 --raw row.safetensors photo.jpg", NULL};

const command cmd_attention = {
    "attention", "IMAGE", "Draws where self-attention looks: per level, block, head and query", options, examples, run};
