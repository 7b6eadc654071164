#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/options.h"
#include "cmd/pictures.h"
#include "src/file/store.h"
#include "src/run/trace.h"

static char **site_text;
static int batch = 8;

static struct poptOption own[] = {{"site", 's', POPT_ARG_ARGV, &site_text, 0,
                                   "sites to write, a pattern; may be given again; levels.*,avgpool,head if left out",
                                   "PATTERN"},
                                  {"batch", 'b', POPT_ARG_INT, &batch, 0, "pictures a pass; 8 if left out", "N"},
                                  POPT_TABLEEND};

static const struct poptOption options[] = {OPTIONS_INCLUDE(own, "Options"),
                                            OPTIONS_INCLUDE(options_model, "Model and device"),
                                            OPTIONS_INCLUDE(options_picture, "Pictures"),
                                            OPTIONS_INCLUDE(options_output, "Output"),
                                            OPTIONS_INCLUDE(options_talk, "General"),
                                            POPT_TABLEEND};

/* All --site patterns as one list */
static char *patterns_given(void)
{
    size_t n = 1;
    for (char **p = site_text; p && *p; p++)
        n += strlen(*p) + 1;
    char *all = site_text ? calloc(1, n) : strdup("levels.*,avgpool,head");
    if (!all)
        die(EXIT_FAILED, "out of memory");
    for (char **p = site_text; p && *p; p++) {
        if (p > site_text)
            strcat(all, ",");
        strcat(all, *p);
    }
    return all;
}

static mv_status keep(void *context, const char *site, mv_tensor value, mv_error *e)
{
    return mv_store_append(context, site, value.data, value.dim[0], e);
}

static void done(void *context, const picture *p, int at, const float *logits)
{
    (void)p, (void)at, (void)logits;
    ++*(int *)context;
}

/* What was written, from what, and how: enough to make it again. */
static char *manifest(session *s, const operands *o, const int *pictures, const mv_sites *sites, const char *patterns)
{
    const mv_preprocess *p = &s->config.preprocess;
    json_t *files = json_array(), *list = json_object();
    for (int i = 0; i < o->n; i++)
        json_array_append_new(files, json_pack("{s:s,s:i}", "image", o->path[i], "pictures", pictures[i]));
    for (int i = 0; i < sites->n; i++)
        if (mv_pattern_match(patterns, sites->name[i])) {
            json_t *shape = json_array();
            for (int d = 0; d < sites->site[i].nd; d++)
                json_array_append_new(shape, json_integer(sites->site[i].dim[d]));
            json_object_set_new(list, sites->name[i], shape);
        }
    json_t *all = json_pack("{s:s,s:{s:s,s:s},s:s,s:s,s:s,s:{s:[i,i],s:f,s:s,s:[f,f,f],s:[f,f,f],s:b},s:o,s:o}",
                            "software", "mvscope " MV_VERSION, "model", "name", s->name, "sha256", session_hash(s),
                            "device", session_device(s), "about", s->backend->about, "precision", session_precision(s),
                            "preprocess", "size", p->h, p->w, "crop_pct", p->crop_pct, "crop_mode",
                            mv_crop_mode_name(p->mode), "mean", (double)p->mean[0], (double)p->mean[1],
                            (double)p->mean[2], "std", (double)p->std[0], (double)p->std[1], (double)p->std[2], "exif",
                            !picture_choice.no_exif, "images", files, "sites", list);
    char *text = all ? json_dumps(all, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    if (!text)
        die(EXIT_FAILED, "manifest: out of memory, or a name that is not UTF-8");
    json_decref(all);
    return text;
}

static void print_json(int sites, int pictures)
{
    json_t *line = json_pack("{s:s,s:i,s:i}", "output", shared.out, "sites", sites, "pictures", pictures);
    char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
    if (!text)
        die(EXIT_FAILED, "%s: out of memory, or a name that is not UTF-8", shared.out);
    puts(text);
    free(text);
    json_decref(line);
}

static int run(int n, const char **words)
{
    if (n == 0)
        die(EXIT_MISUSE, "dump: found no picture, expected at least one (mvscope dump --help)");
    if (!shared.out)
        die(EXIT_MISUSE,
            "dump: found no -o, expected where to write: FILE.safetensors, FILE.npz, FILE.npy or FOLDER/");
    if (strcmp(shared.out, "-") == 0)
        die(EXIT_MISUSE, "-o: found '-', expected a name: FILE.safetensors, FILE.npz, FILE.npy or FOLDER/");
    if (batch < 1 || batch > 4096)
        die(EXIT_MISUSE, "-b: found %d, expected 1 to 4096", batch);
    session s;
    mv_error e = {0};
    mv_store_kind kind;
    if (mv_store_kind_of(&kind, shared.out, "-o", &e))
        die(EXIT_MISUSE, "%s", e.text);
    if (mv_store_check(shared.out, &e))
        die_of(&e);
    mv_sites sites;
    char *patterns = patterns_given();
    session_open(&s);
    operands o = operands_of(n, words);
    int *pictures = calloc((size_t)o.n, sizeof *pictures), all = 0, h = 0, w = 0;
    if (!pictures)
        die(EXIT_FAILED, "out of memory");
    for (int i = 0; i < o.n; i++) { /* all of one size, as they are stacked */
        int ih, iw;
        picture_size(&s, o.path[i], &pictures[i], &ih, &iw);
        if (i && (ih != h || iw != w))
            die(EXIT_FAILED, "%s: found an input of %dx%d, expected %dx%d as those before: a dump stacks its pictures",
                o.path[i], ih, iw, h, w);
        h = ih, w = iw, all += pictures[i];
    }
    if (mv_sites_list(&sites, &s.config, all, h, w, &e) ||
        mv_pattern_check(patterns, sites.n, sites.name, "--site", &e))
        die_of(&e);
    inputs *read = inputs_new(&s, &o);
    session_load(&s);
    char *text = manifest(&s, &o, pictures, &sites, patterns);
    mv_store *store = mv_store_open(shared.out, &e);
    if (!store)
        die_of(&e);
    int sites_written = 0;
    for (int i = 0; i < sites.n && !e.code; i++)
        if (mv_pattern_match(patterns, sites.name[i])) {
            mv_store_declare(store, sites.name[i], sites.site[i].nd, sites.site[i].dim, &e);
            sites_written++;
        }
    if (!e.code)
        mv_store_meta(store, "manifest", text, &e);
    mv_trace *trace = e.code ? NULL : mv_trace_new(patterns, keep, store, &e);
    int seen = 0, status = EXIT_FAILED;
    if (trace)
        status = pictures_run(&s, read, batch < all ? batch : all, mv_trace_probe(trace), false, NULL, done, &seen);
    if (e.code || status)
        mv_store_discard(store);
    else
        mv_store_commit(store, &e);
    if (e.code) {
        complain("%s", e.text);
        status = EXIT_FAILED;
    } else if (!status && shared.json)
        print_json(sites_written, seen);
    else if (!status && !talk_quiet)
        printf("%s: %d site%s of %d picture%s\n", shared.out, sites_written, sites_written == 1 ? "" : "s", seen,
               seen == 1 ? "" : "s");
    free(text);
    free(patterns);
    free(pictures);
    mv_trace_free(trace);
    mv_sites_free(&sites);
    inputs_free(read);
    operands_free(&o);
    session_close(&s);
    return status;
}

static const char *const examples[] = {"dump -o features.safetensors photo.jpg",
                                       "dump --site 'levels.3.**.attn' --site head -o dump/ photos/",
                                       "dump --site '**' -o all.npz input.safetensors", NULL};

const command cmd_dump = {"dump",  "IMAGE...", "Writes the activations of any layer to .safetensors, .npz or .npy",
                          options, examples,   run};
