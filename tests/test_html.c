/* The page for browsers: coded rows and evidence against the values they were made from, with padding and several
 * windows; and the writer with hostile strings and a sink that fails. tests/run_html.sh opens pages in a browser.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/base/coded.h"
#include "src/device/cpu.h"
#include "src/explain/cam.h"
#include "src/explain/evidence.h"
#include "src/explain/rows_keep.h"
#include "src/run/trace.h"
#include "tests/drawing.h"
#include "tests/network.h"
#include "viz/html/html.h"

#define EXPECT(holds, ...)                                                                                             \
    do {                                                                                                               \
        if (!(holds))                                                                                                  \
            fail_msg(__VA_ARGS__);                                                                                     \
    } while (0)

#define BOUND 0.004 /* of the largest value of a row: what coded.h promises */

/* ---- codes */

static void a_code_is_within_its_bound(void **state)
{
    (void)state;
    enum { N = 1000 };
    float v[N];
    uint8_t code[N], again[N];
    for (int scale = -20; scale <= 20; scale += 4) {
        for (int i = 0; i < N; i++)
            v[i] = ldexpf((float)(i * i), scale);
        float most = mv_coded_row(code, v, N);
        assert_true(most == v[N - 1]);
        for (int i = 0; i < N; i++)
            EXPECT(fabsf(mv_coded_value(code[i], most) - v[i]) <= (float)BOUND * most, "2^%d: value %d of %d", scale, i,
                   N);
        for (int i = 0; i < N; i++)
            v[i] = mv_coded_value(code[i], most);
        mv_coded_row(again, v, N); /* coding what was coded changes nothing */
        assert_memory_equal(code, again, N);
    }
}

static void odd_rows_have_codes(void **state)
{
    (void)state;
    uint8_t code[3];
    int8_t sign[3];
    assert_true(mv_coded_row(code, (float[]){0, -1, 0}, 3) == 0);
    assert_memory_equal(code, ((uint8_t[]){0, 0, 0}), 3);
    assert_true(isnan(mv_coded_row(code, (float[]){1, NAN, 0}, 3)));
    assert_true(isnan(mv_coded_row(code, (float[]){1, INFINITY, 0}, 3)));
    assert_memory_equal(code, ((uint8_t[]){0, 0, 0}), 3);
    mv_coded_row(code, (float[]){1e-42f, 0, 0}, 3); /* a denormal number has no reciprocal */
    assert_true(mv_coded_signed(sign, (float[]){-4, 2, 0}, 3) == 4);
    assert_memory_equal(sign, ((int8_t[]){-127, 64, 0}), 3);
    assert_true(isnan(mv_coded_signed(sign, (float[]){1, NAN, 0}, 3)));
    assert_true(mv_coded_signed(sign, (float[]){0, 0, 0}, 3) == 0);
}

static void windows_cover_a_grid_once(void **state)
{
    (void)state;
    static const int shapes[][4] = {{14, 14, 14, 1}, {7, 9, 4, 2}, {5, 13, 3, 4}, {1, 1, 7, 1}};
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
        mv_error e = {0};
        int h = shapes[k][0], w = shapes[k][1], window = shapes[k][2], group = shapes[k][3];
        mv_coded c = {
            .heads = 2, .of = 2, .h = h, .w = w, .cell = 16, .window = window, .group = group, .padding = 0.1};
        c.down = (h + window - 1) / window;
        c.across = (w + window - 1) / window;
        int seen = 0;
        size_t codes = 0, rows = 0;
        for (int n = 0; n < c.down * c.across; n++) {
            mv_coded_window at = mv_coded_window_at(&c, n);
            assert_true(at.rows >= 1 && at.columns >= 1 && at.top + at.rows <= h && at.left + at.columns <= w);
            assert_true(at.qrows * group >= at.rows && (at.qrows - 1) * group < at.rows);
            seen += at.rows * at.columns;
            rows += 2 * (size_t)(at.qrows * at.qcolumns);
            codes += 2 * (size_t)(at.qrows * at.qcolumns) * (size_t)(at.rows * at.columns);
        }
        assert_int_equal(seen, h * w);
        assert_int_equal(mv_coded_new(&c, &e), MV_OK);
        assert_int_equal(c.rows, rows);
        assert_int_equal(c.codes, codes);
        mv_coded_free(&c);
    }
}

/* ---- rows of a network */

enum { H = 97, W = 131, PICTURES = 2 };

typedef struct {
    network net;
    mv_rows_keep *rows;
    mv_evidence_keep *evidence;
    mv_trace *trace;
    mv_run *run;
    float *planes, *logits;
} fixture;

static fixture ran(size_t budget, int batch)
{
    mv_error e = {0};
    mv_config config = small_config();
    config.window[2] = 3;
    config.window[3] = 2;
    fixture f = {.net = network_of(&config, MV_F32, 2, 11)};
    f.rows = mv_rows_keep_new(&f.net.model->config, budget, &e);
    f.evidence = mv_evidence_keep_new(f.net.model, &e);
    f.trace = mv_trace_new("**.attn,**.hidden_attn,norm", NULL, NULL, &e);
    expect_ok(&e);
    mv_rows_keep_probe(f.rows)->next = mv_evidence_keep_probe(f.evidence);
    mv_evidence_keep_probe(f.evidence)->next = mv_trace_probe(f.trace);
    f.run = mv_run_new(f.net.model, H, W, batch, mv_rows_keep_probe(f.rows), &e);
    expect_ok(&e);
    f.planes = network_input(PICTURES, H, W, 5);
    f.logits = calloc((size_t)PICTURES * (size_t)config.classes, sizeof *f.logits);
    mv_run_forward(f.run, f.planes, PICTURES, f.logits, &e);
    expect_ok(&e);
    return f;
}

static void end(fixture *f)
{
    mv_run_free(f->run);
    mv_rows_keep_free(f->rows);
    mv_evidence_keep_free(f->evidence);
    mv_trace_free(f->trace);
    network_free(&f->net);
    free(f->planes);
    free(f->logits);
}

/* The row of the raw value that belongs to token t of window n and a head (-1: the mean of all), divided by the even
 * spread, at token j. */
static double raw_at(const mv_coded *c, mv_tensor raw, int picture, int n, int head, int t, int j)
{
    int tokens = c->window * c->window, windows = c->down * c->across;
    const float *v = raw.data;
    double sum = 0, all = 0;
    if (c->scan) {
        const float *row = v + ((size_t)(picture * windows + n) * (size_t)tokens + (size_t)t) * (size_t)tokens;
        for (int i = 0; i < tokens; i++)
            all += (double)row[i];
        return all > 0 ? (double)row[j] / all * (t + 1) : 0;
    }
    for (int h = 0; h < c->of; h++)
        if (head < 0 || h == head) {
            size_t at = (((size_t)(picture * windows + n) * (size_t)c->of + (size_t)h) * (size_t)tokens + (size_t)t) *
                        (size_t)tokens;
            sum += (double)v[at + (size_t)j];
        }
    return sum * tokens / (head < 0 ? c->of : 1);
}

/* One query of a block against the mean of the raw rows of its cells. */
static void compare_query(const mv_coded *c, mv_tensor raw, int picture, int n, const mv_coded_window *w, int head,
                          int qy, int qx, size_t row, const uint8_t *code)
{
    double sum = 0, most = 0;
    for (int i = 0; i < w->rows * w->columns; i++) {
        int j = i / w->columns * c->window + i % w->columns, cells = 0;
        double expected = 0;
        for (int y = qy * c->group; y < w->rows && y < (qy + 1) * c->group; y++)
            for (int x = qx * c->group; x < w->columns && x < (qx + 1) * c->group; x++, cells++)
                expected += raw_at(c, raw, picture, n, c->heads == c->of ? head : -1, y * c->window + x, j);
        expected /= cells;
        double found = (double)mv_coded_value(code[i], c->most[row]);
        most = fmax(most, expected);
        sum += expected;
        EXPECT(fabs(found - expected) <= BOUND * (double)c->most[row] + 1e-6,
               "%d.%d window %d head %d query %d,%d cell %d: found %g, expected %g", c->level, c->block, n, head, qy,
               qx, i, found, expected);
    }
    EXPECT(fabs(most - (double)c->most[row]) <= 1e-5 * most, "%d.%d: the largest is %g, expected %g", c->level,
           c->block, (double)c->most[row], most);
    if (!c->scan) /* all of a row is on cells or on padding */
        EXPECT(fabs(sum / (c->window * c->window) + (double)c->lost[row] - 1) < 1e-5,
               "%d.%d: cells and padding are %g + %g, expected 1", c->level, c->block, sum / (c->window * c->window),
               (double)c->lost[row]);
}

static void compare_block(const mv_coded *c, const mv_trace *trace, int picture)
{
    char site[64];
    mv_tensor raw;
    snprintf(site, sizeof site, "levels.%d.blocks.%d.mixer.%s", c->level, c->block, c->scan ? "hidden_attn" : "attn");
    assert_true(mv_trace_lookup(trace, site, &raw));
    size_t row = 0;
    const uint8_t *code = c->code;
    for (int n = 0; n < c->down * c->across; n++) {
        mv_coded_window w = mv_coded_window_at(c, n);
        for (int head = 0; head < c->heads; head++)
            for (int q = 0; q < w.qrows * w.qcolumns; q++, row++, code += w.rows * w.columns)
                compare_query(c, raw, picture, n, &w, head, q / w.qcolumns, q % w.qcolumns, row, code);
    }
    assert_int_equal(row, c->rows);
    EXPECT(c->entropy > 0 && c->entropy <= 1 && c->reach > 0 && (c->scan || c->on_padding > 0) && c->largest >= 1,
           "%d.%d: entropy %g, reach %g, on padding %g, largest %g", c->level, c->block, c->entropy, c->reach,
           c->on_padding, c->largest);
}

static void compare_rows(size_t budget, int batch)
{
    mv_error e = {0};
    fixture f = ran(budget, batch);
    for (int picture = 0; picture < PICTURES; picture++) {
        mv_coded *block;
        int n;
        size_t codes = 0;
        mv_rows_keep_take(f.rows, picture, &block, &n, &e);
        expect_ok(&e);
        assert_int_equal(n, f.net.model->config.depth[2] + f.net.model->config.depth[3]);
        for (int i = 0; i < n; i++) {
            compare_block(&block[i], f.trace, picture);
            codes += block[i].codes;
        }
        EXPECT(codes <= budget, "found %zu codes, expected at most %zu", codes, budget);
        mv_rows_keep_drop(block, n);
        assert_int_equal(mv_rows_keep_take(f.rows, picture, &block, &n, &e), MV_EMISUSE); /* taken */
        e = (mv_error){0};
    }
    end(&f);
}

static void rows_are_those_of_the_network(void **state)
{
    (void)state;
    compare_rows(1 << 20, 1);
    compare_rows(1 << 20, 2);
}

static void rows_fit_their_budget(void **state)
{
    (void)state;
    compare_rows(2600, 2);
    compare_rows(1300, 2);
}

static void evidence_adds_up_to_logits(void **state)
{
    (void)state;
    mv_error e = {0};
    fixture f = ran(1 << 20, 2);
    mv_tensor norm;
    assert_true(mv_trace_lookup(f.trace, "norm", &norm));
    int classes = f.net.model->config.classes;
    for (int picture = 0; picture < PICTURES; picture++) {
        mv_evidence v;
        const float *logits = f.logits + (size_t)picture * (size_t)classes;
        mv_evidence_of(&v, f.evidence, picture, logits, 1 << 20, &e);
        expect_ok(&e);
        assert_int_equal(v.n, classes);
        size_t cells = (size_t)v.h * (size_t)v.w;
        double *mean = calloc(cells, sizeof *mean);
        for (int c = 0; c < classes; c++) {
            mv_map map;
            mv_cam(&map, f.net.model, norm, picture, c, &e);
            expect_ok(&e);
            for (size_t p = 0; p < cells; p++)
                mean[p] += (double)map.v[p] / classes;
            mv_map_free(&map);
        }
        for (int i = 0; i < v.n; i++) {
            mv_map map;
            mv_cam(&map, f.net.model, norm, picture, v.class_[i], &e);
            for (size_t p = 0; p < cells; p++) {
                double found = (double)v.most[i] * v.code[(size_t)i * cells + p] / 127;
                EXPECT(fabs(found - ((double)map.v[p] - mean[p])) <= BOUND * (double)v.most[i] + 1e-5,
                       "class %d cell %zu", v.class_[i], p);
            }
            mv_map_free(&map);
            assert_true(i == 0 || logits[v.class_[i]] <= logits[v.class_[i - 1]]);
        }
        free(mean);
        mv_evidence_free(&v);
        mv_evidence_of(&v, f.evidence, picture, logits, 3 * cells, &e); /* room for three classes */
        expect_ok(&e);
        assert_int_equal(v.n, 3);
        mv_evidence_free(&v);
    }
    end(&f);
}

/* ---- the writer */

static const char hostile[] =
    "</script><script>alert(1)</script><!-- \"'&\\ \x01\x7f\xc2\x85 \xe2\x80\xa8 \xff\xed\xa0\x80 \xc3\xa9";

typedef struct {
    mv_image picture;
    mv_coded block;
    mv_html_class class_[3];
    int8_t evidence[3 * 4];
    float most[3];
    mv_html_content content;
} sample;

static void sample_new(sample *s, const char *name)
{
    mv_error e = {0};
    static const char *recipe[2];
    *s = (sample){.picture = drawing_scene(40, 33)};
    s->block = (mv_coded){.level = 2,
                          .heads = 2,
                          .of = 2,
                          .h = 3,
                          .w = 3,
                          .cell = 16,
                          .window = 2,
                          .down = 2,
                          .across = 2,
                          .group = 1,
                          .padding = 0.4};
    assert_int_equal(mv_coded_new(&s->block, &e), MV_OK);
    s->block.most[0] = NAN; /* a row that was not finite */
    s->block.entropy = NAN;
    for (int i = 0; i < 3; i++) {
        s->class_[i] = (mv_html_class){i, name, i == 1 ? (double)NAN : 3 - i, 0.5 / (i + 1)};
        s->most[i] = 1;
    }
    recipe[0] = recipe[1] = name;
    s->content = (mv_html_content){.title = name,
                                   .subtitle = name,
                                   .name = name,
                                   .version = name,
                                   .recipe = recipe,
                                   .recipe_count = 2,
                                   .picture = &s->picture,
                                   .classes = s->class_,
                                   .class_count = 3,
                                   .class_total = 5,
                                   .evidence = {2, 2, 32, s->evidence, s->most, 0.5},
                                   .blocks = &s->block,
                                   .block_count = 1};
}

static void sample_free(sample *s)
{
    mv_coded_free(&s->block);
    free(s->picture.rgb);
}

static int count(const char *text, const char *what)
{
    int n = 0;
    for (const char *p = text; (p = strstr(p, what)); p += strlen(what))
        n++;
    return n;
}

static void hostile_text_stays_text(void **state)
{
    (void)state;
    drawing_buffer plain = {.left = -1}, bad = {.left = -1}, again = {.left = -1};
    mv_error e = {0};
    sample s;
    sample_new(&s, "plain");
    assert_int_equal(mv_html_write(&s.content, drawing_keep, &plain, &e), MV_OK);
    sample_free(&s);
    sample_new(&s, hostile);
    assert_int_equal(mv_html_write(&s.content, drawing_keep, &bad, &e), MV_OK);
    assert_int_equal(mv_html_write(&s.content, drawing_keep, &again, &e), MV_OK);
    static const char *const marks[] = {"<script", "</script", "<!--", "alert(1)<"};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        assert_int_equal(count(plain.bytes, marks[i]), count(bad.bytes, marks[i]));
    for (size_t i = 0; i < bad.size; i++)
        EXPECT((unsigned char)bad.bytes[i] >= 0x20 || bad.bytes[i] == '\n', "byte %zu is %d", i, bad.bytes[i]);
    assert_null(strstr(bad.bytes, "\x7f"));
    assert_null(strstr(bad.bytes, "\xc2\x85"));
    assert_null(strstr(bad.bytes, "\xff"));
    assert_null(strstr(bad.bytes, "{{"));
    assert_non_null(strstr(bad.bytes, "\xc3\xa9")); /* what is well-formed is kept */
    assert_int_equal(bad.size, again.size);         /* the same content gives the same bytes */
    assert_memory_equal(bad.bytes, again.bytes, bad.size);
    sample_free(&s);
    free(plain.bytes);
    free(bad.bytes);
    free(again.bytes);
}

static void a_page_loads_nothing(void **state)
{
    (void)state;
    drawing_buffer page = {.left = -1};
    mv_error e = {0};
    sample s;
    sample_new(&s, "plain");
    assert_int_equal(mv_html_write(&s.content, drawing_keep, &page, &e), MV_OK);
    static const char *const loads[] = {"http:", "https:", "//fonts", "@import", "url(", "fetch(", "XMLHttpRequest"};
    for (size_t i = 0; i < sizeof loads / sizeof *loads; i++)
        EXPECT(count(page.bytes, loads[i]) == 0, "found %s", loads[i]);
    assert_int_equal(count(page.bytes, "default-src 'none'"), 1);
    sample_free(&s);
    free(page.bytes);
}

static mv_status count_bytes(void *size, const void *bytes, size_t n)
{
    (void)bytes;
    *(size_t *)size += n;
    return MV_OK;
}

/* T at 224 px with all its classes and heads, and a picture of noise: the most that a page of it can take. */
static void the_page_of_a_published_variant_is_small(void **state)
{
    (void)state;
    mv_error e = {0};
    mv_config config;
    assert_true(mv_config_lookup("T", &config));
    network net = network_of(&config, MV_F32, 2, 3);
    mv_rows_keep *rows = mv_rows_keep_new(&net.model->config, 5 << 20, &e);
    mv_evidence_keep *evidence = mv_evidence_keep_new(net.model, &e);
    expect_ok(&e);
    mv_rows_keep_probe(rows)->next = mv_evidence_keep_probe(evidence);
    mv_run *run = mv_run_new(net.model, 224, 224, 1, mv_rows_keep_probe(rows), &e);
    float *planes = network_input(1, 224, 224, 5), logits[1000];
    expect_ok(&e);
    mv_run_forward(run, planes, 1, logits, &e);
    mv_coded *block;
    int blocks;
    mv_evidence v;
    mv_rows_keep_take(rows, 0, &block, &blocks, &e);
    mv_evidence_of(&v, evidence, 0, logits, 1 << 20, &e);
    expect_ok(&e);
    mv_image noise;
    mv_image_new(&noise, 224, 224, &e);
    for (size_t i = 0; i < (size_t)(224 * 224 * 3); i++)
        noise.rgb[i] = (uint8_t)(256 * drawing_uniform());
    mv_html_class class_[1000];
    for (int i = 0; i < 1000; i++)
        class_[i] = (mv_html_class){v.class_[i], "a name of twenty let", (double)logits[v.class_[i]], 0.001};
    mv_html_content content = {.picture = &noise,
                               .classes = class_,
                               .class_count = v.n,
                               .class_total = 1000,
                               .evidence = {v.h, v.w, 32, v.code, v.most, v.mean_logit},
                               .blocks = block,
                               .block_count = blocks};
    size_t size = 0;
    assert_int_equal(v.n, 1000);
    assert_int_equal(blocks, 12);
    for (int i = 0; i < blocks; i++)
        assert_true(block[i].heads == block[i].of && block[i].group == 1);
    assert_int_equal(mv_html_write(&content, count_bytes, &size, &e), MV_OK);
    EXPECT(size < 3000000, "found %zu bytes, expected less than 3 MB", size);
    print_message("# T at 224 px: %zu bytes\n", size);
    mv_image_free(&noise);
    mv_rows_keep_drop(block, blocks);
    mv_evidence_free(&v);
    mv_run_free(run);
    mv_rows_keep_free(rows);
    mv_evidence_keep_free(evidence);
    network_free(&net);
    free(planes);
}

static void failures_are_passed_on(void **state)
{
    (void)state;
    sample s;
    sample_new(&s, "plain");
    for (int left = 0; left < 4; left++) {
        drawing_buffer page = {.left = left};
        mv_error e = {0};
        mv_status status = mv_html_write(&s.content, drawing_keep, &page, &e);
        assert_true(status != MV_OK && e.code == status);
        free(page.bytes);
    }
    mv_error e = {0};
    drawing_buffer page = {.left = -1};
    s.content.block_count = 0;
    assert_int_equal(mv_html_write(&s.content, drawing_keep, &page, &e), MV_EMISUSE);
    assert_int_equal(page.size, 0);
    sample_free(&s);
    free(page.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_code_is_within_its_bound),
        cmocka_unit_test(odd_rows_have_codes),
        cmocka_unit_test(windows_cover_a_grid_once),
        cmocka_unit_test(rows_are_those_of_the_network),
        cmocka_unit_test(rows_fit_their_budget),
        cmocka_unit_test(evidence_adds_up_to_logits),
        cmocka_unit_test(hostile_text_stays_text),
        cmocka_unit_test(a_page_loads_nothing),
        cmocka_unit_test(the_page_of_a_published_variant_is_small),
        cmocka_unit_test(failures_are_passed_on),
    };
    return cmocka_run_group_tests_name("html", tests, NULL, NULL);
}
