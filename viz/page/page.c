/* The frame that all pages share. */
#include "viz/page/page.h"

#include <math.h>

enum { MARGIN = 56 };

mv_status mv_page_check_picture(const mv_image *picture, const char *what, mv_error *e)
{
    if (!picture || !picture->rgb || picture->w < 1 || picture->h < 1)
        return mv_fail(e, MV_EMISUSE, "page: %s is empty, a picture was expected", what);
    return MV_OK;
}

mv_status mv_page_check_map(const mv_map *map, const char *what, mv_error *e)
{
    if (!map || !map->v || map->w < 1 || map->h < 1)
        return mv_fail(e, MV_EMISUSE, "page: %s is empty, a map was expected", what);
    return MV_OK;
}

mv_status mv_page_check_count(int count, int least, int most, const char *what, mv_error *e)
{
    if (count < least || count > most)
        return mv_fail(e, MV_EINPUT, "page: %d %s, %d to %d were expected", count, what, least, most);
    return MV_OK;
}

mv_status mv_page_open(mv_page *p, const mv_page_style *style, double width, mv_fonts *fonts, mv_error *e)
{
    *p = (mv_page){.style = style ? *style : (mv_page_style){0}};
    mv_page_style *s = &p->style;
    if (s->zoom == 0)
        s->zoom = 1;
    if (!(s->zoom >= 0.25 && s->zoom <= 8))
        return mv_fail(e, MV_EINPUT, "page: a zoom of %g, 0.25 to 8 was expected", s->zoom);
    if (s->width != 0 && (s->width < 640 || s->width > 8000))
        return mv_fail(e, MV_EINPUT, "page: a width of %d px, 640 to 8000 was expected", s->width);
    p->width = s->width ? s->width : width;
    p->sequential = mv_colour_table_lookup("inferno", e);
    p->diverging = mv_colour_table_lookup("blue-red", e);
    if (s->table) {
        const mv_colour_table *table = mv_colour_table_lookup(s->table, e);
        if (!table)
            return MV_EINPUT;
        *(table->diverging ? &p->diverging : &p->sequential) = table;
    }
    if (!fonts)
        fonts = p->fonts = mv_fonts_new(e);
    p->sheet = fonts ? mv_layout_new(s->theme, fonts, e) : NULL;
    if (p->sheet)
        return MV_OK;
    mv_fonts_free(p->fonts);
    return e && e->code != MV_OK ? e->code : MV_ENOMEM;
}

static mv_panel *frame(mv_page *p, const char *title, const char *subtitle, mv_panel *body, const mv_recipe *recipe)
{
    mv_layout *s = p->sheet;
    mv_panel *page = mv_panel_column(s), *foot = mv_panel_flow(s, 28);
    if (title && *title)
        mv_panel_add(page, mv_panel_label(s, MV_TYPE_TITLE, MV_INK, title, 2));
    if (subtitle && *subtitle) {
        mv_panel_add(page, mv_panel_space(s, 4));
        mv_panel_add(page, mv_panel_label(s, MV_TYPE_LEAD, MV_SECOND, subtitle, 3));
    }
    mv_panel_add(page, mv_panel_space(s, 32));
    mv_panel_add(page, body);
    if (recipe->count > 0) {
        mv_panel_add(page, mv_panel_space(s, 40));
        mv_panel_add(page, mv_panel_hairline(s));
        mv_panel_add(page, mv_panel_space(s, 12));
        for (int i = 0; i < recipe->count; i++)
            mv_panel_add(foot, mv_panel_label(s, MV_TYPE_RECIPE, MV_THIRD, recipe->items[i], 0));
        mv_panel_add(page, foot);
    }
    return mv_panel_inset(s, MARGIN, 40, MARGIN, recipe->count > 0 ? 28 : MARGIN, page);
}

mv_status mv_page_close(mv_page *p, const char *title, const char *subtitle, mv_panel *body, const mv_recipe *recipe,
                        const mv_canvas_target *to, mv_error *e)
{
    mv_status s = MV_OK;
    if (body || mv_layout_error(p->sheet)->code != MV_OK)
        s = mv_layout_write(p->sheet, frame(p, title, subtitle, body, recipe), p->width, p->style.zoom, to, e);
    mv_layout_free(p->sheet);
    mv_fonts_free(p->fonts);
    return s;
}

mv_colouring mv_page_colouring(const mv_page *p, mv_scale_kind kind, double lo, double hi, bool diverging, int window)
{
    mv_scale_kind chosen = p->style.scale == MV_SCALE_AUTO ? kind : p->style.scale;
    return (mv_colouring){diverging ? p->diverging : p->sequential, mv_scale_of(chosen, lo, hi, diverging),
                          p->style.grid, window};
}

const char *mv_page_odd_text(mv_page *p, int odd)
{
    if (odd == 0)
        return NULL;
    return mv_layout_text(p->sheet, "%d cell%s not finite: hatched", odd, odd == 1 ? " is" : "s are");
}
