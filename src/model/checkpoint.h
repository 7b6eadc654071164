/* A checkpoint on disk or in memory: its tensors under PyTorch's names, its config and its class labels.
 *
 * It is a .safetensors file, or a folder with model.safetensors and config.json in Hugging Face's layout. A prefix of
 * all names ("model.", "module.", ...) is recognised and dropped. The config is the file's own metadata "config", or
 * else config.json beside the file. What no config says is inferred from shapes and from the table of published
 * variants.
 */
#ifndef MV_CHECKPOINT_H
#define MV_CHECKPOINT_H

#include "src/base/warnings.h"
#include "src/model/config.h"
#include "src/model/weights.h"

typedef struct mv_checkpoint mv_checkpoint;

/* Opens a file or folder. NULL on failure: there is no such file, it is no safetensors file, it holds no MambaVision,
 * or its sizes cannot be inferred. `warnings` (may be NULL) receives what was assumed or left out. */
mv_checkpoint *mv_checkpoint_open(const char *path, mv_warnings *warnings, mv_error *e);

/* Opens bytes, which stay the caller's and must outlive the checkpoint. `name` begins error messages and names the
 * model. */
mv_checkpoint *mv_checkpoint_of(const void *bytes, size_t size, const char *name, mv_error *e);

void mv_checkpoint_close(mv_checkpoint *c); /* NULL is fine; models made from it remain valid */

const mv_config *mv_checkpoint_config(const mv_checkpoint *c);
const mv_labels *mv_checkpoint_labels(const mv_checkpoint *c); /* n 0 if it has none */
mv_source *mv_checkpoint_source(mv_checkpoint *c);             /* borrowed */

/* Warns of tensors that no model has read from the source, once one was made: their number and the first one. Counters
 * of batches, which nothing reads at inference, are left out unless `all`. */
void mv_checkpoint_unread(mv_checkpoint *c, bool all, mv_warnings *warnings);

/* The name of the published variant, or else the file's name without folder and ending. */
const char *mv_checkpoint_name(const mv_checkpoint *c);

/* SHA-256 of the tensor file in lower-case hexadecimal digits, as `sha256sum` prints it. */
void mv_checkpoint_sha256(const mv_checkpoint *c, char hex[65]);

#endif
