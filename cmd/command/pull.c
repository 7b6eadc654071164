/* pull: fetches a published checkpoint, or any other of the Hugging Face hub, into the hub's cache. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/hub.h"
#include "cmd/reply.h"
#include "cmd/stop.h"
#include "cmd/talk.h"
#include "src/base/text.h"
#include "src/device/null.h"
#include "src/model/weights.h"

typedef struct {
    const char *revision;
    bool offline, force;
    int retries;
} own;

static const mv_param params[] = {{.name = "revision",
                                   .kind = MV_PARAM_TEXT,
                                   .offset = offsetof(own, revision),
                                   .argument = "REV",
                                   .help = "branch, tag or commit, as NAME@REV gives it; main by default"},
                                  {.name = "offline",
                                   .kind = MV_PARAM_FLAG,
                                   .offset = offsetof(own, offline),
                                   .help = "ask nobody: check that the cache has all files"},
                                  {.name = "force",
                                   .kind = MV_PARAM_FLAG,
                                   .offset = offsetof(own, force),
                                   .help = "fetch files that the cache has, too"},
                                  {.name = "retries",
                                   .kind = MV_PARAM_INTEGER,
                                   .offset = offsetof(own, retries),
                                   .least = 0,
                                   .most = 100,
                                   .otherwise = "5",
                                   .argument = "N",
                                   .help = "how often to try again before giving up, if nothing more comes"},
                                  {0}};

/* ---- what the library tells */

static bool asked_to_stop(void *unused)
{
    (void)unused;
    return stop_asked();
}

static void tell(void *unused, const char *text)
{
    (void)unused;
    warn("%s", text);
}

static void count(void *unused, uint64_t done, uint64_t all)
{
    (void)unused;
    progress_bytes(done, all);
}

/* ---- without a name: the published variants */

static uint64_t parameters_of(const mv_config *v)
{
    mv_error e = {0};
    mv_backend *null = mv_null_new(MV_F32, &e);
    mv_model *m = null ? mv_model_new(v, null, NULL, &e) : NULL;
    uint64_t n = m ? mv_model_parameters(m) : 0;
    mv_model_free(m);
    if (null)
        null->free(null);
    if (e.code)
        die_of(&e, false);
    return n;
}

static int list(const call *c)
{
    const mv_config *v;
    json_t *all = c->o.json ? must(json_array()) : NULL;
    bool good = true;
    mv_error e = {0};
    if (!all)
        printf("%-11s  %-29s  %10s  %8s  %s\n", "name", "repository", "parameters", "size", "in the cache");
    for (int i = 0; (v = mv_config_at(i)); i++) {
        char repository[MV_CONFIG_REPOSITORY], lacks[512];
        mv_config_repository(v, repository);
        uint64_t n = parameters_of(v), size = 4 * n; /* published in fp32 */
        char *folder = hub_find(repository, lacks);
        if (all)
            good = good && reply_append(all, json_pack("{s:s,s:s,s:I,s:I,s:s?}", "name", v->name, "repository",
                                                       repository, "parameters", (json_int_t)n, "bytes",
                                                       (json_int_t)size, "folder", folder));
        else
            printf("%-11s  %-29s  %8.1f M  %5.0f MB  %s\n", v->name, repository, (double)n * 1e-6, (double)size * 1e-6,
                   folder ? "yes" : "no");
        free(folder);
    }
    if (all && (!good || reply_print(all, stdout, "pull", &e)))
        die(EXIT_FAILED, "pull: out of memory, or a name that is not UTF-8");
    if (!all)
        printf("\nmvscope pull NAME fetches one; OWNER/NAME is any other repository of the hub\n");
    return EXIT_DONE;
}

/* ---- with one */

static int report_json(const mv_hub_name *name, const mv_hub_snapshot *got)
{
    json_t *files = json_array();
    bool good = files != NULL;
    mv_error e = {0};
    char *folder = must(mv_text_escape(got->folder));
    for (int i = 0; i < got->n; i++) {
        const mv_hub_file *f = &got->file[i];
        good = good && reply_append(files, json_pack("{s:s,s:I,s:I,s:s}", "name", f->name, "bytes", (json_int_t)f->size,
                                                     "fetched", (json_int_t)f->fetched, "etag", f->etag));
    }
    json_t *all = json_pack("{s:s,s:s,s:s,s:s,s:s?,s:I,s:o}", "repository", name->id, "revision", name->revision,
                            "commit", got->commit, "folder", folder, "licence", *got->licence ? got->licence : NULL,
                            "bytes", (json_int_t)got->size, "files", files);
    free(folder);
    if (!good || reply_print(all, stdout, "pull", &e))
        die(EXIT_FAILED, "pull: out of memory");
    return EXIT_DONE;
}

/* "90 bytes", "1.2 kB", "127.3 MB" */
static const char *size_text(uint64_t bytes, char text[32])
{
    if (bytes < 1000)
        snprintf(text, 32, "%d bytes", (int)bytes);
    else
        snprintf(text, 32, "%.1f %s", (double)bytes * (bytes < 1000000 ? 1e-3 : 1e-6), bytes < 1000000 ? "kB" : "MB");
    return text;
}

static void report(const call *c, const mv_hub_name *name, const mv_hub_snapshot *got)
{
    const char *revision = ((const own *)c->own)->revision;
    printf("%s at %s, commit %.12s\n", name->id, name->revision, got->commit);
    for (int i = 0; i < got->n; i++) {
        const mv_hub_file *f = &got->file[i];
        char size[32];
        printf("  %-32s  %10s  %s\n", f->name, size_text(f->size, size),
               f->fetched == 0 ? "was there"
               : f->checked    ? "fetched, its hash is right"
                               : "fetched, its size is right");
    }
    printf("licence: %s\n", *got->licence ? got->licence : "the model card names none");
    char *folder = must(mv_text_escape(got->folder));
    printf("folder:  %s\n", folder);
    free(folder);
    printf("next:    mvscope classify -m %s%s%s photo.jpg\n", c->operand[0], revision ? "@" : "",
           revision ? revision : "");
}

/* Says why, with what may have been meant. */
static void fail(const mv_hub_name *name, const mv_hub_snapshot *got, const mv_error *e)
{
    const mv_config *near = got->unknown ? hub_nearest(name->id) : NULL;
    char repository[MV_CONFIG_REPOSITORY];
    bool other = near && strcmp(mv_config_repository(near, repository), name->id) != 0;
    if (other)
        complain("%s; did you mean %s?", e->text, repository);
    else
        complain("%s", e->text);
    if (got->kept > 0)
        complain("%s: %.1f MB are kept; the same command goes on from there", name->id, (double)got->kept * 1e-6);
}

static int pull(const call *c, const mv_hub_name *name)
{
    const own *o = c->own;
    mv_hub_settings s;
    mv_hub_snapshot got;
    hub_strings strings;
    mv_error e = {0};
    hub_settings(&s, &strings);
    s.retries = o->retries;
    s.force = o->force;
    s.offline = s.offline || o->offline;
    s.stop = asked_to_stop;
    s.say = tell;
    s.progress = count;
    if (s.offline && s.force)
        die(EXIT_MISUSE, "--force: has no effect offline");
    stop_watch(false);
    progress_begin("asking the hub");
    mv_status failed = mv_hub_pull(&s, name, &got, &e);
    progress_end();
    warn_each(&got.warnings);
    if (failed)
        fail(name, &got, &e);
    else if (c->o.json)
        report_json(name, &got);
    else
        report(c, name, &got);
    mv_hub_snapshot_free(&got);
    hub_settings_free(&strings);
    stop_end();
    return failed ? EXIT_FAILED : EXIT_DONE;
}

static void refuse_without_name(const call *c)
{
    char name[64];
    for (const mv_param *p = params; p->name; p++)
        if (options_given(c, p->name))
            die(EXIT_MISUSE, "%s: has no effect without a NAME", option_name(p, name));
}

static int run(call *c)
{
    own *o = c->own;
    mv_hub_name name;
    mv_error e = {0};
    if (c->operands > 1)
        die(EXIT_MISUSE, "pull: found %d operands, expected one name (mvscope pull --help)", c->operands);
    if (c->operands == 0) {
        refuse_without_name(c);
        return list(c);
    }
    if (!*c->operand[0])
        die(EXIT_MISUSE, "pull: found an empty name, expected a variant or OWNER/NAME (mvscope pull --help)");
    if (hub_name(&name, c->operand[0], &e)) {
        const mv_config *near = hub_nearest(c->operand[0]);
        die(misuse_of(&e), "%s%s%s%s (mvscope pull lists the published variants)", e.text,
            near ? "; did you mean " : "", near ? near->name : "", near ? "?" : "");
    }
    if (o->revision && strchr(c->operand[0], '@'))
        die(EXIT_MISUSE, "--revision: the name %s has a revision, too", c->operand[0]);
    if (o->revision && mv_hub_revision_set(&name, o->revision, "--revision", &e))
        die(misuse_of(&e), "%s", e.text);
    return pull(c, &name);
}

static const char *variant_at(int i)
{
    const mv_config *v = mv_config_at(i);
    return v ? v->name : NULL;
}

static const mv_param variant_operand = {.word_at = variant_at};
static const char *const examples[] = {"pull", "pull T", "pull --offline T", NULL};

const command command_pull = {.name = "pull",
                              .operands = "[NAME]",
                              .completes = &variant_operand,
                              .summary = "Fetches a checkpoint from the Hugging Face hub",
                              .takes = TAKES_JSON | TAKES_QUIET,
                              .params = params,
                              .size = sizeof(own),
                              .examples = examples,
                              .run = run};
