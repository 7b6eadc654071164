/* Uploads of pictures: a stream of their own, so that the pictures of a batch arrive while the one before is computed.
 *
 *   send   waits, on the card, for the work that reads the last copy; then copies through two pinned halves, one of
 *          which is filled while the other is sent. Work that is started later waits, on the card, for the last piece
 *   over   marks the end of the work that reads the copy
 *
 * Nothing of it is part of a recording.
 */
#include "cuda/library_state.h"

namespace mv
{

namespace
{

constexpr size_t HALF = size_t(16) << 20;

constexpr char UP[] = "copy to the GPU";

mv_status event_new(library *l, owned_event &made, mv_error *e)
{
    return checked(l, "start", cudaEventCreateWithFlags(made.out(), cudaEventDisableTiming), e);
}

}  // namespace

struct pump {
    owned_stream stream;
    owned_pinned half[2];
    owned_event gone[2];
    ~pump()
    {
        if (stream)
            cudaStreamSynchronize(stream); /* the halves may be on their way */
    }
};

/* arrived: the copy is complete. read: the work that reads it has ended. */
struct upload {
    owned_event arrived, read;
};

static mv_status pump_new(library *l, mv_error *e)
{
    pump *p = new (std::nothrow) pump{};
    if (!p)
        return mv_fail_memory(e, "cuda");
    mv_status s = checked(l, "start", cudaStreamCreateWithFlags(p->stream.out(), cudaStreamNonBlocking), e);
    for (int i = 0; i < 2 && !s; i++) {
        s = checked(l, "start", cudaHostAlloc(p->half[i].out(), HALF, cudaHostAllocDefault), e);
        if (!s)
            s = event_new(l, p->gone[i], e);
    }
    if (s) {
        delete p;
        return s;
    }
    l->up = p;
    return MV_OK;
}

void library_uploads_free(library *l)
{
    delete l->up;
    l->up = nullptr;
}

mv_status library_upload_new(library *l, void **out, mv_error *e)
{
    *out = nullptr;
    mv_status s = l->up ? MV_OK : pump_new(l, e);
    if (s)
        return s;
    upload *u = new (std::nothrow) upload{};
    if (!u)
        return mv_fail_memory(e, "cuda");
    s = event_new(l, u->arrived, e);
    if (!s)
        s = event_new(l, u->read, e);
    if (s) {
        library_upload_free(l, u);
        return s;
    }
    *out = u;
    return MV_OK;
}

void library_upload_free(library *l, void *p)
{
    upload *u = static_cast<upload *>(p);
    if (!u)
        return;
    cudaStreamSynchronize(l->up->stream); /* the caller releases the memory that it copies to */
    delete u;
}

static mv_status copy(library *l, char *to, const char *from, size_t bytes, mv_error *e)
{
    pump *p = l->up;
    mv_status s = MV_OK;
    for (size_t at = 0, turn = 0; at < bytes && !s; at += HALF, turn ^= 1) {
        size_t n = bytes - at < HALF ? bytes - at : HALF;
        s = checked(l, UP, cudaEventSynchronize(p->gone[turn]), e);
        if (s)
            return s;
        memcpy(p->half[turn], from + at, n);
        s = checked(l, UP, cudaMemcpyAsync(to + at, p->half[turn], n, cudaMemcpyHostToDevice, p->stream), e);
        if (!s)
            s = checked(l, UP, cudaEventRecord(p->gone[turn], p->stream), e);
    }
    return s;
}

mv_status library_upload_send(library *l, void *own, void *to, const void *from, size_t bytes, mv_error *e)
{
    upload *u = static_cast<upload *>(own);
    mv_status s = checked(l, UP, cudaStreamWaitEvent(l->up->stream, u->read, 0), e);
    if (!s)
        s = copy(l, static_cast<char *>(to), static_cast<const char *>(from), bytes, e);
    if (!s)
        s = checked(l, UP, cudaEventRecord(u->arrived, l->up->stream), e);
    return s ? s : checked(l, UP, cudaStreamWaitEvent(l->stream, u->arrived, 0), e);
}

mv_status library_upload_over(library *l, void *own, mv_error *e)
{
    return checked(l, UP, cudaEventRecord(static_cast<upload *>(own)->read, l->stream), e);
}

}  // namespace mv
