/* dump: the activations of any layer, the pictures stacked along the batch. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/gradients.h"
#include "cmd/reply.h"
#include "cmd/talk.h"
#include "cmd/value_file.h"
#include "src/base/pattern.h"
#include "src/base/text.h"

typedef struct {
    mv_param_texts site;
    bool gradient;
    gradients gradients;
    /* ---- state */
    char *patterns;
    mv_sites sites;
    value_file *file;
    mv_trace *trace;
} own;

static const mv_param params[] = {
    {.name = "site",
     .letter = 's',
     .kind = MV_PARAM_TEXTS,
     .offset = offsetof(own, site),
     .argument = "PATTERN",
     .completes = MV_COMPLETE_SITE,
     .help = "pattern of the sites to write, repeatable; levels.*,avgpool,head by default"},
    {.name = "gradient",
     .kind = MV_PARAM_FLAG,
     .offset = offsetof(own, gradient),
     .help = "write the gradient of each site too, as grad.SITE"},
    OPTIONS_GRADIENT(offsetof(own, gradients)),
    {0}};

static void check(call *c)
{
    const own *o = c->own;
    mv_store_kind kind;
    mv_error e = {0};
    const char *named = gradients_given(&o->gradients);
    if (named && !o->gradient)
        die(EXIT_MISUSE, "%s: has no effect without --gradient", named);
    gradients_check(&o->gradients);
    c->o.exact = o->gradient;
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
    c->store = c->o.out;
    c->store_option = "-o";
}

static bool answered(call *c, const char *name)
{
    own *o = c->own;
    return value_file_take(o->file, name);
}

static mv_status keep(void *store, const char *site, mv_tensor value, mv_error *e)
{
    return mv_store_append(store, site, value.data, value.dim[0], e);
}

static void free_all(own *o)
{
    mv_trace_free(o->trace);
    mv_sites_free(&o->sites);
    free(o->patterns);
}

/* The patterns "A,B" with their gradients, "A,grad.A,B,grad.B". One that begins with "grad." is of gradients alone. */
static char *with_gradients(const char *patterns)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    for (const char *p = patterns; out && *p;) {
        int n = (int)strcspn(p, ",");
        fprintf(out, "%s%.*s", p == patterns ? "" : ",", n, p);
        if (strncmp(p, "grad.", 5) != 0)
            fprintf(out, ",grad.%.*s", n, p);
        p += n + (p[n] == ',');
    }
    if (out)
        mv_text_close(out, &text);
    return text;
}

/* What is written: the patterns of --site, which must fit sites of the network. */
static mv_status choose_sites(own *o, call *c, mv_error *e)
{
    o->patterns = o->site.n ? mv_param_join(&o->site) : strdup("levels.*,avgpool,head");
    mv_status s = o->patterns ? MV_OK : mv_fail_memory(e, "--site");
    if (!s)
        s = mv_sites_list(&o->sites, &c->session.config, c->pictures, c->height, c->width, e);
    if (!s && o->gradient)
        s = mv_sites_add_gradients(&o->sites, e);
    if (!s)
        s = mv_pattern_check(o->patterns, o->sites.n, o->sites.name, "--site", e);
    if (s || !o->gradient)
        return s;
    char *both = with_gradients(o->patterns);
    free(o->patterns);
    o->patterns = both;
    if (!both)
        return mv_fail_memory(e, "--site");
    s = mv_pattern_check(both, o->sites.n, o->sites.name, "--gradient", e);
    return s ? s : gradients_open(&o->gradients, c, e);
}

static mv_status open_dump(call *c, mv_error *e)
{
    own *o = c->own;
    bool written;
    mv_status s = choose_sites(o, c, e);
    if (!s && !(o->file = value_file_open(c, o->patterns, &o->sites, e)))
        s = e->code;
    if (!s && !(o->trace = mv_trace_new(o->patterns, keep, value_file_store(o->file), e))) {
        c->broken = true;
        value_file_close(o->file, &written, e);
        s = e->code;
    }
    if (s) {
        free_all(o);
        return s;
    }
    c->probes = mv_trace_probe(o->trace);
    c->answered = answered;
    return MV_OK;
}

static mv_status batch(call *c, const shot *shots, int n, mv_error *e)
{
    own *o = c->own;
    return value_file_add(o->file, shots, n, e);
}

/* The reply, made before the output is: where there is no memory for it, nothing has been written. */
static mv_status make_reply(const call *c, const value_file *file, char **text, mv_error *e)
{
    int sites = value_file_sites(file), pictures = value_file_pictures(file);
    char *name = mv_text_escape(c->o.out);
    size_t size;
    FILE *out = name ? open_memstream(text, &size) : NULL;
    mv_status s = out ? MV_OK : mv_fail_memory(e, "dump");
    if (!s && c->o.json)
        s = reply_print(json_pack("{s:s,s:i,s:i,s:s*}", "output", name, "sites", sites, "pictures", pictures,
                                  "gradient", c->gradient),
                        out, name, e);
    else if (!s && !c->o.quiet)
        fprintf(out, "%s: %d site%s of %d picture%s%s%s\n", name, sites, sites == 1 ? "" : "s", pictures,
                pictures == 1 ? "" : "s", c->gradient ? ", gradients of the " : "", c->gradient ? c->gradient : "");
    if (out && !mv_text_close(out, text) && !s)
        s = mv_fail_memory(e, "dump");
    free(name);
    return s;
}

static mv_status close_dump(call *c, mv_error *e)
{
    own *o = c->own;
    mv_error ignored = {0};
    bool written;
    char *text = NULL;
    mv_status s = make_reply(c, o->file, &text, e);
    c->broken |= s != MV_OK;
    mv_status closed = value_file_close(o->file, &written, s ? &ignored : e);
    if (written)
        fputs(text, stdout);
    free(text);
    free_all(o);
    return s ? s : closed;
}

static const char *const examples[] = {"dump -o features.safetensors photo.jpg",
                                       "dump --site 'levels.3.**.attn' --site head -o dump/ photos/",
                                       "dump --site '**' -o all.npz input.safetensors",
                                       "dump --gradient --class church --site levels.2 -o grad.npz photo.jpg", NULL};

const command command_dump = {.name = "dump",
                              .operands = "IMAGE...",
                              .summary = "Writes activations and gradients of any layer to .safetensors, .npz or .npy",
                              .params = params,
                              .size = sizeof(own),
                              .takes = TAKES_NETWORK | TAKES_PICTURES | TAKES_VALUES | TAKES_JSON,
                              .examples = examples,
                              .check = check,
                              .open = open_dump,
                              .batch = batch,
                              .close = close_dump};
