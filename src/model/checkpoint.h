/* A checkpoint on disk or in memory: its tensors under PyTorch's names, its config and its class labels.
 *
 * It is any file or folder of src/file/tensors.h: .safetensors, a checkpoint of PyTorch, shards with their index, or a
 * folder in Hugging Face's layout. A prefix of all names ("model.", "state_dict.", ...) is recognised and dropped; of
 * several networks one is chosen (choose.h). The config is the file's own metadata "config", or else config.json beside
 * the file. What no config says is inferred from shapes and from the table of published variants.
 */
#ifndef MV_CHECKPOINT_H
#define MV_CHECKPOINT_H

#include "src/base/warnings.h"
#include "src/model/config.h"
#include "src/model/weights.h"

typedef struct mv_checkpoint mv_checkpoint;

/* Opens a file or folder. `which` chooses among several networks in it, NULL: as choose.h says. NULL on failure: there
 * is no such file, it is something else, it holds no MambaVision, or its sizes cannot be inferred; MV_EMISUSE where
 * `which` has nothing to choose from. `warnings` (may be NULL) receives what was assumed or left out. */
mv_checkpoint *mv_checkpoint_open(const char *path, const char *which, mv_warnings *warnings, mv_error *e);

/* Opens bytes, which stay the caller's and must outlive the checkpoint. `name` begins error messages and names the
 * model. */
mv_checkpoint *mv_checkpoint_of(const void *bytes, size_t size, const char *name, mv_error *e);

void mv_checkpoint_close(mv_checkpoint *c); /* NULL is fine; models made from it remain valid */

const mv_config *mv_checkpoint_config(const mv_checkpoint *c);
const mv_labels *mv_checkpoint_labels(const mv_checkpoint *c); /* n 0 if it has none */
mv_source *mv_checkpoint_source(mv_checkpoint *c);             /* borrowed */

/* Warns of tensors that no model has read from the source, once one was made: their number and the first one. Those
 * of another network in the file are not meant, and counters of batches, which nothing reads at inference, only with
 * `all`. */
void mv_checkpoint_unread(mv_checkpoint *c, bool all, mv_warnings *warnings);

/* The name of the published variant, or else the file's name without folder and ending; with the prefix of a network
 * that is taken only by `which`: "last (state_dict_ema)". */
const char *mv_checkpoint_name(const mv_checkpoint *c);

/* The files that were opened, 0 <= i: that of the tensors, or their index and its shards; NULL after the last. */
const char *mv_checkpoint_file(const mv_checkpoint *c, int i);

/* SHA-256 of the tensor file in lower-case hexadecimal digits, as `sha256sum` prints it; of shards, see tensors.h. */
mv_status mv_checkpoint_sha256(const mv_checkpoint *c, char hex[65], mv_error *e);

#endif
