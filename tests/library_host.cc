/* library.h with plain loops on the CPU, for the emulated device. Memory comes from malloc, so that the address
 * sanitizer checks it, and is poisoned, so that values that were never written are NaN. A recording is the list of what
 * was launched.
 */
#define SIMT_HOME /* the code that switches stacks is compiled here */
#include "cuda/library.h"
#include "cuda/marks.h"

#include <cstdlib>
#include <vector>

namespace mv
{

struct library {
    marks asked;
    unsigned broken; /* the number of the mark at which work fails; or 0 */
    int graphs;
    std::vector<void *> retired;
};

/* The mark at which work fails on devices made from now on. */
static unsigned break_at;
extern "C" void simt_break_at(unsigned mark)
{
    break_at = mark;
}

using recording = std::vector<std::function<void()>>;

static long live; /* devices, their memory and recordings that have not been freed */

mv_status library_count(int *n, mv_error *)
{
    *n = 1;
    return MV_OK;
}

mv_status library_describe(int i, char text[160], mv_error *e)
{
    if (i)
        return mv_fail(e, MV_EDEVICE, "cuda:%d: no such GPU, found 1", i);
    snprintf(text, 160, "emulated on the CPU");
    return MV_OK;
}

library *library_new(int card, mv_error *e)
{
    char text[160];
    if (library_describe(card, text, e))
        return nullptr;
    library *l = new library{};
    l->broken = break_at;
    live++;
    return l;
}

void library_free(library *l)
{
    for (void *p : l->retired)
        library_release(l, p);
    live--;
    delete l;
}

void library_use(library *)
{
}

cudaStream_t library_stream(const library *)
{
    return nullptr;
}

void *library_alloc(library *, size_t bytes)
{
    void *p = aligned_alloc(256, (bytes + 255) / 256 * 256);
    if (p) {
        memset(p, 0xff, bytes);
        live++;
    }
    return p;
}

void library_release(library *, void *p)
{
    live -= p != nullptr;
    free(p);
}

mv_status library_up(library *, void *to, const void *from, size_t bytes, mv_error *)
{
    memcpy(to, from, bytes);
    return MV_OK;
}

/* Stops where memory is uploaded to while work may read it. */
struct upload {
    bool sent; /* and not over */
};

mv_status library_upload_new(library *, void **out, mv_error *)
{
    *out = new upload{};
    live++;
    return MV_OK;
}

void library_upload_free(library *, void *p)
{
    live -= p != nullptr;
    delete static_cast<upload *>(p);
}

mv_status library_upload_send(library *, void *p, void *to, const void *from, size_t bytes, mv_error *)
{
    upload *u = static_cast<upload *>(p);
    if (u->sent || simt::recorder) {
        fprintf(stderr, "library: pictures are uploaded %s\n",
                u->sent ? "over those that work may read" : "inside a recording");
        abort();
    }
    u->sent = true;
    memcpy(to, from, bytes);
    return MV_OK;
}

mv_status library_upload_over(library *, void *p, mv_error *)
{
    static_cast<upload *>(p)->sent = false;
    return MV_OK;
}

/* As on a card, a failure is found when waiting for it. */
static mv_status late(library *l, mv_error *e)
{
    char text[MARK_TEXT];
    return l->broken && l->asked.count >= l->broken
               ? mv_fail(e, MV_EDEVICE, "cuda:0: %s: broken by a test", l->asked.after(l->broken - 1, text))
               : MV_OK;
}

mv_status library_down(library *l, void *to, const void *from, size_t bytes, mv_error *e)
{
    memcpy(to, from, bytes);
    return late(l, e);
}

mv_status library_across(library *, void *to, const void *from, size_t bytes, mv_error *)
{
    simt::enqueue([=] { memcpy(to, from, bytes); });
    return MV_OK;
}

mv_status library_finish(library *l, mv_error *e)
{
    return late(l, e);
}

mv_status library_launched(library *, const char *, mv_error *)
{
    return MV_OK;
}

void library_mark(library *l, const char *site, const char *op)
{
    if (!simt::recorder)
        l->asked.add(site, op);
}

/* A send copies only in wait, the latest that a card could: a read before that finds poison. */
mv_status library_transfer_new(library *l, mv_transfer *out, size_t bytes, mv_error *e)
{
    *out = {bytes, library_alloc(l, bytes), static_cast<float *>(library_alloc(l, bytes)), new size_t(0)};
    if (out->device && out->host)
        return MV_OK;
    library_transfer_free(l, out);
    return mv_fail(e, MV_ENOMEM, "cuda:0: staging buffer: out of memory");
}

void library_transfer_free(library *l, mv_transfer *t)
{
    library_release(l, t->device);
    library_release(l, t->host);
    delete static_cast<size_t *>(t->own);
    *t = {};
}

mv_status library_transfer_send(library *, mv_transfer *t, size_t bytes, mv_error *)
{
    *static_cast<size_t *>(t->own) = bytes;
    return MV_OK;
}

mv_status library_transfer_wait(library *l, mv_transfer *t, mv_error *e)
{
    size_t &bytes = *static_cast<size_t *>(t->own);
    memcpy(t->host, t->device, bytes);
    memset(t->device, 0xff, bytes);
    bytes = 0;
    return late(l, e);
}

static float value_of(mv_dtype type, const void *p, size_t i)
{
    float v;
    mv_to_f32(&v, static_cast<const char *>(p) + i * mv_dtype_size(type), type, 1);
    return v;
}

static std::vector<float> values_of(mv_dtype type, const void *p, size_t n)
{
    std::vector<float> v(n);
    mv_to_f32(v.data(), p, type, n);
    return v;
}

static void multiply(const product &p)
{
    size_t n = static_cast<size_t>(p.n), k = static_cast<size_t>(p.k);
    std::vector<float> x = values_of(p.type, p.x, p.rows * k), w = values_of(p.type, p.w, n * k);
    for (size_t r = 0; r < p.rows; r++)
        for (size_t c = 0; c < n; c++) {
            float part[8] = {};
            for (size_t i = 0; i < k; i++)
                part[i % 8] += x[r * k + i] * w[c * k + i];
            float sum = ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
            if (p.bias)
                sum += value_of(p.out_type, p.bias, c);
            if (p.residual)
                sum += value_of(p.out_type, p.residual, r * n + c);
            sum = activated(sum, p.act);
            mv_from_f32(static_cast<char *>(p.out) + (r * n + c) * mv_dtype_size(p.out_type), p.out_type, &sum, 1);
        }
}

mv_status library_product(library *, const product &p, mv_error *)
{
    simt::enqueue([=] { multiply(p); });
    return MV_OK;
}

/* Some widths go to the stand-in for cuDNN, so that the tests cover both ways; among them widths whose rows are no
 * whole 16 bytes. */
bool library_convolves(const library *, const convolution &c)
{
    return c.c % 16 == 0 || c.c % 8 == 4;
}

static void convolve(const convolution &c)
{
    int oh = (c.h + c.stride - 1) / c.stride, ow = (c.w + c.stride - 1) / c.stride;
    size_t in = static_cast<size_t>(c.c), at = 0;
    std::vector<float> x = values_of(c.type, c.x, static_cast<size_t>(c.pictures * c.h * c.w) * in),
                       w = values_of(c.type, c.weights, static_cast<size_t>(c.n) * 9 * in);
    for (int b = 0; b < c.pictures; b++)
        for (int y = 0; y < oh; y++)
            for (int x0 = 0; x0 < ow; x0++)
                for (int o = 0; o < c.n; o++, at++) {
                    float sum = value_of(c.type, c.bias, static_cast<size_t>(o));
                    for (int tap = 0; tap < 9; tap++) {
                        int iy = y * c.stride + tap / 3 - 1, ix = x0 * c.stride + tap % 3 - 1;
                        if (iy < 0 || iy >= c.h || ix < 0 || ix >= c.w)
                            continue;
                        const float *from = &x[static_cast<size_t>((b * c.h + iy) * c.w + ix) * in],
                                    *by = &w[static_cast<size_t>(o * 9 + tap) * in];
                        for (size_t i = 0; i < in; i++)
                            sum += from[i] * by[i];
                    }
                    if (c.residual)
                        sum += value_of(c.type, c.residual, at);
                    sum = activated(sum, c.act);
                    mv_from_f32(static_cast<char *>(c.out) + at * mv_dtype_size(c.type), c.type, &sum, 1);
                }
}

mv_status library_convolve(library *, const convolution &c, mv_error *)
{
    simt::enqueue([=] { convolve(c); });
    return MV_OK;
}

mv_status library_record(library *, mv_error *)
{
    simt::recorder = new recording;
    return MV_OK;
}

mv_status library_recorded(library *l, void **graph, mv_error *)
{
    *graph = simt::recorder;
    live++;
    simt::recorder = nullptr;
    l->graphs++;
    return MV_OK;
}

bool library_records(const library *)
{
    return simt::recorder;
}

void library_retire(library *l, void *p)
{
    if (p && l->graphs)
        l->retired.push_back(p);
    else
        library_release(l, p);
}

mv_status library_replay(library *, void *graph, mv_error *)
{
    for (const std::function<void()> &work : *static_cast<recording *>(graph))
        work();
    return MV_OK;
}

void library_forget(library *l, void *graph)
{
    live -= graph != nullptr;
    delete static_cast<recording *>(graph);
    if (--l->graphs)
        return;
    for (void *p : l->retired)
        library_release(l, p);
    l->retired.clear();
}

/* Permutes the threads of every block. */
extern "C" void simt_order(unsigned order)
{
    simt::order = order;
}

/* The number of things that have not been freed. */
extern "C" long simt_live(void)
{
    return live;
}

}  // namespace mv
