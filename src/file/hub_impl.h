/* What the files of hub.h share: names, and the cache on disk. */
#ifndef MV_HUB_IMPL_H
#define MV_HUB_IMPL_H

#include "src/file/fetch.h"
#include "src/file/hub.h"

/* ---- names and the cache (hub_cache.c) */

/* True if a repository's file may have this name here: one component, of letters, digits and "._-", not hidden. */
bool mv_hub_is_file_name(const char *text);
bool mv_hub_is_commit(const char *text);
bool mv_hub_is_etag(const char *text);

/* CACHE/models--OWNER--NAME/TAIL..., malloc'd; NULL without memory. */
char *mv_hub_path(const char *cache, const mv_hub_name *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The commit that the cache has for the revision; false if none. */
bool mv_hub_cached_commit(const char *cache, const mv_hub_name *name, char commit[MV_HUB_COMMIT]);

/* Takes the lock of a blob and returns its descriptor, to be closed; -1 where the file system has no locks. MV_EIO,
 * "interrupted", if settings->stop becomes true while another process has it. */
mv_status mv_hub_lock(const mv_hub_settings *s, const mv_hub_name *name, const char *etag, int *fd, mv_error *e);

/* Fails if `bytes` do not fit on the disk of the cache. */
mv_status mv_hub_check_space(const char *cache, uint64_t bytes, mv_error *e);

/* Gives the blob its name in the snapshot. */
mv_status mv_hub_link(const char *cache, const mv_hub_name *name, const char *commit, const mv_hub_file *file,
                      mv_error *e);

/* Notes that the revision is this commit. */
mv_status mv_hub_note(const char *cache, const mv_hub_name *name, const char *commit, mv_error *e);

/* ---- files of a repository (hub_files.c) */

/* Which of n files of a repository are wanted, by their numbers: at most 3 of configuration, then one of weights, -1 if
 * there is none. */
enum { MV_HUB_PLAIN = 3 };
void mv_hub_choose(const char *const *name, int n, int plain[MV_HUB_PLAIN], int *weights);

/* Reads an index's list of shards: names[i] are malloc'd, the list too. MV_EINPUT if one is no plain file name. */
mv_status mv_hub_read_index(const char *path, const char *place, char ***names, int *n, mv_error *e);
void mv_hub_free_names(char **names, int n);

/* Reads the licence of a model card (the YAML at the head of README.md). Leaves "" if there is none. */
void mv_hub_read_licence(const char *path, char *out, size_t size);

/* Describes the snapshot that the cache has. */
mv_status mv_hub_pull_offline(const mv_hub_settings *s, const mv_hub_name *name, mv_hub_snapshot *out, mv_error *e);

/* Appends a file without size and etag. */
mv_status mv_hub_add_file(mv_hub_snapshot *o, const char *name, mv_error *e);

/* ---- asking (hub_ask.c) */

typedef struct {
    const mv_hub_settings *s;
    const mv_hub_name *name;
    mv_hub_snapshot *out;
    mv_fetch *fetch;
    uint64_t done; /* bytes of files before the one at hand */
} mv_hub_pulling;

bool mv_hub_stop_asked(const mv_hub_pulling *p);
void mv_hub_say(const mv_hub_pulling *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* MV_EIO, and out->stopped. */
mv_status mv_hub_interrupted(mv_hub_pulling *p, mv_error *e);

/* Asks until the server answers with something that does not pass by itself, or the tries are used up. Before each
 * further try `before` (unless NULL) may change the request; if it returns true, something came, and tries count anew.
 */
mv_status mv_hub_ask(mv_hub_pulling *p, const char *url, mv_request *r, mv_answer *a, bool (*before)(mv_request *r),
                     mv_error *e);

/* Fails with what a status other than 2xx means for a file or, with file NULL, for the repository. */
mv_status mv_hub_refuse(mv_hub_pulling *p, const mv_answer *a, const char *file, mv_error *e);

/* Fails: something else, such as a page for people, came where the hub's words were expected. The bytes, if there are
 * any, say what it is; else its Content-Type does. */
mv_status mv_hub_fail_page(const mv_answer *a, const void *bytes, size_t n, const char *expected, mv_error *e);

/* Where a file is, at the commit; malloc'd, NULL without memory. */
char *mv_hub_url(const mv_hub_pulling *p, const char *file);

/* ---- one file (hub_blob.c) */

/* Brings a file whose etag and size are known into the cache, unless it is there. */
mv_status mv_hub_get(mv_hub_pulling *p, mv_hub_file *f, mv_error *e);

/* Bytes of a file that are still to come. */
uint64_t mv_hub_missing(const mv_hub_pulling *p, const mv_hub_file *f);

#endif
