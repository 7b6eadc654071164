#include "cmd/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/batches.h"
#include "cmd/destination.h"
#include "cmd/index_file.h"
#include "cmd/inputs.h"
#include "cmd/page_file.h"
#include "cmd/photo.h"
#include "cmd/resume.h"
#include "cmd/stop.h"
#include "cmd/talk.h"
#include "src/base/text.h"
#include "src/file/output.h"

typedef struct {
    call *c;
    operands o;
    destinations to;
    inputs *inputs;
    batches *batches;
    results known; /* what an earlier run has printed */
    bool *quiet;   /* with --resume: for each operand, whether its line was printed and its files are missing */
} stream;

/* Pictures of the operands before the i-th. */
static int pictures_before(const operands *o, int i)
{
    int n = 0;
    for (int k = 0; k < i; k++)
        n += operand_pictures(o, k);
    return n;
}

/* ---- before anything runs */

static const char *const html_endings[] = {".html", NULL}, *const page_endings[] = {".png", ".svg", ".pdf", NULL},
                         *const film_endings[] = {".png", ".gif", NULL},
                         *const overlay_endings[] = {".png", ".jpg", ".jpeg", NULL},
                         *const raw_endings[] = {".npy", ".safetensors", NULL};

/* Reads how many pictures each ready input holds. One that cannot be read counts as one, and fails in its turn. */
static void count_pictures(stream *s)
{
    operands *o = &s->o;
    for (int i = 0; i < o->n; i++) {
        int pictures, h, w;
        mv_error e = {0};
        if (!operand_is_ready(o->path[i]))
            continue;
        if (!o->pictures) {
            o->pictures = must(malloc((size_t)o->n * sizeof *o->pictures));
            for (int k = 0; k < o->n; k++)
                o->pictures[k] = 1;
        }
        if (!input_size(&s->c->session, o->path[i], &pictures, &h, &w, &e))
            o->pictures[i] = pictures;
    }
}

static void list_pictures(stream *s)
{
    call *c = s->c;
    if (c->operands == 0)
        die(EXIT_MISUSE, "%s: found no picture, expected at least one (mvscope %s --help)", c->command->name,
            c->command->name);
    c->incomplete = !operands_of(&s->o, c->operands, c->operand);
    if (s->o.n == 0 && c->incomplete) /* nothing that could be read, which was said */
        exit(EXIT_FAILED);
    if (c->command->list)
        c->command->list(c, &s->o);
    operands_shard(&s->o, c->o.shard);
    count_pictures(s);
    c->pictures = pictures_before(&s->o, s->o.n);
    if (s->o.n == 0 && !c->journal) { /* a journal without pictures is what joining all parts needs */
        if (c->o.verbose || c->command->takes & TAKES_VALUES) /* a missing output must not surprise */
            warn("--shard %d/%d: this part holds no picture", c->o.shard.i, c->o.shard.n);
        exit(EXIT_DONE);
    }
    c->list = &s->o;
}

static void check_destinations(stream *s, char suffix[64])
{
    call *c = s->c;
    snprintf(suffix, 64, "-%s", c->command->name);
    s->to.page = (destination){.option = "-o",
                               .out = c->o.out,
                               .suffix = suffix,
                               .ending = c->html ? *html_endings : page_endings[page_format(&c->o)],
                               .endings = c->html ? html_endings : page_endings,
                               .what = "page",
                               .may_be_stdout = true,
                               .together = c->o.sheet ? c->o.sheet : c->together,
                               .sheet = c->o.sheet};
    s->to.raw = (destination){.option = "--raw",
                              .out = c->raw,
                              .suffix = "",
                              .ending = ".safetensors",
                              .endings = raw_endings,
                              .what = "file"};
    if (c->wants_page)
        destination_check(&s->to.page, &s->o, c->pictures);
    c->pages = &s->to.page;
    c->joined = c->wants_page && (c->o.sheet || (c->together && !s->to.page.folder && c->pictures > 1));
    if (c->o.sheet && !c->wants_page)
        die(EXIT_MISUSE, "--sheet: has no effect without pages; -o writes them");
    if (c->o.sheet && c->o.shard.n)
        die(EXIT_MISUSE, "--sheet: found --shard, too; the pages of each part would have the same numbers");
    s->to.film = (destination){.option = "--animate",
                               .out = c->film,
                               .suffix = "-scan",
                               .ending = ".png",
                               .endings = film_endings,
                               .what = "film"};
    s->to.overlay = (destination){.option = "--overlay",
                                  .out = c->o.overlay,
                                  .suffix = "",
                                  .ending = "", /* names go on with the method and the class */
                                  .endings = overlay_endings,
                                  .what = "overlay",
                                  .several = true};
    if (c->wants_raw)
        destination_check(&s->to.raw, &s->o, c->pictures);
    if (c->wants_film)
        destination_check(&s->to.film, &s->o, c->pictures);
    if (c->wants_overlay)
        destination_check(&s->to.overlay, &s->o, c->pictures);
    if (c->wants_page)
        page_check_name(c, s->to.page.to_stdout, s->to.page.folder);
}

/* All operands must be of one size. One that cannot be read has any: its own read reports it. */
static void measure(const stream *s)
{
    call *c = s->c;
    bool known = false;
    for (int i = 0; c->one_size && i < s->o.n; i++) {
        int pictures, h, w;
        bool good = input_size(&c->session, s->o.path[i], &pictures, &h, &w, NULL) == MV_OK;
        if (good && known && (h != c->height || w != c->width))
            die(EXIT_FAILED, "%s: found an input of %dx%d, expected %dx%d as those before; call %s once for each size",
                s->o.path[i], h, w, c->height, c->width, c->command->name);
        if (!known)
            c->height = h, c->width = w;
        known |= good;
    }
}

static bool writes_index(const stream *s)
{
    const call *c = s->c;
    return c->indexed && c->wants_page && !c->joined && c->o.out && s->to.page.folder &&
           (c->pictures > 1 || c->o.shard.n > 1);
}

/* No file that is written is one that is read, or another one. */
static void check_files(const stream *s)
{
    call *c = s->c;
    claims *k = claims_new();
    char *index = writes_index(s) ? must(index_file_path(c)) : NULL;
    claims_read_operands(k, &s->o);
    claims_read_model(k, c->session.files);
    if (c->command->claim)
        c->command->claim(c, k);
    if (c->wants_page)
        destination_claim(&s->to.page, &s->o, c->pictures, k);
    if (c->wants_raw)
        destination_claim(&s->to.raw, &s->o, c->pictures, k);
    if (c->wants_film)
        destination_claim(&s->to.film, &s->o, c->pictures, k);
    if (c->wants_overlay)
        destination_claim(&s->to.overlay, &s->o, c->pictures, k);
    claims_write_store(k, c->store_option, c->store);
    claims_write(k, "the index of pages", index);
    free(index);
    claims_check(k);
    if (c->wants_overlay && s->to.overlay.folder)
        c->claims = k;
    else
        claims_free(k);
}

static void check_resume(const stream *s)
{
    const call *c = s->c;
    if (c->o.resume && s->to.page.to_stdout)
        die(EXIT_MISUSE, "--resume: has no effect on a page on standard output");
    if (c->o.resume && c->wants_overlay && !c->wants_page && !(c->o.json && results_are_kept()))
        die(EXIT_MISUSE, "--resume: names of overlays hold the class, which is not known before; pages, or --json "
                         "appended to a file (>> FILE), say what is done");
    if (c->o.resume && c->o.sheet)
        die(EXIT_MISUSE,
            "--resume: has no effect on pages of several pictures; without --sheet a folder gets a page for "
            "each, which --resume can go on with");
    if (c->o.resume && c->joined)
        die(EXIT_MISUSE, "--resume: a page of several pictures is drawn whole; a folder gets a page for each, which "
                         "--resume can go on with");
    if (c->o.resume && !c->journal && !c->wants_page && !c->wants_raw && !c->wants_film &&
        !(c->o.json && results_are_kept()) && !(c->command->takes & TAKES_VALUES))
        die(EXIT_MISUSE, "--resume: found nothing to resume, expected pages, or --json appended to a file: >> FILE");
}

/* The batch size, at most the number of pictures, so that no unused memory is allocated. */
static int batch_size(const stream *s)
{
    for (int i = 0; i < s->o.n; i++)
        if (operand_is_ready(s->o.path[i])) /* may hold any number */
            return s->c->o.batch;
    return s->c->o.batch < s->o.n ? s->c->o.batch : s->o.n > 0 ? s->o.n : 1;
}

static input_options decoding(const call *c)
{
    return (input_options){.picture = photo_options(c), .threads = threads_of(&c->o), .keep = c->wants_photo};
}

/* Do the parameters of the asks fit the network, and their maps the file? */
static mv_status check_asks(const stream *s, mv_error *e)
{
    const call *c = s->c;
    const mv_preprocess *p = &c->session.config.preprocess;
    int pictures, h = p->h, w = p->w;
    if (c->asks == 0)
        return MV_OK;
    if (operand_is_ready(s->o.path[0]) && input_size(&c->session, s->o.path[0], &pictures, &h, &w, NULL))
        return MV_OK; /* the picture's own read reports it */
    mv_explainer *x = mv_explainer_new(c->ask, c->asks, &c->session.config, h, w, e);
    int maps = x ? mv_explainer_maps(x) : 0;
    mv_explainer_free(x);
    if (x && c->wants_raw && maps != 1 && mv_text_ends_in(c->raw, ".npy"))
        return mv_fail(
            e, MV_EINPUT,
            "%s: found %d maps, expected one, as a .npy holds one array; choose one by the options, or write "
            "a .safetensors",
            c->raw, maps);
    if (c->overlay_asks)
        maps = __builtin_popcount(c->overlay_asks);
    if (x && c->wants_overlay && !s->to.overlay.folder && maps != 1)
        return mv_fail(e, MV_EINPUT,
                       "--overlay: found %d maps for the file %s, expected one; choose one by the options, or name a "
                       "folder: a name that ends in /",
                       maps, c->o.overlay);
    return x ? MV_OK : e->code;
}

/* Opens the command. Where that fails, nothing stays open and the program ends. */
static void open_command(stream *s)
{
    call *c = s->c;
    mv_error e = {0}, ignored = {0};
    if (c->command->open && c->command->open(c, &e))
        die_of(&e, true);
    if (check_asks(s, &e)) {
        c->broken = true;
        if (c->command->close)
            c->command->close(c, &ignored);
        die_of(&e, true);
    }
}

/* ---- the loop */

/* Whether the files of a picture are there, where any are wanted. */
static bool has_files(const stream *s, int operand, int index, int of)
{
    const call *c = s->c;
    char *page = c->wants_page ? destination_path(&s->to.page, &s->o, operand, index, of) : NULL,
         *raw = c->wants_raw ? destination_path(&s->to.raw, &s->o, operand, index, of) : NULL,
         *film = c->wants_film ? destination_path(&s->to.film, &s->o, operand, index, of) : NULL;
    bool there = (!c->wants_page || page) && (!c->wants_raw || raw) && (!c->wants_film || film) &&
                 destination_exists(page) && destination_exists(raw) && destination_exists(film);
    free(page);
    free(raw);
    free(film);
    return there;
}

/* What an earlier run has left of a picture. */
typedef enum { NOTHING, LINE_ALONE, ANSWERED } answer_state;

/* A line of results counts where they are kept, and so do files where they are wanted. A picture whose line is there
 * but not its files is computed again without printing the line. */
static answer_state answered(stream *s, int operand, int index, int of)
{
    call *c = s->c;
    char *name = strcmp(s->o.path[operand], "-") ? picture_name(&s->o, operand, index, of) : NULL;
    bool files = c->wants_page || c->wants_raw || c->wants_film,
         line = name && s->known.kept && results_take(&s->known, name),
         taken = name && c->answered && c->answered(c, name);
    free(name);
    if (taken)
        return ANSWERED;
    if (s->known.kept)
        return !line ? NOTHING : !files || has_files(s, operand, index, of) ? ANSWERED : LINE_ALONE;
    return name && !c->answered && files && has_files(s, operand, index, of) ? ANSWERED : NOTHING;
}

/* Drops the operands of one picture that are answered, before they are read. */
static bool drop_answered(void *context, const operands *o, int i)
{
    stream *s = context;
    if (operand_pictures(o, i) > 1)
        return false;
    answer_state state = answered(s, i, 0, 1);
    s->quiet[i] = state == LINE_ALONE;
    if (state == ANSWERED && s->c->index)
        index_file_keep(s->c->index, o, &s->to.page, i);
    return state == ANSWERED;
}

static void read_operand(stream *s, int i)
{
    call *c = s->c;
    mv_error e = {0};
    input in;
    if (inputs_next(s->inputs, &in, &e)) {
        if (!stop_asked()) /* a signal ends a read that waits */
            batches_fail(s->batches, &e);
        return;
    }
    for (int k = 0; k < in.pictures && !stop_asked() && !c->broken; k++) {
        answer_state state = NOTHING;
        if (c->o.resume && operand_pictures(&s->o, i) > 1)
            state = answered(s, i, k, in.pictures);
        else if (s->quiet && s->quiet[i])
            state = LINE_ALONE;
        if (state == ANSWERED)
            c->kept++;
        else if (batches_add(s->batches, i, &in, k, state == LINE_ALONE))
            inputs_hurry(s->inputs);
    }
    input_free(&in);
}

static void loop(stream *s)
{
    call *c = s->c;
    int passed = c->kept;
    progress_begin("computing");
    for (int i = 0; i < s->o.n && !stop_asked() && !c->broken; i++) {
        progress_count(passed, c->pictures);
        read_operand(s, i);
        passed += operand_pictures(&s->o, i);
    }
}

/* ---- afterwards */

static int end(stream *s)
{
    call *c = s->c;
    mv_error e = {0};
    c->stopped = stop_asked();
    c->failed += batches_end(s->batches, c->broken || c->stopped);
    c->stopped = stop_asked();
    progress_end();
    if (c->command->close && c->command->close(c, &e)) {
        complain("%s", e.text);
        c->broken = true;
    }
    mv_error why = {0};
    if (c->index && index_file_write(c->index, c, &why)) {
        complain("%s", why.text);
        c->broken = true;
    }
    index_file_free(c->index);
    if (c->stopped && (!stop_results_error() || stop_results_error() == EINTR)) {
        bool whole = c->joined || (c->store && !(c->command->takes & TAKES_VALUES)); /* what --resume is refused for */
        bool kept = c->journal || c->wants_page || c->wants_raw || c->wants_film || (c->o.json && c->command->results);
        bool goes_on = c->command->takes & TAKES_VALUES ? c->o.resume : kept && !whole;
        int behind = c->kept + c->done + c->failed;
        complain("stopped after %d of %d pictures%s", behind, c->pictures,
                 goes_on && behind ? "; the same command with --resume goes on from there" : "");
    }
    return c->failed || c->broken || c->stopped || c->incomplete ? EXIT_FAILED : EXIT_DONE;
}

int stream_run(call *c)
{
    stream s = {.c = c};
    mv_error e = {0};
    char suffix[64];
    session_open(&c->session, &c->o);
    if (c->command->takes & TAKES_CLASSES)
        session_need_head(&c->session, c->command->name);
    list_pictures(&s);
    check_destinations(&s, suffix);
    check_files(&s);
    check_resume(&s);
    options_refuse_preparing(c, &s.o);
    measure(&s);
    stop_watch(!(c->command->takes & TAKES_VALUES));
    if (!c->o.resume && !(s.inputs = inputs_new(&c->session, &s.o, decoding(c), &e)))
        die_of(&e, false);
    session_load(&c->session, &c->o);
    if (c->wants_page || c->wants_film)
        session_hash(&c->session); /* computed here, as writers only read it */
    if (c->o.resume && c->o.json && c->command->results)
        results_read(&s.known, c->command->results, c->session.name);
    s.batches = batches_new(c, &s.o, &s.to, batch_size(&s));
    if (c->o.resume)
        s.quiet = must(calloc((size_t)s.o.n, sizeof *s.quiet));
    open_command(&s);
    if (writes_index(&s))
        c->index = index_file_new(c);
    if (c->o.resume) {
        c->kept = operands_drop(&s.o, s.quiet, drop_answered, &s);
        s.inputs = inputs_new(&c->session, &s.o, decoding(c), &e);
    }
    if (s.inputs)
        loop(&s);
    else {
        complain("%s", e.text);
        c->broken = true;
    }
    int status = end(&s);
    inputs_free(s.inputs);
    results_free(&s.known);
    free(s.quiet);
    operands_free(&s.o);
    claims_free(c->claims);
    session_close(&c->session);
    stop_end();
    return status;
}
