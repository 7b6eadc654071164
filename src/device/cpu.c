/* The CPU device itself: workers and their memory, reading and writing, weights. */
#include "src/device/cpu.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/device/cpu_impl.h"

/* ---- memory */

static void *cpu_alloc(mv_backend *b, size_t bytes)
{
    (void)b;
    return bytes > SIZE_MAX - 63 ? NULL : aligned_alloc(64, bytes ? (bytes + 63) / 64 * 64 : 64);
}

static void cpu_release(mv_backend *b, void *p)
{
    (void)b;
    free(p);
}

/* Copies a strided value row by row: to host, or from `given` if it is not NULL. */
static void walk(const mv_cpu *c, mv_view v, float *host, const float *given)
{
    size_t n = (size_t)v.dim[v.nd - 1], rows = n ? mv_view_count(v) / n : 0;
    ptrdiff_t step = v.stride[v.nd - 1], size = (ptrdiff_t)mv_dtype_size(v.type);
    for (size_t r = 0; r < rows; r++) {
        ptrdiff_t offset = 0;
        size_t left = r;
        for (int d = v.nd - 2; d >= 0; d--) {
            offset += (ptrdiff_t)(left % (size_t)v.dim[d]) * v.stride[d];
            left /= (size_t)v.dim[d];
        }
        char *p = (char *)v.data + offset * size;
        if (step == 1 && given)
            c->k->narrow(p, v.type, given + r * n, n);
        else if (step == 1)
            c->k->widen(host + r * n, p, v.type, n);
        else
            for (size_t i = 0; i < n; i++, p += step * size) {
                if (given)
                    mv_from_f32(p, v.type, &given[r * n + i], 1);
                else
                    mv_to_f32(&host[r * n + i], p, v.type, 1);
            }
    }
}

static mv_status cpu_read(mv_backend *b, float *host, mv_view from, mv_error *e)
{
    (void)e;
    walk(mv_cpu_of(b), from, host, NULL);
    return MV_OK;
}

static mv_status cpu_write(mv_backend *b, mv_view to, const float *host, mv_error *e)
{
    (void)e;
    walk(mv_cpu_of(b), to, NULL, host);
    return MV_OK;
}

static mv_status cpu_finish(mv_backend *b, mv_error *e)
{
    (void)b, (void)e;
    return MV_OK;
}

/* ---- weights */

typedef struct {
    mv_cpu *c;
    mv_dnnl_shape shape;
    const float *w, *bias;
    mv_dnnl_weights *out;
} weights_job;

static void make_weights(void *job, int i, int worker)
{
    (void)i;
    weights_job *j = job;
    mv_cpu *c = j->c;
    float *rounded = NULL;
    size_t n = (size_t)j->shape.in * (size_t)j->shape.out * (size_t)(j->shape.kernel * j->shape.kernel);
    if (c->widens) { /* to the values that bf16 weights have */
        rounded = malloc(n * sizeof *rounded);
        if (!rounded) {
            mv_fail_memory(&c->error[worker], "cpu");
            return;
        }
        for (size_t k = 0; k < n; k++)
            rounded[k] = mv_bf16_to_f32(mv_f32_to_bf16(j->w[k]));
    }
    j->out = mv_dnnl_weights_new(c->dnnl, &j->shape, rounded ? rounded : j->w, j->bias, &c->error[worker]);
    free(rounded);
}

static mv_status weights_of(mv_cpu *c, mv_dnnl_shape shape, const float *w, const float *bias, void **out, mv_error *e)
{
    shape.from_type = shape.to_type = mv_cpu_product_type(c);
    weights_job j = {.c = c, .shape = shape, .w = w, .bias = bias};
    mv_status s = mv_cpu_run(c, make_weights, &j, 1, e); /* on the workers, so that oneDNN uses one thread */
    *out = j.out;
    return s;
}

/* oneDNN chooses the layout of weights for a typical shape of activations: a map of level 1 at 224 px, and the tokens
 * of two windows of level 3. */
enum { TYPICAL_SIDE = 28, TYPICAL_ROWS = 98 };

static mv_status cpu_conv_new(mv_backend *b, mv_conv *out, int n_in, int n_out, int stride, const float *w,
                              const float *bias, mv_error *e)
{
    *out = (mv_conv){.in = n_in, .out = n_out, .stride = stride};
    mv_dnnl_shape shape = {.pictures = 1,
                           .h = TYPICAL_SIDE,
                           .w = TYPICAL_SIDE,
                           .in = n_in,
                           .out = n_out,
                           .kernel = MV_TAPS,
                           .stride = stride,
                           .top = 1,
                           .left = 1,
                           .bottom = 1,
                           .right = 1};
    return weights_of(mv_cpu_of(b), shape, w, bias, &out->w, e);
}

static mv_status cpu_dense_new(mv_backend *b, mv_dense *out, int n_in, int n_out, const float *w, const float *bias,
                               mv_error *e)
{
    *out = (mv_dense){.in = n_in, .out = n_out};
    mv_dnnl_shape shape = {
        .pictures = 1, .h = TYPICAL_ROWS, .w = 1, .in = n_in, .out = n_out, .kernel = 1, .stride = 1};
    return weights_of(mv_cpu_of(b), shape, w, bias, &out->w, e);
}

static mv_status cpu_vector_new(mv_backend *b, mv_vector *out, int n, const float *values, mv_error *e)
{
    (void)b;
    *out = (mv_vector){.n = n, .data = malloc((size_t)n * sizeof *values)};
    if (!out->data)
        return mv_fail_memory(e, "cpu");
    memcpy(out->data, values, (size_t)n * sizeof *values);
    return MV_OK;
}

static void cpu_conv_free(mv_backend *b, mv_conv *w)
{
    (void)b;
    mv_dnnl_weights_free(w->w);
    w->w = NULL;
}

static void cpu_dense_free(mv_backend *b, mv_dense *w)
{
    (void)b;
    mv_dnnl_weights_free(w->w);
    w->w = NULL;
}

static void cpu_vector_free(mv_backend *b, mv_vector *v)
{
    (void)b;
    free(v->data);
    v->data = NULL;
}

/* ---- the device */

static void cpu_free(mv_backend *b)
{
    mv_cpu *c = mv_cpu_of(b);
    mv_workers_free(c->workers);
    mv_dnnl_free(c->dnnl);
    for (int i = 0; c->scratch && i < 2 * c->threads; i++)
        free(c->scratch[i].data);
    free(c->scratch);
    free(c->error);
    free(c);
}

bool mv_cpu_has_bf16(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bf16");
#else
    return false;
#endif
}

static const char *isa_text(const mv_kernels *k)
{
    static const char *const text[][2] = {{"avx512bf16", "AVX-512 with bf16"}, {"avx512", "AVX-512"}, {"avx2", "AVX2"}};
    for (size_t i = 0; i < sizeof text / sizeof *text; i++)
        if (strcmp(k->name, text[i][0]) == 0)
            return text[i][1];
    return "plain";
}

const char *mv_cpu_isa(void)
{
    return isa_text(mv_kernels_best());
}

/* The kernel table of this name, or the best one for NULL. */
static const mv_kernels *kernels_named(const char *name, mv_error *e)
{
    char all[64] = "";
    if (!name)
        return mv_kernels_best();
    for (int i = 0; mv_kernels_at(i); i++) {
        const char *have = mv_kernels_at(i)->name;
        if (strcmp(have, name) == 0)
            return mv_kernels_at(i);
        size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, "%s%s", used ? ", " : "", have);
    }
    mv_fail(e, MV_EINPUT, "cpu: found instruction set '%s', expected one that this processor has: %s", name, all);
    return NULL;
}

static int cores(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) ? (int)sysconf(_SC_NPROCESSORS_ONLN) : CPU_COUNT(&set);
    return n > 0 ? n : 1;
}

static void offer(mv_backend *b, mv_dtype act)
{
    *b = (mv_backend){
        .name = "cpu",
        .act = act,
        .free = cpu_free,
        .alloc = cpu_alloc,
        .release = cpu_release,
        .read = cpu_read,
        .write = cpu_write,
        .finish = cpu_finish,
        .conv_new = cpu_conv_new,
        .dense_new = cpu_dense_new,
        .vector_new = cpu_vector_new,
        .conv_free = cpu_conv_free,
        .dense_free = cpu_dense_free,
        .vector_free = cpu_vector_free,
    };
    mv_cpu_offer_products(b);
    mv_cpu_offer_tokens(b);
    mv_cpu_offer_mixer(b);
    mv_cpu_offer_mixer_back(b);
    mv_cpu_offer_reductions(b);
    mv_cpu_offer_back(b);
}

mv_backend *mv_cpu_new(mv_dtype act, int threads, const char *isa, mv_error *e)
{
    if (act != MV_F32 && act != MV_BF16) {
        mv_fail(e, MV_EDEVICE, "cpu: found precision %s, expected fp32 or bf16",
                act == MV_F16 ? "fp16" : mv_dtype_name(act));
        return NULL;
    }
    if (threads < 0 || threads > 1024) {
        mv_fail(e, MV_EINPUT, "cpu: found %d threads, expected 1 to 1024", threads);
        return NULL;
    }
    const mv_kernels *k = kernels_named(isa, e);
    if (!k)
        return NULL;
    mv_cpu *c = calloc(1, sizeof *c);
    if (!c) {
        mv_fail_memory(e, "cpu");
        return NULL;
    }
    offer(&c->base, act);
    c->threads = threads ? threads : mv_least(cores(), 1024);
    c->k = k;
    c->widens = act == MV_BF16 && !mv_cpu_has_bf16();
    c->scratch = calloc(2 * (size_t)c->threads, sizeof *c->scratch);
    c->error = calloc((size_t)c->threads, sizeof *c->error);
    if (!c->scratch || !c->error)
        mv_fail_memory(e, "cpu");
    else if ((c->workers = mv_workers_new(c->threads, e)))
        c->dnnl = mv_dnnl_new(c->threads, act == MV_BF16 && !c->widens, e);
    if (!c->dnnl || mv_backend_check(&c->base, e)) {
        cpu_free(&c->base);
        return NULL;
    }
    char version[48];
    snprintf(c->base.about, sizeof c->base.about, "%s, %d threads, %s%s", isa_text(k), c->threads,
             mv_dnnl_version(version), c->widens ? ", bf16 widened to fp32" : "");
    return &c->base;
}
