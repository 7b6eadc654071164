#include "cmd/edit_words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/inputs.h"
#include "cmd/photo.h"
#include "cmd/stop.h"
#include "src/base/pattern.h"
#include "src/base/text.h"
#include "src/file/arrays.h"
#include "src/run/run.h"
#include "src/run/trace.h"

static const char expected[] = "SITE=zero, mean, noise[:scale=X,seed=N], original, FILE.npy, FILE.npz, FOLDER/ or "
                               "FILE.safetensors[:NAME], or SITE@PICTURE";

/* ---- the parts of an edit */

typedef enum { ZERO, MEAN, NOISE, ORIGINAL, FROM_FILE, PICTURE } what;

typedef struct {
    double scale;
    int seed;
} noise;

static const mv_param noise_params[] = {{.name = "scale",
                                         .kind = MV_PARAM_NUMBER,
                                         .offset = offsetof(noise, scale),
                                         .least = 0,
                                         .most = 1000,
                                         .otherwise = "1",
                                         .help = "standard deviations of the value"},
                                        {.name = "seed",
                                         .kind = MV_PARAM_INTEGER,
                                         .offset = offsetof(noise, seed),
                                         .least = 0,
                                         .most = 2147483647,
                                         .otherwise = "0",
                                         .help = "another seed gives other noise"},
                                        {0}};

typedef struct {
    what kind;
    char *site;  /* the pattern and the index */
    char *index; /* in site: "[head=3]", or empty; the pattern ends where it begins */
    char *file;  /* or the picture */
    char *array; /* in file: the array's name; NULL: none */
    noise noise;
} parts;

static void parts_free(parts *p)
{
    free(p->site);
    free(p->file);
}

/* The '=' or '@' that ends the site: the first one outside brackets. NULL: none. */
static const char *operator_of(const char *text)
{
    for (int depth = 0; *text; text++) {
        depth += *text == '[' ? 1 : *text == ']' ? -1 : 0;
        if (depth == 0 && (*text == '=' || *text == '@'))
            return text;
    }
    return NULL;
}

static bool is_file(const char *path)
{
    size_t n = strlen(path);
    return mv_text_ends_in(path, ".npy") || mv_text_ends_in(path, ".npz") || mv_text_ends_in(path, ".safetensors") ||
           (n > 0 && path[n - 1] == '/');
}

/* Cuts ":NAME" off the file. */
static void split_array(parts *p)
{
    if (is_file(p->file))
        return;
    for (char *at = strrchr(p->file, ':'); at; at = NULL) {
        *at = '\0';
        if (is_file(p->file) && at[1])
            p->array = at + 1;
        else
            *at = ':';
    }
}

static mv_status parse_noise(parts *p, const char *value, const char *place, mv_error *e)
{
    const char *colon = strchr(value, ':');
    p->kind = NOISE;
    mv_param_defaults(&p->noise, noise_params);
    if (!colon)
        return MV_OK;
    char *copy = malloc(strlen(colon)), where[64];
    if (!copy)
        return mv_fail_memory(e, place);
    snprintf(where, sizeof where, "%.40s: noise", place);
    mv_status s = mv_param_parse(&p->noise, noise_params, colon + 1, copy, where, e);
    free(copy);
    return s;
}

/* What stands after the '='. */
static mv_status parse_value(parts *p, const char *text, const char *value, const char *place, mv_error *e)
{
    static const char *const words[] = {[ZERO] = "zero", [MEAN] = "mean", [ORIGINAL] = "original"};
    for (int i = ZERO; i <= ORIGINAL; i++)
        if (words[i] && strcmp(value, words[i]) == 0) {
            p->kind = (what)i;
            return MV_OK;
        }
    if (strcmp(value, "noise") == 0 || strncmp(value, "noise:", 6) == 0)
        return parse_noise(p, value, place, e);
    p->kind = FROM_FILE;
    p->file = strdup(value);
    if (!p->file)
        return mv_fail_memory(e, place);
    split_array(p);
    if (!is_file(p->file))
        return mv_fail(e, MV_EINPUT, "%s: found '%.100s', expected %s", place, text, expected);
    return MV_OK;
}

static mv_status parse(parts *p, const char *text, const char *place, mv_error *e)
{
    const char *at = operator_of(text);
    *p = (parts){0};
    if (!at || at == text || !at[1] || strcmp(at, "@-") == 0)
        return mv_fail(e, MV_EINPUT, "%s: found '%.100s', expected %s", place, text, expected);
    p->site = strndup(text, (size_t)(at - text));
    if (!p->site)
        return mv_fail_memory(e, place);
    p->index = strrchr(p->site, '[');
    if (!p->index || !strchr(p->index, '='))
        p->index = p->site + strlen(p->site);
    if (*at == '=')
        return parse_value(p, text, at + 1, place, e);
    p->kind = PICTURE;
    p->file = strdup(at + 1);
    return p->file ? MV_OK : mv_fail_memory(e, place);
}

/* The site with its index, as mv_edits_add takes it: mv_edits_add reports what is wrong with it. */
mv_status edit_words_check(const char *text, const char *place, mv_error *e)
{
    parts p;
    mv_status s = parse(&p, text, place, e);
    mv_edits *ed = s ? NULL : mv_edits_new(e);
    if (ed)
        s = mv_edits_add(ed, p.site, MV_EDIT_ZERO, (mv_tensor){0}, e);
    else if (!s)
        s = e->code;
    mv_edits_free(ed);
    parts_free(&p);
    return s;
}

char *edit_words_file(const char *text, mv_error *e)
{
    parts p;
    char *file = NULL;
    if (!parse(&p, text, "--set", e)) {
        file = p.file;
        p.file = NULL;
    }
    parts_free(&p);
    return file;
}

/* ---- adding an edit */

/* Adds the values of one site. */
static mv_status add_values(mv_edits *ed, const parts *p, const char *site, mv_tensor values, const char *place,
                            mv_error *e)
{
    char text[256];
    char shape[64];
    size_t bad = mv_first_not_finite(values.data, mv_tensor_count(values));
    if (bad < mv_tensor_count(values))
        return mv_fail(e, MV_EINPUT, "%s: element %zu of %s (%s) is %f, expected finite numbers", place, bad, site,
                       mv_shape_text(shape, values.nd, values.dim), (double)((float *)values.data)[bad]);
    snprintf(text, sizeof text, "%.160s%.80s", site, p->index);
    return mv_edits_add(ed, text, MV_EDIT_VALUES, values, e);
}

/* Reads what the file holds for one site. */
static mv_status read_site(mv_edits *ed, const parts *p, mv_arrays *a, const mv_site *site, mv_error *e)
{
    const char *name = p->array ? p->array : site->name;
    char *safe = mv_text_escape(name), have[64], want[64];
    int i = mv_arrays_is_one(a) && !p->array ? 0 : mv_arrays_lookup(a, name);
    mv_tensor t = {0};
    mv_status s = safe ? MV_OK : mv_fail_memory(e, p->file);
    if (!s && i < 0)
        s = mv_fail(e, MV_EINPUT, "%s: found no array '%.100s'%s", p->file, safe,
                    p->array ? "" : ", expected one of the site's name, or FILE:NAME");
    if (!s)
        s = mv_arrays_shape(a, i, &t, e);
    bool fits = t.nd == site->nd && t.dim[0] > 0 && site->dim[0] % t.dim[0] == 0;
    for (int d = 1; !s && fits && d < site->nd; d++)
        fits = t.dim[d] == site->dim[d];
    if (!s && !fits)
        s = mv_fail(e, MV_EINPUT, "%s: '%.100s' is %s, expected %s, the shape of %s for one picture", p->file, safe,
                    t.nd ? mv_shape_text(have, t.nd, t.dim) : "a single number",
                    mv_shape_text(want, site->nd, site->dim), site->name);
    size_t n = fits ? mv_tensor_count(t) : 0;
    t.type = MV_F32;
    t.data = s ? NULL : malloc(n * sizeof(float));
    if (!s && !t.data)
        s = mv_fail_memory(e, p->file);
    if (!s)
        s = mv_arrays_read(a, i, 0, n, t.data, e);
    if (!s)
        s = add_values(ed, p, site->name, t, p->file, e);
    free(t.data);
    free(safe);
    return s;
}

static mv_status add_file(mv_edits *ed, const parts *p, const char *patterns, const mv_sites *sites, mv_error *e)
{
    mv_arrays *a = mv_arrays_open(p->file, e);
    mv_status s = a ? MV_OK : e->code;
    for (int i = 0; i < sites->n && !s; i++)
        if (mv_pattern_match(patterns, sites->name[i]))
            s = read_site(ed, p, a, &sites->site[i], e);
    mv_arrays_close(a);
    return s;
}

/* What another picture shows the network; the caller's to free. */
static mv_status read_planes(const call *c, const char *path, int h, int w, float **out, mv_error *e)
{
    input in;
    size_t n = (size_t)3 * (size_t)h * (size_t)w;
    *out = NULL;
    if (input_read(&c->session, path, (input_options){.picture = photo_options(c), .threads = 1}, &in, e))
        return e->code;
    mv_status s = MV_OK;
    if (in.pictures != 1)
        s = mv_fail(e, MV_EINPUT, "%s: found %d pictures, expected one", path, in.pictures);
    else if (in.h != h || in.w != w)
        s = mv_fail(e, MV_EINPUT, "%s: is %dx%d pixels, expected %dx%d as the pictures", path, in.h, in.w, h, w);
    else if (!(*out = malloc(n * sizeof **out)))
        s = mv_fail_memory(e, path);
    else if (in.planes)
        memcpy(*out, in.planes, n * sizeof **out);
    else
        mv_preprocess_normalise(&c->session.config.preprocess, &in.image, *out);
    input_free(&in);
    return s;
}

static mv_status add_picture(const call *c, mv_edits *ed, const parts *p, const char *patterns, int h, int w,
                             mv_error *e)
{
    float *planes;
    mv_status s = read_planes(c, p->file, h, w, &planes, e);
    mv_trace *t = s ? NULL : mv_trace_new(patterns, NULL, NULL, e);
    mv_run *r = t ? mv_run_new(c->session.model, h, w, 1, mv_trace_probe(t), e) : NULL;
    if (r)
        mv_run_stop_when(r, stop_asked);
    if (!s)
        s = r ? mv_run_forward(r, planes, 1, NULL, e) : e->code;
    for (int i = 0; t && i < mv_trace_count(t) && !s; i++)
        s = add_values(ed, p, mv_trace_name_at(t, i), mv_trace_at(t, i), p->file, e);
    mv_run_free(r);
    mv_trace_free(t);
    free(planes);
    return s;
}

mv_status edit_words_add(call *c, mv_edits *ed, const char *text, int h, int w, const mv_sites *sites, mv_error *e)
{
    parts p;
    mv_status s = parse(&p, text, "--set", e);
    char *patterns = s ? NULL : strndup(p.site, (size_t)(p.index - p.site));
    if (!s && !patterns)
        s = mv_fail_memory(e, "--set");
    if (!s)
        s = mv_pattern_check(patterns, sites->n, sites->name, "--set", e);
    if (!s && p.kind == FROM_FILE)
        s = add_file(ed, &p, patterns, sites, e);
    else if (!s && p.kind == PICTURE)
        s = add_picture(c, ed, &p, patterns, h, w, e);
    else if (!s && p.kind == NOISE)
        s = mv_edits_add_noise(ed, p.site, (uint64_t)p.noise.seed, p.noise.scale, e);
    else if (!s)
        s = mv_edits_add(ed, p.site,
                         p.kind == ZERO   ? MV_EDIT_ZERO
                         : p.kind == MEAN ? MV_EDIT_MEAN
                                          : MV_EDIT_ORIGINAL,
                         (mv_tensor){0}, e);
    free(patterns);
    parts_free(&p);
    return s ? s : mv_edits_check(ed, sites, e);
}

/* ---- for people */

/* What a part of a block is called; attention: other words for the same name. */
static const char *leaf_words(const char *leaf, bool attention)
{
    static const struct {
        const char *leaf, *words;
    } words[] = {{"", "the output"},
                 {"mlp", "the MLP"},
                 {"norm1", "the first norm"},
                 {"norm2", "the second norm"},
                 {"mixer.x", "the scan's input"},
                 {"mixer.y", "the scan"},
                 {"mixer.z", "the local branch"},
                 {"mixer.dt", "the step size"},
                 {"mixer.B", "B"},
                 {"mixer.C", "C"},
                 {"mixer.h", "the state"},
                 {"mixer.q", "the queries"},
                 {"mixer.k", "the keys"},
                 {"mixer.v", "the values"},
                 {"mixer.attn", "the attention"}};
    if (strcmp(leaf, "mixer") == 0)
        return attention ? "attention" : "the mixer";
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(leaf, words[i].leaf) == 0)
            return words[i].words;
    return NULL;
}

/* "the scan of level 2 block 0", "head 3 of level 2 block 4"; the text itself where there are no words for it. */
static void say_site(const mv_config *config, const char *site, char out[160])
{
    int level, block, end = 0, n = 0, m = 0;
    char name[128], index[64] = "";
    size_t cut = strcspn(site, "[");
    bool plain = strpbrk(site, "*?,[") == NULL || (site[cut] && strchr(site + cut, '=') && !strpbrk(site, "*?"));
    snprintf(name, sizeof name, "%.*s", (int)(cut < 120 ? cut : 120), site);
    const char *open = site + cut;
    if (sscanf(open, "[head=%d]", &n) == 1)
        snprintf(index, sizeof index, "head %d of ", n);
    else if (sscanf(open, "[channel=%d]", &n) == 1)
        snprintf(index, sizeof index, "channel %d of ", n);
    else if (sscanf(open, "[token=%d]", &n) == 1)
        snprintf(index, sizeof index, "token %d of ", n);
    else if (sscanf(open, "[cell=%d,%d]", &n, &m) == 2)
        snprintf(index, sizeof index, "cell %d,%d of ", n, m);
    const char *words = NULL;
    bool inside = plain && sscanf(name, "levels.%d.blocks.%d%n", &level, &block, &end) == 2 && level >= 0 &&
                  level < MV_LEVELS && (name[end] == '.' || !name[end]);
    if (inside && level < 2)
        words = strcmp(name + end, ".norm2") == 0 ? "block" : NULL;
    else if (inside)
        words = leaf_words(name[end] ? name + end + 1 : "", mv_config_attends(config->depth[level], block));
    bool head = words && strncmp(index, "head", 4) == 0 &&
                (strcmp(words, "the values") == 0 || strcmp(words, "the attention") == 0);
    if (words && strcmp(words, "block") == 0)
        snprintf(out, 160, "%sblock %d of level %d", index, block, level);
    else if (head)
        snprintf(out, 160, "%slevel %d block %d", index, level, block);
    else if (words)
        snprintf(out, 160, "%s%s of level %d block %d", index, words, level, block);
    else
        snprintf(out, 160, "%.59s%.100s", index, *index ? name : site);
}

const char *edit_words_say(const mv_config *config, const char *text, char out[EDIT_WORDS])
{
    parts p;
    char place[160];
    if (parse(&p, text, "--set", NULL)) {
        snprintf(out, EDIT_WORDS, "With %.200s", text);
        parts_free(&p);
        return out;
    }
    say_site(config, p.site, place);
    char *base = p.file ? mv_text_escape(mv_text_base_name(p.file)) : NULL;
    const char *file = base && *base ? base : p.file ? "a folder" : "";
    switch (p.kind) {
    case ZERO: snprintf(out, EDIT_WORDS, "Without %s", place); break;
    case MEAN: snprintf(out, EDIT_WORDS, "With the mean in place of %s", place); break;
    case NOISE: snprintf(out, EDIT_WORDS, "With noise on %s", place); break;
    case ORIGINAL: snprintf(out, EDIT_WORDS, "With %s left as it is", place); break;
    case FROM_FILE:
    case PICTURE: mv_text_print(out, EDIT_WORDS, "With %s from %.60s", place, file); break;
    }
    free(base);
    parts_free(&p);
    return out;
}
