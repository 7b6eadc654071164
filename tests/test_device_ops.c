/* The operations of the GPU device, each against double loops, and what the plug-in says of itself. Without a GPU the
 * sources of the kernels run in emulation (simt.h); MVSCOPE_PLUGIN=FILE runs the same on the GPUs of a plug-in. It
 * needs no library, so that `make check-cuda` builds it where there is only a compiler.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/card.h"
#include "tests/network.h"
#include "tests/op_cases.h"
#include "tests/short.h"

void simt_order(unsigned order);
bool simt_has_context(void);

#if defined(__SANITIZE_ADDRESS__)
enum { SLOW = 1 };
#else
enum { SLOW = 0 };
#endif

/* ---- the table of cases */

/* About four times the errors that occur. 16 bits: the rounding of the output (2^-11, 2^-8), that of values between two
 * products, and 5e-4 for GELU in its tanh form. */
static const op_bounds fp32_bounds = {3e-11, 3e-5, 3e-5}, fp16_bounds = {4e-6, 4e-3, 0x1p-9},
                       bf16_bounds = {1e-4, 3e-2, 0x1p-6};

static void hold(mv_dtype act, op_bounds narrow)
{
    mv_backend *b = card_open(act);
    int faults = 0;
    double worst[2] = {0};
    op_cases_without(b);
    for (unsigned order = 0; order < (card_emulated && !SLOW && !test_is_short() ? 3 : 1); order++) {
        char who[32];
        snprintf(who, sizeof who, "%s, threads in order %u", b->name, order);
        for (int i = 0; i < op_cases(); i++) {
            op_result r;
            simt_order(order);
            op_case_run(i, b, 11 + order, &r);
            faults += op_result_faults(&r, who, op_case_name(i), fp32_bounds, narrow, worst);
            op_result_free(&r);
        }
    }
    simt_order(0);
    b->free(b);
    print_message("           worst NMSE: fp32 %.2g, 16 bits %.2g\n", worst[0], worst[1]);
    if (faults)
        fail_msg("%d faults in %d cases", faults, op_cases());
}

static void fp32_is_within_bounds(void **s)
{
    (void)s;
    hold(MV_F32, fp32_bounds);
}

static void fp16_is_within_bounds(void **s)
{
    (void)s;
    hold(MV_F16, fp16_bounds);
}

static void bf16_is_within_bounds(void **s)
{
    (void)s;
    if (card_emulated && test_is_short()) { /* its accesses are those of fp16 */
        print_message("           bf16 skipped: not in the short form\n");
        skip();
    }
    hold(MV_BF16, bf16_bounds);
}

/* ---- the plug-in */

/* Before any of them is opened: to be listed, a card needs no context. */
static void cards_are_described(void **s)
{
    (void)s;
    mv_error e = {0};
    int n = 0;
    char text[160] = "";
    assert_int_equal(card->count(&n, &e), MV_OK);
    assert_true(n >= 1);
    assert_int_equal(card->describe(0, text, &e), MV_OK);
    assert_true(strlen(text) > 5);
    card->has_fp8(0);
    assert_false(simt_has_context());
    print_message("           %s\n", text);
    assert_null(card->open(0, MV_I32, false, &e));
    assert_string_equal(e.text, "cuda: found precision I32, expected fp16, bf16 or fp32");
    mv_backend *b = card_open(MV_F32);
    assert_true(simt_has_context() == card_emulated);
    b->free(b);
}

static void plugins_that_are_none(void **s)
{
    (void)s;
    mv_error e = {0};
    char path[64];
    assert_int_equal(mv_plugin_find("build/no-such-folder", path, sizeof path, &e), MV_EINPUT);
    assert_string_equal(e.text, "the GPU plug-in mvscope-cuda.so is not installed; `make cuda` builds it");
    e = (mv_error){0};
    assert_null(mv_plugin_open("build/no-such-file.so", &e));
    assert_non_null(strstr(e.text, "the GPU plug-in cannot be loaded: "));
    e = (mv_error){0};
    assert_null(mv_plugin_open("tests/test_backend.c", &e));
    assert_non_null(strstr(e.text, "the GPU plug-in cannot be loaded: "));
    assert_int_equal(e.code, MV_EDEVICE);
}

int main(void)
{
    if (!card_find())
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cards_are_described),   cmocka_unit_test(plugins_that_are_none),
        cmocka_unit_test(fp32_is_within_bounds), cmocka_unit_test(fp16_is_within_bounds),
        cmocka_unit_test(bf16_is_within_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
