#include <stdlib.h>
#include <string.h>

#include "src/file/pickle_impl.h"

enum { MOST_ITEMS = 4 * MV_PICKLE_MOST }; /* of all containers together */

mv_status mv_pk_fault(machine *m, const char *what)
{
    return mv_fail(m->e, MV_EINPUT, "%s: found %s at byte %zu of its pickle, expected a checkpoint of PyTorch", m->name,
                   what, m->start);
}

/* ---- memory */

mv_status mv_pk_push_to(machine *m, stack *s, uint32_t value)
{
    if (s->n == MV_PICKLE_MOST)
        return mv_pk_fault(m, "a stack of millions of values");
    if (s->n == s->room) {
        size_t room = s->room ? 2 * s->room : 256;
        uint32_t *more = realloc(s->at, room * sizeof *more);
        if (!more)
            return mv_fail_memory(m->e, m->name);
        s->at = more;
        s->room = room;
    }
    s->at[s->n++] = value;
    return MV_OK;
}

/* Makes a node and pushes it. */
mv_status mv_pk_push(machine *m, mv_pickle_node node)
{
    mv_pickle *p = m->p;
    if (p->n > MV_PICKLE_MOST)
        return mv_fail(m->e, MV_EINPUT, "%s: found more than %d objects in its pickle, expected at most that", m->name,
                       MV_PICKLE_MOST);
    if (p->n == p->room) {
        size_t room = 2 * p->room;
        mv_pickle_node *more = realloc(p->node, room * sizeof *more);
        if (!more)
            return mv_fail_memory(m->e, m->name);
        p->node = more;
        p->room = room;
    }
    p->node[p->n] = node;
    mv_status s = mv_pk_push_to(m, &m->values, (uint32_t)p->n);
    p->n += !s;
    return s;
}

/* Appends values from the stack to the items of a node. */
static mv_status append(machine *m, mv_pickle_node *to, const uint32_t *from, size_t n)
{
    if (n > MOST_ITEMS - m->p->items)
        return mv_pk_fault(m, "containers of many millions of values");
    if (n > to->room - to->n) {
        size_t room = to->n + n > 2 * (size_t)to->room ? to->n + n : 2 * (size_t)to->room;
        uint32_t *more = realloc(to->items, room * sizeof *more);
        if (!more)
            return mv_fail_memory(m->e, m->name);
        to->items = more;
        to->room = (uint32_t)room;
    }
    if (n)
        memcpy(to->items + to->n, from, n * sizeof *from);
    to->n += (uint32_t)n;
    m->p->items += n;
    return MV_OK;
}

/* ---- the stack */

size_t mv_pk_floor_of(const machine *m)
{
    return m->marks.n ? m->marks.at[m->marks.n - 1] : 0;
}

/* Requires n values above the last mark. */
mv_status mv_pk_need(machine *m, size_t n)
{
    return m->values.n - mv_pk_floor_of(m) >= n ? MV_OK : mv_pk_fault(m, "an opcode without its operands");
}

/* The values above the last mark, which is taken away with them. They stay in place until the next push. */
mv_status mv_pk_pop_mark(machine *m, const uint32_t **values, size_t *n)
{
    if (m->marks.n == 0)
        return mv_pk_fault(m, "an opcode without its mark");
    size_t floor = m->marks.at[--m->marks.n];
    *values = m->values.at + floor;
    *n = m->values.n - floor;
    m->values.n = floor;
    return MV_OK;
}

/* The value below those that were popped: what is filled. */
mv_status mv_pk_top(machine *m, mv_pickle_node **out)
{
    if (mv_pk_need(m, 1))
        return MV_EINPUT;
    *out = &m->p->node[m->values.at[m->values.n - 1]];
    return MV_OK;
}

/* ---- operands in the pickle */

mv_status mv_pk_take(machine *m, size_t n, const unsigned char **out)
{
    if (n > m->size - m->at)
        return mv_pk_fault(m, "an end inside an opcode (is the file cut short?)");
    *out = m->bytes + m->at;
    m->at += n;
    return MV_OK;
}

mv_status mv_pk_take_number(machine *m, int bytes, uint64_t *out)
{
    const unsigned char *at = NULL;
    mv_status s = mv_pk_take(m, (size_t)bytes, &at);
    *out = 0;
    for (int i = 0; !s && i < bytes; i++)
        *out |= (uint64_t)at[i] << 8 * i;
    return s;
}

/* A length of so many bytes, then the text. */
mv_status mv_pk_push_text(machine *m, mv_pickle_kind kind, int bytes)
{
    uint64_t n = 0;
    const unsigned char *text = NULL;
    mv_status s = mv_pk_take_number(m, bytes, &n);
    if (!s && n > m->size - m->at)
        return mv_pk_fault(m, "a text that is longer than the pickle");
    if (!s)
        s = mv_pk_take(m, (size_t)n, &text);
    return s ? s : mv_pk_push(m, (mv_pickle_node){.kind = kind, .n = (uint32_t)n, .text = (const char *)text});
}

static mv_status push_integer(machine *m, int64_t value)
{
    return mv_pk_push(m, (mv_pickle_node){.kind = MV_PICKLE_INT, .integer = value});
}

mv_status mv_pk_push_unsigned(machine *m, int bytes)
{
    uint64_t v;
    mv_status s = mv_pk_take_number(m, bytes, &v);
    return s ? s : push_integer(m, (int64_t)v);
}

mv_status mv_pk_push_int32(machine *m)
{
    uint64_t v;
    mv_status s = mv_pk_take_number(m, 4, &v);
    return s ? s : push_integer(m, (int32_t)(uint32_t)v);
}

/* Two's complement of any length; one beyond 64 bits is no size of anything. */
mv_status mv_pk_push_long(machine *m, int bytes)
{
    uint64_t n = 0, v = 0;
    const unsigned char *at = NULL;
    mv_status s = mv_pk_take_number(m, bytes, &n);
    if (!s && (n > m->size - m->at || n >> 31))
        return mv_pk_fault(m, "a number that is longer than the pickle");
    if (!s)
        s = mv_pk_take(m, (size_t)n, &at);
    if (s || n > 8)
        return s ? s : mv_pk_push(m, (mv_pickle_node){.kind = MV_PICKLE_LONG});
    for (size_t i = 0; i < n; i++)
        v |= (uint64_t)at[i] << 8 * i;
    if (n > 0 && n < 8 && at[n - 1] & 0x80)
        v |= ~(uint64_t)0 << 8 * n;
    return push_integer(m, (int64_t)v);
}

mv_status mv_pk_push_float(machine *m)
{
    const unsigned char *at = NULL;
    uint64_t bits = 0;
    double v;
    mv_status s = mv_pk_take(m, 8, &at);
    for (int i = 0; !s && i < 8; i++)
        bits = bits << 8 | at[i]; /* the only big-endian operand */
    memcpy(&v, &bits, sizeof v);
    return s ? s : mv_pk_push(m, (mv_pickle_node){.kind = MV_PICKLE_FLOAT, .real = v});
}

/* ---- containers */

mv_status mv_pk_push_items(machine *m, mv_pickle_kind kind, const uint32_t *items, size_t n)
{
    mv_pickle_node node = {.kind = kind};
    mv_status s = append(m, &node, items, n);
    if (!s)
        s = mv_pk_push(m, node);
    if (s)
        free(node.items); /* push takes it in its last step, or not at all */
    return s;
}

mv_status mv_pk_push_marked(machine *m, mv_pickle_kind kind)
{
    const uint32_t *items = NULL;
    size_t n = 0;
    mv_status s = mv_pk_pop_mark(m, &items, &n);
    if (!s && kind == MV_PICKLE_DICT && n % 2)
        return mv_pk_fault(m, "a key without a value");
    return s ? s : mv_pk_push_items(m, kind, items, kind == MV_PICKLE_SET ? 0 : n);
}

mv_status mv_pk_push_tuple(machine *m, size_t n)
{
    mv_status s = mv_pk_need(m, n);
    if (s)
        return s;
    m->values.n -= n;
    return mv_pk_push_items(m, MV_PICKLE_TUPLE, m->values.at + m->values.n, n);
}

/* Appends to a list, adds to a set, or sets pairs in a dict. An object takes pairs and forgets the rest. */
static mv_status fill(machine *m, mv_pickle_kind kind, const uint32_t *items, size_t n)
{
    mv_pickle_node *to;
    mv_status s = mv_pk_top(m, &to);
    if (s)
        return s;
    if (to->kind != kind && to->kind != MV_PICKLE_OBJECT)
        return mv_pk_fault(m, "items that are put into something else than a container");
    if (kind == MV_PICKLE_DICT && n % 2)
        return mv_pk_fault(m, "a key without a value");
    bool kept = kind == MV_PICKLE_DICT || to->kind == MV_PICKLE_LIST;
    return kept ? append(m, to, items, n) : MV_OK;
}

mv_status mv_pk_fill_marked(machine *m, mv_pickle_kind kind)
{
    const uint32_t *items = NULL;
    size_t n = 0;
    mv_status s = mv_pk_pop_mark(m, &items, &n);
    return s ? s : fill(m, kind, items, n);
}

mv_status mv_pk_fill_from_top(machine *m, mv_pickle_kind kind, size_t n)
{
    mv_status s = mv_pk_need(m, n + 1);
    if (s)
        return s;
    m->values.n -= n;
    return fill(m, kind, m->values.at + m->values.n, n);
}

/* ---- the memo */

mv_status mv_pk_put(machine *m, uint64_t index)
{
    mv_status s = mv_pk_need(m, 1);
    if (!s && (index >= m->size || index >= MV_PICKLE_MOST)) /* Python counts from 0, an opcode each */
        return mv_pk_fault(m, "a place in the memo beyond the length of the pickle");
    while (!s && m->memo.n <= index)
        s = mv_pk_push_to(m, &m->memo, 0);
    if (!s)
        m->memo.at[index] = m->values.at[m->values.n - 1];
    return s;
}

mv_status mv_pk_put_next(machine *m, int bytes)
{
    uint64_t index;
    mv_status s = mv_pk_take_number(m, bytes, &index);
    return s ? s : mv_pk_put(m, index);
}

mv_status mv_pk_get_memo(machine *m, int bytes)
{
    uint64_t index;
    mv_status s = mv_pk_take_number(m, bytes, &index);
    if (!s && (index >= m->memo.n || m->memo.at[index] == 0))
        return mv_pk_fault(m, "a place in the memo that holds nothing");
    return s ? s : mv_pk_push_to(m, &m->values, m->memo.at[index]);
}
