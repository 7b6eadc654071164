/* dump: the activations of any layer, the pictures stacked along the batch. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/inputs.h"
#include "cmd/reply.h"
#include "cmd/talk.h"
#include "src/base/pattern.h"
#include "src/base/text.h"
#include "src/file/store.h"
#include "src/run/sites.h"

/* One operand that was answered: its rows follow those of the one before. */
typedef struct {
    char *name;
    int pictures;
} image;

typedef struct {
    mv_param_texts site;
    /* ---- state */
    mv_store *store;
    mv_trace *trace;
    mv_sites sites;
    char *patterns;
    int sites_written, expected; /* expected: pictures of all operands */
    int images, room, pictures;  /* that came */
    image *image;
    int known;
    uint64_t *known_hash; /* of pictures that an earlier run has written, sorted */
} own;

static const mv_param params[] = {
    {.name = "site",
     .letter = 's',
     .kind = MV_PARAM_TEXTS,
     .offset = offsetof(own, site),
     .argument = "PATTERN",
     .completes = MV_COMPLETE_SITE,
     .help = "sites to write, a pattern; may be given again; levels.*,avgpool,head if left out"},
    {0}};

/* ---- what was answered */

static mv_status add_image(own *o, const char *name, int index, mv_error *e)
{
    o->pictures++;
    if (index > 0 && o->images) { /* another picture of the same ready input */
        o->image[o->images - 1].pictures++;
        return MV_OK;
    }
    if (o->images == o->room) {
        int room = o->room ? o->room + o->room / 2 + 1 : 16;
        image *more = realloc(o->image, (size_t)room * sizeof *more);
        if (!more)
            return mv_fail_memory(e, name);
        o->image = more;
        o->room = room;
    }
    char *copy = strdup(name);
    if (!copy)
        return mv_fail_memory(e, name);
    o->image[o->images++] = (image){copy, 1};
    return MV_OK;
}

static void forget_images(own *o)
{
    for (int i = 0; i < o->images; i++)
        free(o->image[i].name);
    o->images = o->pictures = 0;
}

static int by_value(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Notes of checkpoints hold a line for each picture: "INDEX NAME", the name as in results. */
static mv_status read_note(own *o, const char *note, mv_error *e)
{
    while (*note) {
        size_t n = strcspn(note, "\n");
        char *line = strndup(note, n), *space = line ? strchr(line, ' ') : NULL, *name = space ? space + 1 : NULL;
        if (!name) {
            free(line);
            return mv_fail(e, MV_EINPUT, "--resume: found a damaged list of pictures in the unfinished output");
        }
        uint64_t *more = realloc(o->known_hash, (size_t)(o->known + 1) * sizeof *more);
        if (more) {
            o->known_hash = more;
            o->known_hash[o->known++] = mv_text_hash(name);
        }
        int index = atoi(line);
        char *bracket = strrchr(name, '[');
        if (bracket && index > 0)
            *bracket = '\0';
        mv_status s = more ? add_image(o, name, index, e) : mv_fail_memory(e, "--resume");
        free(line);
        if (s)
            return s;
        note += n + (note[n] == '\n');
    }
    return MV_OK;
}

static bool answered(const call *c, const char *name)
{
    const own *o = c->own;
    uint64_t key = mv_text_hash(name);
    return o->known && bsearch(&key, o->known_hash, (size_t)o->known, sizeof key, by_value);
}

/* ---- the manifest */

static json_t *shapes_json(const own *o)
{
    json_t *list = json_object();
    bool good = list != NULL;
    for (int i = 0; i < o->sites.n && good; i++) {
        const mv_site *t = &o->sites.site[i];
        if (!mv_pattern_match(o->patterns, t->name))
            continue;
        json_t *shape = json_array();
        good = shape != NULL;
        for (int d = 0; d < t->nd && good; d++) {
            long long rows = t->dim[d];
            if (d == 0)
                rows = rows * o->pictures / o->expected;
            good = reply_append(shape, json_integer(rows));
        }
        if (!reply_set(list, t->name, shape))
            good = false;
    }
    if (good)
        return list;
    json_decref(list);
    return NULL;
}

/* Everything but the images, which may be many: their place is marked by IMAGES. NULL without memory. */
#define IMAGES "\"@images\""

static char *manifest_frame(call *c, size_t style)
{
    const own *o = c->own;
    session *s = &c->session;
    const mv_preprocess *p = &s->config.preprocess;
    json_t *shapes = shapes_json(o);
    json_t *all = !shapes
                      ? NULL
                      : json_pack("{s:s,s:{s:s,s:s},s:s,s:s,s:s,s:{s:[i,i],s:f,s:s,s:[f,f,f],s:[f,f,f],s:b},s:s,s:O}",
                                  "software", "mvscope " MV_VERSION, "model", "name", s->name, "sha256",
                                  session_hash(s), "device", session_device(s), "about", s->backend->about, "precision",
                                  session_precision(s), "preprocess", "size", p->h, p->w, "crop_pct", p->crop_pct,
                                  "crop_mode", mv_crop_mode_name(p->mode), "mean", (double)p->mean[0],
                                  (double)p->mean[1], (double)p->mean[2], "std", (double)p->std[0], (double)p->std[1],
                                  (double)p->std[2], "exif", !c->o.no_exif, "images", "@images", "sites", shapes);
    char *text = all ? json_dumps(all, style | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(shapes);
    json_decref(all);
    return text;
}

/* The list of images. Names are safe to print, so quotes and backslashes alone are escaped. */
static void print_images(FILE *out, const own *o, bool lines)
{
    fputc('[', out);
    for (int i = 0; i < o->images; i++) {
        fprintf(out, lines ? "%s\n    {\"image\": \"" : "%s{\"image\":\"", i ? "," : "");
        for (const char *p = o->image[i].name; *p; p++)
            fprintf(out, *p == '"' || *p == '\\' ? "\\%c" : "%c", *p);
        fprintf(out, lines ? "\", \"pictures\": %d}" : "\",\"pictures\":%d}", o->image[i].pictures);
    }
    fputs(lines ? "\n  ]" : "]", out);
}

/* What was written, from what, and how: enough to make it again. A .npy has no place for it. */
static mv_status write_manifest(call *c, mv_error *e)
{
    own *o = c->own;
    mv_store_kind kind;
    if (mv_store_kind_of(&kind, c->o.out, "-o", e) || kind == MV_STORE_NPY)
        return e->code;
    bool lines = kind != MV_STORE_SAFETENSORS;
    char *frame = manifest_frame(c, lines ? JSON_INDENT(2) : JSON_COMPACT), *text = NULL;
    char *place = frame ? strstr(frame, IMAGES) : NULL;
    size_t size;
    FILE *out = place ? open_memstream(&text, &size) : NULL;
    bool good = out != NULL;
    if (good) {
        fprintf(out, "%.*s", (int)(place - frame), frame);
        print_images(out, o, lines);
        fputs(place + strlen(IMAGES), out);
        good = !ferror(out);
        good = fclose(out) == 0 && good;
    }
    mv_status status =
        good ? mv_store_meta(o->store, "manifest", text, e) : mv_fail_memory(e, "the manifest of the dump");
    free(frame);
    free(text);
    return status;
}

/* ---- the store */

/* All --site patterns as one list. NULL without memory. */
static char *join_patterns(const mv_param_texts *t)
{
    size_t n = 1;
    for (int i = 0; i < t->n; i++)
        n += strlen(t->v[i]) + 1;
    char *all = t->n ? calloc(1, n) : strdup("levels.*,avgpool,head");
    for (int i = 0; all && i < t->n; i++) {
        if (i)
            strcat(all, ",");
        strcat(all, t->v[i]);
    }
    return all;
}

/* What an unfinished output must have been made by, for a run to go on with it. NULL without memory. */
static char *fingerprint(call *c, const own *o)
{
    const mv_preprocess *p = &c->session.config.preprocess;
    uint64_t names = 0;
    char *text = NULL;
    for (int i = 0; i < c->list->n; i++)
        names = names * 31 + mv_text_hash(c->list->path[i]);
    if (asprintf(&text,
                 "mvscope %s\nmodel %s %s\ndevice %s %s\nsites %s\nsize %d x %d\ncrop %g %s\nexif %d\npictures %d "
                 "%016" PRIx64 "\n",
                 MV_VERSION, c->session.name, session_hash(&c->session), session_device(&c->session),
                 session_precision(&c->session), o->patterns, c->height, c->width, p->crop_pct,
                 mv_crop_mode_name(p->mode), !c->o.no_exif, o->expected, names) < 0)
        return NULL;
    return text;
}

static mv_status open_store(call *c, mv_error *e)
{
    own *o = c->own;
    char *print = c->o.resume ? fingerprint(c, o) : NULL;
    if (c->o.resume && !print)
        return mv_fail_memory(e, c->o.out);
    o->store = c->o.resume ? mv_store_open_resumable(c->o.out, print, e) : mv_store_open(c->o.out, e);
    free(print);
    if (!o->store)
        return e->code;
    for (int i = 0; i < o->sites.n; i++)
        if (mv_pattern_match(o->patterns, o->sites.name[i])) {
            if (mv_store_declare(o->store, o->sites.name[i], o->sites.site[i].nd, o->sites.site[i].dim, e))
                return e->code;
            o->sites_written++;
        }
    for (int i = 0; i < mv_store_note_count(o->store); i++)
        if (read_note(o, mv_store_note_at(o->store, i), e))
            return e->code;
    if (o->known)
        qsort(o->known_hash, (size_t)o->known, sizeof *o->known_hash, by_value);
    return MV_OK;
}

/* In a .safetensors the manifest precedes the data. So it is written at once for all the pictures that are expected,
 * and again only where some did not come. */
static mv_status expect_all(call *c, mv_error *e)
{
    own *o = c->own;
    mv_status s = MV_OK;
    for (int i = 0; i < c->list->n && !s; i++) {
        int pictures, h, w;
        char *name = mv_text_escape(c->list->path[i]);
        s = name ? input_size(&c->session, c->list->path[i], &pictures, &h, &w, e) : mv_fail_memory(e, "dump");
        for (int k = 0; !s && k < pictures; k++)
            s = add_image(o, name, k, e);
        free(name);
    }
    if (!s)
        s = write_manifest(c, e);
    forget_images(o);
    return s;
}

static mv_status keep(void *context, const char *site, mv_tensor value, mv_error *e)
{
    return mv_store_append(context, site, value.data, value.dim[0], e);
}

static void drop(own *o)
{
    mv_trace_free(o->trace);
    mv_store_discard(o->store);
    mv_sites_free(&o->sites);
    forget_images(o);
    free(o->image);
    free(o->known_hash);
    free(o->patterns);
    o->trace = NULL;
    o->store = NULL;
    o->image = NULL;
    o->known_hash = NULL;
    o->patterns = NULL;
}

/* ---- the command */

static void check(call *c)
{
    mv_store_kind kind;
    mv_error e = {0};
    if (c->operands && !c->o.out)
        die(EXIT_MISUSE,
            "dump: found no -o, expected where to write: FILE.safetensors, FILE.npz, FILE.npy or a folder, FOLDER/");
    if (c->o.out && strcmp(c->o.out, "-") == 0)
        die(EXIT_MISUSE, "-o: found '-', expected a name: FILE.safetensors, FILE.npz, FILE.npy or a folder, FOLDER/");
    if (c->o.out && mv_store_kind_of(&kind, c->o.out, "-o", &e))
        die_of(&e, true);
    if (c->o.out && mv_store_check(c->o.out, &e))
        die_of(&e, false);
    c->one_size = true;
}

static mv_status open_dump(call *c, mv_error *e)
{
    own *o = c->own;
    o->patterns = join_patterns(&o->site);
    o->expected = c->expected;
    mv_status s = o->patterns ? MV_OK : mv_fail_memory(e, "--site");
    if (!s)
        s = mv_sites_list(&o->sites, &c->session.config, o->expected, c->height, c->width, e);
    if (!s)
        s = mv_pattern_check(o->patterns, o->sites.n, o->sites.name, "--site", e);
    if (!s)
        s = open_store(c, e);
    if (!s && !c->o.resume)
        s = expect_all(c, e);
    if (!s && !(o->trace = mv_trace_new(o->patterns, keep, o->store, e)))
        s = e->code;
    if (s) {
        drop(o);
        return s;
    }
    c->probes = mv_trace_probe(o->trace);
    c->answered = answered;
    return MV_OK;
}

static mv_status batch(call *c, const shot *shots, int n, mv_error *e)
{
    own *o = c->own;
    char *note = NULL;
    size_t size;
    FILE *out = open_memstream(&note, &size);
    mv_status s = out ? MV_OK : mv_fail_memory(e, "dump");
    for (int i = 0; i < n && !s; i++) {
        s = add_image(o, shots[i].name, shots[i].index, e);
        fprintf(out, "%d %s\n", shots[i].index, shots[i].name);
        char *name = o->images ? o->image[o->images - 1].name : NULL, *bracket = name ? strrchr(name, '[') : NULL;
        if (!s && shots[i].of > 1 && shots[i].index == 0 && bracket)
            *bracket = '\0'; /* a ready input of several stands under its own name */
    }
    if (out && fclose(out) && !s)
        s = mv_fail_memory(e, "dump");
    if (!s)
        s = mv_store_checkpoint(o->store, note, e);
    free(note);
    return s;
}

static mv_status print(const call *c, const own *o, mv_error *e)
{
    char *name = mv_text_escape(c->o.out);
    mv_status s = name ? MV_OK : mv_fail_memory(e, "dump");
    if (!s && c->o.json)
        s = reply_print(json_pack("{s:s,s:i,s:i}", "output", name, "sites", o->sites_written, "pictures", o->pictures),
                        stdout, name, e);
    else if (!s && !c->o.quiet)
        printf("%s: %d site%s of %d picture%s\n", name, o->sites_written, o->sites_written == 1 ? "" : "s", o->pictures,
               o->pictures == 1 ? "" : "s");
    free(name);
    return s;
}

static mv_status close_dump(call *c, mv_error *e)
{
    own *o = c->own;
    mv_status s = MV_OK;
    bool ended = !c->stopped && !c->broken;
    if (ended && o->pictures) {
        if (o->pictures < o->expected)
            s = mv_store_shrink(o->store, o->expected, o->pictures, e);
        if (!s && (c->o.resume || o->pictures < o->expected))
            s = write_manifest(c, e);
        if (!s) {
            s = mv_store_commit(o->store, e);
            o->store = NULL;
        }
        if (!s)
            s = print(c, o, e);
    } else if (!ended && c->o.resume) {
        mv_store_suspend(o->store);
        o->store = NULL;
    }
    drop(o);
    return s;
}

static const char *const examples[] = {"dump -o features.safetensors photo.jpg",
                                       "dump --site 'levels.3.**.attn' --site head -o dump/ photos/",
                                       "dump --site '**' -o all.npz input.safetensors", NULL};

const command command_dump = {.name = "dump",
                              .operands = "IMAGE...",
                              .summary = "Writes the activations of any layer to .safetensors, .npz or .npy",
                              .params = params,
                              .size = sizeof(own),
                              .takes = TAKES_NETWORK | TAKES_PICTURES | TAKES_VALUES | TAKES_JSON,
                              .examples = examples,
                              .check = check,
                              .open = open_dump,
                              .batch = batch,
                              .close = close_dump};
