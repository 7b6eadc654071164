/* The parameters of the method "attention", for the command of that name. */
#ifndef MV_ATTENTION_METHOD_H
#define MV_ATTENTION_METHOD_H

#include "src/base/param.h"

typedef struct {
    mv_param_list level, block, head; /* empty: all levels, all blocks, the mean of the heads */
    const char *query;                /* "pooled", "received" or "Y,X" */
    bool rollout;
} mv_attention_params;

extern const mv_param mv_attention_param[];

#endif
