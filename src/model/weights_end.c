/* What is asked of a model that was made, and its end. */
#include <stdlib.h>
#include <string.h>

#include "src/model/weights.h"

size_t mv_model_parameters(const mv_model *m)
{
    size_t n = 0;
    for (int i = 0; i < MV_PARTS; i++)
        n += m->parameters[i];
    return n;
}

static void free_token_block(mv_backend *b, mv_token_block *t)
{
    if (t->attends) {
        b->dense_free(b, &t->attention.qkv);
        b->dense_free(b, &t->attention.proj);
    } else {
        mv_mixer *x = &t->mixer;
        b->dense_free(b, &x->in);
        b->dense_free(b, &x->x);
        b->dense_free(b, &x->out);
        b->vector_free(b, &x->ssm.dt_weight);
        b->vector_free(b, &x->ssm.dt_bias);
        b->vector_free(b, &x->ssm.A);
        b->vector_free(b, &x->ssm.D);
        b->vector_free(b, &x->conv_x);
        b->vector_free(b, &x->conv_z);
    }
    for (int k = 0; k < 2; k++) {
        b->vector_free(b, &t->norm1[k]);
        b->vector_free(b, &t->norm2[k]);
    }
    b->vector_free(b, &t->gamma1);
    b->vector_free(b, &t->gamma2);
    b->dense_free(b, &t->fc1);
    b->dense_free(b, &t->fc2);
}

void mv_model_head_mean(double *mean, const mv_model *m, int first, int last)
{
    size_t channels = (size_t)m->config.dim << (MV_LEVELS - 1);
    memset(mean, 0, (channels + 1) * sizeof *mean);
    for (int c = first; c < last; c++) {
        for (size_t k = 0; k < channels; k++)
            mean[k] += (double)m->head_weight[(size_t)c * channels + k];
        mean[channels] += (double)m->head_bias[c];
    }
    for (size_t k = 0; k <= channels; k++)
        mean[k] /= last - first;
}

void mv_model_free(mv_model *m)
{
    if (!m)
        return;
    mv_backend *b = m->backend;
    for (int k = 0; k < 2; k++)
        b->conv_free(b, &m->stem[k]);
    for (int i = 0; i < MV_LEVELS; i++) {
        mv_level *l = &m->level[i];
        for (int j = 0; l->conv && j < l->depth; j++) {
            b->conv_free(b, &l->conv[j].conv1);
            b->conv_free(b, &l->conv[j].conv2);
            b->vector_free(b, &l->conv[j].gamma);
        }
        for (int j = 0; l->token && j < l->depth; j++)
            free_token_block(b, &l->token[j]);
        b->conv_free(b, &l->down);
        free(l->conv);
        free(l->token);
    }
    b->vector_free(b, &m->norm_scale);
    b->vector_free(b, &m->norm_shift);
    b->dense_free(b, &m->head);
    free(m->head_weight);
    free(m->head_bias);
    free(m);
}
