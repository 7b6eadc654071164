#include "cmd/page_file.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/stop.h"
#include "cmd/talk.h"
#include "src/base/text.h"
#include "src/file/output.h"
#include "viz/draw/canvas.h"

bool page_is_stdout(const call *c)
{
    return c->wants_page && c->o.out && strcmp(c->o.out, "-") == 0;
}

/* ---- looks */

int page_format(const options *o)
{
    bool paper = o->use >= 0 && (mv_page_use)(o->use + 1) != MV_FOR_SLIDE;
    return o->format >= 0 ? o->format : paper ? MV_CANVAS_PDF : MV_CANVAS_PNG;
}

static mv_page_style style_of(const options *o)
{
    const mv_colour_table *table = o->colours >= 0 ? mv_colour_table_at(o->colours) : NULL;
    return (mv_page_style){.theme = o->theme > 0 ? MV_DARK : MV_LIGHT,
                           .zoom = o->zoom,
                           .width = o->width,
                           .use = (mv_page_use)(o->use + 1),
                           .table = table ? table->name : NULL,
                           .scale = o->scale < 0 ? MV_SCALE_AUTO : (mv_scale_kind)o->scale,
                           .grid = o->grid};
}

/* The date that SOURCE_DATE_EPOCH asks for; empty without one, so that the same page is the same bytes. Written once,
 * before pages are. */
static char date[32];

static void read_date(void)
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    char *end;
    if (!epoch || !*epoch)
        return;
    time_t t = (time_t)strtoll(epoch, &end, 10);
    struct tm tm;
    if (*end || !gmtime_r(&t, &tm) || strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) {
        warn("SOURCE_DATE_EPOCH: found '%s', expected seconds since 1970; no date is written", epoch);
        *date = '\0';
    }
}

static void warn_of_table(const mv_page_style *style)
{
    const mv_colour_table *table = style->table ? mv_colour_table_lookup(style->table, NULL) : NULL;
    if (table && table->misleads)
        warn("--colours %s: %s", table->name, table->misleads);
}

void page_check(const call *c, const mv_page_kind *kind)
{
    const options *o = &c->o;
    mv_error e = {0};
    for (int i = 0; o->use >= 0 && i < 2; i++)
        if (options_given(c, i ? "zoom" : "width"))
            die(EXIT_MISUSE, "--%s: has no effect with --for, which sets the size in points", i ? "zoom" : "width");
    mv_page_style style = style_of(o);
    if (mv_page_check_style(kind, &style, &e))
        die(misuse_of(&e), "--colours: %s", e.text);
    warn_of_table(&style);
    bool vector = o->format > 0 || (o->out && (mv_text_ends_in(o->out, ".svg") || mv_text_ends_in(o->out, ".pdf")));
    if (vector && options_given(c, "zoom"))
        die(EXIT_MISUSE, "--zoom: has no effect on .svg and .pdf, whose size is free");
    read_date();
}

void page_check_name(const call *c, bool to_stdout, bool folder)
{
    if (to_stdout && c->o.json)
        die(EXIT_MISUSE, "-o: found '-' with --json, which writes to standard output too");
    if (!folder && c->o.format >= 0)
        die(EXIT_MISUSE, "--format: has no effect on a page with a name of its own");
}

void film_check(const call *c)
{
    mv_error e = {0};
    mv_page_style style = style_of(&c->o);
    if (mv_film_check_style(&style, &e))
        die(misuse_of(&e), "--colours: %s", e.text);
    read_date();
}

/* ---- files */

static mv_status put(void *context, const void *bytes, size_t n)
{
    return mv_output_write(context, bytes, n);
}

enum { ITEMS = 7, NOTES = 11 };

/* The foot of a page and its text chunks. */
typedef struct {
    char *command, *subtitle;
    char model[120], pipeline[64], device[64], range[96];
    const char *item[ITEMS];
    mv_note note[NOTES];
    int items, notes;
} recipe;

static void add_item(recipe *r, const char *text)
{
    if (*text)
        r->item[r->items++] = text;
}

static void add_note(recipe *r, const char *key, const char *value)
{
    if (*value)
        r->note[r->notes++] = (mv_note){key, value};
}

/* "-3.9 to 12.5": of all maps of the picture, as drawn */
static void range_of(recipe *r, const call *c, const shot *t)
{
    double lo = INFINITY, hi = -INFINITY;
    for (int a = 0; a < c->asks; a++)
        for (int i = 0; i < t->maps[a].n; i++) {
            lo = fmin(lo, (double)t->maps[a].map[i].lo);
            hi = fmax(hi, (double)t->maps[a].map[i].hi);
        }
    if (lo <= hi)
        snprintf(r->range, sizeof r->range, "%.9g to %.9g", lo, hi);
}

char *page_subtitle(const call *c, const char *subtitle)
{
    char demo[48], *text;
    bool both = subtitle && *subtitle && *session_demo(&c->session, demo);
    const char *one = subtitle && *subtitle ? subtitle : session_demo(&c->session, demo);
    return asprintf(&text, "%s%s%s", one, both ? "  \xc2\xb7  " : "", both ? demo : "") < 0 ? NULL : text;
}

static void recipe_free(recipe *r)
{
    free(r->command);
    free(r->subtitle);
    r->command = r->subtitle = NULL;
}

static mv_status recipe_of(recipe *r, const call *c, const shot *t, const page_words *w, mv_error *e)
{
    const session *s = &c->session;
    *r = (recipe){.command = options_recipe(c, t->path, w->others), .subtitle = page_subtitle(c, w->subtitle)};
    if (!r->command || !r->subtitle) {
        recipe_free(r);
        return mv_fail_memory(e, t->name);
    }
    page_source of = {s->name, s->hash, r->model, r->pipeline, r->device};
    if (w->source)
        of = *w->source;
    else {
        mv_text_print(r->model, sizeof r->model, "model %s %.6s", s->name, s->hash);
        session_pipeline(s, r->pipeline);
        snprintf(r->device, sizeof r->device, "%s %s", session_precision(s), session_device(s));
    }
    range_of(r, c, t);
    add_item(r, r->command);
    add_item(r, of.model);
    add_item(r, w->method);
    add_item(r, of.pipeline);
    add_item(r, of.device);
    add_item(r, w->beside ? w->beside : "");
    add_item(r, MV_VERSION);
    add_note(r, "Software", "mvscope " MV_VERSION);
    add_note(r, "Command", r->command);
    add_note(r, "Source", t->base);
    add_note(r, "Model", of.name);
    add_note(r, "Model hash", of.hash);
    add_note(r, "Method", w->method);
    add_note(r, "Range", r->range);
    add_note(r, "Pre-processing", of.pipeline);
    add_note(r, "Device", of.device);
    add_note(r, "Beside", w->beside ? w->beside : "");
    return MV_OK;
}

/* Once for the whole run: a text of the page that shows boxes. A viewer of an SVG has fonts of its own. */
static void warn_missing(const shot *t, const mv_canvas_target *to)
{
    static atomic_flag told = ATOMIC_FLAG_INIT;
    const char *text = to->kind == MV_CANVAS_SVG ? NULL : mv_fonts_missing(*t->fonts);
    char *safe = text ? mv_text_escape(text) : NULL;
    if (safe && !atomic_flag_test_and_set(&told))
        warn("%s: no font of this system has all characters of '%.120s'; boxes stand for them",
             t->page_name ? t->page_name : t->name, safe);
    free(safe);
}

static bool is_jpeg(const char *path)
{
    return mv_text_ends_in(path, ".jpg") || mv_text_ends_in(path, ".jpeg");
}

static mv_status draw(const call *c, const shot *t, const mv_page_kind *kind, const page_words *w, const recipe *r,
                      const void *content, mv_output *file, mv_error *e)
{
    mv_page_style style = style_of(&c->o);
    mv_heading heading = {.title = w->title, .subtitle = r->subtitle, .recipe = {r->item, r->items}};
    mv_canvas_target to = {
        .write = put, .ctx = file, .notes = r->note, .note_count = r->notes, .date = *date ? date : NULL};
    if (kind->paint && is_jpeg(t->page))
        to.kind = MV_CANVAS_JPEG;
    else if (!page_is_stdout(c) && mv_canvas_kind_of(&to.kind, t->page, e))
        return e->code;
    if (!*t->fonts && !(*t->fonts = mv_fonts_new(e)))
        return e->code;
    mv_status s = mv_page_write(kind, &heading, content, &style, *t->fonts, &to, e);
    if (s == MV_OK)
        warn_missing(t, &to);
    return s;
}

static mv_status draw_film(const call *c, const shot *t, const page_words *w, const recipe *r,
                           const mv_film_content *content, mv_output *file, mv_error *e)
{
    mv_page_style style = style_of(&c->o);
    mv_heading heading = {.title = w->title, .subtitle = r->subtitle};
    mv_canvas_target to = {
        .write = put, .ctx = file, .notes = r->note, .note_count = r->notes, .date = *date ? date : NULL};
    mv_animation_kind kind;
    if (mv_animation_kind_of(&kind, t->film, e))
        return e->code;
    if (!*t->fonts && !(*t->fonts = mv_fonts_new(e)))
        return e->code;
    return mv_film_write(kind, &heading, content, &style, *t->fonts, &to, e);
}

/* Gives the file its name, or drops it where something failed. */
static mv_status end_file(const call *c, mv_output *file, mv_status status, const mv_error *drawing, mv_error *e)
{
    if (!file)
        return status;
    if (!status)
        return mv_output_commit(file, e);
    const mv_error *writing = mv_output_error(file);
    mv_fail(e, writing->code ? writing->code : status, "%s", writing->code ? writing->text : drawing->text);
    mv_output_discard(file);
    if (page_is_stdout(c))
        stop_if_reader_left();
    return status;
}

mv_status page_write(const call *c, const shot *t, const mv_page_kind *kind, const page_words *words,
                     const void *content, mv_error *e)
{
    recipe r;
    mv_error drawing = {0};
    if (recipe_of(&r, c, t, words, e))
        return e->code;
    mv_output *file = mv_output_open(t->page, e);
    mv_status status = file ? draw(c, t, kind, words, &r, content, file, &drawing) : e->code;
    status = end_file(c, file, status, &drawing, e);
    recipe_free(&r);
    return status;
}

mv_status film_write(const call *c, const shot *t, const page_words *words, const mv_film_content *content, mv_error *e)
{
    recipe r;
    mv_error drawing = {0};
    if (recipe_of(&r, c, t, words, e))
        return e->code;
    mv_output *file = mv_output_open(t->film, e);
    mv_status status = file ? draw_film(c, t, words, &r, content, file, &drawing) : e->code;
    status = end_file(c, file, status, &drawing, e);
    recipe_free(&r);
    return status;
}
