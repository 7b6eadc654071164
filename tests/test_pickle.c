/* Pickles become inert data, and each that would do something, or claims more than it has, is refused by what it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/file/pickle.h"

#define P2 "\x80\x02"
#define P4 "\x80\x04"
/* a text with its length in a byte, for protocol 4 */
#define TEXT4(n, text) "\x8c" n text

typedef struct {
    const char *bytes;
    size_t size;
    const char *why;
} refusal;
#define REFUSED(bytes, why)                                                                                            \
    {                                                                                                                  \
        bytes, sizeof(bytes) - 1, why                                                                                  \
    }

static const refusal refused[] = {
    /* what would run something: named */
    REFUSED(P2 "cos\nsystem\nX\x02\0\0\0id\x85R.", "'os.system'"),
    REFUSED(P2 "cposix\nsystem\nX\x02\0\0\0id\x85R.", "'posix.system'"),
    REFUSED(P2 "cbuiltins\neval\nX\x01\0\0\0\x31\x85R.", "'builtins.eval'"),
    REFUSED(P2 "c__builtin__\nexec\n.", "'__builtin__.exec'"),
    REFUSED(P2 "cbuiltins\ngetattr\n.", "'builtins.getattr'"),
    REFUSED(P2 "csubprocess\nPopen\n)\x81.", "'subprocess.Popen'"),
    REFUSED(P2 "}q\0X\x01\0\0\0ac_io\nopen\ns.", "'_io.open'"), /* among the weights or not */
    REFUSED(P2 "(ios\nsystem\n.", "'os.system'"),               /* INST */
    REFUSED(P2 "(icollections\nOrderedDict\n.", "INST"),
    REFUSED(P2 "(ccollections\nOrderedDict\no.", "opcode OBJ"),
    REFUSED(P4 TEXT4("\x02", "os") TEXT4("\x06", "system") "\x93.", "'os.system'"), /* STACK_GLOBAL */
    REFUSED(P4 TEXT4("\x07", "os.path") TEXT4("\x08", "join.sys") "\x93.", "'os.path.join.sys'"),
    REFUSED(P2 "ctorch.nn.modules.linear\nLinear\n)\x81.", "'torch.nn.modules.linear.Linear'"),
    REFUSED(P2 "c\x1b[31m\nx\n.", "\\x1b[31m.x"), /* nothing reaches a terminal */
    REFUSED(P2 "ctorch\n\xff\n.", "'torch.\\xff'"),
    REFUSED(P2 "ccollections\nOrderedDict\n)R)R.", "a call of something without a name"),
    REFUSED(P2 "ccollections\nOrderedDict\n]R.", "without a tuple"),
    REFUSED(P2 "K\x01)R.", "a call of something without a name"),
    REFUSED(P2 ")}b.", "a state for something that has none"),
    REFUSED(P2 "\x82\x01.", "EXT1"),
    REFUSED("\x80\x05\x97.", "NEXT_BUFFER"),
    REFUSED(P2 "Pid\n.", "PERSID"),
    /* broken machines */
    REFUSED("", "no pickle"),
    REFUSED("\x80", "no pickle"),
    REFUSED("(dp0\n.", "no pickle"), /* protocol 0 */
    REFUSED("\x80\x01.", "another protocol"),
    REFUSED("\x80\x06.", "another protocol"),
    REFUSED(P2 ".", "without its operands"),
    REFUSED(P2 "}", "without STOP"),
    REFUSED(P2 "\xff.", "0xff"),
    REFUSED(P2 "R.", "without its operands"),
    REFUSED(P2 "(K\x01R.", "without its operands"), /* below the mark */
    REFUSED(P2 "K\x01(s.", "without its operands"),
    REFUSED(P2 "t.", "without its mark"),
    REFUSED(P2 "u.", "without its mark"),
    REFUSED(P2 "K\x01K\x02"
               "a.",
            "something else than a container"),
    REFUSED(P2 "](K\x01K\x02u.", "something else than a container"),
    REFUSED(P2 "}(K\x01u.", "a key without a value"),
    REFUSED(P2 "(K\x01"
               "d.",
            "a key without a value"),
    REFUSED(P2 "h\0.", "holds nothing"),
    REFUSED(P2 "Nq\x05h\x04.", "holds nothing"),
    REFUSED(P2 "K\x01K\x02\x93.", "a global whose name is no text"),
    REFUSED(P2 "cos", "cut short"),
    REFUSED(P2 "G\0\0", "cut short"),
    /* bombs: lengths and places that are not there */
    REFUSED(P2 "Nr\xff\xff\xff\x7f.", "beyond the length"),
    REFUSED(P2 "Nr\xff\xff\xff\xff.", "beyond the length"),
    REFUSED(P2 "X\xff\xff\xff\xff"
               "a.",
            "longer than the pickle"),
    REFUSED(P4 "\x8d\xff\xff\xff\xff\xff\xff\xff\xff"
               "a.",
            "longer than the pickle"),
    REFUSED(P4 "\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.", "longer than the pickle"),
    REFUSED(P2 "\x8b\xff\xff\xff\x7f"
               "1.",
            "longer than the pickle"),
    REFUSED(P2 "\x8b\0\0\0\x80.", "longer than the pickle"),
    REFUSED(P2 "\x8a\x09"
               "1.",
            "longer than the pickle"),
};

static void what_does_something_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        mv_error e = {0};
        mv_pickle *p = mv_pickle_of(refused[i].bytes, refused[i].size, "x.pth", &e);
        if (p || !strstr(e.text, refused[i].why) || strncmp(e.text, "x.pth: ", 7) != 0)
            fail_msg("%zu: expected '%s', found %s", i, refused[i].why, p ? "no refusal" : e.text);
        for (const char *c = e.text; *c; c++)
            assert_true((unsigned char)*c >= 0x20);
        assert_null(mv_pickle_of(refused[i].bytes, refused[i].size, "x.pth", NULL));
    }
}

static const mv_pickle_node *item(const mv_pickle *p, const mv_pickle_node *t, uint32_t i)
{
    assert_true(i < t->n);
    return mv_pickle_at(p, t->items[i]);
}

/* pickle.dumps((-2, 255, 65535, -2**40, 2**70, 1.5, True, None, "é", b"ab", [1, 2], {"a": 3}), protocol), by Python. */
static void values_are_read(void **state)
{
    (void)state;
    static const char two[] = "\x80\x02(J\xfe\xff\xff\xffK\xffM\xff\xff\x8a\x06\0\0\0\0\0\xff\x8a\x09\0\0\0\0\0\0\0\0@"
                              "G?\xf8\0\0\0\0\0\0\x88NX\2\0\0\0"
                              "\xc3\xa9q\0C\2abq\1]q\2(K\1K\2e}q\3X\1\0\0\0aq\4K\3stq\5.";
    static const char four[] =
        "\x80\x04\x95G\0\0\0\0\0\0\0(J\xfe\xff\xff\xffK\xffM\xff\xff\x8a\x06\0\0\0\0\0\xff\x8a\x09\0\0\0\0\0\0\0\0@G?"
        "\xf8\0\0\0\0\0\0"
        "\x88N\x8c\2\xc3\xa9\x94"
        "C\2ab\x94]\x94(K\1K\2e}\x94\x8c\1a\x94K\3st\x94.";
    const struct {
        const char *bytes;
        size_t size;
    } both[] = {{two, sizeof two - 1}, {four, sizeof four - 1}};
    for (int i = 0; i < 2; i++) {
        mv_error e = {0};
        mv_pickle *p = mv_pickle_of(both[i].bytes, both[i].size, "x", &e);
        if (!p)
            fail_msg("%s", e.text);
        const mv_pickle_node *t = mv_pickle_at(p, mv_pickle_root(p));
        assert_int_equal(t->kind, MV_PICKLE_TUPLE);
        assert_int_equal(t->n, 12);
        static const int64_t numbers[] = {-2, 255, 65535, -((int64_t)1 << 40)};
        for (uint32_t k = 0; k < 4; k++)
            assert_true(item(p, t, k)->kind == MV_PICKLE_INT && item(p, t, k)->integer == numbers[k]);
        assert_int_equal(item(p, t, 4)->kind, MV_PICKLE_LONG);
        assert_true(item(p, t, 5)->kind == MV_PICKLE_FLOAT && item(p, t, 5)->real == 1.5);
        assert_true(item(p, t, 6)->kind == MV_PICKLE_BOOL && item(p, t, 6)->integer == 1);
        assert_int_equal(item(p, t, 7)->kind, MV_PICKLE_NONE);
        assert_true(item(p, t, 8)->kind == MV_PICKLE_TEXT && item(p, t, 8)->n == 2);
        assert_memory_equal(item(p, t, 8)->text, "\xc3\xa9", 2);
        assert_int_equal(item(p, t, 9)->kind, MV_PICKLE_BYTES);
        assert_true(item(p, t, 10)->kind == MV_PICKLE_LIST && item(p, t, 10)->n == 2);
        assert_true(item(p, t, 11)->kind == MV_PICKLE_DICT && item(p, t, 11)->n == 2);
        assert_int_equal(item(p, item(p, t, 11), 1)->integer, 3);
        mv_pickle_close(p);
    }
}

/* argparse.Namespace(a=1) and OrderedDict with a state, as torch saves a state dict. */
static void calls_stay_calls(void **state)
{
    (void)state;
    static const char bytes[] =
        P2 "(cargparse\nNamespace\n)\x81}X\1\0\0\0aK\1sbccollections\nOrderedDict\n)R(X\1\0\0\0bK\2u"
           "}X\x09\0\0\0_metadata}sbt.";
    mv_error e = {0};
    mv_pickle *p = mv_pickle_of(bytes, sizeof bytes - 1, "x", &e);
    if (!p)
        fail_msg("%s", e.text);
    const mv_pickle_node *t = mv_pickle_at(p, mv_pickle_root(p));
    assert_string_equal(item(p, t, 0)->global->name, "argparse.Namespace");
    assert_int_equal(item(p, t, 0)->n, 0);
    assert_int_equal(item(p, t, 1)->global->role, MV_GLOBAL_DICT);
    assert_int_equal(item(p, item(p, t, 1), 1)->integer, 2);
    mv_pickle_close(p);
}

/* Lists in lists, or in themselves, and memory that doubles in Python: no recursion, nothing is copied. */
static void bombs_do_not_go_off(void **state)
{
    (void)state;
    enum { DEEP = 2000000 };
    char *deep = malloc(DEEP + 8);
    assert_non_null(deep);
    memcpy(deep, P2, 2);
    memset(deep + 2, ']', DEEP);
    memset(deep + 2 + DEEP / 2, 'a', DEEP / 2 - 1);
    deep[2 + DEEP - 1] = '.';
    mv_pickle *p = mv_pickle_of(deep, 2 + DEEP, "x", NULL);
    assert_non_null(p);
    mv_pickle_close(p);
    memset(deep + 2, '(', DEEP);
    assert_null(mv_pickle_of(deep, 2 + DEEP, "x", NULL));
    free(deep);

    static const char self[] = P2 "]q\0h\0a."; /* a = []; a.append(a) */
    p = mv_pickle_of(self, sizeof self - 1, "x", NULL);
    assert_non_null(p);
    mv_pickle_close(p);

    char doubling[2000] = P2 "]q\0"; /* a = [a, a], 100 times: 2^100 leaves */
    size_t n = 5;
    for (int i = 0; i < 100; i++)
        n += (size_t)snprintf(doubling + n, sizeof doubling - n, "0](h%ch%ceq%c", i % 10, i % 10, (i + 1) % 10);
    doubling[n] = '.';
    p = mv_pickle_of(doubling, n + 1, "x", NULL);
    assert_non_null(p);
    assert_int_equal(mv_pickle_count(p), 101);
    mv_pickle_close(p);
}

static void limits_hold(void **state)
{
    (void)state;
    mv_error e = {0};
    size_t size = (size_t)MV_PICKLE_MOST + 64;
    char *many = malloc(size); /* more objects than are allowed, in as many bytes */
    assert_non_null(many);
    memset(many, 'N', size);
    memcpy(many, P2, 2);
    assert_null(mv_pickle_of(many, size, "x", &e));
    assert_non_null(strstr(e.text, "objects in its pickle"));
    e = (mv_error){0};
    for (size_t i = 2; i < size; i++) /* each taken away again */
        many[i] = i % 2 ? '0' : 'N';
    char *twice = realloc(many, 2 * size);
    assert_non_null(twice);
    memcpy(twice + size, twice + 2, size - 2);
    assert_null(mv_pickle_of(twice, 2 * size - 2, "x", &e));
    assert_non_null(strstr(e.text, "objects in its pickle"));
    e = (mv_error){0};
    memset(twice, '2', 2 * size); /* DUP */
    memcpy(twice, P2 "N", 3);
    assert_null(mv_pickle_of(twice, 2 * size, "x", &e));
    assert_non_null(strstr(e.text, "millions of values"));
    free(twice);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_does_something_is_refused),
                                       cmocka_unit_test(values_are_read), cmocka_unit_test(calls_stay_calls),
                                       cmocka_unit_test(bombs_do_not_go_off), cmocka_unit_test(limits_hold)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
