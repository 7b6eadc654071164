/* From the tree of a pickle to tensors: where they are, what they are called, and whether their storage holds them. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/text.h"
#include "src/file/pth_impl.h"

typedef struct {
    mv_pth *p;
    unsigned char *seen; /* by node: a container that was walked through */
    char name[MV_PTH_NAME + 1];
    size_t letters;
    int unnamed; /* keys on the way that no name can have: tensors below them are refused */
    mv_error *e;
} walker;

static const mv_pickle_node *node_at(const walker *w, uint32_t node)
{
    return mv_pickle_at(w->p->pickle, node);
}

/* The k-th of the arguments of a call; NULL if there are fewer. */
static const mv_pickle_node *argument(const walker *w, const mv_pickle_node *call, uint32_t k)
{
    const mv_pickle_node *arguments = node_at(w, call->arguments);
    return k < arguments->n ? node_at(w, arguments->items[k]) : NULL;
}

static mv_status fault(const walker *w, const char *what)
{
    return mv_fail(w->e, MV_EINPUT, "%s: tensor '%.200s': found %s", w->p->file, w->name, what);
}

static bool is_call(const mv_pickle_node *t, mv_global_role role)
{
    return t && t->kind == MV_PICKLE_OBJECT && t->global->role == role;
}

/* ---- one tensor */

typedef struct {
    const char *type; /* NULL: bytes of any type */
    int width;
    int entry;
    int64_t elements;
} storage;

/* A persistent id is ("storage", type, key, location, elements). */
static bool is_storage(const mv_pickle *p, const mv_pickle_node *id)
{
    if (id->kind != MV_PICKLE_TUPLE || id->n != 5)
        return false;
    const mv_pickle_node *word = mv_pickle_at(p, id->items[0]), *type = mv_pickle_at(p, id->items[1]),
                         *elements = mv_pickle_at(p, id->items[4]);
    return word->kind == MV_PICKLE_TEXT && word->n == 7 && memcmp(word->text, "storage", 7) == 0 &&
           type->kind == MV_PICKLE_GLOBAL && type->global->role == MV_GLOBAL_STORAGE &&
           mv_pickle_at(p, id->items[2])->kind == MV_PICKLE_TEXT && elements->kind == MV_PICKLE_INT &&
           elements->integer >= 0;
}

/* Storages are all that a checkpoint keeps outside of its pickle. */
static mv_status check_ids(const mv_pth *p, mv_error *e)
{
    for (uint32_t i = 1; i <= mv_pickle_count(p->pickle); i++) {
        const mv_pickle_node *t = mv_pickle_at(p->pickle, i);
        if (t->kind == MV_PICKLE_PERSISTENT && !is_storage(p->pickle, mv_pickle_at(p->pickle, t->arguments)))
            return mv_fail(e, MV_EINPUT, "%s: found a persistent id in its pickle that is no storage, expected none",
                           p->file);
    }
    return MV_OK;
}

static mv_status read_storage(walker *w, const mv_pickle_node *t, storage *out)
{
    enum { KEY = 100 };
    char name[KEY + 8];
    if (!t || t->kind != MV_PICKLE_PERSISTENT)
        return fault(w, "no storage in its description, expected one");
    const mv_pickle_node *id = node_at(w, t->arguments), *key = node_at(w, id->items[2]);
    const mv_pickle_global *type = node_at(w, id->items[1])->global;
    if (key->n > KEY)
        return fault(w, "a storage with a very long key");
    memcpy(name, "data/", 5);
    memcpy(name + 5, key->text, key->n);
    *out = (storage){type->type, type->width, mv_pth_entry(w->p, name, 5 + key->n), node_at(w, id->items[4])->integer};
    return out->entry < 0 ? fault(w, "no storage of its key in the archive (is the file complete?)") : MV_OK;
}

/* The numbers of a tuple or of torch.Size(tuple). Returns how many, -1 if it is something else. */
static int read_numbers(const walker *w, const mv_pickle_node *t, int64_t out[MV_MAX_DIMS])
{
    if (is_call(t, MV_GLOBAL_SIZE))
        t = argument(w, t, 0);
    if (!t || (t->kind != MV_PICKLE_TUPLE && t->kind != MV_PICKLE_LIST) || t->n > INT_MAX)
        return -1;
    for (uint32_t i = 0; t->n <= MV_MAX_DIMS && i < t->n; i++) {
        const mv_pickle_node *x = node_at(w, t->items[i]);
        if (x->kind != MV_PICKLE_INT || x->integer < 0)
            return -1;
        out[i] = x->integer;
    }
    return (int)t->n;
}

static mv_status read_view(walker *w, const mv_pickle_node *call, mv_pth_tensor *t)
{
    int64_t size[MV_MAX_DIMS] = {0};
    const mv_pickle_node *offset = argument(w, call, 1);
    int nd = read_numbers(w, argument(w, call, 2), size), strides = read_numbers(w, argument(w, call, 3), t->stride);
    if (!offset || offset->kind != MV_PICKLE_INT || offset->integer < 0 || nd < 0 || nd != strides)
        return fault(w, "an offset, size or stride that are no whole numbers from 0 on");
    t->offset = offset->integer;
    if (nd > MV_MAX_DIMS) {
        t->usable = false;
        t->type = "more than 5 dimensions";
        return MV_OK;
    }
    t->shape.nd = nd;
    for (int i = 0; i < nd; i++) {
        if (size[i] > INT_MAX)
            return fault(w, "a dimension beyond 2147483647");
        t->shape.dim[i] = (int)size[i];
    }
    return MV_OK;
}

/* Sets t->end and *elements: what the view reaches to, and how many elements it shows. False beyond 64 bits. */
static bool measure(mv_pth_tensor *t, int64_t *elements)
{
    int64_t last = t->offset, step;
    *elements = 1;
    for (int i = 0; i < t->shape.nd; i++) {
        if (t->shape.dim[i] == 1)
            t->stride[i] = 0; /* it is never used */
        if (t->shape.dim[i] == 0) {
            *elements = 0;
            t->end = t->offset;
            return true;
        }
    }
    for (int i = 0; i < t->shape.nd; i++)
        if (__builtin_mul_overflow(*elements, (int64_t)t->shape.dim[i], elements) ||
            __builtin_mul_overflow((int64_t)(t->shape.dim[i] - 1), t->stride[i], &step) ||
            __builtin_add_overflow(last, step, &last))
            return false;
    return !__builtin_add_overflow(last, (int64_t)1, &t->end);
}

static mv_status check_view(walker *w, mv_pth_tensor *t, storage *from)
{
    int64_t elements, bytes;
    uint64_t there = mv_zip_size_at(w->p->zip, from->entry);
    if (__builtin_mul_overflow(from->elements, (int64_t)from->width, &bytes) || (uint64_t)bytes > there)
        return mv_fail(w->e, MV_EINPUT,
                       "%s: tensor '%.200s': found a storage of %llu bytes in the archive, expected %lld elements of "
                       "%d bytes: the file is damaged",
                       w->p->file, w->name, (unsigned long long)there, (long long)from->elements, from->width);
    if (!from->type) /* counted in bytes */
        from->elements /= (int64_t)mv_dtype_size(t->shape.type);
    if (!measure(t, &elements))
        return fault(w, "a size that 64 bits do not hold");
    if (elements > 0 && t->end > from->elements)
        return mv_fail(
            w->e, MV_EINPUT,
            "%s: tensor '%.200s': found a storage of %lld elements, expected at least the %lld that its size "
            "and strides reach to",
            w->p->file, w->name, (long long)from->elements, (long long)t->end);
    if (elements > from->elements) {
        if (elements > MV_PTH_EXPANDED - w->p->expanded)
            return fault(w, "many millions of elements that repeat few of its storage, expected a plain tensor");
        w->p->expanded += elements;
    }
    return MV_OK;
}

static mv_status add(walker *w, mv_pth_tensor t)
{
    mv_pth *p = w->p;
    if (p->n == MV_PTH_TENSORS)
        return mv_fail(w->e, MV_EINPUT, "%s: found more than %d tensors, expected at most that", p->file,
                       MV_PTH_TENSORS);
    if (p->n == p->room) {
        int room = p->room ? 2 * p->room : 256;
        mv_pth_tensor *more = realloc(p->tensor, (size_t)room * sizeof *more);
        if (!more)
            return mv_fail_memory(w->e, p->file);
        p->tensor = more;
        p->room = room;
    }
    t.name = strdup(w->name);
    if (!t.name)
        return mv_fail_memory(w->e, p->file);
    p->tensor[p->n++] = t;
    return MV_OK;
}

/* The type of the elements: that of the storage, or the argument of _rebuild_tensor_v3. */
static void read_type(mv_pth_tensor *t, const char *name)
{
    t->type = name;
    for (int i = 0; i < MV_DTYPES; i++)
        if (strcmp(name, mv_dtype_name((mv_dtype)i)) == 0) {
            t->usable = true;
            t->shape.type = (mv_dtype)i;
        }
}

static mv_status read_tensor(walker *w, const mv_pickle_node *call)
{
    mv_pth_tensor t = {0};
    storage from = {0};
    if (call->global->role == MV_GLOBAL_OTHER_TENSOR) {
        t.type = call->global->name;
        return add(w, t);
    }
    mv_status s = read_storage(w, argument(w, call, 0), &from);
    if (s)
        return s;
    const mv_pickle_node *dtype = call->global->role == MV_GLOBAL_TENSOR_V3 ? argument(w, call, 6) : NULL;
    const char *type = from.type;
    if (dtype && dtype->kind == MV_PICKLE_GLOBAL && dtype->global->role == MV_GLOBAL_DTYPE) {
        type = dtype->global->type;
        if (from.type && strcmp(from.type, type) != 0)
            return fault(w, "another type than that of its storage");
    }
    if (!type)
        return fault(w, "no type of its elements, expected one");
    t.entry = from.entry;
    read_type(&t, type);
    s = read_view(w, call, &t);
    if (!s && t.usable)
        s = check_view(w, &t, &from);
    return s ? s : add(w, t);
}

/* ---- the tree */

/* Clean names can be printed by every message, and looked up. */
static mv_status check_name(const walker *w)
{
    if (w->unnamed)
        return mv_fail(w->e, MV_EINPUT,
                       "%s: found a tensor under a key of more than %d letters or with a zero in it, expected a name",
                       w->p->file, MV_PTH_NAME);
    if (mv_text_is_clean(w->name))
        return MV_OK;
    char *safe = mv_text_escape(w->name);
    mv_status s =
        safe ? mv_fail(w->e, MV_EINPUT, "%s: found a tensor named '%.200s', expected a name without control characters",
                       w->p->file, safe)
             : mv_fail_memory(w->e, w->p->file);
    free(safe);
    return s;
}

/* The tensor that a node describes, under Parameters and subclasses; NULL if it describes none. */
static const mv_pickle_node *tensor_of(const walker *w, const mv_pickle_node *t, mv_pickle_node *own)
{
    for (int i = 0; i < 4 && is_call(t, MV_GLOBAL_PARAMETER); i++)
        t = argument(w, t, 0);
    if (is_call(t, MV_GLOBAL_FROM_TYPE)) { /* (function, type, arguments, state) */
        const mv_pickle_node *function = argument(w, t, 0), *arguments = node_at(w, t->arguments);
        if (!function || function->kind != MV_PICKLE_GLOBAL || arguments->n < 3 ||
            node_at(w, arguments->items[2])->kind != MV_PICKLE_TUPLE)
            return NULL;
        *own = (mv_pickle_node){.kind = MV_PICKLE_OBJECT, .arguments = arguments->items[2], .global = function->global};
        t = own;
        if (is_call(t, MV_GLOBAL_PARAMETER))
            t = argument(w, t, 0);
    }
    return is_call(t, MV_GLOBAL_TENSOR) || is_call(t, MV_GLOBAL_TENSOR_V3) || is_call(t, MV_GLOBAL_OTHER_TENSOR) ? t
                                                                                                                 : NULL;
}

static mv_status walk(walker *w, uint32_t node, int depth);

/* Walks on under one more key. Keys that are neither text nor numbers lead to no weights. */
static mv_status walk_key(walker *w, const mv_pickle_node *key, int64_t place, uint32_t value, int depth)
{
    size_t before = w->letters;
    char number[32];
    const char *text = number;
    size_t n = (size_t)snprintf(number, sizeof number, "%lld", (long long)(key ? key->integer : place));
    if (key && key->kind == MV_PICKLE_TEXT) {
        text = key->text;
        n = key->n;
    } else if (key && key->kind != MV_PICKLE_INT)
        return MV_OK;
    if (n + 1 > MV_PTH_NAME - w->letters || memchr(text, 0, n)) {
        w->unnamed++;
        mv_status s = walk(w, value, depth + 1);
        w->unnamed--;
        return s;
    }
    if (w->letters)
        w->name[w->letters++] = '.';
    memcpy(w->name + w->letters, text, n);
    w->letters += n;
    w->name[w->letters] = 0;
    mv_status s = walk(w, value, depth + 1);
    w->letters = before;
    w->name[before] = 0;
    return s;
}

static mv_status walk_pairs(walker *w, const mv_pickle_node *t, int depth)
{
    mv_status s = MV_OK;
    for (uint32_t i = 0; !s && i + 1 < t->n; i += 2)
        s = walk_key(w, node_at(w, t->items[i]), 0, t->items[i + 1], depth);
    return s;
}

/* OrderedDict([(key, value), ...]), of Python 2, or dict({...}). */
static mv_status walk_dict_call(walker *w, const mv_pickle_node *t, int depth)
{
    const mv_pickle_node *arguments = node_at(w, t->arguments);
    uint32_t last = arguments->n ? arguments->items[arguments->n - 1] : 0;
    const mv_pickle_node *from = last && !w->seen[last] ? node_at(w, last) : NULL;
    mv_status s = from && from->kind == MV_PICKLE_DICT ? walk_pairs(w, from, depth) : MV_OK;
    w->seen[last] = 1;
    if (from && (from->kind == MV_PICKLE_LIST || from->kind == MV_PICKLE_TUPLE))
        for (uint32_t i = 0; !s && i < from->n; i++) {
            const mv_pickle_node *pair = node_at(w, from->items[i]);
            if ((pair->kind == MV_PICKLE_TUPLE || pair->kind == MV_PICKLE_LIST) && pair->n == 2)
                s = walk_key(w, node_at(w, pair->items[0]), 0, pair->items[1], depth);
        }
    return s ? s : walk_pairs(w, t, depth);
}

static mv_status walk(walker *w, uint32_t node, int depth)
{
    mv_pickle_node own;
    const mv_pickle_node *t = node_at(w, node), *call = tensor_of(w, t, &own);
    if (call) {
        mv_status s = check_name(w);
        return s ? s : read_tensor(w, call);
    }
    bool holds = t->kind == MV_PICKLE_DICT || t->kind == MV_PICKLE_LIST || t->kind == MV_PICKLE_TUPLE ||
                 t->kind == MV_PICKLE_OBJECT;
    if (!holds || depth >= MV_PTH_DEEPEST || w->seen[node])
        return MV_OK;
    w->seen[node] = 1; /* once: a dict may be in several places, and in itself */
    if (t->kind == MV_PICKLE_DICT)
        return walk_pairs(w, t, depth);
    if (t->kind == MV_PICKLE_OBJECT)
        return t->global->role == MV_GLOBAL_DICT ? walk_dict_call(w, t, depth) : walk_pairs(w, t, depth);
    mv_status s = MV_OK;
    for (uint32_t i = 0; !s && i < t->n; i++)
        s = walk_key(w, NULL, i, t->items[i], depth);
    return s;
}

mv_status mv_pth_collect(mv_pth *p, mv_error *e)
{
    mv_status s = check_ids(p, e);
    if (s)
        return s;
    walker w = {.p = p, .seen = calloc((size_t)mv_pickle_count(p->pickle) + 1, 1), .e = e};
    s = w.seen ? walk(&w, mv_pickle_root(p->pickle), 0) : mv_fail_memory(e, p->file);
    free(w.seen);
    return s;
}
