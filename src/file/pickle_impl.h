/* The machine of pickle.c: a stack of values with marks, a memo, and the nodes that are made. */
#ifndef MV_PICKLE_IMPL_H
#define MV_PICKLE_IMPL_H

#include "src/file/pickle.h"

typedef struct {
    uint32_t *at;
    size_t n, room;
} stack;

struct mv_pickle {
    mv_pickle_node *node; /* node 0 stands for "none" */
    size_t n, room;
    size_t items; /* of all containers */
    uint32_t root;
};

typedef struct {
    mv_pickle *p;
    const unsigned char *bytes;
    size_t size, at, start; /* start: of the opcode at hand */
    stack values, marks, memo;
    const char *name;
    mv_error *e;
} machine;

/* "NAME: found WHAT at byte N of its pickle" */
mv_status mv_pk_fault(machine *m, const char *what);

/* Makes a node and pushes it; pushes a number to a stack. */
mv_status mv_pk_push(machine *m, mv_pickle_node node);
mv_status mv_pk_push_to(machine *m, stack *s, uint32_t value);

/* The height of the stack at the last mark; requires n values above it; the value on top. */
size_t mv_pk_floor_of(const machine *m);
mv_status mv_pk_need(machine *m, size_t n);
mv_status mv_pk_top(machine *m, mv_pickle_node **out);

/* The values above the last mark, which is taken away with them. They stay in place until the next push. */
mv_status mv_pk_pop_mark(machine *m, const uint32_t **values, size_t *n);

/* Operands in the pickle: n bytes, a number of so many bytes. */
mv_status mv_pk_take(machine *m, size_t n, const unsigned char **out);
mv_status mv_pk_take_number(machine *m, int bytes, uint64_t *out);

/* Pushes a value that follows in the pickle; `bytes`: the width of its length. */
mv_status mv_pk_push_text(machine *m, mv_pickle_kind kind, int bytes);
mv_status mv_pk_push_unsigned(machine *m, int bytes);
mv_status mv_pk_push_int32(machine *m);
mv_status mv_pk_push_long(machine *m, int bytes);
mv_status mv_pk_push_float(machine *m);

/* Pushes a container of values, of those above the last mark, of the n on top. */
mv_status mv_pk_push_items(machine *m, mv_pickle_kind kind, const uint32_t *items, size_t n);
mv_status mv_pk_push_marked(machine *m, mv_pickle_kind kind);
mv_status mv_pk_push_tuple(machine *m, size_t n);

/* Puts values into the container below them: appends to a list, adds to a set, sets pairs in a dict. An object takes
 * pairs and forgets the rest. */
mv_status mv_pk_fill_marked(machine *m, mv_pickle_kind kind);
mv_status mv_pk_fill_from_top(machine *m, mv_pickle_kind kind, size_t n);

/* Keeps the value on top under a number; pushes what is kept under the number that follows. */
mv_status mv_pk_put(machine *m, uint64_t index);
mv_status mv_pk_put_next(machine *m, int bytes);
mv_status mv_pk_get_memo(machine *m, int bytes);

#endif
