#include "viz/html/html.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "assets/assets.h"
#include "src/base/number.h"
#include "viz/draw/colour.h"
#include "viz/draw/png_file.h"
#include "viz/draw/raster.h"
#include "viz/html/stream_impl.h"

enum {
    ANSWERS = 6,  /* rows of the table of answers */
    LARGEST = 640 /* px a side of the picture in the page */
};

/* A page in work. */
typedef struct {
    const mv_html_content *content;
    mv_stream *to;
    mv_error *e;
} page;

/* ---- what a template's {{name}} stands for */

static void put_title(page *p)
{
    mv_stream_html(p->to, p->content->title);
}

static void put_subtitle(page *p)
{
    mv_stream_html(p->to, p->content->subtitle);
}

static void put_name(page *p)
{
    mv_stream_html(p->to, p->content->name);
}

static void put_version(page *p)
{
    mv_stream_html(p->to, p->content->version);
}

static void put_recipe(page *p)
{
    for (int i = 0; i < p->content->recipe_count; i++) {
        mv_stream_text(p->to, i ? " <span>" : "<span>");
        mv_stream_html(p->to, p->content->recipe[i]);
        mv_stream_text(p->to, "</span>");
    }
}

static mv_status put_bytes(void *to, const void *bytes, size_t n)
{
    mv_stream_base64(to, bytes, n);
    return ((mv_stream *)to)->status;
}

/* Sides of more than LARGEST px are reduced: the cells are what is looked at, and the page stays small. */
static void put_picture(page *p)
{
    const mv_image *i = p->content->picture;
    mv_image small = {0, 0, NULL};
    int most = i->w > i->h ? i->w : i->h;
    if (most > LARGEST) {
        int w = i->w * LARGEST / most, h = i->h * LARGEST / most;
        mv_status scaled = mv_raster_picture(&small, i, w > 0 ? w : 1, h > 0 ? h : 1, p->e);
        if (scaled) {
            p->to->status = scaled;
            return;
        }
        i = &small;
    }
    const mv_pixels pixels = {.w = i->w, .h = i->h, .bytes = i->rgb, .stride = (size_t)i->w * 3};
    const mv_canvas_target target = {.kind = MV_CANVAS_PNG, .write = put_bytes, .ctx = p->to};
    mv_stream_text(p->to, "data:image/png;base64,");
    mv_status s = mv_png_write(&pixels, &target, p->e);
    mv_stream_base64_end(p->to);
    if (p->to->status == MV_OK)
        p->to->status = s;
    free(small.rgb);
}

static void put_width(page *p)
{
    mv_stream_format(p->to, "%d", p->content->picture->w);
}

static void put_height(page *p)
{
    mv_stream_format(p->to, "%d", p->content->picture->h);
}

static void put_asset(page *p, mv_asset asset)
{
    mv_stream_bytes(p->to, (const char *)asset.bytes, asset.size);
}

static void put_style(page *p)
{
    put_asset(p, MV_ASSET(html_style));
}

static void put_script(page *p)
{
    put_asset(p, MV_ASSET(html_script));
}

static void put_answers(page *p)
{
    const mv_html_content *c = p->content;
    char logit[32];
    for (int i = 0; i < c->class_count && i < ANSWERS; i++) {
        const mv_html_class *k = &c->classes[i];
        double percent = isfinite(k->probability) ? 100 * k->probability : 0;
        mv_stream_format(p->to, "<tr data-class=\"%d\"><th scope=\"row\">", i);
        mv_stream_html(p->to, k->name);
        mv_stream_format(p->to, "</th><td class=\"bar\"><i style=\"width:%.2f%%\"></i></td>", percent);
        mv_stream_format(p->to, "<td>%s&#8201;%%</td>", mv_number_text((char[32]){0}, 100 * k->probability, 1, false));
        mv_stream_format(p->to, "<td>%s</td></tr>\n", mv_number_text(logit, k->logit, 2, true));
    }
}

static void put_figures(page *p)
{
    char text[4][32];
    for (int i = 0; i < p->content->block_count; i++) {
        const mv_coded *b = &p->content->blocks[i];
        mv_stream_format(p->to, "<tr><th scope=\"row\">%d.%d</th><td>%s</td><td>%d</td><td>%d &#215; %d</td>", b->level,
                         b->block, b->scan ? "mixer" : "attention", b->of, b->h, b->w);
        mv_stream_format(p->to, "<td>%s</td><td>%s&#8201;px</td><td>%s&#8201;%%</td><td>%s&#215;</td></tr>\n",
                         mv_number_text(text[0], b->entropy, 2, false), mv_number_text(text[1], b->reach, 0, false),
                         mv_number_text(text[2], 100 * b->on_padding, 1, false),
                         mv_number_text(text[3], b->largest, b->largest < 10 ? 1 : 0, false));
    }
}

/* ---- the facts, as JSON */

static void put_table(page *p, const char *name)
{
    const mv_colour_table *table = mv_colour_table_lookup(name, NULL);
    uint8_t rgb[256 * 3];
    for (int i = 0; i < 256; i++) {
        rgb[3 * i] = table->rows[i].r;
        rgb[3 * i + 1] = table->rows[i].g;
        rgb[3 * i + 2] = table->rows[i].b;
    }
    mv_stream_text(p->to, "\"");
    mv_stream_base64(p->to, rgb, sizeof rgb);
    mv_stream_base64_end(p->to);
    mv_stream_text(p->to, "\"");
}

static void put_classes(page *p)
{
    const mv_html_content *c = p->content;
    mv_stream_text(p->to, ",\n\"classes\":[");
    for (int i = 0; i < c->class_count; i++) {
        const mv_html_class *k = &c->classes[i];
        mv_stream_format(p->to, "%s[%d,", i ? ",\n" : "", k->number);
        mv_stream_json(p->to, k->name);
        mv_stream_text(p->to, ",");
        mv_stream_number(p->to, k->logit, 6);
        mv_stream_text(p->to, ",");
        mv_stream_number(p->to, k->probability, 4);
        mv_stream_text(p->to, "]");
    }
    const mv_html_evidence *v = &c->evidence;
    mv_stream_format(p->to, "],\n\"total\":%d,\n\"evidence\":{\"h\":%d,\"w\":%d,\"cell\":%d,\"mean\":", c->class_total,
                     v->h, v->w, v->cell);
    mv_stream_number(p->to, v->mean_logit, 6);
    mv_stream_text(p->to, "}");
}

static void put_map(page *p, const mv_html_map *m)
{
    mv_stream_text(p->to, "{\"title\":");
    mv_stream_json(p->to, m->title);
    mv_stream_text(p->to, ",\"method\":");
    mv_stream_json(p->to, m->method);
    mv_stream_text(p->to, ",\"unit\":");
    mv_stream_json(p->to, m->unit);
    mv_stream_text(p->to, ",\"proof\":");
    mv_stream_json(p->to, m->proof);
    mv_stream_format(p->to, ",\"h\":%d,\"w\":%d,\"cell\":", m->h, m->w);
    mv_stream_number(p->to, m->cell, 6);
    mv_stream_text(p->to, "}");
}

static void put_block(page *p, const mv_coded *b)
{
    mv_stream_format(p->to,
                     "{\"level\":%d,\"block\":%d,\"scan\":%s,\"heads\":%d,\"of\":%d,\"h\":%d,\"w\":%d,\"cell\":%d,"
                     "\"window\":%d,\"down\":%d,\"across\":%d,\"group\":%d,",
                     b->level, b->block, b->scan ? "true" : "false", b->heads, b->of, b->h, b->w, b->cell, b->window,
                     b->down, b->across, b->group);
    mv_stream_format(p->to, "\"rows\":%zu,\"codes\":%zu,\"lost\":%s,\"padding\":", b->rows, b->codes,
                     b->lost ? "true" : "false");
    mv_stream_number(p->to, b->padding, 4);
    mv_stream_text(p->to, ",\"entropy\":");
    mv_stream_number(p->to, b->entropy, 4);
    mv_stream_text(p->to, ",\"reach\":");
    mv_stream_number(p->to, b->reach, 4);
    mv_stream_text(p->to, ",\"largest\":");
    mv_stream_number(p->to, b->largest, 6);
    mv_stream_text(p->to, "}");
}

static void put_facts(page *p)
{
    const mv_html_content *c = p->content;
    mv_stream_format(p->to, "{\"w\":%d,\"h\":%d", c->picture->w, c->picture->h);
    put_classes(p);
    mv_stream_text(p->to, ",\n\"maps\":[");
    for (int i = 0; i < c->map_count; i++) {
        mv_stream_text(p->to, i ? ",\n" : "");
        put_map(p, &c->maps[i]);
    }
    mv_stream_text(p->to, "],\n\"blocks\":[");
    for (int i = 0; i < c->block_count; i++) {
        mv_stream_text(p->to, i ? ",\n" : "\n");
        put_block(p, &c->blocks[i]);
    }
    mv_stream_text(p->to, "],\n\"inferno\":");
    put_table(p, "inferno");
    mv_stream_text(p->to, ",\n\"blue_red\":");
    put_table(p, "blue-red");
    mv_stream_text(p->to, "}");
}

/* ---- the values: an element of text for the evidence and for each block */

/* Little-endian, whatever the machine. */
static void pack_floats(mv_stream *s, const float *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &v[i], sizeof bits);
        const uint8_t bytes[4] = {(uint8_t)bits, (uint8_t)(bits >> 8), (uint8_t)(bits >> 16), (uint8_t)(bits >> 24)};
        mv_stream_pack(s, bytes, sizeof bytes);
    }
}

static bool begin_values(page *p, const char *name)
{
    mv_stream_format(p->to, "<script type=\"text/plain\" id=\"%s\">", name);
    mv_status s = mv_stream_pack_begin(p->to, p->e);
    if (s && p->to->status == MV_OK)
        p->to->status = s;
    return s == MV_OK;
}

static void end_values(page *p)
{
    mv_stream_pack_end(p->to);
    mv_stream_text(p->to, "</script>\n");
}

static void put_values(page *p)
{
    const mv_html_content *c = p->content;
    size_t classes = (size_t)c->class_count, cells = (size_t)c->evidence.h * (size_t)c->evidence.w;
    if (!begin_values(p, "evidence"))
        return;
    pack_floats(p->to, c->evidence.most, classes);
    mv_stream_pack(p->to, c->evidence.code, classes * cells);
    end_values(p);
    for (int i = 0; i < c->map_count && p->to->status == MV_OK; i++) {
        char name[32];
        snprintf(name, sizeof name, "map-%d", i);
        if (!begin_values(p, name))
            return;
        pack_floats(p->to, &c->maps[i].most, 1);
        mv_stream_pack(p->to, c->maps[i].code, (size_t)c->maps[i].h * (size_t)c->maps[i].w);
        end_values(p);
    }
    for (int i = 0; i < c->block_count && p->to->status == MV_OK; i++) {
        const mv_coded *b = &c->blocks[i];
        char name[32];
        snprintf(name, sizeof name, "rows-%d", i);
        if (!begin_values(p, name))
            return;
        pack_floats(p->to, b->most, b->rows);
        if (b->lost)
            pack_floats(p->to, b->lost, b->rows);
        if (b->scan)
            pack_floats(p->to, b->total, b->rows);
        mv_stream_pack(p->to, b->code, b->codes);
        end_values(p);
    }
}

/* ---- the template */

static const struct {
    const char *name;
    void (*put)(page *p);
} part[] = {{"title", put_title},   {"subtitle", put_subtitle}, {"name", put_name},       {"version", put_version},
            {"recipe", put_recipe}, {"picture", put_picture},   {"width", put_width},     {"height", put_height},
            {"style", put_style},   {"script", put_script},     {"answers", put_answers}, {"figures", put_figures},
            {"facts", put_facts},   {"values", put_values}};

static void put_part(page *p, const char *name, size_t n)
{
    for (size_t i = 0; i < sizeof part / sizeof *part; i++)
        if (strlen(part[i].name) == n && memcmp(part[i].name, name, n) == 0)
            part[i].put(p);
}

static void put_template(page *p)
{
    const char *at = (const char *)MV_ASSET(html_page).bytes, *open, *close;
    while (p->to->status == MV_OK && (open = strstr(at, "{{")) && (close = strstr(open, "}}"))) {
        mv_stream_bytes(p->to, at, (size_t)(open - at));
        put_part(p, open + 2, (size_t)(close - open - 2));
        at = close + 2;
    }
    mv_stream_text(p->to, at);
}

mv_status mv_html_write(const mv_html_content *content, mv_html_sink *sink, void *context, mv_error *e)
{
    const mv_html_content *c = content;
    if (!c->picture || !c->picture->rgb || c->class_count < 1 || c->block_count < 1 || !c->evidence.code)
        return mv_fail(e, MV_EMISUSE, "html page: found no picture, classes or blocks, expected some of each");
    mv_stream *s = calloc(1, sizeof *s);
    if (!s)
        return mv_fail_memory(e, "html page");
    s->sink = sink;
    s->context = context;
    page p = {.content = content, .to = s, .e = e};
    put_template(&p);
    mv_stream_flush(s);
    mv_status status = s->status;
    mv_stream_free(s);
    free(s);
    return status == MV_OK ? MV_OK : mv_fail(e, status, "html page: found a failure while writing, expected none");
}
