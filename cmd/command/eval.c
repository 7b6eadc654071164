/* eval: how often the network is right on pictures whose class is known, how well its confidence is calibrated, and
 * with --faith how true the maps of each method are.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/asks.h"
#include "cmd/evaluation_files.h"
#include "cmd/evaluation_page.h"
#include "cmd/evaluation_settings.h"
#include "cmd/operands.h"
#include "cmd/page_file.h"
#include "cmd/regions.h"
#include "cmd/stop.h"
#include "cmd/stream.h"
#include "cmd/talk.h"
#include "cmd/trust_study.h"
#include "src/base/name_set.h"
#include "src/base/text.h"
#include "src/file/output.h"
#include "viz/page/eval.h"

typedef struct {
    mv_param_texts faith;
    int steps, seeds;
    mv_param_list without;
    int redraws;
    const char *classes, *truth_file, *records_path, *csv, *boxes;
    int limit;
    bool merge;
    /* ---- state */
    char *page;     /* NULL: none */
    bool in_folder; /* -o is its folder */
    truth truth;
    records records;
    mv_name_set known; /* pictures of an earlier run */
    trust_study study;
    char *label[CALL_ASKS];
    void *memory[CALL_ASKS];
} own;

static const char *const without_words[] = {"road", "grid", "random", NULL};

static const mv_param params[] = {
    {.name = "classes",
     .kind = MV_PARAM_TEXT,
     .offset = offsetof(own, classes),
     .argument = "FILE",
     .completes = MV_COMPLETE_FILE,
     .help = "what folders and labels stand for: WORD CLASS a line; the class - leaves pictures out"},
    {.name = "truth",
     .kind = MV_PARAM_TEXT,
     .offset = offsetof(own, truth_file),
     .argument = "FILE",
     .completes = MV_COMPLETE_FILE,
     .help = "what pictures show, instead of their folders: PICTURE CLASS a line, or CLASS in the order of names"},
    {.name = "limit",
     .kind = MV_PARAM_INTEGER,
     .offset = offsetof(own, limit),
     .least = 1,
     .most = 100000000,
     .argument = "N",
     .help = "take only N pictures, evenly spread over the list"},
    {.name = "faith",
     .kind = MV_PARAM_TEXTS,
     .offset = offsetof(own, faith),
     .argument = "METHODS",
     .help = "measure the maps of these methods, such as cam,rise:n=400; repeatable"},
    {.name = "steps",
     .kind = MV_PARAM_INTEGER,
     .offset = offsetof(own, steps),
     .least = 1,
     .most = 50,
     .otherwise = "50",
     .argument = "N",
     .help = "steps of deletion and insertion"},
    {.name = "seeds",
     .kind = MV_PARAM_INTEGER,
     .offset = offsetof(own, seeds),
     .least = 1,
     .most = 100,
     .otherwise = "10",
     .argument = "N",
     .help = "random maps of each kind for a picture"},
    {.name = "without",
     .kind = MV_PARAM_LIST,
     .offset = offsetof(own, without),
     .least = 1,
     .most = 0,
     .words = without_words,
     .argument = "LIST",
     .help = "what --faith leaves out: road, grid or random, or several of them"},
    {.name = "boxes",
     .kind = MV_PARAM_TEXT,
     .offset = offsetof(own, boxes),
     .argument = "FILE|FOLDER",
     .completes = MV_COMPLETE_FILE,
     .help = "what is marked on the pictures: a COCO file, or a folder of VOC files or PNG masks"},
    {.name = "randomise",
     .also = "randomize",
     .kind = MV_PARAM_INTEGER,
     .offset = offsetof(own, redraws),
     .least = 1,
     .most = 10000,
     .argument = "N",
     .help = "on N pictures, compare maps with those of the network with re-drawn parameters"},
    {.name = "csv",
     .kind = MV_PARAM_TEXT,
     .offset = offsetof(own, csv),
     .argument = "FILE",
     .completes = MV_COMPLETE_FILE,
     .help = "write a table with a line for each picture"},
    {.name = "records",
     .kind = MV_PARAM_TEXT,
     .offset = offsetof(own, records_path),
     .argument = "FILE",
     .completes = MV_COMPLETE_FILE,
     .help = "write what was measured of each picture, for --resume and --merge"},
    {.name = "merge",
     .kind = MV_PARAM_FLAG,
     .offset = offsetof(own, merge),
     .help = "join the records of the parts of a run, which are the operands"},
    {0}};

/* ---- words */

/* "cam,rise:n=400,seed=7" are two methods. */
static void add_methods(call *c, const char *text)
{
    own *o = c->own;
    if (!*text)
        die(EXIT_MISUSE, "--faith: found an empty name, expected a method (mvscope methods lists them)");
    while (*text) {
        size_t n = asks_method_length(text);
        char *one = must(strndup(text, n));
        mv_error e = {0};
        if (c->asks == CALL_ASKS - 1)
            die(EXIT_MISUSE, "--faith: found more than %d methods", CALL_ASKS - 1);
        mv_ask *ask = &c->ask[c->asks];
        if (mv_ask_parse(ask, &o->memory[c->asks], one, &e))
            die(misuse_of(&e), "--faith: %s", e.text);
        c->o.exact |= (ask->method->takes & MV_TAKES_GRADIENT) != 0;
        if (ask->method->takes & MV_TAKES_CLASS)
            ask->class_ = MV_CLASS_TOP;
        for (int i = 0; i < c->asks; i++)
            if (strcmp(o->label[i], one) == 0)
                die(EXIT_MISUSE, "--faith: found %s twice", one);
        o->label[c->asks++] = one;
        text += n + (text[n] != '\0');
    }
}

static void check_merge(const call *c)
{
    static const char *const fits[] = {"merge", "csv",     "json",         "output", "theme", "zoom",
                                       "width", "colours", "colour-scale", "format", "quiet", "verbose"};
    if (c->operands == 0)
        die(EXIT_MISUSE, "--merge: found no file, expected the records of the parts of a run");
    for (int i = 0; i < c->given.n; i++) {
        bool fit = false;
        for (size_t k = 0; k < sizeof fits / sizeof *fits; k++)
            fit |= strcmp(c->given.item[i].param->name, fits[k]) == 0;
        if (!fit)
            die(EXIT_MISUSE, "--%s: has no effect with --merge, which computes nothing anew",
                c->given.item[i].param->name);
    }
}

/* One page of all pictures: a file, or FOLDER/eval.png. */
static void check_page(call *c)
{
    own *o = c->own;
    static const char *const formats[] = {"png", "svg", "pdf"};
    const char *out = c->o.out;
    struct stat st;
    if (!out)
        return;
    size_t n = strlen(out);
    bool folder = (n && out[n - 1] == '/') || (stat(out, &st) == 0 && S_ISDIR(st.st_mode)),
         known = mv_text_ends_in(out, ".png") || mv_text_ends_in(out, ".svg") || mv_text_ends_in(out, ".pdf");
    if (!folder && !known && strcmp(out, "-"))
        die(EXIT_MISUSE, "-o: found '%s', expected a name ending in .png, .svg or .pdf, a folder, FOLDER/, or -", out);
    page_check_name(c, strcmp(out, "-") == 0, folder);
    if (options_given(c, "grid"))
        die(EXIT_MISUSE, "--grid: has no effect on this page, which shows no maps");
    page_check(c, &mv_page_eval);
    if (!folder)
        o->page = must(strdup(strcmp(out, "-") ? out : "/dev/stdout"));
    else if (asprintf(&o->page, "%s%seval.%s", out, out[n - 1] == '/' ? "" : "/", formats[page_format(&c->o)]) < 0)
        die(EXIT_FAILED, "out of memory");
    o->in_folder = folder;
}

/* Makes the page's folder, when nothing is wrong with the words and the inputs: a mistake leaves no folder. */
static void make_folder(const call *c)
{
    const own *o = c->own;
    mv_error e = {0};
    if (!o->in_folder || mkdir(c->o.out, 0777) == 0 || errno == EEXIST)
        return;
    mv_fail_errno(&e, c->o.out, "the folder cannot be made");
    die_of(&e, false);
}

static void check_files(const call *c, const operands *l)
{
    const own *o = c->own;
    const evaluation_files files = {.classes = o->classes,
                                    .truth = o->truth_file,
                                    .boxes = o->boxes,
                                    .page = o->page,
                                    .csv = o->csv,
                                    .records = o->records_path,
                                    .merge = o->merge};
    evaluation_files_check(c, &files, l);
}

static void check(call *c)
{
    own *o = c->own;
    static const char *const of_faith[] = {"steps", "seeds", "without", "randomise", "boxes"};
    check_page(c);
    check_files(c, NULL);
    if (o->merge) {
        check_merge(c);
        return;
    }
    if (c->operands > 1)
        die(EXIT_MISUSE, "eval: found %d operands, expected one folder", c->operands);
    for (size_t i = 0; i < sizeof of_faith / sizeof *of_faith && o->faith.n == 0; i++)
        if (options_given(c, of_faith[i]))
            die(EXIT_MISUSE, "--%s: has no effect without --faith", of_faith[i]);
    for (int i = 0; i < o->without.n; i++)
        o->study.without[-1 - o->without.v[i]] = true;
    if (options_given(c, "seeds") && o->study.without[WITHOUT_RANDOM])
        die(EXIT_MISUSE, "--seeds: has no effect without random maps");
    if (c->o.resume && !o->records_path)
        die(EXIT_MISUSE, "--resume: has no effect without --records FILE, which it goes on with");
    for (int i = 0; i < o->faith.n; i++)
        add_methods(c, o->faith.v[i]);
    c->journal = o->records_path;
}

/* ---- the list */

static void check_writable(const char *path)
{
    mv_error e = {0};
    if (path && mv_output_check(path, &e))
        die_of(&e, false);
}

static void list(call *c, operands *l)
{
    own *o = c->own;
    if (l->n && !l->below[0])
        die(EXIT_MISUSE, "%s: found a file, expected a folder", c->operand[0]);
    check_files(c, l);
    check_writable(o->csv);
    if (o->page && strcmp(c->o.out, "-") && (!o->in_folder || access(c->o.out, F_OK) == 0))
        check_writable(o->page);
    o->study.below = l->below[0];
    truth_of(&o->truth, &c->session, l, c->operand[0], o->classes, o->truth_file, o->limit);
    make_folder(c);
    if (o->records_path && c->incomplete)
        warn("--records: the list lacks what could not be read; --resume and --merge take these records only while the "
             "list stays as it is");
    int kinds = 0;
    char *seen = must(calloc((size_t)c->session.config.classes, 1));
    for (int i = 0; i < o->truth.n; i++) {
        kinds += !seen[o->truth.class_[i]];
        seen[o->truth.class_[i]] = 1;
    }
    free(seen);
    if (c->asks && kinds < 4 && !o->study.without[WITHOUT_GRID]) {
        warn("grid pointing needs pictures of four classes and is left out, as there are %d", kinds);
        o->study.without[WITHOUT_GRID] = true;
    }
}

/* ---- the loop */

static bool answered(call *c, const char *name)
{
    own *o = c->own;
    return mv_name_set_take(&o->known, name);
}

static mv_status open_eval(call *c, mv_error *e)
{
    own *o = c->own;
    o->study.truth = &o->truth;
    o->study.steps = o->steps;
    o->study.seeds = o->seeds;
    o->study.redraws = o->redraws;
    for (int a = 0; a < c->asks; a++)
        o->study.label[a] = o->label[a];
    o->records.settings = evaluation_settings(c, &o->study, o->boxes);
    o->records.device = strdup(session_device(&c->session));
    if (!o->records.settings || !o->records.device)
        return mv_fail_memory(e, "eval");
    if (o->boxes && !(o->study.regions = regions_open(&c->session, o->boxes, c->o.max_pixels, c->o.max_memory, e)))
        return e->code;
    if (o->records_path && records_open(&o->records, o->records_path, c->o.shard.i, c->o.shard.n, c->o.resume, e))
        return e->code;
    for (int i = 0; i < o->records.n; i++)
        if (mv_name_set_add(&o->known, o->records.record[i].image, e))
            return e->code;
    if (c->o.resume)
        c->answered = answered;
    return MV_OK;
}

/* Its answer, and the rank of its true class; equal logits in the order of classes. */
static void read_logits(record *one, const float *logits, int classes)
{
    one->answer = mv_class_next(logits, classes, MV_MAP_NONE);
    one->p = mv_probability(logits, classes, one->answer);
    for (int i = 0; i < classes; i++)
        one->rank += logits[i] > logits[one->class_] || (i < one->class_ && logits[i] == logits[one->class_]);
}

static mv_status study_picture(call *c, study *s, mv_error *e)
{
    own *o = c->own;
    int i = truth_find(&o->truth, s->shot->path);
    record one = {
        .i = i, .index = s->shot->index, .class_ = i < 0 ? 0 : o->truth.class_[i], .image = strdup(s->shot->name)};
    if (i < 0 || !one.image) {
        record_free(&one);
        return mv_fail(e, i < 0 ? MV_EMISUSE : MV_ENOMEM, "%s: not in the list, or out of memory", s->shot->name);
    }
    read_logits(&one, s->shot->logits, c->session.config.classes);
    if (c->asks && trust_study_picture(&o->study, c, s, &o->records, &one, e)) {
        record_free(&one);
        return e->code;
    }
    mv_status status = records_add(&o->records, &one, e);
    c->broken |= status != MV_OK; /* the file cannot be written */
    return status;
}

/* ---- results */

static mv_status conclude(call *c, mv_error *e)
{
    own *o = c->own;
    evaluation v;
    records_sort(&o->records);
    mv_status s = evaluation_of(&v, &o->records, e);
    if (!s && o->csv)
        s = evaluation_csv(&v, o->csv, e);
    c->wants_page = c->o.out != NULL;
    if (!s && c->wants_page)
        s = evaluation_page(c, &v, o->page, e);
    if (!s && !page_is_stdout(c))
        s = c->o.json ? evaluation_json(&v, stdout, e) : evaluation_print(&v, stdout, e);
    evaluation_free(&v);
    return s;
}

static void free_all(own *o)
{
    free(o->page);
    trust_study_free(&o->study);
    regions_free(o->study.regions);
    records_free(&o->records);
    truth_free(&o->truth);
    mv_name_set_free(&o->known);
    for (int i = 0; i < CALL_ASKS; i++) {
        free(o->label[i]);
        free(o->memory[i]);
    }
}

static mv_status close_eval(call *c, mv_error *e)
{
    own *o = c->own;
    mv_error closing = {0};
    o->records.failed = c->failed;
    o->records.unread = c->incomplete;
    bool whole = !c->stopped && !c->broken;
    mv_status s = records_close(&o->records, whole, &closing);
    if (c->broken)
        s = MV_OK; /* why is said already, and a full disk also refuses the rest */
    if (s)
        mv_fail(e, s, "%s", closing.text);
    if (whole && !s)
        s = conclude(c, e);
    free_all(o);
    return s;
}

static int run_eval(call *c)
{
    own *o = c->own;
    mv_error e = {0};
    if (!o->merge)
        return stream_run(c);
    mv_status s = records_merge(&o->records, c->operands, c->operand, &e);
    if (!s) {
        make_folder(c);
        s = conclude(c, &e);
    }
    bool whole = !o->records.failed && !o->records.unread;
    if (!s && o->records.unread)
        complain("--merge: the list of these records lacks what could not be read; make that readable, and run eval "
                 "with new records");
    free_all(o);
    if (s)
        die_of(&e, false);
    return whole ? EXIT_DONE : EXIT_FAILED;
}

static const char *const examples[] = {
    "eval --truth truth.txt photos/",
    "eval --truth truth.txt --faith cam,attention:level=3 --steps 10 --without grid photos/",
    "eval --merge 1.jsonl 2.jsonl", NULL};

const command command_eval = {
    .name = "eval",
    .operands = "DIR",
    .summary = "Says how often a network is right on labelled pictures, and how true its maps are",
    .params = params,
    .size = sizeof(own),
    .takes = TAKES_NETWORK | TAKES_CLASSES | TAKES_PICTURES | TAKES_PAGE_FILE | TAKES_MAPS | TAKES_JSON,
    .pages_need = "output",
    .examples = examples,
    .check = check,
    .list = list,
    .open = open_eval,
    .study = study_picture,
    .close = close_eval,
    .run = run_eval};
