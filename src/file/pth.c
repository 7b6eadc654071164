#include "src/file/pth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/text.h"
#include "src/file/mapping.h"
#include "src/file/pth_impl.h"
#include "src/file/safetensors.h"

enum { MOST_UNPACKED_LOG2 = 31 }; /* bytes of compressed storages */

/* ---- the archive */

/* The root of the archive is the folder of its data.pkl, the only one. */
static mv_status find_root(mv_pth *p, int *pickle, mv_error *e)
{
    *pickle = -1;
    for (int i = 0; i < mv_zip_count(p->zip); i++) {
        const char *name = mv_zip_name_at(p->zip, i), *base = mv_text_base_name(name);
        if (strcmp(base, "data.pkl") != 0)
            continue;
        if (*pickle >= 0)
            return mv_fail(e, MV_EINPUT, "%s: found several data.pkl in the archive, expected one", p->file);
        *pickle = i;
        p->root_letters = (size_t)(base - name);
        memcpy(p->root, name, p->root_letters);
    }
    if (*pickle < 0)
        return mv_fail(e, MV_EINPUT,
                       "%s: found a .zip archive without data.pkl, expected a checkpoint that torch.save wrote",
                       p->file);
    return MV_OK;
}

int mv_pth_entry(const mv_pth *p, const char *name, size_t letters)
{
    char full[MV_ZIP_NAME + 1];
    if (letters > MV_ZIP_NAME - p->root_letters)
        return -1;
    memcpy(full, p->root, p->root_letters);
    memcpy(full + p->root_letters, name, letters);
    full[p->root_letters + letters] = 0;
    return memchr(name, 0, letters) ? -1 : mv_zip_lookup(p->zip, full);
}

static mv_status check_kind(const mv_pth *p, mv_error *e)
{
    char order[8] = "";
    int i = mv_pth_entry(p, "byteorder", 9);
    if (mv_pth_entry(p, "constants.pkl", 13) >= 0)
        return mv_fail(
            e, MV_EINPUT,
            "%s: found a TorchScript archive, a program with its weights, expected a state dict; make one by "
            "torch.save(torch.jit.load(FILE).state_dict(), \"model.pth\")",
            p->file);
    if (i < 0)
        return MV_OK; /* PyTorch before 2.0 wrote none and was little-endian */
    size_t n = mv_zip_size_at(p->zip, i) < sizeof order ? (size_t)mv_zip_size_at(p->zip, i) : sizeof order - 1;
    const unsigned char *stored = mv_zip_stored(p->zip, i);
    mv_status s = MV_OK;
    if (stored) /* without its checksum, which torch.save can be told not to compute */
        memcpy(order, stored, n);
    else
        s = mv_zip_read(p->zip, i, (unsigned char *)order, n, p->file, e);
    if (s)
        return s;
    if (strcmp(order, "little") != 0)
        return mv_fail(e, MV_EINPUT,
                       "%s: found another byte order than 'little'; load and save it again on a little-endian machine",
                       p->file);
    return MV_OK;
}

static mv_status load_pickle(mv_pth *p, int i, mv_error *e)
{
    uint64_t size = mv_zip_size_at(p->zip, i);
    const void *bytes = mv_zip_stored(p->zip, i);
    if (size > MV_PICKLE_LARGEST)
        return mv_fail(e, MV_EINPUT, "%s: found a pickle of %llu bytes, expected at most %d", p->file,
                       (unsigned long long)size, MV_PICKLE_LARGEST);
    if (!bytes) {
        p->unpacked_pickle = malloc((size_t)size + 1);
        if (!p->unpacked_pickle)
            return mv_fail_memory(e, p->file);
        mv_status s = mv_zip_read(p->zip, i, p->unpacked_pickle, (size_t)size, p->file, e);
        if (s)
            return s;
        bytes = p->unpacked_pickle;
    }
    p->pickle = mv_pickle_of(bytes, (size_t)size, p->file, e);
    return p->pickle ? MV_OK : e->code;
}

/* ---- opening */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const mv_pth_tensor *)a)->name, ((const mv_pth_tensor *)b)->name);
}

static mv_status sort_tensors(mv_pth *p, mv_error *e)
{
    if (p->n == 0)
        return mv_fail(e, MV_EINPUT,
                       "%s: found a PyTorch file (a zip with a pickle) without a tensor in it, expected a state dict; "
                       "if its repository has a model.safetensors, take that",
                       p->file);
    qsort(p->tensor, (size_t)p->n, sizeof *p->tensor, by_name);
    for (int i = 1; i < p->n; i++)
        if (strcmp(p->tensor[i - 1].name, p->tensor[i].name) == 0)
            return mv_fail(e, MV_EINPUT, "%s: found two tensors named '%.200s', expected one of each name", p->file,
                           p->tensor[i].name);
    return MV_OK;
}

static mv_status open_all(mv_pth *p, const void *bytes, size_t size, mv_error *e)
{
    int pickle;
    p->zip = mv_zip_of(bytes, size, p->file, e);
    if (!p->zip)
        return e->code;
    mv_status s = find_root(p, &pickle, e);
    if (!s)
        s = check_kind(p, e);
    if (!s)
        s = load_pickle(p, pickle, e);
    if (!s)
        s = mv_pth_collect(p, e);
    mv_pickle_close(p->pickle); /* the tensors hold nothing of it */
    p->pickle = NULL;
    free(p->unpacked_pickle);
    p->unpacked_pickle = NULL;
    return s ? s : sort_tensors(p, e);
}

mv_pth *mv_pth_of(const void *bytes, size_t size, bool mapped, const char *name, mv_error *e)
{
    mv_error mine = {0}; /* e may be NULL */
    mv_pth *p = calloc(1, sizeof *p);
    if (p)
        *p = (mv_pth){.file = strdup(name), .mapped = mapped};
    if (!p || !p->file)
        mv_fail_memory(&mine, name);
    else if (!open_all(p, bytes, size, &mine))
        return p;
    mv_pth_close(p);
    mv_fail(e, mine.code, "%s", mine.text);
    return NULL;
}

void mv_pth_close(mv_pth *p)
{
    if (!p)
        return;
    for (int i = 0; i < p->n; i++)
        free(p->tensor[i].name);
    for (int i = 0; p->unpacked && i < mv_zip_count(p->zip); i++)
        free(p->unpacked[i]);
    free(p->unpacked);
    free(p->tensor);
    mv_zip_close(p->zip);
    free(p->file);
    free(p);
}

int mv_pth_count(const mv_pth *p)
{
    return p->n;
}

const char *mv_pth_name_at(const mv_pth *p, int i)
{
    return p->tensor[i].name;
}

int mv_pth_index(const mv_pth *p, const char *name)
{
    mv_pth_tensor key = {.name = (char *)(uintptr_t)name};
    const mv_pth_tensor *found = bsearch(&key, p->tensor, (size_t)p->n, sizeof *p->tensor, by_name);
    return found ? (int)(found - p->tensor) : -1;
}

mv_status mv_pth_shape(const mv_pth *p, int i, mv_tensor *out, mv_error *e)
{
    const mv_pth_tensor *t = &p->tensor[i];
    if (!t->usable)
        return mv_fail(e, MV_EINPUT, "%s: tensor '%.100s': found %.60s, expected F32, F16, BF16, F64, I64, I32 or U8",
                       p->file, t->name, t->type);
    *out = t->shape;
    return MV_OK;
}

/* ---- elements */

/* Unpacks a compressed storage, once. */
static mv_status unpack(mv_pth *p, int entry, const char *place, mv_error *e)
{
    uint64_t size = mv_zip_size_at(p->zip, entry);
    if (!p->unpacked)
        p->unpacked = calloc((size_t)mv_zip_count(p->zip), sizeof *p->unpacked);
    if (!p->unpacked)
        return mv_fail_memory(e, place);
    if (p->unpacked[entry])
        return MV_OK;
    if (size > ((uint64_t)1 << MOST_UNPACKED_LOG2) - p->unpacked_bytes)
        return mv_fail(
            e, MV_EINPUT,
            "%s: found more than 2 GiB of compressed storages, expected none: torch.save stores them plainly", place);
    unsigned char *bytes = malloc((size_t)size + 1);
    mv_status s = bytes ? mv_zip_read(p->zip, entry, bytes, (size_t)size, place, e) : mv_fail_memory(e, place);
    if (s) {
        free(bytes);
        return s;
    }
    p->unpacked_bytes += size;
    p->unpacked[entry] = bytes;
    return MV_OK;
}

static bool is_dense(const mv_pth_tensor *t)
{
    int64_t stride = 1;
    for (int i = t->shape.nd - 1; i >= 0; i--) {
        if (t->shape.dim[i] != 1 && t->stride[i] != stride)
            return false;
        stride *= t->shape.dim[i];
    }
    return true;
}

/* Elements in row-major order, one by one: a view may show them in any order. */
static void gather(const mv_pth_tensor *t, const unsigned char *storage, float *out)
{
    enum { PART = 512 };
    uint64_t part[PART];
    size_t width = mv_dtype_size(t->shape.type), all = mv_tensor_count(t->shape), kept = 0;
    int at[MV_MAX_DIMS] = {0};
    int64_t offset = t->offset;
    for (size_t i = 0; i < all; i++) {
        memcpy((char *)part + kept++ * width, storage + (size_t)offset * width, width);
        if (kept == PART || i + 1 == all) {
            mv_to_f32(out, part, t->shape.type, kept);
            out += kept;
            kept = 0;
        }
        for (int k = t->shape.nd - 1; k >= 0; k--) { /* the next element */
            offset += t->stride[k];
            if (++at[k] < t->shape.dim[k])
                break;
            offset -= t->stride[k] * t->shape.dim[k];
            at[k] = 0;
        }
    }
}

mv_status mv_pth_read(mv_pth *p, int i, float *out, mv_error *e)
{
    const mv_pth_tensor *t = &p->tensor[i];
    char place[700];
    snprintf(place, sizeof place, "%.400s: tensor %.200s", p->file, t->name);
    if (mv_tensor_count(t->shape) == 0)
        return MV_OK;
    const unsigned char *storage = mv_zip_stored(p->zip, t->entry);
    if (!storage) {
        mv_status s = unpack(p, t->entry, place, e);
        if (s)
            return s;
        storage = p->unpacked[t->entry];
    }
    size_t width = mv_dtype_size(t->shape.type);
    const unsigned char *begin = storage + (size_t)t->offset * width;
    if (is_dense(t)) {
        mv_tensor dense = t->shape;
        dense.data = (void *)(uintptr_t)begin;
        mv_safetensors_read(out, dense);
    } else
        gather(t, storage, out);
    if (p->mapped && !p->unpacked)
        mv_mapping_forget(begin, storage + (size_t)t->end * width);
    return MV_OK;
}
