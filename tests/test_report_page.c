/* The report: its layout read back from SVG, for networks of 2 to 20 blocks and 2 to 32 heads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/drawing.h"
#include "viz/page/report.h"

enum { MOST = 96, MOST_HEADS = 32, POINTS = 26, TOKENS = 196 };

/* A network and a picture to make facts for. */
typedef struct {
    const char *name;
    int attention[2], mixers[2]; /* blocks of levels 2 and 3 */
    int heads, w, h, photo_w, photo_h;
    bool windows, long_names, everything;
} kind;

typedef struct {
    mv_image photo, picture;
    mv_map evidence[3], rollout, attention[MOST];
    mv_report_head head[MOST * MOST_HEADS];
    mv_report_mixer mixer[MOST];
    float matrix[TOKENS * TOKENS];
    double lens[3 * MOST], ablation[MOST * MOST_HEADS], share[POINTS], curve[6][POINTS];
    int heads[MOST];
    char name[3][MOST][24];
    const char *names[3][MOST];
    mv_bar_row branch[MOST];
    mv_report_content content;
} facts;

static const char *const short_names[] = {"parachute", "church", "golf ball", "gas pump", "cassette player"};
static const char *const long_names[] = {"a class whose name is long, as those of ImageNet's synsets are, and goes on",
                                         "great white shark, white shark, man-eater, man-eating shark",
                                         "Dandie Dinmont, Dandie Dinmont terrier", "soft-coated wheaten terrier",
                                         "Appenzeller"};
static const mv_report_check checks[] = {
    {"Evidence adds up", "the mean of 49 cells less the logit: 2e-07"},
    {"Padding", "no padded tokens in either level at 224 × 224 px"},
    {"Mirrored and back", "same answer (logit +0.08); correlation of the evidence +0.61, of the state +0.90"},
    {"Upside down and back", "now church (logit −1.27); correlation of the evidence −0.28, of the state −0.50"},
    {"Against a random order", "deletion is 0.02 better and insertion 0.02 worse than with random maps (areas)"}};

static mv_map word_map(mv_map m, int level, int block, bool windows)
{
    m.level = level;
    m.block = block;
    m.head = MV_MAP_MEAN;
    m.heads = 4;
    m.cell = level == 2 ? 16 : 32;
    m.window = windows ? (level == 2 ? 14 : 7) : m.h;
    m.down = windows ? (m.h + m.window - 1) / m.window : 1;
    m.across = windows ? (m.w + m.window - 1) / m.window : 1;
    return m;
}

static mv_map even_map(int h, int w, int seed)
{
    mv_map m = drawing_even_map(h, w, seed);
    snprintf(m.unit, sizeof m.unit, "× even");
    return m;
}

/* A map of what a mixer does: from lo to hi, its unit and all. */
static mv_map state_map(int h, int w, int seed, double lo, double hi, const char *unit)
{
    mv_map m = drawing_even_map(h, w, seed);
    double least, most;
    mv_map_extent(&m, &least, &most);
    for (int i = 0; i < h * w; i++)
        m.v[i] = (float)(lo + (hi - lo) * ((double)m.v[i] - least) / (most - least));
    mv_map_range(&m);
    snprintf(m.unit, sizeof m.unit, "%s", unit);
    return m;
}

static void make_maps(facts *f, const kind *k)
{
    mv_report_content *c = &f->content;
    int h3 = (k->h + 31) / 32, w3 = (k->w + 31) / 32;
    for (int i = 0; i < 3; i++) {
        f->evidence[i] = drawing_signed_map(h3, w3, i);
        snprintf(f->evidence[i].title, sizeof f->evidence[i].title, i == 2 ? "%.40s over %.40s" : "For %.80s",
                 k->long_names ? long_names[i % 2] : short_names[i % 2],
                 k->long_names ? long_names[1] : short_names[1]);
        snprintf(f->evidence[i].proof, sizeof f->evidence[i].proof, "mean of %d cells  +4.371  =  its logit  +4.371",
                 h3 * w3);
    }
    f->rollout = word_map(even_map(2 * h3, 2 * w3, 5), 2, MV_MAP_ALL, k->windows);
    snprintf(f->rollout.title, sizeof f->rollout.title, "Hybrid rollout");
    for (int l = 0, n = 0; l < 2; l++)
        for (int b = 0; b < k->attention[l]; b++, n++) {
            f->attention[n] =
                word_map(even_map(l ? h3 : 2 * h3, l ? w3 : 2 * w3, n), 2 + l, k->mixers[l] + b, k->windows);
            f->heads[n] = l ? k->heads : (k->heads + 1) / 2;
            snprintf(f->name[0][n], sizeof *f->name[0], "%d.%d", 2 + l, k->mixers[l] + b);
            f->names[0][n] = f->name[0][n];
            for (int h = 0; h < f->heads[n]; h++)
                f->head[c->head_count++] = (mv_report_head){2 + l, k->mixers[l] + b, h, pow(drawing_uniform(), 2),
                                                            20 + 140 * drawing_uniform()};
            for (int h = 0; h < k->heads; h++)
                f->ablation[n * k->heads + h] = 0.6 * (drawing_uniform() - 0.6);
            c->attention_count++;
        }
    for (int l = 0, n = 0; l < 2; l++)
        for (int b = 0; b < k->mixers[l]; b++, n++) {
            int h = l ? h3 : 2 * h3, w = l ? w3 : 2 * w3;
            f->mixer[n] = (mv_report_mixer){.level = 2 + l,
                                            .block = b,
                                            .dt = state_map(h, w, n, 0.027, 0.0351, ""),
                                            .state = state_map(h, w, n + 1, 0.5, 7, ""),
                                            .half_life = state_map(h, w, n + 2, 14, 23.3, "tokens"),
                                            .hidden = even_map(h, w, n + 3),
                                            .matrix = b == k->mixers[l] - 1 ? f->matrix : NULL,
                                            .tokens = l ? 49 : TOKENS,
                                            .scan_share = 0.62};
            snprintf(f->name[1][n], sizeof *f->name[1], "%d.%d", 2 + l, b);
            f->branch[n] = (mv_bar_row){f->name[1][n], {drawing_uniform() - 0.7, drawing_uniform() - 0.7}};
            c->mixer_count++;
        }
}

static void make_numbers(facts *f, const kind *k)
{
    mv_report_content *c = &f->content;
    int blocks = 0;
    for (int l = 0; l < 2; l++)
        for (int b = 0; b < k->attention[l] + k->mixers[l]; b++, blocks++) {
            snprintf(f->name[2][blocks], sizeof *f->name[2], "%d.%d", 2 + l, b);
            f->names[2][blocks] = f->name[2][blocks];
        }
    for (int i = 0; i < 3; i++)
        for (int b = 0; b < blocks; b++)
            f->lens[i * blocks + b] = (i ? 0.3 : 4.4) * b / blocks + drawing_uniform();
    for (int i = 0; i < POINTS; i++) {
        f->share[i] = i / (POINTS - 1.0);
        for (int s = 0; s < 2; s++) {
            double x = s ? f->share[i] : 1 - f->share[i];
            f->curve[3 * s][i] = 0.93 * x;
            f->curve[3 * s + 1][i] = 0.93 * x * x - 0.05 * x;
            f->curve[3 * s + 2][i] = 0.93 * x * x + 0.05 * x;
        }
    }
    for (int i = 0; i < TOKENS * TOKENS; i++)
        f->matrix[i] = i % TOKENS <= i / TOKENS ? (float)exp((i % TOKENS - i / TOKENS) / 20.0) : 0;
    c->lens = (mv_report_lens){f->names[2], blocks,  k->long_names ? long_names : short_names, 3,
                               f->lens,     "logit", "level 2 through the downsample first"};
    c->ablation = (mv_report_ablation){f->names[0], c->attention_count, k->heads, f->heads, f->ablation, NULL};
    c->branches = (mv_report_branches){f->branch, c->mixer_count, NULL};
    c->faith = (mv_report_faith){.n = POINTS,
                                 .share = f->share,
                                 .deletion = {f->curve[0], f->curve[1], f->curve[1], f->curve[2], 0.83, 0.77},
                                 .insertion = {f->curve[3], f->curve[4], f->curve[4], f->curve[5], 0.88, 0.89},
                                 .map = "exact CAM",
                                 .note = "25 steps; 3 random orders: mean and range"};
}

static facts *make(const kind *k)
{
    static const mv_class_bar bars[2][6] = {
        {{"parachute", 0.933}, {"church", 0.014}, {"golf ball", 0.011}, {"gas pump", 0.008}, {"chain saw", 0.007}}};
    static mv_class_bar long_bars[5];
    facts *f = calloc(1, sizeof *f);
    mv_report_content *c = &f->content;
    for (int i = 0; i < 5; i++)
        long_bars[i] = (mv_class_bar){long_names[i], 0.5 / (1 + i)};
    f->picture = drawing_scene(k->w, k->h);
    f->photo = drawing_scene(k->photo_w, k->photo_h);
    make_maps(f, k);
    double side = k->photo_w < k->photo_h ? k->photo_w : k->photo_h;
    *c = (mv_report_content){.photo = &f->photo,
                             .crop = {(k->photo_w - side) / 2, (k->photo_h - side) / 2, side, side},
                             .photo_words = "640 × 480 px; outlined: what the network sees, at 224 × 224",
                             .picture = &f->picture,
                             .top = k->long_names ? long_bars : bars[0],
                             .top_count = 5,
                             .answer_words = "logits +4.37, +0.21, −0.03",
                             .attention = f->attention,
                             .attention_count = c->attention_count,
                             .head = f->head,
                             .head_count = c->head_count,
                             .mixer = f->mixer,
                             .mixer_count = c->mixer_count};
    if (k->everything) {
        c->evidence = f->evidence;
        c->evidence_count = 3;
        c->rollout = &f->rollout;
        make_numbers(f, k);
        c->check = checks;
        c->check_count = 5;
    }
    return f;
}

static void free_facts(facts *f)
{
    for (int i = 0; i < 3; i++)
        mv_map_free(&f->evidence[i]);
    for (int i = 0; i < MOST; i++) {
        mv_map_free(&f->attention[i]);
        mv_map_free(&f->mixer[i].dt);
        mv_map_free(&f->mixer[i].state);
        mv_map_free(&f->mixer[i].half_life);
        mv_map_free(&f->mixer[i].hidden);
    }
    mv_map_free(&f->rollout);
    free(f->picture.rgb);
    free(f->photo.rgb);
    free(f);
}

static void draw(drawing_buffer *b, mv_canvas_kind format, const facts *f, const mv_page_style *style, mv_fonts *fonts)
{
    static const char *const items[] = {
        "mvscope report parachute.jpg", "model nano 3f9c1e", "exact CAM, attention, mixers, deletion",
        "224 × 224, center 1.0",        "fp32 cpu",          "1.0.0"};
    mv_heading heading = {
        "Parachute, p = 0.933", "4.2 logits ahead of church  ·  parachute.jpg  ·  demo model: ten classes", {items, 6}};
    mv_canvas_target to = {.kind = format, .write = drawing_keep, .ctx = b};
    mv_error e = {0};
    b->size = 0;
    if (mv_page_write(&mv_page_report, &heading, &f->content, style, fonts, &to, &e) != MV_OK)
        fail_msg("%s", e.text);
}

static const kind kinds[] = {
    {"nano", {3, 1}, {3, 1}, 8, 224, 224, 640, 480, false, false, true},
    {"T", {4, 2}, {4, 2}, 16, 224, 224, 1600, 500, false, true, true},
    {"L3", {10, 5}, {10, 5}, 32, 512, 512, 480, 640, true, false, true},
    {"least", {1, 0}, {1, 0}, 2, 224, 224, 224, 224, false, false, true},
    {"most", {20, 20}, {20, 20}, 32, 256, 256, 300, 1200, true, true, true},
    {"wide", {3, 1}, {3, 1}, 8, 448, 224, 448, 224, true, false, true},
    {"tall", {3, 1}, {3, 1}, 8, 224, 448, 224, 448, true, false, true},
    {"bare", {3, 1}, {3, 1}, 8, 224, 224, 640, 480, false, false, false},
};

static void reports_hold_their_words(void **state)
{
    static const int widths[] = {0, 640, 1000};
    static drawing_layout l;
    drawing_buffer b = {.left = -1};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        facts *f = make(&kinds[i]);
        for (int w = 0; w < 3; w++) {
            mv_page_style style = {.width = widths[w], .theme = i % 2 ? MV_DARK : MV_LIGHT};
            draw(&b, MV_CANVAS_SVG, f, &style, *state);
            drawing_check_layout(&l, &b);
            if (widths[w] == 0 && kinds[i].attention[0] + kinds[i].mixers[0] <= 20) /* one sheet of A4 */
                assert_true(l.w == 1600 && l.h == 1131);
        }
        free_facts(f);
    }
    free(b.bytes);
}

/* What has no data takes no place, and what cannot be drawn is refused. */
static void facts_are_checked(void **state)
{
    facts *f = make(&kinds[0]);
    drawing_buffer b = {.left = -1};
    mv_canvas_target to = {.kind = MV_CANVAS_SVG, .write = drawing_keep, .ctx = &b};
    mv_error e = {0};
    f->content.faith.n = 0;
    f->content.lens.blocks = 0;
    draw(&b, MV_CANVAS_SVG, f, NULL, *state);
    assert_null(strstr(b.bytes, "deletion: "));
    assert_null(strstr(b.bytes, "Through depth"));
    assert_non_null(strstr(b.bytes, "Hybrid rollout"));
    f->content.evidence_count = 4;
    assert_int_equal(mv_page_write(&mv_page_report, NULL, &f->content, NULL, *state, &to, &e), MV_EINPUT);
    f->content.evidence_count = 3;
    f->content.picture = NULL;
    assert_int_equal(mv_page_write(&mv_page_report, NULL, &f->content, NULL, *state, &to, &e), MV_EMISUSE);
    free_facts(f);
    free(b.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reports_hold_their_words), cmocka_unit_test(facts_are_checked)};
    return cmocka_run_group_tests_name("report page", tests, drawing_open_fonts, drawing_close_fonts);
}
