/* Where a batch finds its pictures.
 *
 * On a device whose memory is the host's: where the caller has them. On any other they are uploaded to memory of the
 * run, so that a recording always reads what its own run was given. Two batches have room: while one is computed, the
 * next one is uploaded.
 */
#include <stdlib.h>
#include <string.h>

#include "src/run/run_impl.h"

enum { ALIGN = 256, TABLE = 3 * 256, BUFFERS = 2 };

/* Bytes of one batch as planes, the larger of both forms. */
static size_t batch_bytes(const mv_run *r)
{
    size_t n = (size_t)r->capacity * 3 * (size_t)r->h * (size_t)r->w * sizeof(float);
    return (n + ALIGN - 1) / ALIGN * ALIGN;
}

size_t mv_pixels_bytes(const mv_run *r)
{
    return r->b->upload_new ? ALIGN + BUFFERS * batch_bytes(r) + TABLE * sizeof(float) : 0;
}

mv_status mv_pixels_begin(mv_run *r, char *memory, mv_error *e)
{
    mv_status s = MV_OK;
    if (!r->b->upload_new)
        return MV_OK;
    memory += (ALIGN - (uintptr_t)memory % ALIGN) % ALIGN;
    for (int i = 0; i < BUFFERS && !s; i++, memory += batch_bytes(r)) {
        r->uploaded[i] = memory;
        s = r->b->upload_new(r->b, &r->upload[i], e);
    }
    r->table = (mv_vector){TABLE, (float *)(void *)memory};
    return s;
}

static bool same_table(const float *a, const float *b)
{
    for (int i = 0; i < TABLE; i++)
        if (a[i] != b[i])
            return false;
    return true;
}

/* Written once: all pictures of a run are normalised alike. */
static void write_table(mv_run *r, const float *table)
{
    if (r->table_written && same_table(r->table_written, table))
        return;
    if (!r->table_written)
        r->table_written = malloc(TABLE * sizeof *table);
    if (!r->table_written) {
        mv_run_fail(r, MV_ENOMEM, "pictures: out of memory");
        return;
    }
    memcpy(r->table_written, table, TABLE * sizeof *table);
    if (r->b->write(r->b, mv_view_of(mv_tensor_of(r->table.data, MV_F32, 1, TABLE)), table, &r->error)) {
        free(r->table_written);
        r->table_written = NULL;
    }
}

void mv_pixels_load(mv_run *r, mv_pictures p)
{
    bool uploads = r->upload[0] != NULL;
    if (!p.data && !r->b->dry) {
        if (!uploads || !r->pixels.data)
            mv_run_fail(r, MV_EMISUSE, "pictures: found none, expected some that the device has already");
        r->pixels.dim[0] = r->pictures;
        return;
    }
    r->pixels = p.table ? mv_tensor_of((void *)p.data, MV_U8, 4, r->pictures, r->h, r->w, 3)
                        : mv_tensor_of((void *)p.data, MV_F32, 4, r->pictures, 3, r->h, r->w);
    if (!uploads) {
        r->table = (mv_vector){p.table ? TABLE : 0, (float *)p.table};
        return;
    }
    if (p.table)
        write_table(r, p.table);
    ptrdiff_t slot = r->current - r->slot; /* a short batch takes the memory that the batch before it does not read */
    r->turn = slot < BUFFERS ? (int)slot : !r->turn;
    r->pixels.data = r->uploaded[r->turn];
    if (!r->error.code)
        r->b->upload_send(r->b, r->upload[r->turn], r->pixels.data, p.data, mv_tensor_bytes(r->pixels), &r->error);
}

void mv_pixels_over(mv_run *r)
{
    mv_error ignored = {0}; /* the first failure is reported; what was started reads them all the same */
    if (r->upload[0])
        r->b->upload_over(r->b, r->upload[r->turn], r->error.code ? &ignored : &r->error);
}

void mv_pixels_end(mv_run *r)
{
    for (int i = 0; i < BUFFERS; i++)
        if (r->upload[i])
            r->b->upload_free(r->b, r->upload[i]);
    free(r->table_written);
}
