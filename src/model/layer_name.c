#include <stdio.h>

#include "src/model/weights.h"

static const char *token_layer(const mv_token_block *b, const void *w)
{
    const mv_dense *fc[] = {&b->fc1, &b->fc2};
    for (int i = 0; i < 2; i++)
        if (w == fc[i])
            return i ? "mlp.fc2" : "mlp.fc1";
    if (w == b->norm1 || w == b->norm2)
        return w == b->norm1 ? "norm1" : "norm2";
    if (b->attends)
        return w == &b->attention.qkv ? "mixer.qkv" : w == &b->attention.proj ? "mixer.proj" : NULL;
    return NULL; /* the bias of dt_proj is inside the scan, and the mixer has no other */
}

static const char *conv_layer(const mv_conv_block *b, const void *w)
{
    return w == &b->conv1 ? "norm1" : w == &b->conv2 ? "norm2" : NULL; /* the batch norms hold the biases */
}

const char *mv_layer_name(const mv_model *m, const void *w, char text[64])
{
    static const char *const stem[] = {"patch_embed.conv_down.1", "patch_embed.conv_down.4"};
    for (int i = 0; i < 2; i++)
        if (w == &m->stem[i])
            return stem[i];
    if (w == &m->head || w == &m->norm_shift)
        return w == &m->head ? "head" : "norm";
    for (int i = 0; i < MV_LEVELS; i++) {
        const mv_level *l = &m->level[i];
        for (int j = 0; j < l->depth; j++) {
            const char *leaf = l->token ? token_layer(&l->token[j], w) : conv_layer(&l->conv[j], w);
            if (!leaf)
                continue;
            snprintf(text, 64, "levels.%d.blocks.%d.%s", i, j, leaf);
            return text;
        }
    }
    return NULL;
}
