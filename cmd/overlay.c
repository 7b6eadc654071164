#include "cmd/overlay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/claims.h"
#include "cmd/photo.h"
#include "cmd/talk.h"
#include "src/base/text.h"
#include "viz/draw/jpeg_file.h"
#include "viz/page/overlay.h"

/* ---- options */

void overlay_check(call *c, const mv_page_kind *kind)
{
    static const char *const looks[] = {"alpha", "threshold", "photo"}, *const of_pages[] = {"theme", "width", "zoom",
                                                                                             "format"};
    c->wants_overlay = c->o.overlay != NULL;
    for (size_t i = 0; !c->wants_overlay && i < sizeof looks / sizeof *looks; i++)
        if (options_given(c, looks[i]))
            die(EXIT_MISUSE, "--%s: has no effect without --overlay", looks[i]);
    if (!c->wants_overlay)
        return;
    if (strcmp(c->o.overlay, "-") == 0)
        die(EXIT_MISUSE, "--overlay: found '-', expected a name: FILE.png, FILE.jpg or FOLDER/");
    c->shows = c->wants_photo = true;
    if (c->wants_page)
        return;
    page_check(c, kind);
    for (size_t i = 0; i < sizeof of_pages / sizeof *of_pages; i++)
        if (options_given(c, of_pages[i]))
            die(EXIT_MISUSE, "--%s: has no effect on --overlay, which has no page around it", of_pages[i]);
}

/* ---- names */

enum { CLASS_PART = 64, PART = 2 * CLASS_PART + MV_MAP_NAME };

/* A class as part of a file's name: its first name, with '_' for what is neither a letter, a digit, nor a dot. */
static void class_part(char to[CLASS_PART], const char *name)
{
    char first[CLASS_PART];
    mv_text_print(first, sizeof first, "%.*s", (int)strcspn(name, ","), name);
    size_t n = 0;
    for (const char *p = first; *p; p++) {
        unsigned char c = (unsigned char)*p;
        bool plain = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c >= 0x80 || c == '.';
        if (plain || (n && to[n - 1] != '_'))
            to[n++] = plain ? *p : '_';
    }
    while (n && to[n - 1] == '_')
        n--;
    to[n] = '\0';
}

/* The same with the class's number where another class has the same name, or where it has none. */
static void class_name(char to[CLASS_PART + 16], const call *c, int class_)
{
    char text[24], other[CLASS_PART];
    int same = 0;
    class_part(to, session_class(&c->session, class_, text));
    for (int i = 0; i < c->session.config.classes && same < 2; i++) {
        class_part(other, session_class(&c->session, i, text));
        same += strcmp(other, to) == 0;
    }
    if (same > 1 || !*to)
        snprintf(to + strlen(to), 16, "%s%d", *to ? "." : "class_", class_);
}

static void add_part(char to[PART], const char *part)
{
    if (*part)
        snprintf(to + strlen(to), PART - strlen(to), "%s%s", *to ? "." : "", part);
}

/* "golden_retriever", "church.over.golf_ball", "levels.3.blocks.1.mean": what tells a map from others of its method. */
static void part_of(char to[PART], const call *c, const mv_map *m)
{
    char one[CLASS_PART + 16], name[MV_MAP_NAME];
    mv_map words = *m;
    *to = '\0';
    if (m->class_ >= 0) {
        class_name(one, c, m->class_);
        add_part(to, one);
    }
    if (m->class_ >= 0 && m->against >= 0) {
        add_part(to, "over");
        class_name(one, c, m->against);
        add_part(to, one);
    }
    words.class_ = words.against = MV_MAP_NONE;
    mv_map_name(&words, name);
    size_t n = m->method ? strlen(m->method) : 0;
    bool begins = n && strncmp(name, m->method, n) == 0 && (name[n] == '.' || !name[n]);
    add_part(to, begins ? name + n + (name[n] == '.') : name);
    for (char *p = to; *p; p++) /* so that a name can be told apart from the end */
        *p = *p == '-' || *p == '/' ? '_' : *p;
}

/* The overlays of a picture that are written; seen: their names so far. */
typedef struct {
    const call *c;
    const shot *t;
    const mv_image *photo;
    mv_frame frame;
    int n;
    char (*seen)[PART + 32];
} writing;

/* The file of a map. The caller's to free; NULL without memory. */
static char *path_of(writing *w, const mv_map *m)
{
    char part[PART], *path;
    if (!w->t->overlays)
        return strdup(w->t->overlay);
    part_of(part, w->c, m);
    char *name = w->seen[w->n];
    int same = 1;
    snprintf(name, sizeof *w->seen, "%.24s%s%s", m->method ? m->method : "map", *part ? "-" : "", part);
    for (int i = 0; i < w->n; i++)
        same += strcmp(w->seen[i], name) == 0;
    w->n++;
    if (same > 1 ? asprintf(&path, "%s-%s.%d.png", w->t->overlay, name, same) < 0
                 : asprintf(&path, "%s-%s.png", w->t->overlay, name) < 0)
        return NULL;
    return path;
}

/* ---- files */

static mv_status check_size(const char *path, const mv_image *photo, mv_error *e)
{
    if (mv_text_ends_in(path, ".png") || (photo->w <= MV_JPEG_MOST && photo->h <= MV_JPEG_MOST))
        return MV_OK;
    return mv_fail(e, MV_EINPUT, "%s: found a photo of %d x %d px, expected at most %d a side for a JPEG; name a .png",
                   path, photo->w, photo->h, MV_JPEG_MOST);
}

static mv_status write_one(writing *w, const mv_map *m, mv_error *e)
{
    const options *o = &w->c->o;
    mv_overlay_content content = {.photo = w->photo,
                                  .frame = w->frame,
                                  .map = m,
                                  .alpha = o->alpha,
                                  .threshold = o->threshold,
                                  .colours = o->photo > 0};
    char *path = path_of(w, m), *name = path ? mv_text_escape(path) : NULL;
    mv_status s = name ? MV_OK : mv_fail_memory(e, w->t->name);
    if (!s && w->t->overlays) /* one that was made by an earlier run may be looked at, or be a link */
        s = claims_late(w->c->claims, "--overlay", path, e);
    shot t = *w->t;
    t.page = path;
    page_words words = {.title = m->title, .method = m->method};
    if (!s)
        s = check_size(path, w->photo, e);
    if (!s)
        s = page_write(w->c, &t, &mv_page_overlay, &words, &content, e);
    if (!s && !w->c->o.json && !page_is_stdout(w->c))
        fprintf(t.out, "  %s\n", name);
    free(name);
    free(path);
    return s;
}

static mv_status write_all(writing *w, mv_error *e)
{
    const call *c = w->c;
    int n = 0;
    mv_status s = MV_OK;
    for (int a = 0; a < c->asks; a++)
        n += w->t->maps[a].n;
    w->seen = calloc((size_t)n + 1, sizeof *w->seen);
    if (!w->seen)
        return mv_fail_memory(e, w->t->name);
    for (int a = 0; a < c->asks; a++)
        for (int i = 0; i < w->t->maps[a].n && !s; i++)
            if (!c->overlay_asks || c->overlay_asks >> a & 1)
                s = write_one(w, &w->t->maps[a].map[i], e);
    free(w->seen);
    return s;
}

mv_status overlay_write(const call *c, const shot *t, mv_error *e)
{
    writing w = {.c = c, .t = t};
    whole_photo p;
    mv_status s = photo_open(&p, c, t, e);
    double f[4] = {0, 0, t->image->w, t->image->h};
    if (t->photo_w)
        mv_preprocess_frame(&c->session.config.preprocess, t->photo_w, t->photo_h, f);
    w.frame = (mv_frame){f[0], f[1], f[2], f[3]};
    w.photo = t->photo_w ? p.image : t->image; /* a ready input is shown itself */
    if (!s)
        s = write_all(&w, e);
    photo_close(&p);
    return s;
}
