/* The frame that all pages share. */
#include <math.h>
#include <string.h>

#include "viz/page/page_impl.h"

/* Margins, px: of a page as wide as A4, and of a narrow one. */
enum { WIDEST_MARGIN = 56, LEAST_MARGIN = 24 };

/* Margin over width between them. */
#define MARGIN 0.035

mv_status mv_page_check_picture(const mv_image *picture, const char *what, mv_error *e)
{
    if (!picture || !picture->rgb || picture->w < 1 || picture->h < 1)
        return mv_fail(e, MV_EMISUSE, "page: found an empty picture, expected %s", what);
    return MV_OK;
}

mv_status mv_page_check_map(const mv_map *map, const char *what, mv_error *e)
{
    if (!map || !map->v || map->w < 1 || map->h < 1)
        return mv_fail(e, MV_EMISUSE, "page: found an empty map, expected %s", what);
    return MV_OK;
}

mv_status mv_page_check_count(int count, int least, int most, const char *what, mv_error *e)
{
    if (count < least || count > most)
        return mv_fail(e, MV_EINPUT, "page: found %d %s, expected %d to %d", count, what, least, most);
    return MV_OK;
}

mv_status mv_page_check_maps(const mv_map *maps, int count, int most, const char *many, const char *one, mv_error *e)
{
    mv_status s = mv_page_check_count(count, 0, most, many, e);
    for (int i = 0; s == MV_OK && i < count; i++)
        s = mv_page_check_map(&maps[i], one, e);
    return s;
}

/* --- use ---------------------------------------------------------------------------------------- */

/* Text widths: NeurIPS' style files of 2024 set 5.5 inches, CVPR's two columns span 6 7/8 inches. A slide is 13 1/3 x
 * 7 1/2 inches, as presentation programs make it. The smallest type has 11.5 px: the widths in px let it be 7 pt. */
static const struct {
    const char *name;
    double points, px, dots; /* dots: pixels of a PNG for each inch */
} uses[] = {[MV_FOR_NEURIPS] = {"neurips", 397, 652, 300},
            [MV_FOR_CVPR] = {"cvpr", 496, 814, 300},
            [MV_FOR_SLIDE] = {"slide", 960, 0, 144}};

/* Widths of a slide in px, the least first: its smallest type has 12 to 9 pt. */
static const double slide_px[] = {920, 1000, 1104, 1226};

enum { SLIDES = sizeof slide_px / sizeof *slide_px };

/* Height over width. */
#define SLIDE (9.0 / 16)

const char *mv_page_use_at(int i)
{
    return i >= 0 && i < MV_FOR_SLIDE ? uses[i + 1].name : NULL;
}

/* --- style ------------------------------------------------------------------------------------- */

/* Fills in what the style leaves open, and looks up its colour table; *named is NULL if it names none. */
static mv_status resolve(mv_page_style *s, const mv_colour_table **named, mv_error *e)
{
    *named = NULL;
    if (s->use && s->zoom != 0)
        return mv_fail(e, MV_EINPUT, "page: found a zoom for a page of fixed width, expected none");
    if (s->zoom == 0)
        s->zoom = 1;
    if (!(s->zoom >= 0.25 && s->zoom <= 8))
        return mv_fail(e, MV_EINPUT, "page: found a zoom of %g, expected 0.25 to 8", s->zoom);
    if (s->width != 0 && (s->width < 640 || s->width > 8000))
        return mv_fail(e, MV_EINPUT, "page: found a width of %d px, expected 640 to 8000", s->width);
    if (s->use < MV_FOR_SCREEN || s->use > MV_FOR_SLIDE || (s->use && s->width))
        return mv_fail(e, MV_EINPUT, "page: found a width for a page of fixed width, expected none");
    if (s->table && !(*named = mv_colour_table_lookup(s->table, e)))
        return MV_EINPUT;
    return MV_OK;
}

mv_status mv_page_check_style(const mv_page_kind *kind, const mv_page_style *style, mv_error *e)
{
    mv_page_style copy = style ? *style : (mv_page_style){0};
    const mv_colour_table *named;
    mv_status s = resolve(&copy, &named, e);
    if (s == MV_OK && named && !(named->diverging ? kind->diverging : kind->sequential))
        s = mv_fail(e, MV_EINPUT, "%s page: found the colour table %s, expected a %s one: its maps are %s", kind->name,
                    named->name, named->diverging ? "sequential" : "diverging",
                    named->diverging ? "unsigned" : "signed");
    return s;
}

/* --- the page ---------------------------------------------------------------------------------- */

static double margin_of(double width)
{
    return round(fmin(fmax(MARGIN * width, LEAST_MARGIN), WIDEST_MARGIN));
}

static void set_width(mv_page *p, double width)
{
    p->width = width;
    p->margin = p->paper ? 0 : margin_of(width); /* a figure of a paper stands in the paper's margins */
    p->inner = width - 2 * p->margin;
    if (p->points > 0)
        p->style.zoom = round(p->points / 72 * uses[p->style.use].dots) / width;
}

int mv_page_width_around(double inner)
{
    int width = (int)ceil(inner) + 2 * LEAST_MARGIN;
    while (width - 2 * margin_of(width) < inner)
        width++;
    return width;
}

static mv_status open_page(mv_page *p, const mv_page_kind *kind, const mv_page_style *style, mv_fonts *fonts,
                           mv_error *e)
{
    *p = (mv_page){.style = style ? *style : (mv_page_style){0}};
    const mv_colour_table *named;
    mv_status s = resolve(&p->style, &named, e);
    if (s != MV_OK)
        return s;
    p->points = uses[p->style.use].points;
    p->slide = p->style.use == MV_FOR_SLIDE;
    p->paper = p->points > 0 && !p->slide;
    set_width(p, p->slide         ? slide_px[0]
                 : p->paper       ? uses[p->style.use].px
                 : p->style.width ? p->style.width
                                  : kind->width);
    p->sequential = named && !named->diverging ? named : mv_colour_table_lookup("inferno", e);
    p->diverging = named && named->diverging ? named : mv_colour_table_lookup("blue-red", e);
    if (!fonts)
        fonts = p->fonts = mv_fonts_new(e);
    p->layout = fonts ? mv_layout_new(p->style.theme, fonts, e) : NULL;
    if (p->layout)
        return MV_OK;
    mv_fonts_free(p->fonts);
    return e && e->code != MV_OK ? e->code : MV_ENOMEM;
}

/* Title and subtitle above `body`, a hairline and the recipe below it, margins around. *spring: the space above the
 * hairline. */
static mv_panel *frame(mv_page *p, const mv_heading *h, mv_panel *body, bool close, mv_panel **spring)
{
    mv_layout *l = p->layout;
    static const mv_recipe none = {0};
    const mv_recipe *recipe = p->points > 0 ? &none : &h->recipe;
    mv_panel *page = mv_panel_column(l), *foot = mv_panel_flow(l, 28);
    if (h->title && *h->title)
        mv_panel_add(page, mv_panel_label(l, p->paper ? MV_TYPE_SECTION : MV_TYPE_TITLE, MV_INK, h->title, 2));
    if (h->subtitle && *h->subtitle) {
        mv_panel_add(page, mv_panel_space(l, 4));
        mv_panel_add(page, mv_panel_label(l, MV_TYPE_LEAD, MV_SECOND, h->subtitle, 3));
    }
    mv_panel_add(page, mv_panel_space(l, close || p->paper ? 16 : 32));
    mv_panel_add(page, body);
    *spring = mv_panel_add(page, mv_panel_space(l, recipe->count == 0 ? 0 : close ? 16 : 40));
    if (recipe->count > 0) {
        mv_panel_add(page, mv_panel_hairline(l));
        mv_panel_add(page, mv_panel_space(l, 12));
        for (int i = 0; i < recipe->count; i++)
            mv_panel_add(foot, mv_panel_label(l, MV_TYPE_RECIPE, MV_SECOND, recipe->items[i], 0));
        mv_panel_add(page, foot);
    }
    double above = fmin(p->margin, close ? 32 : 40), below = fmin(p->margin, recipe->count > 0 ? 28 : p->margin);
    return mv_panel_inset(l, p->margin, above, p->margin, below, page);
}

/* A slide: the largest type with which it is no taller than a slide, then filled to its height. */
static mv_panel *whole_slide(mv_page *p, const mv_page_kind *kind, const mv_heading *heading, const void *content)
{
    mv_panel *spring = NULL, *page = NULL;
    double left = -1;
    for (int i = 0; i < SLIDES && left < 0; i++) {
        set_width(p, slide_px[i]);
        mv_layout_letters(p->layout, true);
        page = frame(p, heading, kind->body(p, content), true, &spring);
        if (!page || !spring)
            return page;
        left = floor(p->width * SLIDE) - mv_panel_measure(p->layout, page, p->width);
    }
    if (left > 0)
        mv_panel_space_grow(spring, left);
    return page;
}

/* The whole page. A sheet of paper is filled: A4 is sqrt 2 times as wide as it is tall. A page that is taller is set
 * once more, closer, where its kind can. */
static mv_panel *whole_page(mv_page *p, const mv_page_kind *kind, const mv_heading *heading, const void *content)
{
    if (p->slide)
        return whole_slide(p, kind, heading, content);
    mv_layout_letters(p->layout, p->paper);
    mv_panel *spring, *page = frame(p, heading, kind->body(p, content), kind->paper, &spring);
    if (!kind->paper || p->width != kind->width || !page || !spring)
        return page;
    double sheet = floor(p->width / M_SQRT2), left = sheet - mv_panel_measure(p->layout, page, p->width);
    if (left < 0) {
        p->over = -left;
        page = frame(p, heading, kind->body(p, content), true, &spring);
        left = page && spring ? sheet - mv_panel_measure(p->layout, page, p->width) : 0;
    }
    if (left > 0)
        mv_panel_space_grow(spring, left);
    return page;
}

static mv_status write_framed(mv_page *p, const mv_page_kind *kind, const mv_heading *heading, const void *content,
                              const mv_canvas_target *to, mv_error *e)
{
    mv_canvas_target target = *to;
    mv_panel *page = whole_page(p, kind, heading, content);
    target.points = p->points;
    target.title = heading->title;
    return mv_layout_write(p->layout, page, p->width, p->style.zoom, &target, e);
}

mv_status mv_page_write(const mv_page_kind *kind, const mv_heading *heading, const void *content,
                        const mv_page_style *style, mv_fonts *fonts, const mv_canvas_target *to, mv_error *e)
{
    static const mv_heading none = {0};
    mv_page p;
    mv_status s = kind->check(content, e);
    if (s == MV_OK)
        s = open_page(&p, kind, style, fonts, e);
    if (s != MV_OK)
        return s;
    if (kind->paint)
        s = kind->paint(&p, content, to, e);
    else
        s = write_framed(&p, kind, heading ? heading : &none, content, to, e);
    mv_layout_free(p.layout);
    mv_fonts_free(p.fonts);
    return s;
}

/* --- parts ------------------------------------------------------------------------------------- */

mv_panel *mv_page_titled(mv_page *p, const char *title, int lines, double gap, mv_panel *body)
{
    mv_panel *column = mv_panel_column(p->layout);
    mv_panel_add(column, mv_panel_label(p->layout, MV_TYPE_PANEL, MV_INK, title, lines));
    mv_panel_add(column, mv_panel_space(p->layout, gap));
    mv_panel_add(column, body);
    return column;
}

mv_panel *mv_page_picture_words(mv_page *p, const mv_image *picture, const char *how)
{
    mv_layout *l = p->layout;
    mv_panel *column = mv_panel_column(l);
    mv_panel_add(column, mv_panel_label(l, MV_TYPE_PANEL, MV_INK, "Picture", 1));
    mv_panel_add(column, mv_panel_space(l, 4));
    mv_panel_add(column,
                 mv_panel_label(l, MV_TYPE_TEXT, MV_SECOND,
                                mv_layout_text(l, "%d \xc3\x97 %d px, as the network sees it", picture->w, picture->h),
                                0));
    mv_panel_add(column, mv_panel_space(l, 12));
    mv_panel_add(column, mv_panel_label(l, MV_TYPE_TEXT, MV_SECOND, how, 0));
    mv_panel_add(column, mv_panel_label(l, MV_TYPE_TEXT, MV_SECOND,
                                        "1\xc3\x97 is even: what a cell gets if all get the same.", 0));
    return column;
}

mv_panel *mv_page_section(mv_page *p, const char *heading, double gap)
{
    mv_panel *column = mv_panel_column(p->layout);
    mv_panel_add(column, mv_panel_hairline(p->layout));
    mv_panel_add(column, mv_panel_space(p->layout, gap));
    mv_panel_add(column, mv_panel_label(p->layout, MV_TYPE_SECTION, MV_INK, heading, 0));
    return column;
}

/* --- maps -------------------------------------------------------------------------------------- */

void mv_extent_add(mv_extent *x, const mv_map *map)
{
    double lo, hi;
    x->odd += mv_map_extent(map, &lo, &hi);
    x->lo = x->maps == 0 ? lo : fmin(x->lo, lo);
    x->hi = x->maps == 0 ? hi : fmax(x->hi, hi);
    x->diverging = x->diverging || map->diverging;
    x->times = strcmp(map->unit, MV_UNIT_EVEN) == 0 && !map->diverging && (x->times || x->maps == 0);
    x->pixels = map->cell == 1 && (x->pixels || x->maps == 0);
    x->maps++;
}

static mv_colouring colouring(const mv_page *p, mv_scale scale)
{
    return (mv_colouring){
        .table = scale.diverging ? p->diverging : p->sequential, .scale = scale, .grid = p->style.grid};
}

mv_colouring mv_page_colouring(const mv_page *p, const mv_extent *x)
{
    /* A few of the 50,000 values of single pixels are many times larger than the rest: by a linear scale the picture
     * would look empty. */
    bool few = x->pixels && p->style.scale == MV_SCALE_AUTO;
    mv_scale_kind kind = few ? MV_SCALE_SQRT : p->style.scale;
    return x->times ? mv_page_colouring_even(p, x)
                    : colouring(p, mv_scale_of(kind, fmin(x->lo, 0), x->hi, x->diverging));
}

mv_colouring mv_page_colouring_even(const mv_page *p, const mv_extent *x)
{
    mv_colouring k = colouring(p, mv_scale_even(p->style.scale, x->lo, x->hi));
    k.cells = p->diverging;
    return k;
}

const mv_colour_table *mv_page_table_of_states(const mv_page *p)
{
    return p->style.table ? p->sequential : mv_colour_table_lookup("viridis", NULL);
}

mv_colouring mv_page_colouring_states(const mv_page *p, const mv_extent *x)
{
    mv_colouring k = colouring(p, mv_scale_of(p->style.scale, x->lo, x->hi, false));
    k.table = mv_page_table_of_states(p);
    return k;
}

mv_colouring mv_page_colouring_of(mv_colouring k, const mv_map *map)
{
    k.window = map->down * map->across > 1 ? map->window : 0;
    return k;
}

int mv_page_tokens(const mv_map *map)
{
    return map->window > 0 ? map->window * map->window : map->h * map->w;
}

void mv_page_add_odd(mv_page *p, mv_panel *column, int odd)
{
    if (odd > 0)
        mv_panel_add(column, mv_panel_label(p->layout, MV_TYPE_TEXT, MV_WARNING,
                                            mv_layout_text(p->layout, "%d cell%s not finite: hatched", odd,
                                                           odd == 1 ? " is" : "s are"),
                                            0));
}
