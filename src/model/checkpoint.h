/* A checkpoint on disk or in memory: its tensors under PyTorch's names, its config and class names.
 *
 * A .safetensors file, or a folder with model.safetensors and config.json as Hugging Face lays it out. A prefix of the
 * names
 * ("model.", "module.", ...) is found and dropped. The config comes from the file's own metadata ("config"), else
 * from config.json beside it; what no config says is inferred from shapes and from the table of published variants.
 */
#ifndef MV_CHECKPOINT_H
#define MV_CHECKPOINT_H

#include "src/model/config.h"
#include "src/model/weights.h"

typedef struct mv_checkpoint mv_checkpoint;

/* NULL on failure: no such file, no safetensors, no MambaVision, sizes that no config and no variant tells. */
mv_checkpoint *mv_checkpoint_open(const char *path, mv_error *e);

/* From bytes that stay the caller's and outlive it; `name` stands in errors and names the model. */
mv_checkpoint *mv_checkpoint_of(const void *bytes, size_t size, const char *name, mv_error *e);

void mv_checkpoint_close(mv_checkpoint *c); /* fine on NULL; a model made from it lives on */

const mv_config *mv_checkpoint_config(const mv_checkpoint *c);
const mv_labels *mv_checkpoint_labels(const mv_checkpoint *c); /* n 0 when it brings none */
mv_source *mv_checkpoint_source(mv_checkpoint *c);             /* borrowed */

/* The variant's name if it is a published one, else the file's without folder and ending. */
const char *mv_checkpoint_name(const mv_checkpoint *c);

/* SHA-256 of the tensor file, lower-case hex: as `sha256sum` prints it. */
void mv_checkpoint_sha256(const mv_checkpoint *c, char hex[65]);

#endif
