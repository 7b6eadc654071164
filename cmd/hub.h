/* Models by name: the names, the Hugging Face hub and its cache as the environment sets them, and what the cache has.
 * The variables are those of Python's huggingface_hub.
 */
#ifndef HUB_H
#define HUB_H

#include "src/file/hub.h"
#include "src/model/config.h"

/* Settings from the environment. The strings belong to `own`, which lives as long as the settings do. */
typedef struct {
    char *cache, *endpoint, *token;
} hub_strings;

/* Ends the program if a variable is wrong. stall and retries are set; the rest is zero. */
void hub_settings(mv_hub_settings *s, hub_strings *own);
void hub_settings_free(hub_strings *own);

/* The repository that `text` names: a variant ("T", "T-1K", "mamba_vision_T") or OWNER/NAME, each with @REVISION or
 * without. MV_EINPUT if it is no such name. */
mv_status hub_name(mv_hub_name *out, const char *text, mv_error *e);

/* The published variant whose name or repository is nearest to `text`; NULL if none is near. */
const mv_config *hub_nearest(const char *text);

/* The snapshot's folder in the cache for a model's name, the caller's to free; NULL if `text` is no name, or the cache
 * lacks it. `lacks` then says what is missing, or is empty if `text` is no name. */
char *hub_find(const char *text, char lacks[512]);

/* What -m names: the file or folder `text`, or the snapshot that hub_find has for it; the caller's to free. NULL for a
 * variant whose weights the cache lacks, which goes to *variant. Ends the program for anything else that looks like a
 * name; what looks like a path is returned as it is. */
char *hub_model(const char *text, mv_config *variant, char lacks[512]);

#endif
