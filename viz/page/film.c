#include "viz/page/film.h"

#include <math.h>

#include "viz/page/page_impl.h"

enum { MOST_SCANS = 64, MOST_STEPS = 128, STEP_TIME = 60, HOLD_TIME = 2000, SCAN = 448, LEAST = 220, GUTTER = 32 };

/* One frame of the film. */
typedef struct {
    const mv_film_content *film;
    int step, steps;
} moment;

int mv_film_steps(const mv_film_content *c)
{
    int most = 1;
    for (int i = 0; i < c->count; i++)
        most = mv_page_tokens(c->scans[i].map) > most ? mv_page_tokens(c->scans[i].map) : most;
    int stride = (most + MOST_STEPS - 1) / MOST_STEPS;
    return (most + stride - 1) / stride;
}

static mv_status check(const void *content, mv_error *e)
{
    const mv_film_content *c = ((const moment *)content)->film;
    mv_status s = mv_page_check_picture(c->picture, "the picture", e);
    if (!s)
        s = mv_page_check_count(c->count, 1, MOST_SCANS, "scans", e);
    for (int i = 0; i < c->count && !s; i++)
        s = mv_page_check_map(c->scans[i].map, "the state of a scan", e);
    return s;
}

/* Scans side by side. */
static int columns_of(int count)
{
    return count <= 3 ? count : count == 4 ? 2 : count <= 9 ? 3 : count <= 16 ? 4 : 6;
}

static mv_panel *scan(mv_page *p, const moment *m, const mv_film_scan *of)
{
    mv_layout *l = p->layout;
    mv_panel *column = mv_panel_column(l), *line = mv_panel_row(l, 8, MV_BASELINE);
    int tokens = mv_page_tokens(of->map), scanned = (int)lround((double)m->step * tokens / m->steps);
    mv_extent x = {0};
    mv_extent_add(&x, of->map);
    mv_colouring k = mv_page_colouring_of(mv_page_colouring_states(p, &x), of->map);
    const char *progress = mv_layout_text(l, "%d of %d tokens", scanned, tokens);
    mv_panel_add(column, mv_panel_label(l, MV_TYPE_PANEL, MV_INK, of->title, 2));
    mv_panel_add(column, mv_panel_space(l, 4));
    mv_panel_add(column, mv_panel_scan(l, of->map, m->film->picture, &k, scanned, true));
    mv_panel_add(column, mv_panel_space(l, 8));
    mv_panel_add(column, mv_panel_colour_bar(l, &k, false, MV_BAR_PLAIN));
    mv_panel_add(line, mv_panel_label(l, MV_TYPE_TEXT, MV_SECOND, of->unit, 1));
    mv_panel_add(line, mv_panel_wide(mv_panel_label_right(l, MV_TYPE_TEXT, MV_INK, progress), 120));
    mv_panel_add(column, line);
    mv_page_add_odd(p, column, x.odd);
    return column;
}

static mv_panel *body(mv_page *p, const void *content)
{
    const moment *m = content;
    mv_layout *l = p->layout;
    mv_panel *column = mv_panel_column(l);
    int columns = columns_of(m->film->count), fit = (int)fmax(1, floor((p->inner + GUTTER) / (LEAST + GUTTER)));
    columns = columns < fit ? columns : fit;
    for (int from = 0; from < m->film->count; from += columns) {
        mv_panel *row = mv_panel_add(column, mv_panel_row(l, GUTTER, MV_TOP));
        for (int i = from; i < from + columns; i++)
            mv_panel_add(row, i < m->film->count ? scan(p, m, &m->film->scans[i]) : mv_panel_space(l, 0));
        mv_panel_add(column, mv_panel_space(l, from + columns < m->film->count ? 24 : 0));
    }
    return column;
}

static const mv_page_kind film_page = {"film", 640, check, body, .sequential = true};

mv_status mv_film_check_style(const mv_page_style *style, mv_error *e)
{
    return mv_page_check_style(&film_page, style, e);
}

/* ---- the file */

typedef struct {
    mv_animation_kind kind;
    const mv_canvas_target *to;
    int frames, duration;
    enum { LOOK, ADD } purpose;
    mv_animation *animation; /* made when the size of a frame is known */
} camera;

static mv_status expose(void *context, const mv_pixels *pixels, mv_error *e)
{
    camera *c = context;
    if (!c->animation)
        c->animation = mv_animation_new(c->kind, c->to, pixels->w, pixels->h, c->frames, e);
    if (!c->animation)
        return e->code;
    return c->purpose == LOOK ? mv_animation_look(c->animation, pixels, e)
                              : mv_animation_add(c->animation, pixels, c->duration, e);
}

mv_status mv_film_write(mv_animation_kind kind, const mv_heading *heading, const mv_film_content *content,
                        const mv_page_style *style, mv_fonts *fonts, const mv_canvas_target *to, mv_error *e)
{
    mv_page_style look = style ? *style : (mv_page_style){0};
    moment m = {content, 0, 1};
    if (check(&m, e))
        return e->code;
    m.steps = mv_film_steps(content);
    camera c = {.kind = kind, .to = to, .frames = m.steps};
    mv_canvas_target frame = {.kind = MV_CANVAS_PNG, .pixels = expose, .ctx = &c};
    mv_heading words = {heading->title, heading->subtitle, {0}};
    int columns = columns_of(content->count), natural = mv_page_width_around(columns * SCAN + (columns - 1) * GUTTER);
    if (!look.width)
        look.width = natural < 640 ? 640 : natural > 1600 && columns > 3 ? 1600 : natural;
    mv_status s = MV_OK;
    for (int i = 0; i < 2 && !s && kind == MV_ANIMATION_GIF; i++) { /* the palette: complete, and empty */
        m.step = i ? 0 : m.steps;
        s = mv_page_write(&film_page, &words, &m, &look, fonts, &frame, e);
    }
    c.purpose = ADD;
    for (int i = 0; i < m.steps && !s; i++) {
        m.step = i ? i : m.steps;
        c.duration = i ? STEP_TIME : HOLD_TIME;
        s = mv_page_write(&film_page, &words, &m, &look, fonts, &frame, e);
    }
    if (!s)
        return mv_animation_finish(c.animation, e);
    mv_animation_free(c.animation);
    return s;
}
