/* The GPU device: its memory, reading and writing, recordings, uploads, staging buffers, and the table of the plug-in.
 */
#include <cstdio>
#include <cstring>
#include <new>

#include "cuda/gpu.h"

namespace mv
{

device *device_of(mv_backend *b)
{
    device *d = reinterpret_cast<device *>(b);
    library_use(d->lib);
    return d;
}

mv_status device_no_memory(device *d, size_t bytes, mv_error *e)
{
    return mv_fail(e, MV_ENOMEM, "%s: out of memory for %.1f MB; fewer pictures at a time need less", d->name,
                   static_cast<double>(bytes) * 1e-6);
}

void *device_scratch(device *d, size_t bytes, mv_error *e)
{
    if (bytes > d->scratch_size) {
        mv_status s = guarded(d, e, [&] {
            library_retire(d->lib, d->scratch);
            return MV_OK;
        });
        if (s)
            return nullptr;
        d->scratch_size = 0;
        d->scratch = library_alloc(d->lib, bytes);
        if (!d->scratch) {
            device_no_memory(d, bytes, e);
            return nullptr;
        }
        d->scratch_size = bytes;
    }
    return d->scratch;
}

constexpr size_t TRANSFER_MAX = size_t(1) << 30; /* bytes of a staging buffer, which pins as many of the host */

namespace
{

/* ---- memory */

void *device_alloc(mv_backend *b, size_t bytes)
{
    return library_alloc(device_of(b)->lib, bytes ? bytes : 1);
}

void device_release(mv_backend *b, void *p)
{
    library_release(device_of(b)->lib, p);
}

bool is_dense(const mv_view &v)
{
    ptrdiff_t stride = 1;
    for (int i = v.nd - 1; i >= 0; stride *= v.dim[i--])
        if (v.dim[i] != 1 && v.stride[i] != stride)
            return false;
    return true;
}

mv_status device_read(mv_backend *b, float *host, mv_view from, mv_error *e)
{
    device *d = device_of(b);
    size_t bytes = mv_view_count(from) * sizeof(float);
    if (bytes == 0)
        return MV_OK;
    const void *dense = from.data;
    if (!is_dense(from) || from.type != MV_F32) {
        float *gathered = static_cast<float *>(device_scratch(d, bytes, e));
        if (!gathered)
            return MV_ENOMEM;
        launch_gather(gathered, from, d->stream);
        mv_status s = launched(d, "read", e);
        if (s)
            return s;
        dense = gathered;
    }
    return library_down(d->lib, host, dense, bytes, e);
}

mv_status device_write(mv_backend *b, mv_view to, const float *host, mv_error *e)
{
    device *d = device_of(b);
    size_t bytes = mv_view_count(to) * sizeof(float);
    if (bytes == 0)
        return MV_OK;
    if (is_dense(to) && to.type == MV_F32)
        return library_up(d->lib, to.data, host, bytes, e);
    float *dense = static_cast<float *>(device_scratch(d, bytes, e));
    if (!dense)
        return MV_ENOMEM;
    mv_status s = library_up(d->lib, dense, host, bytes, e);
    if (s)
        return s;
    launch_scatter(to, dense, d->stream);
    return launched(d, "write", e);
}

mv_status device_finish(mv_backend *b, mv_error *e)
{
    return library_finish(device_of(b)->lib, e);
}

/* ---- recordings */

mv_status device_record(mv_backend *b, mv_error *e)
{
    return library_record(device_of(b)->lib, e);
}

mv_status device_recorded(mv_backend *b, void **recording, mv_error *e)
{
    return library_recorded(device_of(b)->lib, recording, e);
}

mv_status device_replay(mv_backend *b, void *recording, mv_error *e)
{
    return library_replay(device_of(b)->lib, recording, e);
}

void device_forget(mv_backend *b, void *recording)
{
    library_forget(device_of(b)->lib, recording);
}

/* ---- uploads */

mv_status device_upload_new(mv_backend *b, void **upload, mv_error *e)
{
    return library_upload_new(device_of(b)->lib, upload, e);
}

void device_upload_free(mv_backend *b, void *upload)
{
    library_upload_free(device_of(b)->lib, upload);
}

mv_status device_upload_send(mv_backend *b, void *upload, void *to, const void *from, size_t bytes, mv_error *e)
{
    return library_upload_send(device_of(b)->lib, upload, to, from, bytes, e);
}

mv_status device_upload_over(mv_backend *b, void *upload, mv_error *e)
{
    return library_upload_over(device_of(b)->lib, upload, e);
}

/* ---- staging buffers */

mv_status device_transfer_new(mv_backend *b, mv_transfer *out, size_t bytes, mv_error *e)
{
    return library_transfer_new(device_of(b)->lib, out, bytes, e);
}

void device_transfer_free(mv_backend *b, mv_transfer *t)
{
    library_transfer_free(device_of(b)->lib, t);
}

mv_status device_transfer_put(mv_backend *b, mv_transfer *t, size_t at, mv_view from, mv_error *e)
{
    device *d = device_of(b);
    float *to = reinterpret_cast<float *>(static_cast<char *>(t->device) + at);
    size_t n = mv_view_count(from);
    if (n == 0)
        return MV_OK;
    if (is_dense(from) && from.type == MV_F32)
        return library_across(d->lib, to, from.data, n * sizeof(float), e);
    if (is_dense(from)) {
        int c = from.dim[from.nd - 1];
        launch_rows({MV_F32, from.type, MV_F32, to, from.data, nullptr, nullptr, nullptr, MV_ACT_NONE,
                     n / static_cast<size_t>(c), c},
                    d->stream);
    } else
        launch_gather(to, from, d->stream);
    return launched(d, "capture", e);
}

mv_status device_transfer_send(mv_backend *b, mv_transfer *t, size_t bytes, mv_error *e)
{
    return library_transfer_send(device_of(b)->lib, t, bytes, e);
}

mv_status device_transfer_wait(mv_backend *b, mv_transfer *t, mv_error *e)
{
    return library_transfer_wait(device_of(b)->lib, t, e);
}

void device_mark(mv_backend *b, const char *site, const char *op)
{
    library_mark(device_of(b)->lib, site, op);
}

/* ---- the device */

void device_free(mv_backend *b)
{
    device *d = device_of(b);
    for (block &k : d->blocks)
        library_release(d->lib, k.data);
    library_release(d->lib, d->scratch);
    library_free(d->lib);
    delete d;
}

mv_backend *device_open(int card, mv_dtype act, bool fp8, mv_error *e)
{
    if (act != MV_F32 && act != MV_F16 && act != MV_BF16) {
        mv_fail(e, MV_EDEVICE, "cuda: found precision %s, expected fp16, bf16 or fp32", mv_dtype_name(act));
        return nullptr;
    }
    library *lib = library_new(card, e);
    if (!lib)
        return nullptr;
    if (fp8 && !library_has_fp8(card)) {
        mv_fail(e, MV_EDEVICE, "cuda:%d: fp8 needs a card of compute capability 9.0", card);
        library_free(lib);
        return nullptr;
    }
    device *d = new (std::nothrow) device{};
    if (!d) {
        library_free(lib);
        mv_fail_memory(e, "cuda");
        return nullptr;
    }
    d->lib = lib;
    d->stream = library_stream(lib);
    snprintf(d->name, sizeof d->name, "cuda:%d", card);
    mv_backend &t = d->base;
    t.name = d->name;
    t.act = act;
    t.fp8 = fp8 && act == MV_F16;
    t.channel_multiple = 16 / static_cast<int>(mv_dtype_size(act)); /* of 16 bytes */
    t.free = device_free;
    t.alloc = device_alloc;
    t.release = device_release;
    t.read = device_read;
    t.write = device_write;
    t.finish = device_finish;
    t.record = device_record;
    t.recorded = device_recorded;
    t.replay = device_replay;
    t.forget = device_forget;
    t.upload_new = device_upload_new;
    t.upload_free = device_upload_free;
    t.upload_send = device_upload_send;
    t.upload_over = device_upload_over;
    t.transfer_max = TRANSFER_MAX;
    t.transfer_new = device_transfer_new;
    t.transfer_free = device_transfer_free;
    t.transfer_put = device_transfer_put;
    t.transfer_send = device_transfer_send;
    t.transfer_wait = device_transfer_wait;
    t.mark = device_mark;
    device_offer_weights(&t);
    device_offer_convolutions(&t);
    device_offer_ops(&t);
    device_offer_convolutions_back(&t);
    device_offer_back(&t);
    mv_error ignored = {};
    if (library_describe(card, t.about, &ignored))
        snprintf(t.about, sizeof t.about, "%s", d->name);
    return &t;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) const mv_plugin mv_plugin_cuda = {
    MV_PLUGIN_ABI, sizeof(mv_backend), library_count, library_describe, library_has_fp8, device_open};

}  // namespace mv
