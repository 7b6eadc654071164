/* The layout, and the flow of its panels. */
#include "viz/panel/panel.h"

#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct note {
    struct note *older;
    max_align_t bytes[];
} note;

/* A picture at a size that was asked for: all panels of a row and all heads of a level ask for the same. */
typedef struct {
    const mv_image *of;
    mv_image image;
} resized;

enum { KEPT = 2 };

struct mv_layout {
    const mv_theme *theme;
    mv_fonts *fonts;
    mv_panel *newest;
    note *notes;
    resized kept[KEPT];
    int next_kept;
    int letter; /* of the next panel title, from 1; 0: none have letters */
    mv_error error;
};

mv_layout *mv_layout_new(mv_theme_kind theme, mv_fonts *fonts, mv_error *e)
{
    mv_layout *layout = calloc(1, sizeof *layout);
    if (!layout) {
        mv_fail_memory(e, "page");
        return NULL;
    }
    layout->theme = mv_theme_of(theme);
    layout->fonts = fonts;
    return layout;
}

void mv_layout_free(mv_layout *layout)
{
    if (!layout)
        return;
    for (mv_panel *p = layout->newest, *older; p; p = older) {
        older = p->older;
        if (p->kind->free)
            p->kind->free(p);
        free(p);
    }
    for (note *n = layout->notes, *older; n; n = older) {
        older = n->older;
        free(n);
    }
    for (int i = 0; i < KEPT; i++)
        free(layout->kept[i].image.rgb);
    free(layout);
}

void mv_layout_letters(mv_layout *layout, bool on)
{
    layout->letter = on ? 1 : 0;
}

const char *mv_layout_next_letter(mv_layout *layout)
{
    enum { LETTERS = 26 };
    if (!layout->letter)
        return "";
    int n = layout->letter++ - 1;
    char last = (char)('a' + n % LETTERS);
    return n < LETTERS ? mv_layout_text(layout, "(%c) ", last)
                       : mv_layout_text(layout, "(%c%c) ", 'a' + n / LETTERS % LETTERS - 1, last);
}

const mv_theme *mv_layout_theme(const mv_layout *layout)
{
    return layout->theme;
}

mv_fonts *mv_layout_fonts(const mv_layout *layout)
{
    return layout->fonts;
}

mv_error *mv_layout_error(mv_layout *layout)
{
    return &layout->error;
}

const mv_image *mv_layout_picture(mv_layout *layout, const mv_image *picture, int w, int h)
{
    for (int i = 0; i < KEPT; i++) {
        const resized *r = &layout->kept[i];
        if (r->of == picture && r->image.w == w && r->image.h == h)
            return &r->image;
    }
    resized *r = &layout->kept[layout->next_kept];
    layout->next_kept = (layout->next_kept + 1) % KEPT;
    free(r->image.rgb);
    r->of = NULL;
    if (mv_raster_picture(&r->image, picture, w, h, &layout->error) != MV_OK)
        return NULL;
    r->of = picture;
    return &r->image;
}

void *mv_layout_memory(mv_layout *layout, size_t n)
{
    note *kept = calloc(1, sizeof *kept + n);
    if (!kept) {
        mv_fail_memory(&layout->error, "page");
        return NULL;
    }
    kept->older = layout->notes;
    layout->notes = kept;
    return kept->bytes;
}

const char *mv_layout_text(mv_layout *layout, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int length = vsnprintf(NULL, 0, format, list);
    va_end(list);
    char *text = length < 0 ? NULL : mv_layout_memory(layout, (size_t)length + 1);
    if (!text)
        return "";
    va_start(list, format);
    vsnprintf(text, (size_t)length + 1, format, list);
    va_end(list);
    return text;
}

void *mv_panel_new(mv_layout *layout, size_t size, const mv_panel_kind *kind)
{
    mv_panel *p = calloc(1, size);
    if (!p) {
        mv_fail_memory(&layout->error, "page");
        return NULL;
    }
    p->kind = kind;
    p->older = layout->newest;
    layout->newest = p;
    return p;
}

mv_panel *mv_panel_add(mv_panel *parent, mv_panel *child)
{
    if (!parent || !child)
        return child;
    if (parent->last)
        parent->last->next = child;
    else
        parent->child = child;
    return parent->last = child;
}

mv_panel *mv_panel_wide(mv_panel *p, double fixed)
{
    if (p)
        p->fixed = fixed;
    return p;
}

double mv_panel_measure(mv_layout *layout, mv_panel *p, double width)
{
    p->w = width;
    return p->h = p->kind->height(layout, p, width);
}

static double natural(mv_layout *layout, mv_panel *p, double widest)
{
    return p->kind->natural ? fmin(p->kind->natural(layout, p, widest), widest) : widest;
}

/* --- columns ----------------------------------------------------------------------------------- */

static double column_natural(mv_layout *layout, mv_panel *p, double widest)
{
    double w = 0;
    for (mv_panel *i = p->child; i; i = i->next)
        w = fmax(w, natural(layout, i, widest));
    return w;
}

static double column_height(mv_layout *layout, mv_panel *p, double width)
{
    double y = 0;
    for (mv_panel *i = p->child; i; i = i->next) {
        i->x = 0;
        i->y = y;
        y += mv_panel_measure(layout, i, width);
    }
    return y;
}

static double first_baseline(const mv_panel *p)
{
    return p->child && p->child->kind->baseline ? p->child->y + p->child->kind->baseline(p->child) : 0;
}

mv_panel *mv_panel_column(mv_layout *layout)
{
    static const mv_panel_kind kind = {.natural = column_natural, .height = column_height, .baseline = first_baseline};
    return mv_panel_new(layout, sizeof(mv_panel), &kind);
}

/* --- rows -------------------------------------------------------------------------------------- */

typedef struct {
    mv_panel panel;
    double gap;
    mv_align align;
} row;

static double baseline_of(const mv_panel *p)
{
    return p->kind->baseline ? p->kind->baseline(p) : p->h;
}

/* Fixed and natural widths first; the other panels share the rest equally. */
static void share_widths(mv_layout *layout, row *r, double width)
{
    int sharing = 0;
    double left = width;
    for (mv_panel *i = r->panel.child; i; i = i->next) {
        left -= i == r->panel.child ? 0 : r->gap;
        if (i->fixed == 0)
            sharing++;
        else if (i->fixed > 0)
            left -= i->w = i->fixed;
    }
    for (mv_panel *i = r->panel.child; i; i = i->next)
        if (i->fixed < 0)
            left -= i->w = natural(layout, i, fmax(left, 1));
    for (mv_panel *i = r->panel.child; i; i = i->next)
        if (i->fixed == 0)
            i->w = fmax(left / sharing, 1);
}

static double row_height(mv_layout *layout, mv_panel *p, double width)
{
    row *r = (row *)p;
    double x = 0, height = 0, baseline = 0;
    share_widths(layout, r, width);
    for (mv_panel *i = p->child; i; i = i->next) {
        i->x = x;
        x += i->w + r->gap;
        height = fmax(height, mv_panel_measure(layout, i, i->w));
        baseline = fmax(baseline, baseline_of(i));
    }
    double bottom = 0;
    for (mv_panel *i = p->child; i; i = i->next) {
        i->y = r->align == MV_BOTTOM ? height - i->h : r->align == MV_BASELINE ? baseline - baseline_of(i) : 0;
        bottom = fmax(bottom, i->y + i->h);
    }
    return ceil(bottom / 4) * 4;
}

mv_panel *mv_panel_row(mv_layout *layout, double gap, mv_align align)
{
    static const mv_panel_kind kind = {.height = row_height, .baseline = first_baseline};
    row *r = mv_panel_new(layout, sizeof *r, &kind);
    if (!r)
        return NULL;
    r->gap = gap;
    r->align = align;
    return &r->panel;
}

static double flow_height(mv_layout *layout, mv_panel *p, double width)
{
    double gap = ((row *)p)->gap, x = 0, y = 0, line = 0;
    for (mv_panel *i = p->child; i; i = i->next) {
        double w = natural(layout, i, width);
        if (x > 0 && x + w > width) {
            x = 0;
            y += line;
            line = 0;
        }
        i->x = x;
        i->y = y;
        line = fmax(line, mv_panel_measure(layout, i, w));
        x += w + gap;
    }
    return y + line;
}

mv_panel *mv_panel_flow(mv_layout *layout, double gap)
{
    static const mv_panel_kind kind = {.height = flow_height};
    row *r = mv_panel_new(layout, sizeof *r, &kind);
    if (!r)
        return NULL;
    r->gap = gap;
    return &r->panel;
}

/* --- margins, space, lines ---------------------------------------------------------------------- */

typedef struct {
    mv_panel panel;
    double left, top, right, bottom;
} inset;

static double inset_height(mv_layout *layout, mv_panel *p, double width)
{
    inset *i = (inset *)p;
    if (!p->child)
        return i->top + i->bottom;
    p->child->x = i->left;
    p->child->y = i->top;
    return i->top + mv_panel_measure(layout, p->child, fmax(width - i->left - i->right, 1)) + i->bottom;
}

mv_panel *mv_panel_inset(mv_layout *layout, double left, double top, double right, double bottom, mv_panel *inside)
{
    static const mv_panel_kind kind = {.height = inset_height};
    inset *i = mv_panel_new(layout, sizeof *i, &kind);
    if (!i)
        return NULL;
    i->left = left;
    i->top = top;
    i->right = right;
    i->bottom = bottom;
    mv_panel_add(&i->panel, inside);
    return &i->panel;
}

static double stack_height(mv_layout *layout, mv_panel *p, double width)
{
    double h = 0;
    for (mv_panel *i = p->child; i; i = i->next) {
        i->x = i->y = 0;
        h = fmax(h, mv_panel_measure(layout, i, width));
    }
    return h;
}

mv_panel *mv_panel_stack(mv_layout *layout)
{
    static const mv_panel_kind kind = {.height = stack_height};
    return mv_panel_new(layout, sizeof(mv_panel), &kind);
}

typedef struct {
    mv_panel panel;
    double height;
} space;

static double space_height(mv_layout *layout, mv_panel *p, double width)
{
    (void)layout;
    (void)width;
    return ((space *)p)->height;
}

mv_panel *mv_panel_space(mv_layout *layout, double height)
{
    static const mv_panel_kind kind = {.height = space_height};
    space *p = mv_panel_new(layout, sizeof *p, &kind);
    if (!p)
        return NULL;
    p->height = height;
    return &p->panel;
}

void mv_panel_space_grow(mv_panel *p, double by)
{
    if (p)
        ((space *)p)->height += by;
}

static void hairline_draw(mv_layout *layout, mv_panel *p, mv_canvas *c)
{
    mv_canvas_rect(c, p->x, p->y, p->w, 1, 0, layout->theme->hairline);
}

mv_panel *mv_panel_hairline(mv_layout *layout)
{
    static const mv_panel_kind kind = {.height = space_height, .draw = hairline_draw};
    space *p = mv_panel_new(layout, sizeof *p, &kind);
    if (!p)
        return NULL;
    p->height = 4;
    return &p->panel;
}

/* --- the page ---------------------------------------------------------------------------------- */

/* Draws a panel and its children, and makes their boxes relative to the page. */
static void draw(mv_layout *layout, mv_panel *p, double x, double y, mv_canvas *c)
{
    p->x += x;
    p->y += y;
    if (p->kind->draw)
        p->kind->draw(layout, p, c);
    for (mv_panel *i = p->child; i; i = i->next)
        draw(layout, i, p->x, p->y, c);
}

mv_status mv_layout_write(mv_layout *layout, mv_panel *root, double width, double zoom, const mv_canvas_target *to,
                          mv_error *e)
{
    double height = layout->error.code == MV_OK && root ? mv_panel_measure(layout, root, width) : 0;
    mv_canvas *c = NULL;
    if (layout->error.code == MV_OK)
        c = mv_canvas_new(to, width, height, zoom, layout->theme->paper, &layout->error);
    if (c) {
        draw(layout, root, 0, 0, c);
        if (layout->error.code != MV_OK)
            mv_canvas_free(c);
        else
            mv_canvas_finish(c, &layout->error);
    }
    if (layout->error.code != MV_OK)
        mv_fail(e, layout->error.code, "%s", layout->error.text);
    return layout->error.code;
}
