#include "src/file/hub.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/base/text.h"
#include "src/file/hub_impl.h"
#include "src/file/json.h"
#include "src/file/output.h"

enum { MOST_LIST = 16 << 20 }; /* bytes of the list of a repository's files */

static char *escape_revision(const char *text)
{
    char *out = malloc(3 * strlen(text) + 1), *to = out;
    for (; out && *text; text++)
        to += *text == '/' ? sprintf(to, "%%2F") : sprintf(to, "%c", *text);
    if (out)
        *to = 0;
    return out;
}

/* ---- the list of files */

typedef struct {
    char *bytes;
    size_t n;
} text_sink;

static mv_status take_text(void *sink, const void *bytes, size_t n, mv_error *e)
{
    text_sink *t = sink;
    if (t->n + n > MOST_LIST)
        return mv_fail(e, MV_EINPUT, "the hub's list of files: found more than 16 MB");
    char *next = realloc(t->bytes, t->n + n);
    if (!next)
        return mv_fail_memory(e, "the hub's list of files");
    memcpy(next + t->n, bytes, n);
    t->bytes = next;
    t->n += n;
    return MV_OK;
}

static bool forget_text(mv_request *r)
{
    ((text_sink *)r->sink)->n = 0;
    return false;
}

/* The repository as the hub's API describes it; the caller's reference. */
static mv_status describe(mv_hub_pulling *p, json_t **out, mv_error *e)
{
    char *revision = escape_revision(p->name->revision), *url = NULL;
    text_sink sink = {0};
    mv_request r = {.sink = &sink, .write = take_text, .seconds = 4 * p->s->stall};
    mv_answer a;
    json_error_t why;
    mv_status s = MV_OK;
    if (!revision || asprintf(&url, "%s/api/models/%s/revision/%s", p->s->endpoint, p->name->id, revision) < 0)
        url = NULL, s = mv_fail_memory(e, p->name->id);
    if (!s)
        s = mv_hub_ask(p, url, &r, &a, forget_text, e);
    if (!s && a.status != 200)
        s = mv_hub_refuse(p, &a, NULL, e);
    if (!s)
        s = mv_json_weigh(sink.n ? sink.bytes : "", sink.n, MV_JSON_ROOM, p->name->id, e);
    if (!s && !(*out = json_loadb(sink.n ? sink.bytes : "", sink.n, 0, &why)))
        s = json_error_code(&why) == json_error_out_of_memory
                ? mv_fail_memory(e, p->name->id)
                : mv_hub_fail_page(&a, sink.bytes, sink.n, "the hub's list of files", e);
    free(sink.bytes);
    free(url);
    free(revision);
    return s;
}

static mv_status choose_files(mv_hub_pulling *p, json_t *repository, mv_error *e)
{
    const char *commit = json_string_value(json_object_get(repository, "sha"));
    json_t *list = json_object_get(repository, "siblings");
    size_t n = json_array_size(list);
    int plain[MV_HUB_PLAIN], weights;
    if (!commit || !mv_hub_is_commit(commit) || !json_is_array(list) || n > 1000000)
        return mv_fail(e, MV_EINPUT,
                       "%s: found no \"sha\" or no \"siblings\" in the hub's answer, expected a commit and a "
                       "list of files",
                       p->name->id);
    snprintf(p->out->commit, sizeof p->out->commit, "%s", commit);
    const char **names = malloc((n + 1) * sizeof *names);
    if (!names)
        return mv_fail_memory(e, p->name->id);
    for (size_t i = 0; i < n; i++) {
        const char *name = json_string_value(json_object_get(json_array_get(list, i), "rfilename"));
        names[i] = name ? name : "";
    }
    mv_status s = MV_OK;
    mv_hub_choose(names, (int)n, plain, &weights);
    if (weights < 0)
        s = mv_fail(e, MV_EINPUT,
                    "%s: found %zu files, but no model.safetensors or pytorch_model.bin, no index of shards of such a "
                    "name, and "
                    "not just one other file of weights",
                    p->name->id, n);
    for (int i = 0; !s && i < MV_HUB_PLAIN; i++)
        if (plain[i] >= 0)
            s = mv_hub_add_file(p->out, names[plain[i]], e);
    if (!s)
        s = mv_hub_add_file(p->out, names[weights], e);
    if (!s && plain[0] < 0)
        mv_warn(&p->out->warnings, "%s: has no config.json; sizes are inferred from the weights", p->name->id);
    free(names);
    return s;
}

/* ---- one file */

/* Asks for the size and the etag. */
static mv_status examine(mv_hub_pulling *p, mv_hub_file *f, mv_error *e)
{
    char *url = mv_hub_url(p, f->name);
    mv_request r = {.head = true, .seconds = 4 * p->s->stall};
    mv_answer a;
    mv_status s = url ? mv_hub_ask(p, url, &r, &a, NULL, e) : mv_fail_memory(e, f->name);
    free(url);
    if (!s && a.status != 200)
        s = mv_hub_refuse(p, &a, f->name, e);
    if (s)
        return s;
    if (!*a.commit || !*a.etag)
        return mv_hub_fail_page(&a, NULL, 0, "a file of the hub, with X-Repo-Commit and an ETag", e);
    if (strcmp(a.commit, p->out->commit) != 0)
        return mv_fail(e, MV_EINPUT, "%s: found commit %.64s, expected %s", a.url, a.commit, p->out->commit);
    if (!mv_hub_is_etag(a.etag))
        return mv_fail(e, MV_EINPUT, "%s: found the ETag '%.80s', expected a hash", a.url, a.etag);
    memcpy(f->etag, a.etag, strlen(a.etag) + 1);
    if (a.size < 0)
        return mv_fail(e, MV_EINPUT, "%s: says no size, expected X-Linked-Size or Content-Length", a.url);
    f->size = (uint64_t)a.size;
    p->out->size += f->size;
    return MV_OK;
}

/* ---- all of them */

static mv_status add_shards(mv_hub_pulling *p, int index, mv_error *e)
{
    char *path = mv_hub_path(p->s->cache, p->name, "blobs/%s", p->out->file[index].etag), **names = NULL;
    int n = 0;
    mv_status s = path ? mv_hub_get(p, &p->out->file[index], e) : mv_fail_memory(e, p->name->id);
    p->done = 0;
    if (!s)
        s = mv_hub_read_index(path, p->out->file[index].name, &names, &n, e);
    for (int i = 0; !s && i < n; i++) {
        s = mv_hub_add_file(p->out, names[i], e);
        if (!s)
            s = examine(p, &p->out->file[p->out->n - 1], e);
    }
    mv_hub_free_names(names, n);
    free(path);
    return s;
}

static mv_status make_cache(const mv_hub_pulling *p, mv_error *e)
{
    char *inside = mv_hub_path(p->s->cache, p->name, "blobs/");
    mv_status s = inside ? mv_output_make_parents(inside, e) : mv_fail_memory(e, p->name->id);
    free(inside);
    return s;
}

static mv_status fetch_all(mv_hub_pulling *p, mv_error *e)
{
    json_t *repository = NULL;
    mv_hub_snapshot *o = p->out;
    mv_status s = describe(p, &repository, e);
    if (!s)
        s = choose_files(p, repository, e);
    json_decref(repository);
    for (int i = 0; !s && i < o->n; i++) {
        s = examine(p, &o->file[i], e);
        if (!s && o->file[i].index) { /* the last one so far */
            s = add_shards(p, i, e);
            break;
        }
    }
    uint64_t missing = 0;
    for (int i = 0; !s && i < o->n; i++)
        missing += mv_hub_missing(p, &o->file[i]);
    if (!s)
        s = make_cache(p, e);
    if (!s)
        s = mv_hub_check_space(p->s->cache, missing, e);
    if (!s && missing > 0)
        mv_hub_say(p, "%s: fetching %.1f MB of %.1f MB in %d files", p->name->id, (double)missing * 1e-6,
                   (double)o->size * 1e-6, o->n);
    for (int i = 0; !s && i < o->n; i++)
        s = mv_hub_get(p, &o->file[i], e);
    for (int i = 0; !s && i < o->n; i++)
        s = mv_hub_link(p->s->cache, p->name, o->commit, &o->file[i], e);
    return s ? s : mv_hub_note(p->s->cache, p->name, o->commit, e);
}

static mv_status pull_online(const mv_hub_settings *s, const mv_hub_name *name, mv_hub_snapshot *out, mv_error *e)
{
    const mv_fetch_settings settings = {.origin = s->endpoint,
                                        .token = s->token,
                                        .certificates = s->certificates,
                                        .plain = strncmp(s->endpoint, "http:", 5) == 0,
                                        .stall = s->stall,
                                        .stop = s->stop,
                                        .context = s->context};
    mv_hub_pulling p = {.s = s, .name = name, .out = out, .fetch = mv_fetch_new(&settings, e)};
    mv_status done = p.fetch ? fetch_all(&p, e) : e->code;
    mv_fetch_free(p.fetch);
    return done;
}

mv_status mv_hub_pull(const mv_hub_settings *s, const mv_hub_name *name, mv_hub_snapshot *out, mv_error *e)
{
    *out = (mv_hub_snapshot){0};
    mv_error local = {0};
    mv_error *why = e ? e : &local;
    mv_status done = s->offline ? mv_hub_pull_offline(s, name, out, why) : pull_online(s, name, out, why);
    if (done)
        return done;
    out->folder = mv_hub_path(s->cache, name, "snapshots/%s", out->commit);
    char *card = mv_hub_path(s->cache, name, "snapshots/%s/README.md", out->commit);
    if (card)
        mv_hub_read_licence(card, out->licence, sizeof out->licence);
    free(card);
    return out->folder && card ? MV_OK : mv_fail_memory(why, name->id);
}

void mv_hub_snapshot_free(mv_hub_snapshot *s)
{
    free(s->folder);
    free(s->file);
    *s = (mv_hub_snapshot){0};
}
