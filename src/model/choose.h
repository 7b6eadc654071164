/* Which network of a checkpoint is meant. Tensor names may have a prefix, that of the module or of the key under which
 * a trainer keeps the weights: "model.", "module.", "state_dict.", "state_dict_ema.". Where several networks are in one
 * file, each has its own.
 */
#ifndef MV_CHOOSE_H
#define MV_CHOOSE_H

#include "src/base/warnings.h"
#include "src/file/tensors.h"

enum { MV_PREFIX = 128 };

/* Finds what precedes the network's own names. `which` NULL: the weights that were trained, not their moving average,
 * of several networks by the order of usual names; a warning says what was taken and what is there, too. "ema": the
 * moving average. "model": not the average. Else a prefix, with its last dot or without. MV_EINPUT: there is no
 * MambaVision. MV_EMISUSE: there is nothing to choose from, or nothing that `which` names; the sentence says what is
 * there.
 * *other: it is not the one that is taken where `which` is NULL. */
mv_status mv_choose_network(char prefix[MV_PREFIX], bool *other, const mv_tensors *tensors, const char *which,
                            mv_warnings *warnings, mv_error *e);

/* How much of a prefix is that of everything that belongs to the network, its heads for other tasks, too: "state_dict."
 * of "state_dict.backbone.", nothing of "backbone.". What has another beginning is another network, or a trainer's. */
size_t mv_choose_scope(const char *prefix);

#endif
