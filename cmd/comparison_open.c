/* What `compare` does before anything runs: both sessions, the pictures, and where outputs go. */
#include <stdlib.h>
#include <string.h>

#include "cmd/comparison.h"
#include "cmd/page_file.h"
#include "cmd/photo.h"
#include "cmd/stop.h"
#include "cmd/talk.h"
#include "src/base/text.h"
#include "src/file/output.h"

/* The second side sees the same part of the picture in the same size; only its normalisation is its own. */
static void open_sessions(comparison *k)
{
    const comparison_options *o = k->o;
    call *c = k->c;
    options other = c->o;
    session_open(&c->session, &c->o);
    session_need_head(&c->session, "compare");
    k->side[0].session = k->side[1].session = &c->session;
    k->own_second = o->with_model || o->with_device || o->with_precision >= 0;
    if (!k->own_second)
        return;
    if (o->with_model) {
        other.model = o->with_model;
        other.weights = o->with_weights;
    }
    bool quiet = talk_quiet;
    talk_quiet |= !o->with_model; /* the same checkpoint again: its warnings were printed */
    session_open(&k->second, &other);
    session_need_head(&k->second, "compare");
    talk_quiet = quiet;
    k->second.again = !o->with_model;
    const mv_preprocess *p = &c->session.config.preprocess;
    mv_preprocess *q = &k->second.config.preprocess;
    q->h = p->h, q->w = p->w, q->crop_pct = p->crop_pct, q->mode = p->mode, q->filter = p->filter;
    k->side[1].session = &k->second;
}

static void load_sessions(comparison *k)
{
    options other = k->c->o;
    session_load(&k->c->session, &k->c->o);
    if (!k->own_second)
        return;
    other.model = k->o->with_model ? k->o->with_model : other.model;
    other.device = k->o->with_device ? k->o->with_device : other.device;
    other.precision = k->o->with_precision >= 0 ? k->o->with_precision : other.precision;
    session_load(&k->second, &other);
}

/* Two pictures are the two sides, unless something else makes the second one. */
static void list_pictures(comparison *k)
{
    const comparison_options *o = k->o;
    call *c = k->c;
    mv_error e = {0};
    if (!operands_of(&k->list, c->operands, c->operand))
        die(EXIT_FAILED, "compare: found a folder that cannot be read, expected all pictures");
    for (int i = 0; i < k->list.n; i++) {
        int pictures, h, w;
        if (input_size(&c->session, k->list.path[i], &pictures, &h, &w, &e))
            die(EXIT_FAILED, "%s%s", e.text,
                mv_text_ends_in(k->list.path[i], ".safetensors")
                    ? " (a model is compared by -m MODEL --with-model MODEL IMAGE)"
                    : "");
        k->pictures += pictures;
    }
    k->two = !o->other || (o->with_class && !k->own_second && k->pictures == 2 && !o->dump);
    if (!o->other && k->pictures == 1)
        die(EXIT_MISUSE, "compare: found one picture, expected two, or another side: --with-model, --with-class, "
                         "--with-precision, --with-device or --dump");
    bool single = !k->two && !o->values && !o->with_model;
    if (k->two && (k->pictures != 2 || k->list.n != 2))
        die(EXIT_MISUSE, "compare: found %d pictures in %d operands, expected two, a picture each", k->pictures,
            k->list.n);
    if (single && k->pictures != 1)
        die(EXIT_MISUSE, "compare: found %d pictures, expected one for two classes, devices or precisions",
            k->pictures);
    k->counts_blocks = o->with_model && !o->values;
    if (k->counts_blocks && k->pictures > MV_CKA_MOST)
        die(EXIT_MISUSE, "compare: found %d pictures, expected at most %d for CKA", k->pictures, MV_CKA_MOST);
}

static void claim_inputs(const comparison *k, claims *files)
{
    claims_read_operands(files, &k->list);
    claims_read(files, "a file of --dump", k->o->dump);
    claims_read_model(files, k->c->session.files);
    if (k->own_second)
        claims_read_model(files, k->second.files);
}

/* The page and the numbers are called after the first picture. */
static void choose_destinations(comparison *k)
{
    static const char *const page_endings[] = {".png", ".svg", ".pdf", NULL}, *const raw_endings[] = {".safetensors",
                                                                                                      NULL};
    call *c = k->c;
    claims *files = claims_new();
    destination page = {.option = "-o",
                        .out = c->o.out,
                        .suffix = "-compare",
                        .ending = page_endings[page_format(&c->o)],
                        .endings = page_endings,
                        .what = "page",
                        .may_be_stdout = true};
    destination raw = {.option = "--raw",
                       .out = c->raw,
                       .suffix = "-compare",
                       .ending = ".safetensors",
                       .endings = raw_endings,
                       .what = "file"};
    destination *all[] = {c->wants_page ? &page : NULL, c->wants_raw ? &raw : NULL};
    char **path[] = {&k->page, &k->raw};
    mv_error e = {0};
    operands first = {.n = 1, .path = k->list.path, .below = k->list.below};
    for (int i = 0; i < 2; i++) {
        if (!all[i])
            continue;
        destination_check(all[i], &first, 1);
        *path[i] = must(destination_path(all[i], &first, 0, 0, 1));
        destination_claim(all[i], &first, 1, files);
    }
    claim_inputs(k, files);
    claims_end(files);
    if (c->wants_page)
        page_check_name(c, page.to_stdout, page.folder);
    for (int i = 0; i < 2; i++)
        if (all[i] && destination_make_folders(all[i], *path[i], &e))
            die_of(&e, false);
}

void comparison_open(comparison *k)
{
    call *c = k->c;
    mv_error e = {0};
    open_sessions(k);
    list_pictures(k);
    choose_destinations(k);
    options_refuse_preparing(c, &k->list);
    if (k->o->dump && !(k->dump = mv_arrays_open(k->o->dump, &e)))
        die(EXIT_FAILED, "--dump: %s", e.text);
    stop_watch(true);
    k->inputs = inputs_new(&c->session, &k->list, (input_options){.picture = photo_options(c), .threads = 1}, &e);
    if (!k->inputs)
        die_of(&e, false);
    load_sessions(k);
    session_hash(&c->session);
    if (k->own_second)
        session_hash(&k->second);
}
