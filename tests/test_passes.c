/* Further passes: the same logits as a plain forward, in order, whatever the batch; and asks as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/explain/attention_method.h"
#include "src/explain/methods.h"
#include "tests/network.h"

enum { INPUTS = 7, SIDE = 64, PLANE = 3 * SIDE * SIDE };

typedef struct {
    const float *planes;
    float *logits;
    int classes, made, taken, passed, stop_at;
} book;

static void make(void *context, int i, float *planes)
{
    book *b = context;
    assert_int_equal(i, b->made++);
    memcpy(planes, b->planes + (size_t)i * PLANE, PLANE * sizeof *planes);
}

static mv_status take(void *context, int i, const float *logits, mv_error *e)
{
    book *b = context;
    assert_int_equal(i, b->taken++);
    if (i == b->stop_at)
        return mv_fail(e, MV_EINPUT, "enough");
    memcpy(b->logits + (size_t)i * (size_t)b->classes, logits, (size_t)b->classes * sizeof *logits);
    return MV_OK;
}

static void passed(void *context, int done, int of)
{
    book *b = context;
    assert_true(done > b->passed && done <= of && of == INPUTS);
    b->passed = done;
}

static void passes_equal_a_forward_in_any_batch(void **state)
{
    (void)state;
    mv_error e = {0};
    mv_config c = small_config();
    network net = network_of(&c, MV_F32, 1, 3);
    size_t n = (size_t)(INPUTS * c.classes);
    float *planes = network_input(INPUTS, SIDE, SIDE, 9), *expected = calloc(n, sizeof(float)),
          *logits = calloc(n, sizeof(float));
    mv_run *run = mv_run_new(net.model, SIDE, SIDE, INPUTS, NULL, &e);
    mv_run_forward(run, planes, INPUTS, expected, &e);
    expect_ok(&e);
    for (int batch = 1; batch <= 8; batch += batch == 1 ? 2 : 5) {
        mv_passes *p = mv_passes_new(net.model, SIDE, SIDE, batch, NULL, &e);
        mv_passes_watch(p, passed, &(book){0});
        for (int times = 1; times <= 2; times++) {
            book b = {.planes = planes, .logits = logits, .classes = c.classes, .stop_at = -1};
            mv_passes_watch(p, passed, &b);
            assert_int_equal(mv_passes_run(p, INPUTS, make, take, &b, &e), MV_OK);
            assert_int_equal(b.taken, INPUTS);
            assert_int_equal(b.passed, INPUTS);
            assert_int_equal(mv_passes_count(p), times * INPUTS);
            assert_true(relative_l2(logits, expected, n) < 1e-6);
        }
        mv_passes_free(p);
    }
    mv_run_free(run);
    network_free(&net);
    free(planes);
    free(expected);
    free(logits);
}

static void a_failure_ends_the_passes(void **state)
{
    (void)state;
    mv_error e = {0};
    mv_config c = small_config();
    network net = network_of(&c, MV_F32, 1, 3);
    float *planes = network_input(INPUTS, SIDE, SIDE, 9), *logits = calloc((size_t)(INPUTS * c.classes), sizeof(float));
    book b = {.planes = planes, .logits = logits, .classes = c.classes, .stop_at = 3};
    mv_passes *p = mv_passes_new(net.model, SIDE, SIDE, 2, NULL, &e);
    assert_int_equal(mv_passes_run(p, INPUTS, make, take, &b, &e), MV_EINPUT);
    assert_int_equal(b.taken, 4);
    assert_int_equal(b.made, 4);
    mv_passes_free(p);
    network_free(&net);
    free(planes);
    free(logits);
}

static void an_ask_is_text(void **state)
{
    (void)state;
    mv_error e = {0};
    mv_ask ask;
    void *memory;
    assert_int_equal(mv_ask_parse(&ask, &memory, "cam", &e), MV_OK);
    assert_ptr_equal(ask.method, mv_method_lookup("cam"));
    free(memory);
    assert_int_equal(ask.class_, MV_MAP_NONE);
    assert_int_equal(mv_ask_parse(&ask, &memory, "attention:level=3,query=1,2", &e), MV_OK);
    assert_string_equal(((const mv_attention_params *)ask.params)->query, "1,2");
    free(memory);
    static const char *const wrong[] = {"",
                                        "none",
                                        "cam:x",
                                        "cam:n=3",
                                        "attention:level=9",
                                        "attention:nothing=1",
                                        ":",
                                        "a-name-that-is-much-longer-than-any-method-that-there-is"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        e = (mv_error){0};
        assert_int_equal(mv_ask_parse(&ask, &memory, wrong[i], &e), MV_EINPUT);
        assert_null(memory);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(passes_equal_a_forward_in_any_batch),
                                       cmocka_unit_test(a_failure_ends_the_passes), cmocka_unit_test(an_ask_is_text)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
