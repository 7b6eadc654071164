/* Sweeps: a batch of edits equals a plain loop over them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/base/map.h"
#include "src/explain/sweep.h"
#include "tests/network.h"

enum { H = 97, W = 131, CLASSES = 10, ITEMS = 600 };

static network net;
static const mv_tensor no;

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

static mv_sweep *sweep_new(int batch)
{
    mv_error e = {0};
    mv_sweep *s = mv_sweep_new(net.model, H, W, batch, &e);
    expect_ok(&e);
    return s;
}

static void add(mv_sweep *s, mv_sweep_kind kind, const char *site)
{
    mv_error e = {0};
    mv_sweep_add(s, kind, site, &e);
    expect_ok(&e);
}

/* The logits with one edit, or (text NULL) without, each in a run of its own; base is made before. */
static void single(const char *base, const char *text, mv_edit_kind kind, const float *x, float *logits)
{
    mv_error e = {0};
    mv_edits *ed = mv_edits_new(&e);
    if (base)
        mv_edits_add(ed, base, MV_EDIT_ZERO, no, &e);
    if (text)
        mv_edits_add(ed, text, kind, no, &e);
    mv_run *r = mv_run_new(net.model, H, W, 1, mv_edits_probe(ed), &e);
    expect_ok(&e);
    mv_run_forward(r, x, 1, logits, &e);
    expect_ok(&e);
    mv_run_free(r);
    mv_edits_free(ed);
}

/* The edit that an item's name stands for, written down anew. */
static mv_edit_kind edit_of(const char *name, char text[160])
{
    char block[64], word[32];
    int n, m;
    const char *cut = strstr(name, ".cell."), *channel = strstr(name, ".channel.");
    if (cut && sscanf(cut, ".cell.%d.%d", &n, &m) == 2) {
        snprintf(text, 160, "%.*s[cell=%d,%d]", (int)(cut - name), name, n, m);
        return MV_EDIT_MEAN;
    }
    if (channel && sscanf(channel, ".channel.%d", &n) == 1) {
        snprintf(text, 160, "%.*s[channel=%d]", (int)(channel - name), name, n);
        return MV_EDIT_ZERO;
    }
    int level, j, end = 0;
    assert_int_equal(sscanf(name, "levels.%d.blocks.%d%n", &level, &j, &end), 2);
    snprintf(block, sizeof block, "levels.%d.blocks.%d", level, j);
    const char *rest = name + end;
    if (sscanf(rest, ".head.%d", &n) == 1)
        snprintf(text, 160, "%s.mixer.attn[head=%d]", block, n);
    else if (!*rest && level < 2)
        snprintf(text, 160, "%s.norm2", block);
    else if (!*rest)
        snprintf(text, 160, "%s.mlp,%s.mixer", block, block);
    else {
        assert_int_equal(sscanf(rest, ".%31s", word), 1);
        bool scan = strcmp(word, "scan") == 0, local = strcmp(word, "local") == 0;
        bool inner = strcmp(word, "dt") == 0 || strcmp(word, "C") == 0;
        snprintf(text, 160, "%s.%s%s", block, inner ? "mixer." : "", scan ? "mixer.y" : local ? "mixer.z" : word);
        return strcmp(word, "dt") == 0 ? MV_EDIT_MEAN : MV_EDIT_ZERO;
    }
    return MV_EDIT_ZERO;
}

static void a_sweep_equals_a_plain_loop(void **s)
{
    (void)s;
    static const char *const bases[] = {NULL, "levels.2.blocks.1.mixer.z", NULL};
    static const int batches[] = {8, 5, 1}, classes[] = {3, 8};
    double *change = malloc(2 * ITEMS * sizeof *change);
    float *x = network_input(1, H, W, 4), before[CLASSES], plain[CLASSES], after[CLASSES];
    assert_non_null(change);
    for (int turn = 0; turn < 3; turn++) {
        mv_error e = {0};
        mv_sweep *w = sweep_new(batches[turn]);
        if (bases[turn])
            mv_edits_add(mv_sweep_edits(w), bases[turn], MV_EDIT_ZERO, no, &e);
        for (int kind = 0; kind < MV_SWEEPS; kind++)
            add(w, (mv_sweep_kind)kind,
                kind == MV_SWEEP_TOKENS     ? "levels.2.blocks.0"
                : kind == MV_SWEEP_CHANNELS ? "levels.2.blocks.0.mixer.y"
                                            : NULL);
        int n = mv_sweep_count(w);
        assert_in_range(n, 50, ITEMS);
        mv_sweep_run(w, x, classes, 2, before, change, &e);
        expect_ok(&e);
        assert_int_equal(mv_passes_count(mv_sweep_passes(w)), n + 1);
        single(bases[turn], NULL, MV_EDIT_ZERO, x, plain);
        assert_true(relative_l2(before, plain, CLASSES) <= 2e-6);
        double worst = 0, most = 0;
        for (int i = 0; i < n; i++) {
            char name[MV_SWEEP_NAME], text[160];
            mv_edit_kind kind = edit_of(mv_sweep_item_name(w, i, name), text);
            single(bases[turn], text, kind, x, after);
            for (int k = 0; k < 2; k++) {
                double want = (double)after[classes[k]] - (double)plain[classes[k]], got = change[k * n + i];
                worst = fmax(worst, fabs(want - got));
                most = fmax(most, fabs(want));
                if (fabs(want - got) > 1e-5)
                    fail_msg("%s: changes logit %d by %g, expected %g", name, classes[k], got, want);
            }
        }
        print_message("           %d edits, %d at a time: worst %.2g of changes up to %.2g\n", n, batches[turn], worst,
                      most);
        assert_true(most > 0.01);
        /* another picture through the same sweep, and this one again */
        float *other = network_input(1, H, W, 5);
        double first = change[0];
        mv_sweep_run(w, other, classes, 1, NULL, change, &e);
        mv_sweep_run(w, x, classes, 2, NULL, change, &e);
        expect_ok(&e);
        assert_true(change[0] == first);
        free(other);
        mv_sweep_free(w);
    }
    free(change);
    free(x);
}

static void items_stand_in_grids(void **s)
{
    (void)s;
    static const struct {
        int count, rows, columns;
        const char *name, *words, *row, *column; /* of the last item */
    } want[] = {{6, 2, 4, "levels.3.blocks.1.head.3", "head 3 of level 3 block 1", "3.1", "3"},
                {7, 4, 3, "levels.3.blocks.1", "block 1 of level 3", "level 3", "1"},
                {12, 3, 4, "levels.3.blocks.0.C", "C of level 3 block 0", "3.0", "C = 0"},
                {10, 5, 2, "levels.3.blocks.1.mlp", "the MLP of level 3 block 1", "3.1", "MLP"},
                {128, 4, 32, "levels.3.channel.127", "channel 127 of levels.3", "96", "+31"},
                {63, 7, 9, "levels.1.downsample.cell.6.8", "cell 6,8 of levels.1.downsample", "6", "8"}};
    mv_sweep *w = sweep_new(4);
    for (int kind = 0; kind < MV_SWEEPS; kind++) {
        char text[MV_SWEEP_NAME];
        add(w, (mv_sweep_kind)kind, NULL);
        mv_sweep_grid g = mv_sweep_grid_at(w, kind);
        assert_int_equal(g.kind, kind);
        assert_int_equal(g.count, want[kind].count);
        assert_int_equal(g.rows, want[kind].rows);
        assert_int_equal(g.columns, want[kind].columns);
        int last = g.first + g.count - 1;
        mv_sweep_item t = mv_sweep_at(w, last);
        assert_string_equal(mv_sweep_item_name(w, last, text), want[kind].name);
        assert_string_equal(mv_sweep_item_words(w, last, text), want[kind].words);
        assert_string_equal(mv_sweep_row_name(w, kind, t.row, text), want[kind].row);
        assert_string_equal(mv_sweep_column_name(w, kind, t.column, text), want[kind].column);
    }
    assert_int_equal(mv_sweep_grids(w), MV_SWEEPS);
    mv_sweep_free(w);
}

static void what_cannot_be_swept_is_told(void **s)
{
    (void)s;
    static const struct {
        mv_sweep_kind kind;
        const char *site, *says;
    } cases[] = {{MV_SWEEP_TOKENS, "avgpool", "tokens: avgpool has no tokens"},
                 {MV_SWEEP_CHANNELS, "levels.3.blocks.1.mixer.attn", "has no channels"},
                 {MV_SWEEP_CHANNELS, "levels.9", "channels: no site fits 'levels.9'"},
                 {MV_SWEEP_CHANNELS, "levels.*", "found 4 sites that fit 'levels.*', expected one"},
                 {MV_SWEEP_TOKENS, "levels.2.blocks.0.mixer.state_norm", "nothing depends on"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mv_error e = {0};
        mv_sweep *w = sweep_new(4);
        assert_int_equal(mv_sweep_add(w, cases[i].kind, cases[i].site, &e), MV_EINPUT);
        if (!strstr(e.text, cases[i].says))
            fail_msg("found '%s', expected '%s' in it", e.text, cases[i].says);
        mv_sweep_free(w);
    }
    mv_error e = {0};
    mv_config shallow = small_config();
    shallow.depth[2] = shallow.depth[3] = 1;
    network n = network_of(&shallow, MV_F32, 1, 3);
    mv_sweep *w = mv_sweep_new(n.model, 64, 64, 4, &e);
    expect_ok(&e);
    assert_int_equal(mv_sweep_add(w, MV_SWEEP_HEADS, NULL, &e), MV_EINPUT);
    assert_string_equal(e.text, "heads: the network has no attention block");
    mv_sweep_free(w);
    network_free(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sweep_equals_a_plain_loop),
        cmocka_unit_test(items_stand_in_grids),
        cmocka_unit_test(what_cannot_be_swept_is_told),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
