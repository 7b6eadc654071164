/* The finished pages: pictures against tests/ref/, and the layout read back from SVG. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <float.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "tests/drawing.h"
#include "viz/page/attention.h"
#include "viz/page/classify.h"
#include "viz/page/heads.h"

/* --- what is drawn ------------------------------------------------------------------------------ */

static const char *const recipe_items[] = {"mvscope classify --explain parachute.jpg", "model nano 3f9c1e",
                                           "exact CAM, 7 × 7 cells of 32 px, bilinear", "fp32 cpu"};
static const mv_recipe recipe = {recipe_items, 4};

/* One page of each kind, with what it needs. */
typedef struct {
    mv_image picture;
    mv_map map[40];
    int maps;
} stock;

static void free_stock(stock *s)
{
    for (int i = 0; i < s->maps; i++)
        free(s->map[i].v);
    free(s->picture.rgb);
}

static mv_status write_page(drawing_buffer *b, mv_canvas_kind kind, const mv_page_kind *page, const char *title,
                            const char *subtitle, const void *content, const mv_page_style *style, mv_fonts *fonts,
                            mv_error *e)
{
    mv_heading heading = {title, subtitle, recipe};
    mv_canvas_target to = {.kind = kind, .write = drawing_keep, .ctx = b};
    return mv_page_write(page, &heading, content, style, fonts, &to, e);
}

static mv_status classify(drawing_buffer *b, mv_canvas_kind kind, const mv_page_style *style, mv_fonts *fonts,
                          const mv_image *picture, const mv_map *map, int maps, const char *name, mv_error *e)
{
    mv_map evidence[4];
    for (int i = 0; i < maps; i++) {
        evidence[i] = map[i];
        snprintf(evidence[i].title, sizeof evidence->title, "For %s", i == 1 ? "church" : name);
        snprintf(evidence[i].proof, sizeof evidence->proof, "mean of 49 cells  +4.371  =  its logit  +4.371");
    }
    mv_class_bar top[] = {
        {name, 0.933}, {"church", 0.014}, {"golf ball", 0.011}, {"gas pump", 0.008}, {"cassette player", 0.0}};
    mv_classify_content content = {
        .picture = picture, .top = top, .top_count = 5, .evidence = evidence, .evidence_count = maps};
    return write_page(b, kind, &mv_page_classify, name, "93.3 % sure, 4.2 logits ahead of church  ·  parachute.jpg",
                      &content, style, fonts, e);
}

/* The words of a level that is cut into windows of 7 x 7 cells. */
static void describe(mv_map *m, int level, int block, int head, int heads)
{
    m->level = level;
    m->block = block;
    m->head = head;
    m->heads = heads;
    m->cell = level == 2 ? 16 : 32;
    m->window = 7;
    m->down = (m->h + 6) / 7;
    m->across = (m->w + 6) / 7;
    m->figures = 0;
    mv_map_figure(m, "entropy", "entropy", "of 1", 2, 0.1 + 0.01 * head);
    mv_map_figure(m, "reach", "reach_px", "px", 0, 103);
}

static mv_status attention(drawing_buffer *b, mv_canvas_kind kind, const mv_page_style *style, mv_fonts *fonts,
                           const mv_image *picture, const mv_map *map, int maps, const char *title, mv_error *e)
{
    mv_map rows[40];
    for (int i = 0; i < maps; i++) {
        rows[i] = map[i];
        snprintf(rows[i].title, sizeof rows->title, "%s", title);
        describe(&rows[i], map[i].h > 7 ? 2 : 3, 3, MV_MAP_MEAN, 4);
    }
    mv_attention_content content = {.picture = picture, .maps = rows, .map_count = maps};
    return write_page(b, kind, &mv_page_attention, "Where self-attention looks",
                      "Pooled query, mean of heads  ·  parachute.jpg, answered parachute", &content, style, fonts, e);
}

/* Level 2 of blocks x heads, level 3 of two blocks with twice the heads. */
static mv_status heads(drawing_buffer *b, mv_canvas_kind kind, const mv_page_style *style, mv_fonts *fonts,
                       const mv_image *picture, int blocks, int count, mv_error *e)
{
    mv_map *stock_map = calloc(64, sizeof *stock_map), *map = calloc(1024, sizeof *map);
    for (int i = 0; i < 64; i++)
        stock_map[i] = drawing_even_map(i < 32 ? 14 : 7, i < 32 ? 14 : 7, i);
    int n = 0;
    for (int l = 0; l < 2; l++)
        for (int k = 0; k < (l ? 2 : blocks); k++)
            for (int h = 0, all = l && count <= 16 ? 2 * count : count; h < all; h++, n++) {
                map[n] = stock_map[32 * l + h];
                describe(&map[n], 2 + l, k, h, all);
            }
    mv_heads_content content = {.picture = picture, .maps = map, .map_count = n};
    mv_status s = write_page(b, kind, &mv_page_heads, "Every head",
                             "Received attention, against an even spread  ·  parachute.jpg", &content, style, fonts, e);
    for (int i = 0; i < 64; i++)
        free(stock_map[i].v);
    free(stock_map);
    free(map);
    return s;
}

/* --- pictures against references --------------------------------------------------------------- */

static void pages_look_as_their_references(void **state)
{
    mv_fonts *fonts = *state;
    stock s = {.picture = drawing_scene(224, 224)};
    for (int i = 0; i < 3; i++)
        s.map[s.maps++] = drawing_signed_map(7, 7, i);
    for (int i = 0; i < 3; i++)
        s.map[s.maps++] = drawing_even_map(i < 2 ? 14 : 7, i < 2 ? 14 : 7, i);
    s.map[3].v[20] = NAN;

    mv_page_style style = {.zoom = 0.5};
    drawing_buffer b = {.left = -1};
    assert_int_equal(classify(&b, MV_CANVAS_PNG, &style, fonts, &s.picture, s.map, 3, "parachute", NULL), MV_OK);
    drawing_compare("classify", &b);
    b.size = 0;
    style.theme = MV_DARK;
    assert_int_equal(classify(&b, MV_CANVAS_PNG, &style, fonts, &s.picture, s.map, 3,
                              "black-and-tan coonhound, Arabian camel, dromedary, Camelus dromedarius", NULL),
                     MV_OK);
    drawing_compare("classify-dark", &b);
    b.size = 0;
    style.theme = MV_LIGHT;
    style.grid = true;
    assert_int_equal(attention(&b, MV_CANVAS_PNG, &style, fonts, &s.picture, s.map + 3, 3, "Level 2, block 3", NULL),
                     MV_OK);
    drawing_compare("attention", &b);
    b.size = 0;
    style.grid = false;
    assert_int_equal(heads(&b, MV_CANVAS_PNG, &style, fonts, &s.picture, 3, 4, NULL), MV_OK);
    drawing_compare("heads", &b);
    free(b.bytes);
    free_stock(&s);
}

/* --- layout, read back from SVG ------------------------------------------------------------------ */

static void heads_hold_for_any_number(void **state)
{
    mv_fonts *fonts = *state;
    static const int blocks[] = {2, 3, 20}, counts[] = {1, 2, 3, 5, 8, 12, 16, 32};
    static const int sizes[][2] = {{24, 24}, {48, 20}, {16, 40}};
    drawing_layout *l = malloc(sizeof *l);
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 8; k++) {
            if (blocks[i] == 20 && counts[k] != 2 && counts[k] != 32)
                continue;
            mv_image picture = drawing_scene(sizes[(i + k) % 3][0], sizes[(i + k) % 3][1]);
            drawing_buffer b = {.left = -1};
            mv_page_style style = {.width = k % 2 ? 900 : 0};
            assert_int_equal(heads(&b, MV_CANVAS_SVG, &style, fonts, &picture, blocks[i], counts[k], NULL), MV_OK);
            drawing_check_layout(l, &b);
            int shown = l->images - 3 /* the picture and two colour bars */,
                level3 = 2 * (counts[k] <= 16 ? 2 * counts[k] : counts[k]);
            assert_int_equal(shown, blocks[i] * counts[k] + level3);
            free(b.bytes);
            free(picture.rgb);
        }
    free(l);
}

static void pages_hold_for_any_words_and_shapes(void **state)
{
    mv_fonts *fonts = *state;
    static const int sizes[][2] = {{24, 24}, {48, 20}, {16, 70}, {300, 10}};
    static const char *const names[] = {
        "a", "black-and-tan coonhound",
        "Arabian camel, dromedary, Camelus dromedarius, and another name that goes on and on",
        "aVeryLongNameWithoutAnySpaceAtAllThatCannotBeBrokenBetweenWordsBecauseThereIsButOne"};
    drawing_layout *l = malloc(sizeof *l);
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 4; k++) {
            stock s = {.picture = drawing_scene(sizes[i][0], sizes[i][1])};
            for (int m = 0; m < 24; m++)
                s.map[s.maps++] = m < 3 ? drawing_signed_map(5 + i, 9, m) : drawing_even_map(3 + m, 14, m);
            mv_page_style style = {.width = k == 1 ? 640 : k == 2 ? 2400 : 0, .scale = (mv_scale_kind)k};
            drawing_buffer b = {.left = -1};
            assert_int_equal(classify(&b, MV_CANVAS_SVG, &style, fonts, &s.picture, s.map, i, names[k], NULL), MV_OK);
            drawing_check_layout(l, &b);
            b.size = 0;
            assert_int_equal(
                attention(&b, MV_CANVAS_SVG, &style, fonts, &s.picture, s.map + 3, k == 0 ? 21 : 2, names[k], NULL),
                MV_OK);
            drawing_check_layout(l, &b);
            free(b.bytes);
            free_stock(&s);
        }
    free(l);
}

/* The smallest type of an SVG, px. */
static double least_type(const drawing_buffer *b)
{
    double least = INFINITY, size;
    int type, weight;
    for (const char *p = b->bytes; (p = strstr(p, "\n.t")); p++)
        if (sscanf(p, "\n.t%d{font:%d %lfpx", &type, &weight, &size) == 3)
            least = fmin(least, size);
    return least;
}

static void pages_fit_papers_and_slides(void **state)
{
    static const struct {
        mv_page_use use;
        double points, type;
    } fits[] = {{MV_FOR_NEURIPS, 397, 7}, {MV_FOR_CVPR, 496, 7}, {MV_FOR_SLIDE, 960, 9}};
    static const int sizes[][2] = {{24, 24}, {300, 10}, {16, 70}};
    drawing_layout *l = malloc(sizeof *l);
    for (int i = 0; i < 9; i++) {
        stock s = {.picture = drawing_scene(sizes[i / 3][0], sizes[i / 3][1])};
        for (int m = 0; m < 6; m++)
            s.map[s.maps++] = m < 3 ? drawing_signed_map(7, 7, m) : drawing_even_map(14, 14, m);
        mv_page_style style = {.use = fits[i % 3].use};
        for (int page = 0; page < 3; page++) {
            drawing_buffer b = {.left = -1};
            mv_status done =
                page == 0   ? classify(&b, MV_CANVAS_SVG, &style, *state, &s.picture, s.map, 3, "cassette player", NULL)
                : page == 1 ? attention(&b, MV_CANVAS_SVG, &style, *state, &s.picture, s.map + 3, 3, "Level 2", NULL)
                            : heads(&b, MV_CANVAS_SVG, &style, *state, &s.picture, 3, 8, NULL);
            assert_int_equal(done, MV_OK);
            drawing_check_layout(l, &b);
            assert_float_equal(l->points, fits[i % 3].points, 0);
            assert_true(least_type(&b) * l->points / l->w >= fits[i % 3].type);
            assert_true(fits[i % 3].use != MV_FOR_SLIDE || l->h >= floor(l->w * 9 / 16));
            assert_null(strstr(b.bytes, "model nano 3f9c1e</text>")); /* no recipe */
            assert_non_null(strstr(b.bytes, ">(a) "));
            assert_non_null(strstr(b.bytes, ">(b) "));
            free(b.bytes);
        }
        free_stock(&s);
    }
    free(l);
    mv_error e = {0};
    mv_page_style wrong = {.use = MV_FOR_CVPR, .width = 800};
    assert_int_equal(mv_page_check_style(&mv_page_classify, &wrong, &e), MV_EINPUT);
    wrong = (mv_page_style){.use = MV_FOR_CVPR, .zoom = 2};
    assert_int_equal(mv_page_check_style(&mv_page_classify, &wrong, &e), MV_EINPUT);
}

/* --- the three files ---------------------------------------------------------------------------- */

static void files_are_whole_and_the_same_again(void **state)
{
    mv_fonts *fonts = *state;
    stock s = {.picture = drawing_scene(40, 30)};
    s.map[s.maps++] = drawing_signed_map(7, 7, 1);
    for (int kind = MV_CANVAS_PNG; kind <= MV_CANVAS_PDF; kind++) {
        drawing_buffer b = {.left = -1}, again = {.left = -1};
        assert_int_equal(classify(&b, (mv_canvas_kind)kind, NULL, fonts, &s.picture, s.map, 1, "parachute", NULL),
                         MV_OK);
        assert_int_equal(classify(&again, (mv_canvas_kind)kind, NULL, NULL, &s.picture, s.map, 1, "parachute", NULL),
                         MV_OK);
        assert_int_equal(b.size, again.size);
        assert_memory_equal(b.bytes, again.bytes, b.size);
        static const char *const begin[] = {"\x89PNG\r\n", "<?xml ", "%PDF-1."}, *const end[] = {"IEND", "</svg>\n",
                                                                                                 "%%EOF\n"};
        assert_memory_equal(b.bytes, begin[kind], strlen(begin[kind]));
        size_t tail = strlen(end[kind]) + (kind == MV_CANVAS_PNG ? 4 : 0);
        assert_memory_equal(b.bytes + b.size - tail, end[kind], strlen(end[kind]));
        free(again.bytes);
        free(b.bytes);
    }
    free_stock(&s);
}

/* cairo remembers fonts by path for the whole process. When mv_fonts are opened anew, their descriptors may have the
 * same numbers in another order. */
static void typefaces_do_not_mix_up_when_descriptors_come_back(void **state)
{
    (void)state;
    stock s = {.picture = drawing_scene(40, 30)};
    s.map[s.maps++] = drawing_signed_map(7, 7, 1);
    drawing_buffer first = {.left = -1}, second = {.left = -1};
    assert_int_equal(classify(&first, MV_CANVAS_PNG, NULL, NULL, &s.picture, s.map, 1, "parachute", NULL), MV_OK);
    int taken = open("/dev/null", O_RDONLY | O_CLOEXEC); /* the number of the first face */
    assert_true(taken >= 0);
    assert_int_equal(classify(&second, MV_CANVAS_PNG, NULL, NULL, &s.picture, s.map, 1, "parachute", NULL), MV_OK);
    close(taken);
    assert_int_equal(first.size, second.size);
    assert_memory_equal(first.bytes, second.bytes, first.size);
    free(first.bytes);
    free(second.bytes);
    free_stock(&s);
}

/* --- several threads --------------------------------------------------------------------------- */

enum { THREADS = 4, ROUNDS = 3, KINDS = 3 };

typedef struct {
    const stock *s;
    mv_status status;
    drawing_buffer page[ROUNDS][2 * KINDS];
} drawer;

/* Pages of two kinds in all three formats, with fonts of its own; one title needs the fonts of the system. */
static void *draw_pages(void *argument)
{
    drawer *d = argument;
    for (int round = 0; round < ROUNDS; round++) {
        mv_fonts *fonts = mv_fonts_new(NULL);
        for (int i = 0; i < 2 * KINDS; i++) {
            drawing_buffer *b = &d->page[round][i];
            *b = (drawing_buffer){.left = -1};
            mv_canvas_kind kind = (mv_canvas_kind)(i % KINDS);
            d->status |= i < KINDS
                             ? classify(b, kind, NULL, fonts, &d->s->picture, d->s->map, 2, "parachute 降落伞", NULL)
                             : attention(b, kind, NULL, fonts, &d->s->picture, d->s->map + 2, 2, "Level 2", NULL);
        }
        mv_fonts_free(fonts);
    }
    return NULL;
}

static void threads_draw_the_same_bytes(void **state)
{
    (void)state;
    stock s = {.picture = drawing_scene(60, 40)};
    for (int i = 0; i < 4; i++)
        s.map[s.maps++] = i < 2 ? drawing_signed_map(7, 7, i) : drawing_even_map(14, 14, i);
    drawer *d = calloc(THREADS, sizeof *d);
    pthread_t thread[THREADS];
    for (int t = 0; t < THREADS; t++) {
        d[t].s = &s;
        assert_int_equal(pthread_create(&thread[t], NULL, draw_pages, &d[t]), 0);
    }
    for (int t = 0; t < THREADS; t++)
        assert_int_equal(pthread_join(thread[t], NULL), 0);
    for (int t = 0; t < THREADS; t++)
        assert_int_equal(d[t].status, MV_OK);
    for (int t = 0; t < THREADS; t++)
        for (int round = 0; round < ROUNDS; round++)
            for (int i = 0; i < 2 * KINDS; i++) {
                assert_int_equal(d[t].page[round][i].size, d[0].page[0][i].size);
                assert_memory_equal(d[t].page[round][i].bytes, d[0].page[0][i].bytes, d[0].page[0][i].size);
            }
    for (int t = 0; t < THREADS; t++)
        for (int round = 0; round < ROUNDS; round++)
            for (int i = 0; i < 2 * KINDS; i++)
                free(d[t].page[round][i].bytes);
    free(d);
    free_stock(&s);
}

static void check_words(const drawing_buffer *b, const char *const *words)
{
    for (; *words; words++) {
        char element[120];
        snprintf(element, sizeof element, ">%s</text>", *words);
        if (!strstr(b->bytes, element))
            fail_msg("\"%s\" is not on the page", *words);
    }
}

static void every_word_is_on_its_page(void **state)
{
    mv_fonts *fonts = *state;
    stock s = {.picture = drawing_scene(40, 30)};
    s.map[s.maps++] = drawing_signed_map(7, 7, 1);
    s.map[s.maps++] = drawing_even_map(7, 7, 1);
    s.map[0].v[3] = NAN;
    static const char *const on_classify[] = {"parachute",
                                              "Picture",
                                              "For parachute",
                                              "93.3 %",
                                              "golf ball",
                                              "0.0 %",
                                              "logit per cell",
                                              "1 cell is not finite: hatched",
                                              "fp32 cpu",
                                              "0",
                                              "mean of 49 cells  +4.371  =  its logit  +4.371",
                                              "−7.8 to +7.7",
                                              NULL};
    static const char *const on_attention[] = {"Where self-attention looks",
                                               "Picture",
                                               "40 \xc3\x97 30 px, as the network sees it",
                                               "Level 3, block 1",
                                               "4 heads",
                                               "reach  103 px",
                                               "1×",
                                               "2\xc3\x97",
                                               "model nano 3f9c1e",
                                               NULL};
    static const char *const on_heads[] = {"Every head",
                                           "Level 2",
                                           "Level 3",
                                           "Block 2",
                                           "entropy 0.10 to 0.13",
                                           "7 \xc3\x97 7 cells of 32 px, 8 heads a block",
                                           "0",
                                           "1",
                                           "2",
                                           "3",
                                           "7",
                                           NULL};
    drawing_buffer b = {.left = -1};
    assert_int_equal(classify(&b, MV_CANVAS_SVG, NULL, fonts, &s.picture, s.map, 1, "parachute", NULL), MV_OK);
    check_words(&b, on_classify);
    b.size = 0;
    assert_int_equal(attention(&b, MV_CANVAS_SVG, NULL, fonts, &s.picture, s.map + 1, 1, "Level 3, block 1", NULL),
                     MV_OK);
    check_words(&b, on_attention);
    b.size = 0;
    assert_int_equal(heads(&b, MV_CANVAS_SVG, NULL, fonts, &s.picture, 3, 4, NULL), MV_OK);
    check_words(&b, on_heads);
    free(b.bytes);
    free_stock(&s);
}

static void svg_keeps_text_as_text(void **state)
{
    mv_fonts *fonts = *state;
    mv_image picture = drawing_scene(40, 30);
    mv_class_bar top[] = {{"a < b & \"c\"", 0.5}};
    mv_heading heading = {.title = "Golf & <ball>", .subtitle = "cut"};
    mv_classify_content page = {.picture = &picture, .top = top, .top_count = 1};
    mv_note notes[] = {{"Command", "mvscope classify <x> & y"}};
    drawing_buffer b = {.left = -1};
    mv_canvas_target to = {
        .kind = MV_CANVAS_SVG, .write = drawing_keep, .ctx = &b, .notes = notes, .note_count = 1, .date = "2026-01-31"};
    assert_int_equal(mv_page_write(&mv_page_classify, &heading, &page, NULL, fonts, &to, NULL), MV_OK);
    assert_non_null(strstr(b.bytes, ">Golf &amp; &lt;ball&gt;</text>"));
    assert_non_null(strstr(b.bytes, ">50.0 %</text>"));
    assert_non_null(strstr(b.bytes, "Command: mvscope classify &lt;x&gt; &amp; y\n"));
    assert_non_null(strstr(b.bytes, "Date: 2026-01-31\n"));
    assert_non_null(strstr(b.bytes, "@font-face{font-family:Inter;font-weight:600;"));
    assert_null(strstr(b.bytes, "<path"));
    assert_non_null(strstr(b.bytes, " role=\"img\">"));
    assert_non_null(strstr(b.bytes, "<title>Golf &amp; &lt;ball&gt;</title>"));

    /* a name too long for its place ends in an ellipsis, in the file as on the page */
    b.size = 0;
    top[0].name = "a class name that is far too long for the place it has been given beside its bar, whatever the "
                  "page's width may be";
    mv_page_style narrow = {.width = 640};
    assert_int_equal(mv_page_write(&mv_page_classify, &heading, &page, &narrow, fonts, &to, NULL), MV_OK);
    const char *cut = strstr(b.bytes, ">a class n");
    assert_non_null(cut);
    assert_non_null(strstr(cut, "\xe2\x80\xa6</text>"));
    free(b.bytes);
    free(picture.rgb);
}

static bool holds(const drawing_buffer *b, const char *what)
{
    return memmem(b->bytes, b->size, what, strlen(what)) != NULL;
}

/* The same in a PDF, whose objects may lie in compressed streams (cairo 1.18 writes them so). */
static bool pdf_holds(const drawing_buffer *b, const char *what)
{
    bool found = holds(b, what);
    const char *end = b->bytes + b->size, mark[] = "stream\n";
    for (const char *p = b->bytes; !found && (p = memmem(p, (size_t)(end - p), mark, sizeof mark - 1));) {
        p += sizeof mark - 1;
        static char plain[1 << 16];
        z_stream z = {
            .next_in = (Bytef *)p, .avail_in = (uInt)(end - p), .next_out = (Bytef *)plain, .avail_out = sizeof plain};
        if (inflateInit(&z) != Z_OK)
            continue;
        inflate(&z, Z_FINISH);
        size_t n = z.total_out;
        inflateEnd(&z);
        found = memmem(plain, n, what, strlen(what)) != NULL;
    }
    return found;
}

static void pdf_has_a_date_only_when_told(void **state)
{
    mv_fonts *fonts = *state;
    mv_image picture = drawing_scene(20, 20);
    mv_heading heading = {.title = "x"};
    mv_classify_content page = {.picture = &picture};
    drawing_buffer b = {.left = -1};
    mv_canvas_target to = {.kind = MV_CANVAS_PDF, .write = drawing_keep, .ctx = &b};
    assert_int_equal(mv_page_write(&mv_page_classify, &heading, &page, NULL, fonts, &to, NULL), MV_OK);
    assert_false(pdf_holds(&b, "/CreationDate"));
    b.size = 0;
    to.date = "2026-01-31T12:00:00Z";
    assert_int_equal(mv_page_write(&mv_page_classify, &heading, &page, NULL, fonts, &to, NULL), MV_OK);
    assert_true(pdf_holds(&b, "20260131120000"));
    free(b.bytes);
    free(picture.rgb);
}

/* --- what goes wrong ---------------------------------------------------------------------------- */

static void any_failing_write_is_told(void **state)
{
    mv_fonts *fonts = *state;
    stock s = {.picture = drawing_scene(40, 30)};
    s.map[s.maps++] = drawing_signed_map(7, 7, 1);
    for (int kind = MV_CANVAS_PNG; kind <= MV_CANVAS_PDF; kind++)
        for (int n = 0;; n += 1 + n / 4) {
            drawing_buffer b = {.left = n};
            mv_error e = {0};
            mv_page_style style = {.width = 640};
            mv_status got = classify(&b, (mv_canvas_kind)kind, &style, fonts, &s.picture, s.map, 1, "x", &e);
            assert_int_equal(got, e.code);
            free(b.bytes);
            if (got == MV_OK) {
                assert_true(n > 1);
                break;
            }
            assert_int_equal(got, MV_EIO);
            assert_true(n < 20000);
        }
    free_stock(&s);
}

static void odd_values_are_drawn_and_counted(void **state)
{
    mv_fonts *fonts = *state;
    static const float values[] = {NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, 0, FLT_MIN, 1};
    mv_image picture = drawing_scene(30, 20);
    for (size_t i = 0; i < 8; i++)
        for (size_t k = 0; k < 8; k++)
            for (int scale = MV_SCALE_AUTO; scale <= MV_SCALE_LOG; scale++) {
                float cells[4] = {values[i], values[k], values[k], values[i]};
                mv_map map = {
                    .h = i % 2 ? 1 : 2, .w = i % 2 ? 1 : 2, .v = cells, .lo = NAN, .hi = -INFINITY, .diverging = k % 2};
                mv_page_style style = {.width = 640, .scale = (mv_scale_kind)scale, .grid = true, .zoom = 0.5};
                drawing_buffer b = {.left = -1};
                mv_canvas_kind kind = scale == MV_SCALE_AUTO ? MV_CANVAS_SVG : MV_CANVAS_PNG;
                assert_int_equal(classify(&b, kind, &style, fonts, &picture, &map, 1, "x", NULL), MV_OK);
                int odd = 0;
                for (int c = 0; c < map.h * map.w; c++)
                    odd += !isfinite(cells[c]);
                if (kind == MV_CANVAS_SVG)
                    assert_int_equal(strstr(b.bytes, "not finite: hatched") != NULL, odd > 0);
                b.size = 0;
                assert_int_equal(attention(&b, MV_CANVAS_PNG, &style, fonts, &picture, &map, 1, "x", NULL), MV_OK);
                free(b.bytes);
            }
    free(picture.rgb);
}

static void misuse_is_refused(void **state)
{
    mv_fonts *fonts = *state;
    stock s = {.picture = drawing_scene(30, 20)};
    s.map[s.maps++] = drawing_signed_map(3, 3, 1);
    drawing_buffer b = {.left = -1};
    static const struct {
        mv_page_style style;
        mv_status code;
    } styles[] = {{{.zoom = -1}, MV_EINPUT},   {{.zoom = 9}, MV_EINPUT},       {{.zoom = NAN}, MV_EINPUT},
                  {{.width = 100}, MV_EINPUT}, {{.width = 9000}, MV_EINPUT},   {{.table = "rainbow"}, MV_EINPUT},
                  {{.table = "turbo"}, MV_OK}, {{.table = "blue-red"}, MV_OK}, {{.zoom = 8, .width = 8000}, MV_EINPUT}};
    for (size_t i = 0; i < sizeof styles / sizeof *styles; i++) {
        mv_error e = {0};
        assert_int_equal(classify(&b, MV_CANVAS_PNG, &styles[i].style, fonts, &s.picture, s.map, 1, "x", &e),
                         styles[i].code);
        assert_int_equal(e.code, styles[i].code);
        b.size = 0;
    }
    mv_error e = {0};
    mv_page_style viridis = {.table = "viridis"}, blue_red = {.table = "blue-red"}, rainbow = {.table = "rainbow"};
    assert_int_equal(mv_page_check_style(&mv_page_classify, &blue_red, &e), MV_OK);
    assert_int_equal(mv_page_check_style(&mv_page_attention, &viridis, &e), MV_OK);
    assert_int_equal(mv_page_check_style(&mv_page_attention, NULL, &e), MV_OK);
    assert_int_equal(mv_page_check_style(&mv_page_attention, &rainbow, NULL), MV_EINPUT);
    assert_int_equal(mv_page_check_style(&mv_page_heads, &blue_red, NULL), MV_OK);
    assert_int_equal(mv_page_check_style(&mv_page_classify, &viridis, &e), MV_EINPUT);
    assert_non_null(strstr(e.text, "viridis"));
    mv_image nothing = {0, 0, NULL};
    mv_map empty = {0};
    assert_int_equal(classify(&b, MV_CANVAS_PNG, NULL, fonts, &nothing, s.map, 1, "x", NULL), MV_EMISUSE);
    assert_int_equal(classify(&b, MV_CANVAS_PNG, NULL, fonts, &s.picture, &empty, 1, "x", NULL), MV_EMISUSE);
    assert_int_equal(attention(&b, MV_CANVAS_PNG, NULL, fonts, &s.picture, s.map, 0, "x", NULL), MV_EINPUT);
    mv_heads_content none = {.picture = &s.picture};
    assert_int_equal(write_page(&b, MV_CANVAS_PNG, &mv_page_heads, "x", "", &none, NULL, fonts, NULL), MV_EINPUT);
    assert_int_equal(b.size, 0);
    free(b.bytes);
    free_stock(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_look_as_their_references),
        cmocka_unit_test(heads_hold_for_any_number),
        cmocka_unit_test(pages_hold_for_any_words_and_shapes),
        cmocka_unit_test(pages_fit_papers_and_slides),
        cmocka_unit_test(files_are_whole_and_the_same_again),
        cmocka_unit_test(every_word_is_on_its_page),
        cmocka_unit_test(svg_keeps_text_as_text),
        cmocka_unit_test(pdf_has_a_date_only_when_told),
        cmocka_unit_test(any_failing_write_is_told),
        cmocka_unit_test(odd_values_are_drawn_and_counted),
        cmocka_unit_test(misuse_is_refused),
        cmocka_unit_test(typefaces_do_not_mix_up_when_descriptors_come_back),
        cmocka_unit_test(threads_draw_the_same_bytes),
    };
    return cmocka_run_group_tests(tests, drawing_open_fonts, drawing_close_fonts);
}
