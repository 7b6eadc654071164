/* Models from the Hugging Face hub, in the cache that Python's huggingface_hub keeps, so that each finds what the other
 * has fetched:
 *
 *     CACHE/models--OWNER--NAME/blobs/ETAG              a file; ETAG.incomplete while it comes
 *                               snapshots/COMMIT/FILE   a symbolic link to it
 *                               refs/main               the commit that the revision "main" was
 *     CACHE/.locks/models--OWNER--NAME/ETAG.lock        held (flock) while the blob is fetched
 *
 * A file gets its link when it is whole and its hash is the hub's; a revision gets its commit when all files have
 * theirs. What an interrupted run left is continued. All names come from outside and are checked before they become a
 * path.
 *
 * Sources: huggingface_hub's guide "Understand caching" and its file_download.py; the hub's HTTP API.
 */
#ifndef MV_HUB_H
#define MV_HUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/status.h"
#include "src/base/warnings.h"

/* A repository at a revision: a branch, a tag or a commit. */
typedef struct {
    char id[100];       /* "OWNER/NAME" */
    char revision[128]; /* "main" */
} mv_hub_name;

typedef struct {
    const char *cache;    /* the folder, "/home/me/.cache/huggingface/hub" */
    const char *endpoint; /* "https://huggingface.co", without a slash at its end; http is spoken where it says so */
    const char *token;    /* NULL: none */
    const char *certificates; /* as mv_fetch_settings has it */
    int stall;                /* seconds */
    int retries;              /* how often a failure that may pass is tried again without any progress */
    bool force;               /* fetch what is there, too */
    bool offline;             /* ask nobody: what the cache has, or an error that names what it lacks */
    /* All may be NULL. `say` is told why a pause is made, and that another process has the lock; `progress` gets bytes.
     */
    bool (*stop)(void *context);
    void (*say)(void *context, const char *text);
    void (*progress)(void *context, uint64_t done, uint64_t all);
    void *context;
} mv_hub_settings;

enum { MV_HUB_FILE_NAME = 128, MV_HUB_ETAG = 130, MV_HUB_COMMIT = 66 };

typedef struct {
    char name[MV_HUB_FILE_NAME], etag[MV_HUB_ETAG];
    uint64_t size, fetched; /* bytes of the file, and of what was fetched by this call: 0 for one that was there */
    bool checked;           /* the etag is a hash, and the file's */
    bool index;             /* it lists shards */
} mv_hub_file;

typedef struct {
    char commit[MV_HUB_COMMIT];
    char *folder;      /* of the snapshot */
    char licence[256]; /* of the model card, safe to print; empty if it names none */
    int n;
    mv_hub_file *file; /* configuration first, then weights */
    uint64_t size;     /* bytes of all */
    bool unknown;      /* on failure: the hub has no such repository, or does not show it */
    bool stopped;      /* on failure: the settings' `stop` was true */
    uint64_t kept;     /* on failure: bytes of what is incomplete, which the next call continues */
    mv_warnings warnings;
} mv_hub_snapshot;

/* Reads "OWNER/NAME" or "OWNER/NAME@REVISION". MV_EINPUT, with `text` at the beginning, for anything else. */
mv_status mv_hub_name_parse(mv_hub_name *out, const char *text, mv_error *e);

/* MV_EINPUT, with `place` at the beginning, if `text` cannot be a revision. */
mv_status mv_hub_revision_set(mv_hub_name *name, const char *text, const char *place, mv_error *e);

/* The folder of the snapshot that the cache has for this name, with weights in it; the caller's to free. NULL if there
 * is none, without a failure: then `lacks` says what is missing ("no revision 'main' of OWNER/NAME is in FOLDER"). */
char *mv_hub_find(const char *cache, const mv_hub_name *name, char lacks[512], mv_error *e);

/* Fetches a repository's config.json, preprocessor_config.json, README.md (each if there is one) and weights:
 * model.safetensors, else its index and all shards, else pytorch_model.bin or its index, else the only file of weights
 * there is.
 * `out` is to be freed by mv_hub_snapshot_free on failure, too. */
mv_status mv_hub_pull(const mv_hub_settings *s, const mv_hub_name *name, mv_hub_snapshot *out, mv_error *e);
void mv_hub_snapshot_free(mv_hub_snapshot *s);

#endif
