/* What network a checkpoint holds: its sizes from the shapes of its tensors, its config, and the table of published
 * variants; and how its input is made.
 *
 * The weights decide what they can: the number of classes, where the head is and whether there is one, and whether
 * blocks have gammas. A config that says something else is one of another network, and a warning says so. What no shape
 * shows (heads, windows, the size of the input, the crop) and no config says is that of the published variant of the
 * same sizes.
 *
 * The input is made as preprocessor_config.json says, then timm's pretrained_cfg, then the config's own keys. Two of
 * them that differ are a warning: the first was written by who trained last.
 */
#ifndef MV_INFER_H
#define MV_INFER_H

#include "src/base/tensor.h"
#include "src/base/warnings.h"
#include "src/model/config.h"

/* What is known about a checkpoint before its weights are read. */
typedef struct {
    /* The tensor of that name, without the prefix that all names have, or after a '/' with it; false if there is none.
     * Only type and shape are read. */
    bool (*lookup)(const void *context, const char *name, mv_tensor *out);
    /* The whole name of tensor i; NULL past the last one. */
    const char *(*name_at)(const void *context, int i);
    const void *context;
    const char *prefix; /* "model." */
    const char *place;  /* begins messages: the name of the file of tensors */
    const char *path;   /* configs are looked for in the folder of this file; NULL: there is none */
    const char *config; /* the config that the file itself carries, as JSON; NULL: it has none */
} mv_shapes;

/* Fills *c and *labels, which are the caller's to mv_labels_free and empty at the call. MV_EINPUT where a config is
 * broken or no variant has these sizes. `warnings` may be NULL. */
mv_status mv_infer_config(mv_config *c, mv_labels *labels, const mv_shapes *from, mv_warnings *warnings, mv_error *e);

#endif
