/* Runs on an asynchronous device: kept values equal values that are read, whether batches run operation by operation,
 * are recorded or replayed; and late failures. In emulation, or on a card like test_backend.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/run/edit.h"
#include "src/run/trace.h"
#include "tests/card.h"
#include "tests/filled.h"
#include "tests/network.h"
#include "tests/short.h"

void simt_break_at(unsigned mark);

enum { H = 64, W = 96, CLASSES = 10, PICTURES = 7, CAPACITY = 2 };

static mv_run *run_of(const network *n, int h, int w, int capacity, mv_probe *probes)
{
    mv_error e = {0};
    mv_run *r = mv_run_new(n->model, h, w, capacity, probes, &e);
    expect_ok(&e);
    return r;
}

static mv_trace *trace_of(const char *sites)
{
    mv_error e = {0};
    mv_trace *t = mv_trace_new(sites, NULL, NULL, &e);
    expect_ok(&e);
    return t;
}

static void forward(mv_run *r, const float *x, int pictures, float *logits)
{
    mv_error e = {0};
    mv_run_forward(r, x, pictures, logits, &e);
    expect_ok(&e);
}

/* Compares every site of a and b bit by bit; NaN fails. */
static void expect_same(const mv_trace *a, const mv_trace *b, const char *when)
{
    assert_true(mv_trace_count(a) > 50);
    assert_int_equal(mv_trace_count(a), mv_trace_count(b));
    for (int i = 0; i < mv_trace_count(a); i++) {
        mv_tensor x = mv_trace_at(a, i), y;
        const char *site = mv_trace_name_at(a, i);
        if (!mv_trace_lookup(b, site, &y) || !mv_tensor_same_shape(x, y))
            fail_msg("%s: %s: missing, or of another shape", when, site);
        for (size_t k = 0; k < mv_tensor_count(x); k++)
            if (!(((float *)x.data)[k] == ((float *)y.data)[k]))
                fail_msg("%s: %s: value %zu is %g, expected %g", when, site, k, (double)((float *)y.data)[k],
                         (double)((float *)x.data)[k]);
    }
}

static const mv_dtype types[] = {MV_F32, MV_F16, MV_BF16};

/* Batches of 2, 2, 2 and 1: the first runs operation by operation, the second of a slot is recorded, later ones are
 * replayed. The expected values come from runs that read every value at once. */
static void kept_is_what_would_be_read(void **s)
{
    (void)s;
    mv_config c = small_config();
    for (int i = test_is_short() ? 1 : 0; i < (card_emulated ? 2 : 3); i++) {
        network n = network_on(&c, card_open(types[i]), 5);
        float *x = network_input(PICTURES, H, W, 3), logits[PICTURES * CLASSES], want[PICTURES * CLASSES];
        mv_trace *truth = trace_of("**"), *t = trace_of("**");
        size_t most = n.backend->transfer_max;
        n.backend->transfer_max = 0;
        for (int first = 0; first < PICTURES; first += CAPACITY) {
            int m = PICTURES - first < CAPACITY ? PICTURES - first : CAPACITY;
            mv_run *once = run_of(&n, H, W, m, mv_trace_probe(truth));
            forward(once, x + (size_t)first * 3 * H * W, m, want + first * CLASSES);
            mv_run_free(once);
        }
        n.backend->transfer_max = most;
        mv_run *r = run_of(&n, H, W, CAPACITY, mv_trace_probe(t));
        for (int turn = 0; turn < 3; turn++) {
            char when[32];
            snprintf(when, sizeof when, "%s, turn %d", mv_dtype_name(types[i]), turn);
            mv_trace_clear(t);
            memset(logits, 0xff, sizeof logits);
            forward(r, x, PICTURES, logits);
            expect_same(truth, t, when);
            assert_memory_equal(logits, want, sizeof want);
        }
        mv_run_free(r);
        mv_trace_free(t);
        mv_trace_free(truth);
        free(x);
        network_free(&n);
    }
}

/* Feed lets the caller reuse the planes; the results are there after settle. */
static void halves_make_a_whole(void **s)
{
    (void)s;
    mv_config c = small_config();
    mv_error e = {0};
    network n = network_on(&c, card_open(MV_F32), 5);
    size_t values = (size_t)PICTURES * 3 * H * W;
    float *x = network_input(PICTURES, H, W, 3), *given = malloc(values * sizeof *given), logits[PICTURES * CLASSES],
          want[PICTURES * CLASSES];
    mv_trace *truth = trace_of("levels.*.blocks.*,norm"), *t = trace_of("levels.*.blocks.*,norm");
    assert_non_null(given);
    mv_run *whole = run_of(&n, H, W, CAPACITY, mv_trace_probe(truth)),
           *r = run_of(&n, H, W, CAPACITY, mv_trace_probe(t));
    forward(whole, x, PICTURES, want);
    bool waited = false;
    for (int turn = 0; turn < 4; turn++) {
        mv_trace_clear(t);
        memcpy(given, x, values * sizeof *given);
        memset(logits, 0xff, sizeof logits);
        mv_run_feed(r, given, PICTURES, logits, &e);
        expect_ok(&e);
        memset(given, 0xff, values * sizeof *given);
        waited |= mv_run_pending(r);
        mv_run_settle(r, &e);
        expect_ok(&e);
        assert_false(mv_run_pending(r));
        assert_memory_equal(logits, want, sizeof want);
        assert_int_equal(mv_trace_count(t), mv_trace_count(truth));
        for (int i = 0; i < mv_trace_count(t); i++) {
            mv_tensor a = mv_trace_at(t, i), b = mv_trace_at(truth, i);
            assert_int_equal(mv_tensor_count(a), mv_tensor_count(b));
            assert_memory_equal(a.data, b.data, mv_tensor_bytes(a));
        }
    }
    assert_true(waited);
    mv_run_free(whole);
    mv_run_free(r);
    mv_trace_free(truth);
    mv_trace_free(t);
    free(given);
    free(x);
    network_free(&n);
}

static int transfers;
static mv_status (*transfer_new)(mv_backend *, mv_transfer *, size_t, mv_error *);

/* No memory for the second staging buffer. */
static mv_status second_fails(mv_backend *b, mv_transfer *out, size_t bytes, mv_error *e)
{
    *out = (mv_transfer){0};
    return ++transfers == 2 ? mv_fail(e, MV_ENOMEM, "no staging buffer") : transfer_new(b, out, bytes, e);
}

static void values_without_a_staging_buffer_are_read(void **s)
{
    (void)s;
    mv_config c = small_config();
    network n = network_on(&c, card_open(MV_F32), 5);
    mv_backend *b = n.backend;
    float *x = network_input(1, H, W, 3), logits[CLASSES], want[CLASSES];
    mv_trace *truth = trace_of("**");
    mv_run *once = run_of(&n, H, W, 1, mv_trace_probe(truth));
    forward(once, x, 1, want);
    mv_run_free(once);
    const size_t most = b->transfer_max;
    transfer_new = b->transfer_new;
    for (int how = 0; how < 3; how++) { /* a limit below the sum of all values; none at all; no memory */
        mv_trace *t = trace_of("**");
        b->transfer_max = how == 0 ? 100000 : how == 1 ? 0 : most;
        b->transfer_new = how == 2 ? second_fails : transfer_new;
        transfers = 0;
        mv_run *r = run_of(&n, H, W, 1, mv_trace_probe(t));
        assert_int_equal(transfers, how == 2 ? 2 : 0);
        for (int turn = 0; turn < 6; turn++) {
            mv_error e = {0};
            mv_trace_clear(t);
            memset(logits, 0xff, sizeof logits);
            mv_run_feed(r, x, 1, logits, &e);
            expect_ok(&e);
            assert_true(mv_run_pending(r) == (how == 2 && turn > 0)); /* there is memory the next time */
            mv_run_settle(r, &e);
            expect_ok(&e);
            expect_same(truth, t, "without a staging buffer");
            assert_memory_equal(logits, want, sizeof want);
        }
        mv_run_free(r);
        mv_trace_free(t);
        b->transfer_max = most;
        b->transfer_new = transfer_new;
    }
    mv_trace_free(truth);
    free(x);
    network_free(&n);
}

/* A replayed batch computes the picture that it is given, not the one that it was recorded with. */
static void replays_see_new_pictures(void **s)
{
    (void)s;
    mv_config c = small_config();
    network n = network_on(&c, card_open(MV_F32), 5);
    mv_trace *t = trace_of("**"), *truth = trace_of("**");
    mv_run *r = run_of(&n, H, W, 1, mv_trace_probe(t));
    for (int seed = 1; seed < 8; seed++) {
        float *x = network_input(1, H, W, (uint64_t)seed), logits[CLASSES], want[CLASSES];
        mv_run *once = run_of(&n, H, W, 1, mv_trace_probe(truth));
        mv_trace_clear(t);
        mv_trace_clear(truth);
        forward(r, x, 1, logits);
        forward(once, x, 1, want);
        expect_same(truth, t, "a new picture");
        assert_memory_equal(logits, want, sizeof want);
        mv_run_free(once);
        free(x);
    }
    mv_run_free(r);
    mv_trace_free(t);
    mv_trace_free(truth);
    network_free(&n);
}

/* Memory that all runs of a device share grows with the largest run. Earlier recordings must not use memory that was
 * freed for it. */
static void larger_runs_spoil_no_recording(void **s)
{
    (void)s;
    mv_config c = small_config();
    network n = network_on(&c, card_open(MV_F16), 5);
    float *x = network_input(1, H, W, 3), *large = network_input(3, 2 * H, 2 * W, 4), want[CLASSES], logits[CLASSES],
          others[3 * CLASSES];
    mv_run *r = run_of(&n, H, W, 1, NULL);
    for (int turn = 0; turn < 4; turn++)
        forward(r, x, 1, want);
    mv_run *more = run_of(&n, 2 * H, 2 * W, 3, NULL);
    forward(more, large, 3, others);
    forward(r, x, 1, logits);
    assert_memory_equal(logits, want, sizeof want);
    mv_run_free(more);
    for (int turn = 0; turn < 2; turn++) {
        memset(logits, 0, sizeof logits);
        forward(r, x, 1, logits);
        assert_memory_equal(logits, want, sizeof want);
    }
    mv_run_free(r);
    free(x);
    free(large);
    network_free(&n);
}

/* After a larger run, a recording sees the picture that it is given, not the last one of its own memory. */
static void replays_after_a_larger_run_see_new_pictures(void **s)
{
    (void)s;
    mv_config c = small_config();
    network n = network_on(&c, card_open(MV_F32), 5);
    float *x = network_input(2, H, W, 3), *large = network_input(3, 2 * H, 2 * W, 4), others[3 * CLASSES];
    const float *other = x + (size_t)3 * H * W;
    mv_run *r = run_of(&n, H, W, 1, NULL), *more = run_of(&n, 2 * H, 2 * W, 3, NULL);
    for (int turn = 0; turn < 4; turn++) {
        float want[CLASSES], logits[CLASSES];
        const float *now = turn % 2 ? x : other;
        mv_run *once = run_of(&n, H, W, 1, NULL);
        forward(once, now, 1, want);
        mv_run_free(once);
        for (int again = 0; again < 4; again++)
            forward(r, turn % 2 ? other : x, 1, logits);
        forward(more, large, 3, others);
        forward(r, now, 1, logits);
        assert_memory_equal(logits, want, sizeof want);
    }
    mv_run_free(r);
    mv_run_free(more);
    free(x);
    free(large);
    network_free(&n);
}

/* A probe that fails at its n-th call, as if memory ran out. */
typedef struct {
    mv_probe probe;
    int calls, fail_at;
} frail;

static bool frail_wants(mv_probe *p, const char *site)
{
    (void)p;
    return strcmp(site, "levels.1") == 0;
}

static bool frail_sees(mv_probe *p, mv_run *r, const mv_site_info *site, mv_view v)
{
    frail *f = (frail *)p;
    if (++f->calls == f->fail_at)
        mv_run_fail(r, MV_ENOMEM, "%s: out of memory", site->name);
    else
        mv_run_keep(r, p, site->name, 0, v);
    return false;
}

static void frail_kept(mv_probe *p, mv_run *r, const char *site, int part, mv_tensor value)
{
    (void)p, (void)r, (void)site, (void)part, (void)value;
}

/* A recording during which something failed is not replayed. */
static void failed_recordings_are_forgotten(void **s)
{
    (void)s;
    mv_config c = small_config();
    network n = network_on(&c, card_open(MV_F32), 5);
    float *x = network_input(1, H, W, 3), want[CLASSES], logits[CLASSES];
    for (int fail = 2; fail < 5; fail++) { /* the dry run calls it first; the recordings are made in calls 3 and 4 */
        frail f = {.probe = {.wants = frail_wants, .sees = frail_sees, .kept = frail_kept}};
        mv_run *r = run_of(&n, H, W, 1, &f.probe);
        f.fail_at = fail;
        bool failed = false;
        for (int turn = 0; turn < 8; turn++) {
            mv_error e = {0};
            memset(logits, 0xff, sizeof logits);
            mv_status status = mv_run_forward(r, x, 1, logits, &e);
            assert_int_equal(status, f.calls == fail && !failed ? MV_ENOMEM : MV_OK);
            failed |= status != MV_OK;
            if (status == MV_OK) {
                mv_run *once = run_of(&n, H, W, 1, NULL);
                forward(once, x, 1, want);
                mv_run_free(once);
                assert_memory_equal(logits, want, sizeof want);
            }
        }
        assert_true(failed);
        mv_run_free(r);
    }
    free(x);
    network_free(&n);
}

enum { ODD_W = 75, PIXELS = H * ODD_W };

/* Pictures as bytes, and what a table makes of them. */
typedef struct {
    uint8_t *bytes;
    float table[3 * 256], *planes;
} pictures;

static pictures pictures_new(void)
{
    pictures p = {malloc((size_t)PICTURES * PIXELS * 3), {0}, malloc(sizeof *p.planes * PICTURES * PIXELS * 3)};
    assert_true(p.bytes && p.planes);
    for (int i = 0; i < 3 * 256; i++)
        p.table[i] = (float)(i % 256) / (90 + (float)(i / 256)) - 1.3F;
    for (size_t i = 0; i < (size_t)PICTURES * PIXELS * 3; i++) {
        size_t picture = i / (PIXELS * 3), pixel = i / 3 % PIXELS, channel = i % 3;
        unsigned value = (unsigned)(i * 2654435761U >> 13) & 255;
        p.bytes[i] = (uint8_t)value;
        p.planes[(picture * 3 + channel) * PIXELS + pixel] = p.table[256 * channel + value];
    }
    return p;
}

static void pictures_free(pictures *p)
{
    free(p->bytes);
    free(p->planes);
}

static void forward_bytes(mv_run *r, const pictures *p, int n, float *logits)
{
    mv_error e = {0};
    mv_run_feed_pictures(r, (mv_pictures){p->bytes, p->table}, n, logits, &e);
    expect_ok(&e);
    mv_run_settle(r, &e);
    expect_ok(&e);
}

/* Pictures as bytes give the bits that their planes give, whether batches are full, recorded, replayed or short, and
 * whatever form the batches before them had. */
static void bytes_are_what_their_planes_are(void **s)
{
    (void)s;
    mv_config c = small_config();
    pictures p = pictures_new();
    for (int i = 0; i < (card_emulated ? 2 : 3); i++) {
        network n = network_on(&c, card_open(types[i]), 5);
        mv_run *r = run_of(&n, H, ODD_W, CAPACITY, NULL), *other = run_of(&n, H, ODD_W, CAPACITY, NULL);
        float want[PICTURES * CLASSES], logits[PICTURES * CLASSES];
        forward(other, p.planes, PICTURES, want);
        for (int turn = 0; turn < 4; turn++) {
            memset(logits, 0xff, sizeof logits);
            if (turn == 2)
                forward(r, p.planes, PICTURES, logits);
            else
                forward_bytes(r, &p, PICTURES, logits);
            assert_memory_equal(logits, want, sizeof want);
        }
        mv_run_free(r);
        mv_run_free(other);
        network_free(&n);
    }
    pictures_free(&p);
}

/* A watched input is made as a picture of its own, and convolved by another operation; no bit of the answers differs,
 * from bytes or planes, on the tensor cores (32 channels) or not (8). What is seen is the planes, rounded. */
static void watching_the_input_changes_nothing(void **s)
{
    (void)s;
    mv_config c = small_config();
    pictures p = pictures_new();
    enum { SEEN = 3 };
    for (int i = 0; i < (card_emulated ? 4 : 6); i++) {
        c.in_dim = i % 2 ? 32 : 8;
        network n = network_on(&c, card_open(types[i / 2]), 5);
        mv_trace *t = trace_of("input");
        mv_run *bare = run_of(&n, H, ODD_W, CAPACITY, NULL), *r = run_of(&n, H, ODD_W, CAPACITY, mv_trace_probe(t));
        for (int form = 0; form < 2; form++) {
            float want[SEEN * CLASSES] = {0}, logits[SEEN * CLASSES] = {0};
            mv_tensor seen;
            mv_trace_clear(t);
            for (int watched = 0; watched < 2; watched++)
                if (form == 0)
                    forward(watched ? r : bare, p.planes, SEEN, watched ? logits : want);
                else
                    forward_bytes(watched ? r : bare, &p, SEEN, watched ? logits : want);
            assert_memory_equal(logits, want, sizeof want);
            assert_true(mv_trace_lookup(t, "input", &seen));
            assert_int_equal(mv_tensor_count(seen), SEEN * 3 * PIXELS);
            for (size_t k = 0; k < mv_tensor_count(seen); k++) {
                char rounded[sizeof(float)];
                float plane;
                mv_from_f32(rounded, types[i / 2], &p.planes[k], 1);
                mv_to_f32(&plane, rounded, types[i / 2], 1);
                assert_true(((float *)seen.data)[k] == plane);
            }
        }
        mv_run_free(bare);
        mv_run_free(r);
        mv_trace_free(t);
        network_free(&n);
    }
    pictures_free(&p);
}

static long sends;
static mv_status (*transfer_send)(mv_backend *, mv_transfer *, size_t, mv_error *);

static mv_status counted_send(mv_backend *b, mv_transfer *t, size_t bytes, mv_error *e)
{
    sends += (long)bytes;
    return transfer_send(b, t, bytes, e);
}

static long puts_made;
static mv_status (*transfer_put)(mv_backend *, mv_transfer *, size_t, mv_view, mv_error *);

static mv_status counted_put(mv_backend *b, mv_transfer *t, size_t at, mv_view from, mv_error *e)
{
    puts_made++;
    return transfer_put(b, t, at, from, e);
}

/* Logits that nobody asks for are not sent; asked for again, they are right. They are written to the staging buffer and
 * not copied there. */
static void logits_stay_where_nobody_asks(void **s)
{
    (void)s;
    mv_config c = small_config();
    network n = network_on(&c, card_open(MV_F32), 5);
    transfer_send = n.backend->transfer_send;
    n.backend->transfer_send = counted_send;
    transfer_put = n.backend->transfer_put;
    n.backend->transfer_put = counted_put;
    puts_made = 0;
    float *x = network_input(2, H, W, 3), want[2 * CLASSES];
    mv_run *r = run_of(&n, H, W, 1, NULL), *bare = run_of(&n, H, W, 1, NULL);
    forward(bare, x, 2, want);
    for (int turn = 0; turn < 12; turn++) {
        bool asks = turn / 3 % 2 || turn > 9;
        float logits[2 * CLASSES];
        sends = 0;
        forward(r, x, 2, asks ? logits : NULL);
        assert_true(asks == (sends > 0));
        if (asks)
            assert_memory_equal(logits, want, sizeof want);
    }
    assert_int_equal(puts_made, 0);
    mv_run_free(r);
    mv_run_free(bare);
    free(x);
    network_free(&n);
}

/* The pictures of the last batch can be computed again, and before there are any that is an error. */
static void pictures_are_computed_again(void **s)
{
    (void)s;
    mv_config c = small_config();
    network n = network_on(&c, card_open(MV_F32), 5);
    float *x = network_input(2, H, W, 3), want[CLASSES], logits[CLASSES];
    mv_run *r = run_of(&n, H, W, 1, NULL);
    mv_error e = {0};
    assert_int_equal(mv_run_forward(r, NULL, 1, logits, &e), MV_EMISUSE);
    for (int turn = 0; turn < 4; turn++) {
        const float *now = x + (turn % 2 ? (size_t)3 * H * W : 0);
        forward(r, now, 1, want);
        for (int again = 0; again < 4; again++) {
            memset(logits, 0xff, sizeof logits);
            forward(r, NULL, 1, logits);
            assert_memory_equal(logits, want, sizeof want);
        }
    }
    mv_run_free(r);
    free(x);
    network_free(&n);
}

/* An edit is applied to every batch, and so are the probes after it. */
static void edits_are_made_every_time(void **s)
{
    (void)s;
    mv_config c = small_config();
    mv_error e = {0};
    network n = network_on(&c, card_open(MV_F32), 5);
    float *x = network_input(1, H, W, 3), plain[CLASSES], first[CLASSES], later[CLASSES];
    mv_edits *edits = mv_edits_new(&e);
    mv_edits_add(edits, "levels.2.blocks.0.mixer.h", MV_EDIT_ZERO, (mv_tensor){0}, &e);
    expect_ok(&e);
    mv_trace *t = trace_of("levels.2.blocks.0.mixer.y");
    mv_edits_probe(edits)->next = mv_trace_probe(t);
    mv_run *bare = run_of(&n, H, W, 1, NULL), *r = run_of(&n, H, W, 1, mv_edits_probe(edits));
    forward(bare, x, 1, plain);
    forward(r, x, 1, first);
    assert_true(relative_l2(first, plain, CLASSES) > 1e-4);
    for (int turn = 0; turn < 4; turn++) {
        forward(r, x, 1, later);
        assert_memory_equal(later, first, sizeof first);
    }
    mv_tensor y;
    assert_true(mv_trace_lookup(t, "levels.2.blocks.0.mixer.y", &y));
    size_t one = mv_tensor_count(y) / 5; /* five forwards, stacked */
    assert_memory_equal(y.data, (float *)y.data + 4 * one, one * sizeof(float));
    mv_run_free(bare);
    mv_run_free(r);
    mv_edits_free(edits);
    mv_trace_free(t);
    free(x);
    network_free(&n);
}

/* Edits of one picture of a batch: of strided values, of a window's token, of a half-precision value; the others are as
 * without an edit, and an original value changes no bit. */
static void edits_of_one_picture_stay_with_it(void **s)
{
    (void)s;
    static const struct {
        const char *text;
        mv_edit_kind kind;
    } cases[] = {{"levels.3.blocks.1.mixer.v[head=2]", MV_EDIT_ZERO},
                 {"levels.2.blocks.0.mixer.dt", MV_EDIT_MEAN},
                 {"levels.1.downsample[cell=1,2]", MV_EDIT_MEAN},
                 {"levels.1.blocks.0.norm2", MV_EDIT_ZERO},
                 {"**.mixer.z", MV_EDIT_ORIGINAL}};
    enum { CASES = sizeof cases / sizeof *cases };
    mv_config c = small_config();
    for (int i = 0; i < (card_emulated && test_is_short() ? 1 : 2); i++) {
        mv_error e = {0};
        network n = network_on(&c, card_open(types[i]), 5);
        size_t picture = (size_t)3 * H * W;
        float *x = network_input(1, H, W, 3), *copies = malloc((CASES + 1) * picture * sizeof *copies),
              logits[(CASES + 1) * CLASSES], want[CLASSES];
        assert_non_null(copies);
        mv_edits *ed = mv_edits_new(&e);
        for (int k = 0; k <= CASES; k++) {
            memcpy(copies + (size_t)k * picture, x, picture * sizeof *x);
            mv_edits_only(ed, k);
            if (k < CASES)
                mv_edits_add(ed, cases[k].text, cases[k].kind, (mv_tensor){0}, &e);
        }
        expect_ok(&e);
        mv_run *r = run_of(&n, H, W, CASES + 1, mv_edits_probe(ed));
        forward(r, copies, CASES + 1, logits);
        mv_run_free(r);
        float *bare = logits + CASES * CLASSES, *same = logits + (CASES - 1) * CLASSES;
        double bound = types[i] == MV_F32 ? 1e-5 : 0.01;
        assert_true(relative_l2(same, bare, CLASSES) <= bound);
        for (int k = 0; k < CASES; k++) {
            mv_edits *one = mv_edits_new(&e);
            mv_edits_add(one, cases[k].text, cases[k].kind, (mv_tensor){0}, &e);
            expect_ok(&e);
            r = run_of(&n, H, W, 1, mv_edits_probe(one));
            forward(r, x, 1, want);
            mv_run_free(r);
            mv_edits_free(one);
            double d = relative_l2(logits + k * CLASSES, want, CLASSES);
            if (d > bound)
                fail_msg("%s: differs by %.3g from the single edit", cases[k].text, d);
            if (k < CASES - 1 && types[i] == MV_F32)
                assert_true(relative_l2(want, bare, CLASSES) > 1e-4);
        }
        mv_edits_free(ed);
        free(x);
        free(copies);
        network_free(&n);
    }
}

/* Zeros behind odd channels and ranks change nothing that can be seen. */
static void spare_channels_are_not_seen(void **s)
{
    (void)s;
    static const double bound[] = {1e-5, 0.02, 0.1};
    for (int i = test_is_short() ? 1 : 0; i < (card_emulated ? 2 : 3); i++)
        filled_equals_bare(card_open, types[i], 0, bound[i]);
}

typedef struct {
    int calls, fail_at;
} counter;

static mv_status count(void *context, const char *site, mv_tensor value, mv_error *e)
{
    (void)value;
    counter *n = context;
    return ++n->calls == n->fail_at ? mv_fail(e, MV_EIO, "%s: the disk is full", site) : MV_OK;
}

/* A sink that fails stops the run, wherever it happens, and the next forward equals the first. */
static void sinks_may_fail(void **s)
{
    (void)s;
    mv_config c = small_config();
    network n = network_on(&c, card_open(MV_F32), 5);
    float *x = network_input(PICTURES, H, W, 3), logits[PICTURES * CLASSES], want[PICTURES * CLASSES];
    mv_error e = {0};
    counter k = {0};
    mv_trace *t = mv_trace_new("levels.*.blocks.*", count, &k, &e);
    mv_run *r = run_of(&n, H, W, CAPACITY, mv_trace_probe(t));
    forward(r, x, PICTURES, want);
    int all = k.calls;
    assert_int_equal(all % 4, 0); /* the same number in each batch */
    for (int fail = 1; fail <= all; fail += test_is_short() ? all / 4 + 1 : 3) {
        k = (counter){.fail_at = fail};
        e = (mv_error){0};
        assert_int_equal(mv_run_forward(r, x, PICTURES, logits, &e), MV_EIO);
        assert_non_null(strstr(e.text, "the disk is full"));
        assert_int_equal(k.calls, fail);
    }
    k = (counter){0};
    forward(r, x, PICTURES, logits);
    assert_int_equal(k.calls, all);
    assert_memory_equal(logits, want, sizeof want);
    mv_run_free(r);
    mv_trace_free(t);
    free(x);
    network_free(&n);
}

/* A probe that breaks its contract: it keeps the value in the dry run, and not in the batch. */
typedef struct {
    mv_probe probe;
    int calls;
} fickle;

static bool fickle_wants(mv_probe *p, const char *site)
{
    (void)p;
    return strcmp(site, "levels.0") == 0;
}

static bool fickle_sees(mv_probe *p, mv_run *r, const mv_site_info *site, mv_view v)
{
    assert_string_equal(site->axes, "BCHW");
    assert_false(site->diagnostic);
    if (((fickle *)p)->calls++ != 1)
        mv_run_keep(r, p, site->name, 0, v);
    return false;
}

static void fickle_kept(mv_probe *p, mv_run *r, const char *site, int part, mv_tensor value)
{
    (void)p, (void)r, (void)part, (void)value;
    assert_string_equal(site, "levels.0");
}

static void values_outside_the_plan_stop_the_run(void **s)
{
    (void)s;
    mv_config c = small_config();
    network n = network_on(&c, card_open(MV_F32), 5);
    float *x = network_input(1, H, W, 3), logits[CLASSES];
    fickle f = {.probe = {.wants = fickle_wants, .sees = fickle_sees, .kept = fickle_kept}};
    mv_run *r = run_of(&n, H, W, 1, &f.probe);
    mv_error e = {0};
    assert_int_equal(f.calls, 1);
    assert_int_equal(mv_run_forward(r, x, 1, logits, &e), MV_EMISUSE);
    assert_string_equal(e.text, "head: found a kept value that differs from the plan, expected levels.0");
    forward(r, x, 1, logits); /* it keeps its word from here on */
    mv_run_free(r);
    free(x);
    network_free(&n);
}

/* A failure that is found when waiting for the device is reported with its operation and site. */
static void late_failures_are_named(void **s)
{
    (void)s;
    static const struct {
        unsigned mark;
        const char *text;
    } cases[] = {{1, "cuda:0: first or last layers: stem: unspecified launch failure"},
                 {2, "cuda:0: first or last layers: conv2d: unspecified launch failure"},
                 {4, "cuda:0: levels.0.blocks.0: conv2d: unspecified launch failure"}};
    if (!card_emulated)
        skip();
    mv_config c = small_config();
    float *x = network_input(1, H, W, 3), logits[CLASSES];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mv_error e = {0};
        simt_break_at(cases[i].mark);
        network n = network_on(&c, card_open(MV_F32), 5);
        simt_break_at(0);
        mv_run *r = run_of(&n, H, W, 1, NULL);
        assert_int_equal(mv_run_forward(r, x, 1, logits, &e), MV_EDEVICE);
        if (!strstr(e.text, cases[i].text)) /* after the operation that waited */
            fail_msg("mark %u: found %s", cases[i].mark, e.text);
        mv_run_free(r);
        network_free(&n);
    }
    free(x);
}

int main(void)
{
    if (!card_find())
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_is_what_would_be_read),
        cmocka_unit_test(halves_make_a_whole),
        cmocka_unit_test(values_without_a_staging_buffer_are_read),
        cmocka_unit_test(replays_see_new_pictures),
        cmocka_unit_test(larger_runs_spoil_no_recording),
        cmocka_unit_test(replays_after_a_larger_run_see_new_pictures),
        cmocka_unit_test(failed_recordings_are_forgotten),
        cmocka_unit_test(bytes_are_what_their_planes_are),
        cmocka_unit_test(watching_the_input_changes_nothing),
        cmocka_unit_test(logits_stay_where_nobody_asks),
        cmocka_unit_test(pictures_are_computed_again),
        cmocka_unit_test(edits_are_made_every_time),
        cmocka_unit_test(edits_of_one_picture_stay_with_it),
        cmocka_unit_test(spare_channels_are_not_seen),
        cmocka_unit_test(sinks_may_fail),
        cmocka_unit_test(values_outside_the_plan_stop_the_run),
        cmocka_unit_test(late_failures_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
