/* info: a network's levels, their shapes, parameters, multiply-adds and memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/reply.h"
#include "cmd/talk.h"
#include "src/device/null.h"
#include "src/model/grid.h"
#include "src/run/run.h"

typedef struct {
    const char *name;
    char blocks[48], shape[48];
    size_t parameters, features; /* bytes of the level's features */
    uint64_t macs, attention;
} part;

static void describe(part *p, const call *of, const mv_model *m, const mv_run *r)
{
    static const char *const names[MV_PARTS] = {"stem", "level 0", "level 1", "level 2", "level 3", "head"};
    const mv_config *c = &of->session.config;
    const mv_costs costs = mv_run_costs(r);
    size_t wide = mv_dtype_size(precision_of(&of->o, MV_F32));
    for (int i = 0; i < MV_PARTS; i++) {
        p[i] = (part){.name = names[i],
                      .parameters = m->parameters[i],
                      .macs = costs.macs[i],
                      .attention = costs.attention_macs[i]};
        int level = i - MV_PART_LEVEL0;
        if (i == MV_PART_HEAD) {
            snprintf(p[i].shape, sizeof p[i].shape, c->classes ? "%d classes" : "no classes", c->classes);
            p[i].features = (size_t)c->classes * 4;
            continue;
        }
        mv_grid g = mv_grid_of(c, level < 0 ? 0 : level, c->preprocess.h, c->preprocess.w);
        int channels = c->dim << (level < 0 ? 0 : level);
        snprintf(p[i].shape, sizeof p[i].shape, "%d x %d x %d", channels, g.h, g.w);
        p[i].features = (size_t)channels * (size_t)g.h * (size_t)g.w * wide;
        if (level >= 2)
            snprintf(p[i].blocks, sizeof p[i].blocks, "%d mixer, %d attention", (c->depth[level] + 1) / 2,
                     c->depth[level] / 2);
        else if (level >= 0)
            snprintf(p[i].blocks, sizeof p[i].blocks, "%d conv", c->depth[level]);
    }
}

static void print_table(const call *of, const part *p, size_t scratch)
{
    const session *s = &of->session;
    char pipeline[64];
    const mv_config *c = &s->config;
    part sum = {0};
    size_t wide = mv_dtype_size(precision_of(&of->o, MV_F32));
    char classes[48] = "no classification head";
    if (c->classes)
        snprintf(classes, sizeof classes, "%d classes", c->classes);
    printf("%s: dim %d, depths %d %d %d %d, heads %d %d, windows %d %d%s, %s\n", s->name, c->dim, c->depth[0],
           c->depth[1], c->depth[2], c->depth[3], c->heads[2], c->heads[3], c->window[2], c->window[3],
           c->gamma ? ", layer scale" : "", classes);
    printf("pictures: %s\n\n", session_pipeline(s, pipeline));
    printf("%-8s  %-22s  %-16s  %12s  %9s  %14s  %11s\n", "part", "blocks", "features", "parameters", "GMAC",
           "+ q k^T, rows v", "features MB");
    for (int i = 0; i < MV_PARTS; i++) {
        printf("%-8s  %-22s  %-16s  %12zu  %9.4f  %15.4f  %11.3f\n", p[i].name, p[i].blocks, p[i].shape,
               p[i].parameters, (double)p[i].macs * 1e-9, (double)p[i].attention * 1e-9, (double)p[i].features * 1e-6);
        sum.parameters += p[i].parameters, sum.macs += p[i].macs, sum.attention += p[i].attention;
    }
    printf("%-8s  %-22s  %-16s  %12zu  %9.4f  %15.4f\n\n", "total", "", "", sum.parameters, (double)sum.macs * 1e-9,
           (double)sum.attention * 1e-9);
    printf("%.2f M parameters, %.2f GMAC a picture as published counts go, %.2f with attention's own products\n",
           (double)sum.parameters * 1e-6, (double)sum.macs * 1e-9, (double)(sum.macs + sum.attention) * 1e-9);
    printf("memory: %.1f MB of weights and %.1f MB of scratch at one picture, %s\n",
           (double)(sum.parameters * wide) * 1e-6, (double)scratch * 1e-6,
           precision_of(&of->o, MV_F32) == MV_F32    ? "fp32"
           : precision_of(&of->o, MV_F32) == MV_BF16 ? "bf16"
                                                     : "fp16");
}

static void print_json(call *of, const part *p, size_t scratch)
{
    session *s = &of->session;
    const mv_config *c = &s->config;
    json_t *levels = json_array();
    mv_error e = {0};
    bool good = levels != NULL;
    size_t parameters = 0, wide = mv_dtype_size(precision_of(&of->o, MV_F32));
    uint64_t macs = 0, attention = 0;
    for (int i = 0; i < MV_PARTS; i++) {
        good = good &&
               reply_append(levels, json_pack("{s:s,s:s,s:s,s:I,s:I,s:I,s:I}", "part", p[i].name, "blocks", p[i].blocks,
                                              "features", p[i].shape, "parameters", (json_int_t)p[i].parameters, "macs",
                                              (json_int_t)p[i].macs, "attention_macs", (json_int_t)p[i].attention,
                                              "feature_bytes", (json_int_t)p[i].features));
        parameters += p[i].parameters, macs += p[i].macs, attention += p[i].attention;
    }
    json_t *all = json_pack(
        "{s:s,s:s,s:i,s:i,s:[i,i,i,i],s:[i,i],s:[i,i],s:b,s:i,s:[i,i],s:f,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:o}", "model",
        s->name, "sha256", session_hash(s), "dim", c->dim, "in_dim", c->in_dim, "depths", c->depth[0], c->depth[1],
        c->depth[2], c->depth[3], "heads", c->heads[2], c->heads[3], "windows", c->window[2], c->window[3],
        "layer_scale", c->gamma, "classes", c->classes, "size", c->preprocess.h, c->preprocess.w, "crop_pct",
        c->preprocess.crop_pct, "crop_mode", mv_crop_mode_name(c->preprocess.mode), "interpolation",
        mv_interpolation_name(c->preprocess.filter), "parameters", (json_int_t)parameters, "macs", (json_int_t)macs,
        "attention_macs", (json_int_t)attention, "weight_bytes", (json_int_t)(parameters * wide), "scratch_bytes",
        (json_int_t)scratch, "levels", levels);
    if (!good || reply_print(all, stdout, "info", &e))
        die(EXIT_FAILED, "info: out of memory");
}

static int run(call *c)
{
    if (c->operands)
        die(EXIT_MISUSE, "info: found '%s', expected no operand; the model is named by -m (mvscope info --help)",
            c->operand[0]);
    if (has_fp8(&c->o))
        die(EXIT_MISUSE, "info: -p fp8: memory is counted for fp32, bf16 and fp16");
    session *s = &c->session;
    mv_error e = {0};
    part parts[MV_PARTS];
    session_open(s, &c->o);
    mv_backend *null = mv_null_new(precision_of(&c->o, MV_F32), &e);
    mv_model *checked = null && s->checkpoint ? mv_model_new(&s->config, null, mv_checkpoint_source(s->checkpoint), &e)
                                              : NULL; /* looks at every tensor */
    mv_model *m = null && !e.code ? mv_model_new(&s->config, null, NULL, &e) : NULL;
    mv_run *r = m ? mv_run_new(m, s->config.preprocess.h, s->config.preprocess.w, 1, NULL, &e) : NULL;
    if (!r || mv_run_forward(r, NULL, 1, NULL, &e))
        die_of(&e, false);
    describe(parts, c, m, r);
    if (c->o.json)
        print_json(c, parts, mv_run_memory(r));
    else
        print_table(c, parts, mv_run_memory(r));
    mv_run_free(r);
    mv_model_free(m);
    mv_model_free(checked);
    null->free(null);
    session_close(s);
    return EXIT_DONE;
}

static const char *const examples[] = {"info", "info -m L3-512-21K", "info --json -m T --size 448", NULL};

const command command_info = {.name = "info",
                              .operands = "",
                              .summary = "Shows a network's levels: shapes, parameters, multiply-adds, memory",
                              .takes = TAKES_MODEL | TAKES_PRECISION | TAKES_SIZE | TAKES_CROP | TAKES_JSON,
                              .examples = examples,
                              .run = run};
