/* A Python pickle (protocols 2 to 5) as inert data: what torch.save describes its tensors with. Nothing is imported,
 * called or built. A call stays a node that says "this function, these arguments"; whoever reads the tree knows what
 * the few that matter mean. https://docs.python.org/3/library/pickletools.html lists the opcodes.
 *
 * A global name that pickle_globals.c does not list ends the reading and is named, as does any opcode that checkpoints
 * do not need. Time and memory are linear in the size of the pickle and have fixed limits: there is no recursion,
 * nothing is copied out of the memo, and long integers are not computed.
 */
#ifndef MV_PICKLE_H
#define MV_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/status.h"

enum {
    MV_PICKLE_LARGEST = 64 << 20, /* largest pickle */
    MV_PICKLE_MOST = 1 << 22      /* and most objects in it */
};

typedef enum {
    MV_PICKLE_NONE,
    MV_PICKLE_BOOL,
    MV_PICKLE_INT,
    MV_PICKLE_LONG, /* beyond 64 bits; its value is not kept */
    MV_PICKLE_FLOAT,
    MV_PICKLE_TEXT,
    MV_PICKLE_BYTES, /* a bytes or bytearray object */
    MV_PICKLE_TUPLE,
    MV_PICKLE_LIST,
    MV_PICKLE_DICT,
    MV_PICKLE_SET,        /* its members are not kept */
    MV_PICKLE_GLOBAL,     /* a listed name */
    MV_PICKLE_OBJECT,     /* what a call of a global would give; items: what is set in it as in a dict */
    MV_PICKLE_PERSISTENT, /* what is stored elsewhere, under the id `arguments` */
} mv_pickle_kind;

/* What a listed global means for tensors. */
typedef enum {
    MV_GLOBAL_INERT,       /* nothing */
    MV_GLOBAL_DICT,        /* makes a dict */
    MV_GLOBAL_STORAGE,     /* a type of storage; `type` NULL: bytes of any type */
    MV_GLOBAL_DTYPE,       /* a type of element */
    MV_GLOBAL_SIZE,        /* torch.Size */
    MV_GLOBAL_TENSOR,      /* (storage, offset, size, stride, ...) */
    MV_GLOBAL_TENSOR_V3,   /* (storage, offset, size, stride, requires_grad, hooks, dtype, ...) */
    MV_GLOBAL_PARAMETER,   /* (tensor, ...) */
    MV_GLOBAL_FROM_TYPE,   /* (function, type, arguments, state) */
    MV_GLOBAL_OTHER_TENSOR /* sparse, quantized, ...: a tensor that is not read */
} mv_global_role;

typedef struct {
    const char *name; /* "torch.FloatStorage" */
    mv_global_role role;
    const char *type; /* of a storage or dtype, by the names of safetensors: "F32" */
    int width;        /* bytes of an element */
} mv_pickle_global;

/* NULL where the list has no such name. */
const mv_pickle_global *mv_pickle_global_lookup(const char *name);

typedef struct {
    mv_pickle_kind kind;
    uint32_t n;         /* bytes of a text; items, of which a dict and an object have two for a pair */
    uint32_t room;      /* of items */
    uint32_t arguments; /* a node; 0: none */
    const mv_pickle_global *global;
    union {
        int64_t integer; /* INT, BOOL */
        double real;
        const char *text; /* in the pickle, n bytes, not ended by a zero */
        uint32_t *items;  /* nodes */
    };
} mv_pickle_node;

typedef struct mv_pickle mv_pickle;

/* Reads a pickle up to its STOP. The bytes stay the caller's until the close; `name` begins errors. */
mv_pickle *mv_pickle_of(const void *bytes, size_t size, const char *name, mv_error *e);
void mv_pickle_close(mv_pickle *p); /* NULL is fine */

/* Nodes 1 to count; objects may contain themselves. */
uint32_t mv_pickle_root(const mv_pickle *p);
uint32_t mv_pickle_count(const mv_pickle *p);
const mv_pickle_node *mv_pickle_at(const mv_pickle *p, uint32_t node);

#endif
