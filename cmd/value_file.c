#include "cmd/value_file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/operands.h"
#include "cmd/reply.h"
#include "src/base/name_set.h"
#include "src/base/pattern.h"
#include "src/base/text.h"

/* One operand that was answered: its rows follow those of the one before. */
typedef struct {
    char *name;
    int pictures;
} image;

struct value_file {
    call *c;
    mv_store *store;
    mv_store_kind kind;
    const char *patterns;
    const mv_sites *sites;
    int sites_written, expected; /* expected: pictures of all operands */
    int images, room, pictures;  /* received so far: operands, and their pictures */
    image *image;
    mv_name_set known; /* pictures that an earlier run has written */
};

/* ---- what was answered */

/* The next picture, named as in results: "x.npy[1]" is the second of x.npy, which has `of`. */
static mv_status add_image(value_file *v, const char *name, int index, int of, mv_error *e)
{
    v->pictures++;
    if (v->kind == MV_STORE_NPY) /* which has no place for names */
        return MV_OK;
    if (index > 0 && v->images) {
        v->image[v->images - 1].pictures++;
        return MV_OK;
    }
    if (v->images == v->room) {
        int room = v->room ? v->room + v->room / 2 + 1 : 16;
        image *more = realloc(v->image, (size_t)room * sizeof *more);
        if (!more)
            return mv_fail_memory(e, name);
        v->image = more;
        v->room = room;
    }
    const char *bracket = of > 1 ? strrchr(name, '[') : NULL;
    char *copy = bracket ? strndup(name, (size_t)(bracket - name)) : strdup(name);
    if (!copy)
        return mv_fail_memory(e, name);
    v->image[v->images++] = (image){copy, 1};
    return MV_OK;
}

static void forget_images(value_file *v)
{
    for (int i = 0; i < v->images; i++)
        free(v->image[i].name);
    v->images = v->pictures = 0;
}

/* The note of a checkpoint holds a line for each picture of the batch: "INDEX OF NAME", the name as in results. */
static mv_status read_line(value_file *v, const char *line, mv_error *e)
{
    int index, of, used = 0;
    if (sscanf(line, "%d %d %n", &index, &of, &used) != 2 || !used || index < 0 || index >= of)
        return mv_fail(e, MV_EINPUT, "--resume: found a damaged list of pictures in the unfinished output");
    mv_status s = mv_name_set_add(&v->known, line + used, e);
    return s ? s : add_image(v, line + used, index, of, e);
}

static mv_status read_notes(value_file *v, mv_error *e)
{
    mv_status s = MV_OK;
    for (int i = 0; i < mv_store_note_count(v->store) && !s; i++) {
        char *note = strdup(mv_store_note_at(v->store, i)), *rest = NULL;
        if (!note)
            return mv_fail_memory(e, "--resume");
        for (char *line = strtok_r(note, "\n", &rest); line && !s; line = strtok_r(NULL, "\n", &rest))
            s = read_line(v, line, e);
        free(note);
    }
    return s;
}

bool value_file_take(value_file *v, const char *name)
{
    return mv_name_set_take(&v->known, name);
}

/* ---- the manifest */

static json_t *shapes_json(const value_file *v)
{
    json_t *list = json_object();
    bool good = list != NULL;
    for (int i = 0; i < v->sites->n && good; i++) {
        const mv_site *t = &v->sites->site[i];
        if (!mv_pattern_match(v->patterns, t->name))
            continue;
        json_t *shape = json_array();
        for (int d = 0; d < t->nd && good; d++)
            good = reply_append(shape, json_integer(d ? t->dim[d] : (json_int_t)t->dim[0] * v->pictures / v->expected));
        good = reply_set(list, t->name, shape) && good;
    }
    if (good)
        return list;
    json_decref(list);
    return NULL;
}

/* Everything but the images, which may be many: their place is marked by IMAGES. NULL without memory. */
#define IMAGES "\x01" /* no name holds a control character: names of models are escaped */

static char *manifest_frame(const value_file *v, size_t style)
{
    const call *c = v->c;
    const session *s = &c->session;
    const mv_preprocess *p = &s->config.preprocess;
    json_t *shapes = shapes_json(v);
    json_t *all =
        !shapes
            ? NULL
            : json_pack("{s:s,s:{s:s,s:s},s:s,s:s,s:s,s:{s:[i,i],s:f,s:s,s:s,s:[f,f,f],s:[f,f,f],s:b},s:s,s:O}",
                        "software", "mvscope " MV_VERSION, "model", "name", s->name, "sha256", s->hash, "device",
                        session_device(s), "about", s->backend->about, "precision", session_precision(s), "preprocess",
                        "size", p->h, p->w, "crop_pct", p->crop_pct, "crop_mode", mv_crop_mode_name(p->mode),
                        "interpolation", mv_interpolation_name(p->filter), "mean", (double)p->mean[0],
                        (double)p->mean[1], (double)p->mean[2], "std", (double)p->std[0], (double)p->std[1],
                        (double)p->std[2], "exif", !c->o.no_exif, "images", IMAGES, "sites", shapes);
    if (all && c->gradient && !reply_set(all, "gradient", json_string(c->gradient))) {
        json_decref(all);
        all = NULL;
    }
    char *text = all ? json_dumps(all, style | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(shapes);
    json_decref(all);
    return text;
}

/* The list of images. Names are safe to print, so quotes and backslashes alone are escaped. */
static void print_images(FILE *out, const value_file *v, bool lines)
{
    fputc('[', out);
    for (int i = 0; i < v->images; i++) {
        fprintf(out, lines ? "%s\n    {\"image\": \"" : "%s{\"image\":\"", i ? "," : "");
        for (const char *p = v->image[i].name; *p; p++)
            fprintf(out, *p == '"' || *p == '\\' ? "\\%c" : "%c", *p);
        fprintf(out, lines ? "\", \"pictures\": %d}" : "\",\"pictures\":%d}", v->image[i].pictures);
    }
    fputs(lines ? "\n  ]" : "]", out);
}

/* What was written, from what, and how: enough to make it again. A .npy has no place for it. */
static mv_status write_manifest(value_file *v, mv_error *e)
{
    if (v->kind == MV_STORE_NPY)
        return MV_OK;
    static const char mark[] = "\"\\u0001\"";
    bool lines = v->kind != MV_STORE_SAFETENSORS;
    char *frame = manifest_frame(v, lines ? JSON_INDENT(2) : JSON_COMPACT), *text = NULL;
    char *place = frame ? strstr(frame, mark) : NULL;
    size_t size;
    FILE *out = place ? open_memstream(&text, &size) : NULL;
    bool good = out != NULL;
    if (good) {
        fprintf(out, "%.*s", (int)(place - frame), frame);
        print_images(out, v, lines);
        fputs(place + strlen(mark), out);
        good = mv_text_close(out, &text);
    }
    mv_status status =
        good ? mv_store_meta(v->store, "manifest", text, e) : mv_fail_memory(e, "the manifest of the output");
    free(frame);
    free(text);
    return status;
}

/* In a .safetensors the manifest precedes the data. So it is written at once for all the pictures that are expected,
 * and again only where some did not come. */
static mv_status expect_all(value_file *v, mv_error *e)
{
    const operands *list = v->c->list;
    mv_status s = MV_OK;
    for (int i = 0; i < list->n && !s && v->kind != MV_STORE_NPY; i++) {
        char *name = mv_text_escape(list->path[i]);
        s = name ? MV_OK : mv_fail_memory(e, "output");
        for (int k = 0; !s && k < operand_pictures(list, i); k++)
            s = add_image(v, name, k, 1, e);
        free(name);
    }
    if (!s) {
        v->pictures = v->expected;
        s = write_manifest(v, e);
    }
    forget_images(v);
    return s;
}

/* ---- the store */

/* What an unfinished output must have been made by, for a run to go on with it. NULL without memory. */
static char *fingerprint(const value_file *v)
{
    const call *c = v->c;
    const mv_preprocess *p = &c->session.config.preprocess;
    uint64_t names = 0;
    char *text = NULL;
    for (int i = 0; i < c->list->n; i++)
        names = names * 31 + mv_text_hash(c->list->path[i]);
    if (asprintf(&text,
                 "mvscope %s\nmodel %s %s\ndevice %s%s %s\nsites %s\nsize %d x %d\ncrop %g %s %s\nexif "
                 "%d\n%s%s%spictures %d "
                 "%016" PRIx64 "\n",
                 MV_VERSION, c->session.name, c->session.hash, session_device(&c->session),
                 strncmp(c->o.device, "cpu:", 4) == 0 ? c->o.device + 3 : "", session_precision(&c->session),
                 v->patterns, c->height, c->width, p->crop_pct, mv_crop_mode_name(p->mode),
                 mv_interpolation_name(p->filter), !c->o.no_exif, c->gradient ? "gradient " : "",
                 c->gradient ? c->gradient : "", c->gradient ? "\n" : "", v->expected, names) < 0)
        return NULL;
    return text;
}

static mv_status open_store(value_file *v, mv_error *e)
{
    const options *o = &v->c->o;
    char *print = o->resume ? fingerprint(v) : NULL;
    if (o->resume && !print)
        return mv_fail_memory(e, v->c->store);
    v->store = o->resume ? mv_store_open_resumable(v->c->store, print, e) : mv_store_open(v->c->store, e);
    free(print);
    mv_status s = v->store ? MV_OK : e->code;
    for (int i = 0; i < v->sites->n && !s; i++) {
        const mv_site *t = &v->sites->site[i];
        if (!mv_pattern_match(v->patterns, t->name))
            continue;
        if (v->kind == MV_STORE_NPY && v->sites_written)
            return mv_fail(e, MV_EINPUT,
                           "-o: found several sites for %s, expected one, as a .npy holds one array; choose one by "
                           "--site, or write a .npz, a .safetensors or a folder",
                           v->c->store);
        s = mv_store_declare(v->store, t->name, t->nd, t->dim, e);
        v->sites_written++;
    }
    return s ? s : read_notes(v, e);
}

value_file *value_file_open(call *c, const char *patterns, const mv_sites *sites, mv_error *e)
{
    value_file *v = calloc(1, sizeof *v);
    if (!v) {
        mv_fail_memory(e, c->store);
        return NULL;
    }
    *v = (value_file){.c = c, .patterns = patterns, .sites = sites, .expected = c->pictures};
    session_hash(&c->session);
    mv_status s = mv_store_kind_of(&v->kind, c->store, c->store_option, e);
    if (!s)
        s = open_store(v, e);
    if (!s && !c->o.resume)
        s = expect_all(v, e);
    if (!s)
        return v;
    c->broken = true;
    value_file_close(v, &(bool){false}, e);
    c->broken = false;
    return NULL;
}

mv_store *value_file_store(value_file *v)
{
    return v->store;
}

int value_file_sites(const value_file *v)
{
    return v->sites_written;
}

int value_file_pictures(const value_file *v)
{
    return v->pictures;
}

mv_status value_file_add(value_file *v, const shot *shots, int n, mv_error *e)
{
    char *note = NULL;
    size_t size;
    FILE *out = open_memstream(&note, &size);
    mv_status s = out ? MV_OK : mv_fail_memory(e, "output");
    for (int i = 0; i < n && !s; i++) {
        fprintf(out, "%d %d %s\n", shots[i].index, shots[i].of, shots[i].name);
        s = add_image(v, shots[i].name, shots[i].index, shots[i].of, e);
    }
    if (out && !mv_text_close(out, &note) && !s)
        s = mv_fail_memory(e, "output");
    if (!s)
        s = mv_store_checkpoint(v->store, note, e);
    free(note);
    return s;
}

static mv_status finish(value_file *v, mv_error *e)
{
    mv_status s = MV_OK;
    if (v->pictures < v->expected)
        s = mv_store_shrink(v->store, v->expected, v->pictures, e);
    if (!s && (v->c->o.resume || v->pictures < v->expected))
        s = write_manifest(v, e);
    if (s)
        return s;
    s = mv_store_commit(v->store, e);
    v->store = NULL;
    return s;
}

mv_status value_file_close(value_file *v, bool *written, mv_error *e)
{
    mv_status s = MV_OK;
    *written = false;
    if (!v)
        return MV_OK;
    bool ended = !v->c->stopped && !v->c->broken;
    if (ended && v->pictures) {
        s = finish(v, e);
        *written = !s;
    }
    if (v->c->o.resume && (!ended || s)) /* what is there stays for the next run, also after a failure */
        mv_store_suspend(v->store);
    else
        mv_store_discard(v->store);
    forget_images(v);
    free(v->image);
    mv_name_set_free(&v->known);
    free(v);
    return s;
}
