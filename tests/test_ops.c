/* The operations that probes and the network call check shapes before the device is called: a call that does not fit
 * stops the run, and names the operation, the place and the shapes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/run/ops.h"
#include "tests/network.h"

typedef enum { FITS, FOLLOW, FOLLOW_SHAPE, MEAN_HEADS, MEASURE, ATTENTION, ATTEND, CASES } wrong_call;

static const char *const names[CASES] = {NULL, "follow", "follow", "mean_heads", "measure", "attention", "attend"};

typedef struct {
    mv_probe probe;
    wrong_call call;
    int calls;
    char site[64];
} caller;

static bool wants(mv_probe *p, const char *site)
{
    size_t n = strlen(site);
    return ((caller *)p)->calls == 0 && n > 5 && strcmp(site + n - 5, ".attn") == 0;
}

/* At the first attention rows: one call with these rows and something that does not fit them. */
static bool sees(mv_probe *p, mv_run *r, const mv_site_info *site, mv_view value)
{
    caller *c = (caller *)p;
    if (c->calls++)
        return false;
    strncpy(c->site, site->name, sizeof c->site - 1);
    int n = value.dim[0], heads = value.dim[1], t = value.dim[2];
    mv_tensor rows = mv_tensor_of(value.data, MV_F32, 4, n, heads, t, t), cut = rows;
    mv_tensor even = mv_scratch_new(r, MV_F32, 2, n, t), narrow = mv_scratch_new(r, MV_F32, 2, n, t - 1),
              mean = mv_scratch_new(r, MV_F32, 3, n, t, t - 1), tokens = mv_scratch_new(r, MV_F32, 3, n, t, 8),
              qkv = mv_scratch_new(r, MV_F32, 3, n, t, 25);
    cut.dim[2] = t - 1;
    switch (c->call) {
    case FITS: mv_follow(r, rows, even, MV_ROWS_GIVEN); break;
    case FOLLOW: mv_follow(r, rows, narrow, MV_ROWS_GIVEN); break;
    case FOLLOW_SHAPE: mv_follow(r, cut, even, MV_ROWS_RESIDUAL); break;
    case MEAN_HEADS: mv_mean_heads(r, mean, rows); break;
    case MEASURE: mv_measure(r, rows, 300, 300); break;
    case ATTENTION: mv_attention_rows(r, tokens, qkv, 1, (mv_tensor){0}); break;
    case ATTEND: mv_attend(r, tokens, rows, qkv); break;
    case CASES: break;
    }
    return false;
}

static void shapes_that_do_not_fit_stop_the_run(void **state)
{
    (void)state;
    mv_config config = small_config();
    network net = network_of(&config, MV_F32, 1, 4);
    float *planes = network_input(1, 96, 96, 2);
    for (wrong_call call = FITS; call < CASES; call++) {
        mv_error e = {0};
        caller c = {.probe = {.wants = wants, .sees = sees}, .call = call};
        mv_run *r = mv_run_new(net.model, 96, 96, 4, &c.probe, &e); /* room for the calls: scratch of four */
        expect_ok(&e);
        mv_status s = mv_run_forward(r, planes, 1, NULL, &e);
        assert_true(c.calls > 0);
        if (call == FITS) {
            expect_ok(&e);
        } else {
            assert_int_equal(s, MV_EMISUSE);
            char path[64];
            snprintf(path, sizeof path, "%.*s", (int)(strstr(c.site, ".mixer") - c.site), c.site);
            if (!strstr(e.text, names[call]) || !strstr(e.text, path))
                fail_msg("'%s' does not name %s at %s", e.text, names[call], path);
        }
        mv_run_free(r);
    }
    free(planes);
    network_free(&net);
}

static bool always(void)
{
    return true;
}

static void a_run_that_is_asked_to_stop_stops(void **state)
{
    (void)state;
    mv_config config = small_config();
    network net = network_of(&config, MV_F32, 1, 4);
    float *planes = network_input(1, 96, 96, 2);
    mv_error e = {0}, again = {0};
    mv_run *r = mv_run_new(net.model, 96, 96, 1, NULL, &e);
    expect_ok(&e);
    mv_run_stop_when(r, always);
    assert_int_equal(mv_run_forward(r, planes, 1, NULL, &e), MV_EIO);
    assert_non_null(strstr(e.text, "stopped"));
    mv_run_stop_when(r, NULL);
    mv_run_forward(r, planes, 1, NULL, &again);
    expect_ok(&again);
    mv_run_free(r);
    free(planes);
    network_free(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(shapes_that_do_not_fit_stop_the_run),
                                       cmocka_unit_test(a_run_that_is_asked_to_stop_stops)};
    return cmocka_run_group_tests_name("ops", tests, NULL, NULL);
}
