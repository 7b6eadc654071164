/* mixer: the inside of the Mamba mixers: states, hidden attention, contributions, the scan as a film, and an audit. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/at.h"
#include "cmd/mixer_reply.h"
#include "cmd/page_file.h"
#include "cmd/raw_file.h"
#include "cmd/reply.h"
#include "cmd/stop.h"
#include "cmd/talk.h"
#include "viz/page/mixer.h"

typedef struct {
    mv_inside_params view; /* first: the method's table points into it */
    bool matrix, contributions, audit;
    int film;
    const char *animate, *raw, *at;
    raw_file file;
    mv_auditor *auditor;
} own;

#define AT(member) offsetof(own, member)
static const mv_param params[] = {
    OPTION_PIXEL(AT(at)),
    {.name = "contributions",
     .kind = MV_PARAM_FLAG,
     .offset = AT(contributions),
     .help = "draw what each token contributes to the output, through the scan and the local branch"},
    {.name = "matrix",
     .kind = MV_PARAM_FLAG,
     .offset = AT(matrix),
     .help = "draw hidden attention, and contributions if they are shown, token by token"},
    {.name = "film",
     .kind = MV_PARAM_INTEGER,
     .offset = AT(film),
     .least = 2,
     .most = 64,
     .argument = "N",
     .help = "draw the scan of each block as N pictures of the state norm"},
    {.name = "animate",
     .kind = MV_PARAM_TEXT,
     .offset = AT(animate),
     .argument = "FILE|FOLDER/",
     .completes = MV_COMPLETE_FILE,
     .help = "write the scan as a moving picture: FILE.png, FILE.gif, or FOLDER/"},
    {.name = "audit",
     .kind = MV_PARAM_FLAG,
     .offset = AT(audit),
     .help = "compare evidence and states with those of the mirrored and of the upturned picture"},
    OPTION_RAW(AT(raw), "write everything as numbers: .safetensors, .npz or FOLDER/"),
    {0}};

/* ---- before anything runs */

static void check(call *c)
{
    own *o = c->own;
    mv_inside_params *v = &o->view;
    if (!options_given(c, "channel"))
        v->channel = MV_CHANNEL_MEAN;
    at_choose(c, o->at, &v->level, &v->query);
    if (o->raw)
        raw_choose(c, o->raw, true);
    c->film = o->animate;
    c->wants_film = o->animate != NULL;
    c->wants_page = (!o->raw && !o->animate) || c->o.out;
    c->shows = c->wants_page || c->wants_film;
    if (c->wants_page)
        page_check(c, &mv_page_mixer);
    else if (o->film || o->matrix || o->contributions)
        die(EXIT_MISUSE, "--%s: has no effect without a page; -o writes one",
            o->film     ? "film"
            : o->matrix ? "matrix"
                        : "contributions");
    else if (!c->wants_film)
        options_refuse_page(c, "with --raw alone; -o writes a page too");
    else if (options_given(c, "format"))
        die(EXIT_MISUSE, "--format: has no effect without a page; the name of --animate says its own");
    if (c->wants_film)
        film_check(c);
    v->wants = MV_MIXER_STATES | MV_MIXER_MATRICES;
    if (o->matrix)
        v->matrices |= MV_MIXER_BIT(MV_MIXER_HIDDEN);
    if (o->matrix && o->contributions)
        v->matrices |= MV_MIXER_BIT(MV_MIXER_CONTRIBUTIONS);
    if (o->raw)
        v->matrices = MV_MIXER_MATRICES;
}

static mv_status open_asks(call *c, mv_error *e)
{
    (void)e;
    own *o = c->own;
    c->ask[c->asks++] =
        (mv_ask){.method = &mv_method_inside, .params = &o->view, .class_ = MV_MAP_NONE, .against = MV_MAP_NONE};
    if (o->audit)
        c->ask[c->asks++] =
            (mv_ask){.method = mv_method_lookup("cam"), .params = NULL, .class_ = MV_CLASS_TOP, .against = MV_MAP_NONE};
    return MV_OK;
}

/* ---- numbers */

/* The arrays of --raw of one picture. */
typedef struct {
    raw_array *array;
    char (*name)[64];
    float *share; /* the scan's share of each block */
    int n;
} arrays;

static void arrays_free(arrays *a)
{
    free(a->array);
    free(a->name);
    free(a->share);
}

static raw_array *add_array(arrays *a, const mixer_line *l, const char *leaf, const float *values)
{
    snprintf(a->name[a->n], sizeof *a->name, "levels.%d.blocks.%d.%s", l->level, l->block, leaf);
    a->array[a->n] = (raw_array){.name = a->name[a->n], .nd = 1, .dim = {1}, .values = values};
    return &a->array[a->n++];
}

static void add_map(arrays *a, const mixer_line *l, const char *leaf, const mv_map *m)
{
    raw_array *to = add_array(a, l, leaf, mv_map_raw(m));
    to->nd = 3;
    to->dim[0] = 1, to->dim[1] = m->h, to->dim[2] = m->w;
}

static void add_matrix(arrays *a, const mixer_line *l, const char *leaf, const mv_map *m)
{
    raw_array *to = add_array(a, l, leaf, m->v);
    to->nd = 3;
    to->dim[0] = m->h / m->w, to->dim[1] = to->dim[2] = m->w;
}

static mv_status make_arrays(arrays *a, const mv_maps *maps, mv_error *e)
{
    mixer_line *line;
    int n = mixer_lines(maps, &line, e);
    size_t room = (size_t)(n > 0 ? n : 0) * (MV_MIXER_KINDS + 1) + 1;
    *a = (arrays){calloc(room, sizeof *a->array), calloc(room, sizeof *a->name), calloc(room, sizeof *a->share), 0};
    if (n < 0 || !a->array || !a->name || !a->share) {
        free(line);
        return mv_fail_memory(e, "--raw");
    }
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < MV_MIXER_HIDDEN; k++)
            add_map(a, &line[i], mv_mixer_key((mv_mixer_kind)k), line[i].map[k]);
        add_matrix(a, &line[i], "hidden", line[i].matrix[0]);
        add_matrix(a, &line[i], "contributions", line[i].matrix[1]);
        a->share[i] = (float)line[i].scan_share;
        add_array(a, &line[i], "scan_share", &a->share[i]);
    }
    free(line);
    return MV_OK;
}

/* ---- the study: what must follow the order of computing */

static mv_audit *audit(call *c, const study *s, mv_error *e)
{
    own *o = c->own;
    if (!mv_auditor_fits(o->auditor, s->shot->h, s->shot->w)) {
        mv_auditor_free(o->auditor);
        o->auditor = mv_auditor_new(&o->view, c->session.model, s->shot->h, s->shot->w, stop_asked, e);
    }
    return o->auditor ? mv_auditor_run(o->auditor, s->planes, s->shot->logits, &s->maps[0], s->maps[1].map, e) : NULL;
}

static mv_status study_picture(call *c, study *s, mv_error *e)
{
    own *o = c->own;
    arrays a = {0};
    if (o->audit && !(s->own = audit(c, s, e)))
        return e->code;
    if (!c->store)
        return MV_OK;
    mv_status status = make_arrays(&a, &s->maps[0], e);
    if (!status)
        status = raw_file_add(&o->file, c, s->shot, a.array, a.n, e);
    arrays_free(&a);
    return status;
}

/* ---- results */

static mv_status write_raw(const shot *t, mv_error *e)
{
    arrays a = {0};
    mv_status status = make_arrays(&a, &t->maps[0], e);
    if (!status)
        status = raw_write(t->raw, t, a.array, a.n, e);
    arrays_free(&a);
    return status;
}

static mv_status print(const call *c, const shot *t, const mixer_line *line, int lines, mv_error *e)
{
    if (c->o.json)
        return reply_print(mixer_json(c, t, line, lines), t->out, t->name, e);
    if (page_is_stdout(c))
        return MV_OK;
    if (c->pictures > 1 || t->of > 1)
        fprintf(t->out, "%s\n", t->name);
    mixer_table(t->out, line, lines);
    if (t->own)
        mixer_audit_table(t->out, t->own, c);
    return MV_OK;
}

static mv_status draw_film(const call *c, const shot *t, const mixer_line *line, int lines, mv_error *e)
{
    mixer_words w;
    mv_film_scan scan[64];
    char title[64][48];
    if (lines > 64)
        return mv_fail(e, MV_EINPUT,
                       "--animate: found %d blocks, expected at most 64; choose some by --level and --block", lines);
    mixer_words_of(&w, c, t, line, lines);
    for (int i = 0; i < lines; i++) {
        snprintf(title[i], sizeof title[i], "Level %d, block %d", line[i].level, line[i].block);
        scan[i] = (mv_film_scan){title[i], "state norm |h|", line[i].map[MV_MIXER_H]};
    }
    mv_film_content content = {t->image, scan, lines};
    page_words words = {
        .title = "The memory of the scan, token by token", .subtitle = w.film, .method = "state norm of the mixers"};
    return film_write(c, t, &words, &content, e);
}

static mv_status draw(const call *c, const shot *t, const mixer_line *line, int lines, mv_error *e)
{
    const own *o = c->own;
    mixer_page page;
    mv_status status =
        mixer_page_of(&page, c, t, line, lines, &(mixer_show){o->film, o->contributions, o->matrix}, t->own, e);
    if (!status)
        status = page_write(c, t, &mv_page_mixer, &page.words, &page.content, e);
    mixer_page_free(&page);
    return status;
}

static mv_status picture(const call *c, const shot *t, mv_error *e)
{
    mixer_line *line;
    int lines = mixer_lines(&t->maps[0], &line, e);
    mv_status status = lines < 0 ? e->code : MV_OK;
    if (!status && t->raw)
        status = write_raw(t, e);
    if (!status)
        status = print(c, t, line, lines, e);
    if (!status && t->page)
        status = draw(c, t, line, lines, e);
    if (!status && t->film)
        status = draw_film(c, t, line, lines, e);
    bool names = !status && !c->o.json && !page_is_stdout(c);
    if (names && t->page)
        fprintf(t->out, "%s\n", t->page_name);
    if (names && t->film)
        status = mixer_print_name(t->out, t->film, e);
    free(line);
    return status;
}

static mv_status close_mixer(call *c, mv_error *e)
{
    own *o = c->own;
    mv_auditor_free(o->auditor);
    return o->file.file ? raw_file_close(&o->file, c, e) : MV_OK;
}

static const char *const examples[] = {"mixer photo.jpg",
                                       "mixer --level 3 --query 3,4 --matrix -o scan.png photo.jpg",
                                       "mixer --level 2 --block 0 --animate scan.gif photo.jpg",
                                       "mixer --raw mixer.safetensors photo.jpg",
                                       "mixer --audit photo.jpg",
                                       NULL};

const command command_mixer = {.name = "mixer",
                               .operands = "IMAGE...",
                               .summary = "Opens the Mamba mixers: their states, hidden attention, memory and scans",
                               .method_params = mv_inside_param,
                               .params = params,
                               .size = sizeof(own),
                               .takes = TAKES_NETWORK | TAKES_PICTURES | TAKES_PAGES | TAKES_MAPS | TAKES_JSON,
                               .results = "maps",
                               .examples = examples,
                               .check = check,
                               .open = open_asks,
                               .study = study_picture,
                               .picture = picture,
                               .close = close_mixer};
