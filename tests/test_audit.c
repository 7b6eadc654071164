/* The audit of scan order: likeness by its definition, and the audit against passes of the flipped picture that the
 * test makes itself.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/explain/audit.h"
#include "src/explain/methods.h"
#include "tests/network.h"

enum { H = 72, W = 120 }; /* several windows and padding at level 2 of the small network */

static void likeness_is_pearson_and_relative_l2(void **state)
{
    (void)state;
    float a[60], b[60];
    for (int i = 0; i < 60; i++) {
        a[i] = sinf((float)i) + 0.3f;
        b[i] = -2 * a[i] + 5;
    }
    mv_likeness same = mv_likeness_of(a, a, 60), turned = mv_likeness_of(a, b, 60);
    assert_true(fabs(same.correlation - 1) < 1e-12 && same.distance == 0);
    assert_true(fabs(turned.correlation + 1) < 1e-6);
    double aa = 0, dd = 0;
    for (int i = 0; i < 60; i++) {
        aa += (double)a[i] * (double)a[i];
        dd += ((double)b[i] - (double)a[i]) * ((double)b[i] - (double)a[i]);
        b[i] = 3;
    }
    assert_true(fabs(turned.distance - sqrt(dd / aa)) < 1e-6);
    assert_true(isnan(mv_likeness_of(a, b, 60).correlation)); /* nothing varies with an even map */
}

static void a_flip_is_its_own_inverse(void **state)
{
    (void)state;
    float in[2 * 3 * 4], out[24], back[24];
    for (int i = 0; i < 24; i++)
        in[i] = (float)i;
    mv_flip_planes(out, in, 2, 3, 4, MV_FLIP_MIRRORED);
    assert_true(out[0] == 3 && out[3] == 0 && out[23] == 20);
    mv_flip_planes(back, out, 2, 3, 4, MV_FLIP_MIRRORED);
    assert_memory_equal(in, back, sizeof in);
    mv_flip_planes(out, in, 2, 3, 4, MV_FLIP_UPSIDE_DOWN);
    assert_true(out[0] == 8 && out[8] == 0 && out[12] == 20);
    mv_flip_planes(back, out, 2, 3, 4, MV_FLIP_UPSIDE_DOWN);
    assert_memory_equal(in, back, sizeof in);
}

/* ---- the audit of a network */

typedef struct {
    network net;
    mv_inside_params view;
    mv_maps maps[2]; /* of the mixers, and the evidence */
    float *planes, *logits;
} scene;

static const char *no_name(void *unused, int c, char text[24])
{
    (void)unused;
    (void)c;
    (void)text;
    return "";
}

/* The maps of planes, with the evidence for a class. */
static void explain(scene *s, const float *planes, int class_, mv_maps maps[2])
{
    mv_error e = {0};
    mv_ask ask[2] = {{.method = &mv_method_inside, .params = &s->view, .class_ = MV_MAP_NONE, .against = MV_MAP_NONE},
                     {.method = mv_method_lookup("cam"), .class_ = class_, .against = MV_MAP_NONE}};
    mv_explainer *x = mv_explainer_new(ask, 2, &s->net.model->config, H, W, &e);
    expect_ok(&e);
    mv_run *r = mv_run_new(s->net.model, H, W, 1, mv_explainer_probe(x), &e);
    expect_ok(&e);
    mv_run_forward(r, planes, 1, s->logits, &e);
    for (int k = 0; k < 2; k++)
        mv_explainer_explain(x, k, s->net.model, 0, NULL, s->logits, no_name, NULL, &maps[k], &e);
    expect_ok(&e);
    mv_run_free(r);
    mv_explainer_free(x);
}

static scene scene_of(uint64_t seed)
{
    mv_config c = small_config();
    scene s = {.net = network_of(&c, MV_F32, 2, seed),
               .view = {.query = "pooled",
                        .channel = MV_CHANNEL_MEAN,
                        .wants = MV_MIXER_STATES | MV_MIXER_BIT(MV_MIXER_HIDDEN)},
               .planes = network_input(1, H, W, seed),
               .logits = malloc((size_t)c.classes * sizeof(float))};
    return s;
}

static void scene_free(scene *s)
{
    for (int k = 0; k < 2; k++)
        mv_maps_free(&s->maps[k]);
    network_free(&s->net);
    free(s->planes);
    free(s->logits);
}

static mv_audit *run_audit(scene *s)
{
    mv_error e = {0};
    mv_auditor *a = mv_auditor_new(&s->view, s->net.model, H, W, NULL, &e);
    expect_ok(&e);
    assert_true(mv_auditor_fits(a, H, W) && !mv_auditor_fits(a, W, H) && !mv_auditor_fits(NULL, H, W));
    mv_audit *first = mv_auditor_run(a, s->planes, s->logits, &s->maps[0], s->maps[1].map, &e);
    expect_ok(&e);
    free(first); /* a second picture must not meet what the first one left */
    mv_audit *audit = mv_auditor_run(a, s->planes, s->logits, &s->maps[0], s->maps[1].map, &e);
    expect_ok(&e);
    mv_auditor_free(a);
    return audit;
}

static mv_likeness turned_back(const mv_map *original, const mv_map *flipped, mv_flip flip)
{
    size_t n = (size_t)original->h * (size_t)original->w;
    float *back = malloc(n * sizeof *back);
    mv_flip_planes(back, mv_map_raw(flipped), 1, flipped->h, flipped->w, flip);
    mv_likeness l = mv_likeness_of(mv_map_raw(original), back, n);
    free(back);
    return l;
}

static void expect_same(mv_likeness a, mv_likeness b)
{
    assert_true(fabs(a.correlation - b.correlation) < 1e-5);
    assert_true(fabs(a.distance - b.distance) < 1e-5 * (1 + b.distance));
}

static void an_audit_is_the_pass_of_the_flipped_picture(void **state)
{
    (void)state;
    scene s = scene_of(11);
    explain(&s, s.planes, MV_CLASS_TOP, s.maps);
    mv_audit *audit = run_audit(&s);
    int class_ = s.maps[1].map->class_;
    assert_int_equal(audit->class_, class_);
    assert_true(audit->blocks > 1);
    float *planes = malloc(3 * H * W * sizeof *planes);
    double hidden = 0;
    for (mv_flip f = 0; f < MV_FLIPS; f++) {
        mv_maps maps[2] = {{0}};
        mv_flip_planes(planes, s.planes, 3, H, W, f);
        explain(&s, planes, class_, maps);
        assert_true(fabs(audit->flipped[f] - (double)s.logits[class_]) < 1e-4);
        expect_same(audit->evidence[f], turned_back(s.maps[1].map, maps[1].map, f));
        for (int b = 0; b < audit->blocks; b++)
            for (int k = 0; k < MV_AUDIT_STATES; k++) {
                const mv_audit_block *of = &audit->block[b];
                const char *what = mv_mixer_key((mv_mixer_kind)k);
                expect_same(of->state[k][f], turned_back(mv_inside_lookup(&s.maps[0], of->level, of->block, what),
                                                         mv_inside_lookup(&maps[0], of->level, of->block, what), f));
                assert_true(of->tokens > 0 && of->norm > 0);
                hidden += of->hidden; /* of padding below, which is scanned last, no cell takes anything */
            }
        mv_maps_free(&maps[0]);
        mv_maps_free(&maps[1]);
    }
    assert_true(hidden > 0);
    free(planes);
    free(audit);
    scene_free(&s);
}

/* A picture that is its own mirror image: the pass sees the same, so its maps are the original ones, and the audit
 * compares each map with its mirror image. */
static void a_symmetric_picture_has_the_same_maps(void **state)
{
    (void)state;
    scene s = scene_of(12);
    for (int p = 0; p < 3 * H; p++)
        for (int x = 0; x < W / 2; x++)
            s.planes[p * W + W - 1 - x] = s.planes[p * W + x];
    explain(&s, s.planes, MV_CLASS_TOP, s.maps);
    mv_audit *audit = run_audit(&s);
    assert_true(fabs(audit->flipped[MV_FLIP_MIRRORED] - audit->logit) < 1e-5);
    assert_int_equal(audit->top[MV_FLIP_MIRRORED], audit->class_);
    const mv_audit_block *of = &audit->block[0];
    for (int k = 0; k < MV_AUDIT_STATES; k++) {
        const mv_map *m = mv_inside_lookup(&s.maps[0], of->level, of->block, mv_mixer_key((mv_mixer_kind)k));
        expect_same(of->state[k][MV_FLIP_MIRRORED], turned_back(m, m, MV_FLIP_MIRRORED));
    }
    free(audit);
    scene_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(likeness_is_pearson_and_relative_l2),
        cmocka_unit_test(a_flip_is_its_own_inverse),
        cmocka_unit_test(an_audit_is_the_pass_of_the_flipped_picture),
        cmocka_unit_test(a_symmetric_picture_has_the_same_maps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
