/* A profile: its work is what the run counts, and its device computes what the device below it does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/device/profile.h"
#include "tests/network.h"

enum { H = 97, W = 131, B = 2, CLASSES = 10, PASSES = 3 };

static network net;

static int setup(void **s)
{
    (void)s;
    mv_config c = small_config();
    net = network_of(&c, MV_F32, 2, 7);
    return 0;
}

static int teardown(void **s)
{
    (void)s;
    network_free(&net);
    return 0;
}

/* Multiply-adds of the last batch */
static uint64_t macs_of(const mv_run *r)
{
    const mv_costs costs = mv_run_costs(r);
    uint64_t macs = 0;
    for (int i = 0; i < MV_PARTS; i++)
        macs += costs.macs[i] + costs.attention_macs[i];
    return macs;
}

/* Those of a pass as the profile's rows say: what normalisations and means compute are no multiply-adds. */
static uint64_t macs_of_rows(const mv_profile_row *row, int n)
{
    double flops = 0;
    for (int i = 0; i < n; i++)
        if (strcmp(row[i].op, "layernorm") != 0 && strcmp(row[i].op, "mean_pool") != 0)
            flops += row[i].flops * row[i].calls;
    return (uint64_t)(flops / 2);
}

static void work_is_that_of_the_run(void **state)
{
    (void)state;
    mv_error e = {0};
    float logits[2][B * CLASSES], *x = network_input(B, H, W, 3);
    mv_run *plain = mv_run_new(net.model, H, W, B, NULL, &e);
    expect_ok(&e);
    mv_run_forward(plain, x, B, logits[0], &e);
    expect_ok(&e);
    mv_profile *p = mv_profile_new(net.backend, &e);
    expect_ok(&e);
    mv_model timed = *net.model;
    timed.backend = mv_profile_device(p);
    mv_run *r = mv_run_new(&timed, H, W, B, NULL, &e);
    expect_ok(&e);
    for (int i = 0; i < PASSES; i++) {
        mv_run_forward(r, x, B, logits[1], &e);
        expect_ok(&e);
        mv_profile_pass(p);
    }
    assert_memory_equal(logits[0], logits[1], sizeof logits[0]);
    int n = 0;
    const mv_profile_row *row = mv_profile_rows(p, &n);
    assert_int_equal(macs_of_rows(row, n), macs_of(plain));
    assert_int_equal(mv_profile_left_out(p), 0);
    for (int i = 0; i < n; i++) {
        assert_true(row[i].calls > 0 && row[i].bytes > 0 && row[i].seconds > 0);
        assert_true(i == 0 || row[i].seconds <= row[i - 1].seconds);
    }
    mv_run_free(r);
    mv_profile_free(p);
    mv_run_free(plain);
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(work_is_that_of_the_run)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
