#include "src/file/pickle.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/text.h"
#include "src/file/pickle_impl.h"

enum { GLOBAL_NAME = 200 }; /* longest "module.name" */

/* ---- globals and what would be called */

/* "found os.system ...": the name is anybody's bytes. */
static mv_status refuse(machine *m, const char *name)
{
    char *safe = mv_text_escape(name);
    mv_status s =
        safe ? mv_fail(m->e, MV_EINPUT,
                       "%s: found '%.200s' at byte %zu of its pickle, expected only what describes tensors; nothing "
                       "was run. If you trust the file, save its weights alone: torch.save(model.state_dict(), FILE)",
                       m->name, safe, m->start)
             : mv_fail_memory(m->e, m->name);
    free(safe);
    return s;
}

static mv_status push_global(machine *m, const char *module, size_t n, const char *name, size_t letters)
{
    char full[GLOBAL_NAME + 1];
    if (n > GLOBAL_NAME || letters > GLOBAL_NAME || n + letters + 1 > GLOBAL_NAME)
        return mv_pk_fault(m, "a global with a very long name");
    memcpy(full, module, n);
    full[n] = '.';
    memcpy(full + n + 1, name, letters);
    full[n + 1 + letters] = 0;
    for (size_t i = 0; i < n + 1 + letters; i++)
        if (full[i] == 0)
            full[i] = '?'; /* no listed name has one */
    const mv_pickle_global *global = mv_pickle_global_lookup(full);
    return global ? mv_pk_push(m, (mv_pickle_node){.kind = MV_PICKLE_GLOBAL, .global = global}) : refuse(m, full);
}

/* Two lines: the module and the name. */
static mv_status push_global_lines(machine *m)
{
    const char *line[2];
    size_t letters[2];
    for (int i = 0; i < 2; i++) {
        line[i] = (const char *)m->bytes + m->at;
        const char *end = memchr(line[i], '\n', m->size - m->at);
        if (!end)
            return mv_pk_fault(m, "an end inside an opcode (is the file cut short?)");
        letters[i] = (size_t)(end - line[i]);
        m->at += letters[i] + 1;
    }
    return push_global(m, line[0], letters[0], line[1], letters[1]);
}

/* INST, of protocol 0: as GLOBAL and a call, so that a name is refused by name. */
static mv_status refuse_inst(machine *m)
{
    mv_status s = push_global_lines(m);
    return s ? s : mv_pk_fault(m, "opcode INST");
}

static mv_status push_stack_global(machine *m)
{
    mv_status s = mv_pk_need(m, 2);
    if (s)
        return s;
    const mv_pickle_node *module = &m->p->node[m->values.at[m->values.n - 2]],
                         *name = &m->p->node[m->values.at[m->values.n - 1]];
    if (module->kind != MV_PICKLE_TEXT || name->kind != MV_PICKLE_TEXT)
        return mv_pk_fault(m, "a global whose name is no text");
    m->values.n -= 2;
    return push_global(m, module->text, module->n, name->text, name->n);
}

/* A call of a global with a tuple of arguments, and `more` values that are dropped. */
static mv_status push_object(machine *m, size_t more)
{
    mv_status s = mv_pk_need(m, 2 + more);
    if (s)
        return s;
    const uint32_t *at = m->values.at + m->values.n - 2 - more;
    const mv_pickle_node *callee = &m->p->node[at[0]], *arguments = &m->p->node[at[1]];
    if (callee->kind != MV_PICKLE_GLOBAL)
        return mv_pk_fault(m, "a call of something without a name");
    if (arguments->kind != MV_PICKLE_TUPLE)
        return mv_pk_fault(m, "a call without a tuple of arguments");
    mv_pickle_node made = {.kind = MV_PICKLE_OBJECT, .arguments = at[1], .global = callee->global};
    m->values.n -= 2 + more;
    return mv_pk_push(m, made);
}

/* Sets the state of an object, which has no meaning here. */
static mv_status build(machine *m)
{
    mv_pickle_node *to;
    mv_status s = mv_pk_need(m, 2);
    if (s)
        return s;
    m->values.n--;
    s = mv_pk_top(m, &to);
    return !s && to->kind != MV_PICKLE_OBJECT ? mv_pk_fault(m, "a state for something that has none") : s;
}

static mv_status push_persistent(machine *m)
{
    mv_status s = mv_pk_need(m, 1);
    if (s)
        return s;
    uint32_t id = m->values.at[--m->values.n];
    return mv_pk_push(m, (mv_pickle_node){.kind = MV_PICKLE_PERSISTENT, .arguments = id});
}

/* ---- the opcodes */

static mv_status unknown(machine *m, unsigned char op)
{
    static const struct {
        unsigned char op;
        const char *name;
    } named[] = {{'o', "OBJ"}, {0x82, "EXT1"}, {0x83, "EXT2"},        {0x84, "EXT4"},           {'P', "PERSID"},
                 {'I', "INT"}, {'L', "LONG"},  {'F', "FLOAT"},        {'S', "STRING"},          {'V', "UNICODE"},
                 {'g', "GET"}, {'p', "PUT"},   {0x97, "NEXT_BUFFER"}, {0x98, "READONLY_BUFFER"}};
    for (size_t i = 0; i < sizeof named / sizeof *named; i++)
        if (named[i].op == op)
            return mv_fail(m->e, MV_EINPUT,
                           "%s: found opcode %s at byte %zu of its pickle, expected only those of a checkpoint",
                           m->name, named[i].name, m->start);
    return mv_fail(m->e, MV_EINPUT,
                   "%s: found opcode 0x%02x at byte %zu of its pickle, expected one of protocols 2 to 5", m->name, op,
                   m->start);
}

static mv_status protocol(machine *m)
{
    uint64_t v;
    mv_status s = mv_pk_take_number(m, 1, &v);
    return !s && (v < 2 || v > 5) ? mv_pk_fault(m, "another protocol than 2 to 5") : s;
}

/* Values of fixed or given length. */
static mv_status step_value(machine *m, unsigned char op)
{
    const unsigned char *skipped;
    switch (op) {
    case 0x80: return protocol(m);
    case 0x95: return mv_pk_take(m, 8, &skipped); /* FRAME: how much to read at once */
    case 'N': return mv_pk_push(m, (mv_pickle_node){.kind = MV_PICKLE_NONE});
    case 0x88:
    case 0x89: return mv_pk_push(m, (mv_pickle_node){.kind = MV_PICKLE_BOOL, .integer = op == 0x88});
    case 'K': return mv_pk_push_unsigned(m, 1);
    case 'M': return mv_pk_push_unsigned(m, 2);
    case 'J': return mv_pk_push_int32(m);
    case 0x8a: return mv_pk_push_long(m, 1);
    case 0x8b: return mv_pk_push_long(m, 4);
    case 'G': return mv_pk_push_float(m);
    case 'X': return mv_pk_push_text(m, MV_PICKLE_TEXT, 4);
    case 0x8c: return mv_pk_push_text(m, MV_PICKLE_TEXT, 1);
    case 0x8d: return mv_pk_push_text(m, MV_PICKLE_TEXT, 8);
    case 'T': return mv_pk_push_text(m, MV_PICKLE_TEXT, 4); /* of Python 2 */
    case 'U': return mv_pk_push_text(m, MV_PICKLE_TEXT, 1);
    case 'B': return mv_pk_push_text(m, MV_PICKLE_BYTES, 4);
    case 'C': return mv_pk_push_text(m, MV_PICKLE_BYTES, 1);
    case 0x8e:
    case 0x96: return mv_pk_push_text(m, MV_PICKLE_BYTES, 8);
    default: return unknown(m, op);
    }
}

static mv_status pop(machine *m)
{
    if (m->values.n == mv_pk_floor_of(m) && m->marks.n) { /* a mark is a value, too */
        m->marks.n--;
        return MV_OK;
    }
    mv_status s = mv_pk_need(m, 1);
    if (!s)
        m->values.n--;
    return s;
}

static mv_status pop_to_mark(machine *m)
{
    const uint32_t *items = NULL;
    size_t n = 0;
    return mv_pk_pop_mark(m, &items, &n);
}

static mv_status duplicate(machine *m)
{
    mv_status s = mv_pk_need(m, 1);
    return s ? s : mv_pk_push_to(m, &m->values, m->values.at[m->values.n - 1]);
}

static mv_status step(machine *m, unsigned char op)
{
    switch (op) {
    case '(': return mv_pk_push_to(m, &m->marks, (uint32_t)m->values.n);
    case '0': return pop(m);
    case '1': return pop_to_mark(m);
    case '2': return duplicate(m);
    case ')': return mv_pk_push_tuple(m, 0);
    case 0x85:
    case 0x86:
    case 0x87: return mv_pk_push_tuple(m, op - 0x84U);
    case 't': return mv_pk_push_marked(m, MV_PICKLE_TUPLE);
    case ']': return mv_pk_push_items(m, MV_PICKLE_LIST, NULL, 0);
    case 'l': return mv_pk_push_marked(m, MV_PICKLE_LIST);
    case '}': return mv_pk_push_items(m, MV_PICKLE_DICT, NULL, 0);
    case 'd': return mv_pk_push_marked(m, MV_PICKLE_DICT);
    case 0x8f: return mv_pk_push_items(m, MV_PICKLE_SET, NULL, 0);
    case 0x91: return mv_pk_push_marked(m, MV_PICKLE_SET);
    case 'a': return mv_pk_fill_from_top(m, MV_PICKLE_LIST, 1);
    case 'e': return mv_pk_fill_marked(m, MV_PICKLE_LIST);
    case 's': return mv_pk_fill_from_top(m, MV_PICKLE_DICT, 2);
    case 'u': return mv_pk_fill_marked(m, MV_PICKLE_DICT);
    case 0x90: return mv_pk_fill_marked(m, MV_PICKLE_SET);
    case 'q': return mv_pk_put_next(m, 1);
    case 'r': return mv_pk_put_next(m, 4);
    case 0x94: return mv_pk_put(m, m->memo.n);
    case 'h': return mv_pk_get_memo(m, 1);
    case 'j': return mv_pk_get_memo(m, 4);
    case 'c': return push_global_lines(m);
    case 'i': return refuse_inst(m);
    case 0x93: return push_stack_global(m);
    case 'R':
    case 0x81: return push_object(m, 0);
    case 0x92: return push_object(m, 1); /* NEWOBJ_EX: with keywords */
    case 'b': return build(m);
    case 'Q': return push_persistent(m);
    default: return step_value(m, op);
    }
}

static mv_status run(machine *m)
{
    if (m->size > MV_PICKLE_LARGEST)
        return mv_fail(m->e, MV_EINPUT, "%s: found a pickle of %zu bytes, expected at most %d", m->name, m->size,
                       MV_PICKLE_LARGEST);
    if (m->size < 2 || m->bytes[0] != 0x80)
        return mv_fail(m->e, MV_EINPUT, "%s: found no pickle of protocol 2 to 5 in it, expected one", m->name);
    for (;;) {
        m->start = m->at;
        if (m->at == m->size)
            return mv_pk_fault(m, "an end without STOP (is the file cut short?)");
        unsigned char op = m->bytes[m->at++];
        if (op == '.') {
            if (mv_pk_need(m, 1))
                return MV_EINPUT;
            m->p->root = m->values.at[m->values.n - 1];
            return MV_OK;
        }
        mv_status s = step(m, op);
        if (s)
            return s;
    }
}

mv_pickle *mv_pickle_of(const void *bytes, size_t size, const char *name, mv_error *e)
{
    enum { FIRST = 1024 };
    mv_error mine = {0}; /* e may be NULL */
    mv_pickle *p = calloc(1, sizeof *p);
    if (p)
        *p = (mv_pickle){.node = calloc(FIRST, sizeof *p->node), .n = 1, .room = FIRST};
    machine m = {.p = p, .bytes = bytes, .size = size, .name = name, .e = &mine};
    m.values.at = malloc(FIRST * sizeof *m.values.at); /* so that an empty stack is somewhere */
    m.values.room = FIRST;
    if (!p || !p->node || !m.values.at)
        mv_fail_memory(&mine, name);
    else
        run(&m);
    free(m.values.at);
    free(m.marks.at);
    free(m.memo.at);
    if (!mine.code)
        return p;
    mv_fail(e, mine.code, "%s", mine.text);
    mv_pickle_close(p);
    return NULL;
}

static bool has_items(const mv_pickle_node *t)
{
    return t->kind == MV_PICKLE_TUPLE || t->kind == MV_PICKLE_LIST || t->kind == MV_PICKLE_DICT ||
           t->kind == MV_PICKLE_OBJECT || t->kind == MV_PICKLE_SET;
}

void mv_pickle_close(mv_pickle *p)
{
    if (!p)
        return;
    for (size_t i = 0; p->node && i < p->n; i++)
        if (has_items(&p->node[i]))
            free(p->node[i].items);
    free(p->node);
    free(p);
}

uint32_t mv_pickle_root(const mv_pickle *p)
{
    return p->root;
}

uint32_t mv_pickle_count(const mv_pickle *p)
{
    return (uint32_t)p->n - 1;
}

const mv_pickle_node *mv_pickle_at(const mv_pickle *p, uint32_t node)
{
    return &p->node[node];
}
