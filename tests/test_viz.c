/* Colour tables, scales and rasters: held to identities and to sums computed otherwise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "viz/draw/colour.h"
#include "viz/draw/raster.h"

static uint32_t random_state = 1;

static double uniform(void)
{
    random_state = random_state * 1664525U + 1013904223U;
    return (random_state >> 8) / 16777216.0;
}

/* --- colour ------------------------------------------------------------------------------------ */

static double linear_of(uint8_t c)
{
    double v = c / 255.0;
    return v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4);
}

static double lightness(mv_rgb c)
{
    double y = 0.2126 * linear_of(c.r) + 0.7152 * linear_of(c.g) + 0.0722 * linear_of(c.b);
    return y > 0.008856 ? 116 * cbrt(y) - 16 : 903.3 * y;
}

/* OKLab distance of two colours */
static double distance(mv_rgb p, mv_rgb q)
{
    double lab[2][3];
    for (int i = 0; i < 2; i++) {
        mv_rgb c = i ? q : p;
        double r = linear_of(c.r), g = linear_of(c.g), b = linear_of(c.b);
        double l = cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
        double m = cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
        double s = cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
        lab[i][0] = 0.2104542553 * l + 0.7936177850 * m - 0.0040720468 * s;
        lab[i][1] = 1.9779984951 * l - 2.4285922050 * m + 0.4505937099 * s;
        lab[i][2] = 0.0259040371 * l + 0.7827717662 * m - 0.8086757660 * s;
    }
    return sqrt(pow(lab[0][0] - lab[1][0], 2) + pow(lab[0][1] - lab[1][1], 2) + pow(lab[0][2] - lab[1][2], 2));
}

/* WCAG 2.2: relative luminance, and the contrast that text needs. */
static double contrast(mv_rgb a, mv_rgb b)
{
    double y[2];
    for (int i = 0; i < 2; i++) {
        mv_rgb c = i ? b : a;
        y[i] = 0.2126 * linear_of(c.r) + 0.7152 * linear_of(c.g) + 0.0722 * linear_of(c.b) + 0.05;
    }
    return fmax(y[0], y[1]) / fmin(y[0], y[1]);
}

static void text_stands_out_from_paper(void **state)
{
    (void)state;
    for (int k = MV_LIGHT; k <= MV_DARK; k++) {
        const mv_theme *t = mv_theme_of((mv_theme_kind)k);
        const mv_rgb inks[] = {t->ink, t->second, t->third, t->accent, t->counter};
        for (size_t i = 0; i < sizeof inks / sizeof *inks; i++)
            assert_true(contrast(inks[i], t->paper) >= 4.5);
        assert_true(contrast(t->ink, t->paper) > contrast(t->second, t->paper));
        assert_true(contrast(t->second, t->paper) > contrast(t->third, t->paper));
    }
}

/* The colour of a variable in the n-th rule of the page for browsers that sets it. */
static bool css_colour(const char *css, const char *name, int n, mv_rgb *out)
{
    char pattern[24];
    unsigned r, g, b;
    snprintf(pattern, sizeof pattern, "--%s: #", name);
    for (const char *at = strstr(css, pattern); at; at = strstr(at + 1, pattern))
        if (n-- == 0 && sscanf(at + strlen(pattern), "%2x%2x%2x", &r, &g, &b) == 3) {
            *out = (mv_rgb){(uint8_t)r, (uint8_t)g, (uint8_t)b};
            return true;
        }
    return false;
}

static void text_stands_out_in_browsers(void **state)
{
    (void)state;
    static const char *const inks[] = {"ink", "second", "accent"};
    static char css[1 << 16];
    FILE *f = fopen("assets/report.css", "rb");
    assert_non_null(f);
    css[fread(css, 1, sizeof css - 1, f)] = 0;
    fclose(f);
    int themes = 0;
    for (mv_rgb paper, ink; css_colour(css, "paper", themes, &paper); themes++)
        for (size_t i = 0; i < sizeof inks / sizeof *inks; i++) {
            assert_true(css_colour(css, inks[i], themes, &ink));
            assert_true(contrast(ink, paper) >= 4.5);
        }
    assert_int_equal(themes, 3); /* light, dark by the system, dark by choice */
}

static void sequential_tables_rise_in_lightness(void **state)
{
    (void)state;
    static const char *const names[] = {"viridis", "magma", "inferno", "cividis"};
    for (int n = 0; n < 4; n++) {
        const mv_colour_table *t = mv_colour_table_lookup(names[n], NULL);
        assert_non_null(t);
        assert_false(t->diverging);
        for (int i = 4; i < 256; i++)
            assert_true(lightness(t->rows[i]) > lightness(t->rows[i - 4]));
        for (int i = 1; i < 256; i++)
            assert_true(lightness(t->rows[i]) > lightness(t->rows[i - 1]) - 0.35); /* rounding to bytes */
    }
}

static void tables_are_those_published(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        mv_rgb first, last;
    } known[] = {
        {"viridis", {68, 1, 84}, {253, 231, 37}}, {"magma", {0, 0, 4}, {252, 253, 191}},
        {"inferno", {0, 0, 4}, {252, 255, 164}},  {"cividis", {0, 34, 78}, {254, 232, 56}},
        {"turbo", {48, 18, 59}, {122, 4, 3}},     {"plasma", {13, 8, 135}, {240, 249, 33}},
        {"gray", {0, 0, 0}, {255, 255, 255}},     {"hot", {11, 0, 0}, {255, 255, 255}},
        {"jet", {0, 0, 128}, {128, 0, 0}},        {"coolwarm", {59, 76, 192}, {180, 4, 38}},
        {"RdBu", {103, 0, 31}, {5, 48, 97}},      {"RdBu_r", {5, 48, 97}, {103, 0, 31}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const mv_colour_table *t = mv_colour_table_lookup(known[i].name, NULL);
        assert_memory_equal(&t->rows[0], &known[i].first, 3);
        assert_memory_equal(&t->rows[255], &known[i].last, 3);
    }
}

/* jet is linear between these places (Matplotlib's definition of 2003), hot between its own; a table that is turned
 * round is the same in reverse. */
static void tables_follow_their_definitions(void **state)
{
    (void)state;
    const mv_rgb *jet = mv_colour_table_lookup("jet", NULL)->rows, *hot = mv_colour_table_lookup("hot", NULL)->rows,
                 *gray = mv_colour_table_lookup("gray", NULL)->rows, *rdbu = mv_colour_table_lookup("RdBu", NULL)->rows,
                 *rdbu_r = mv_colour_table_lookup("RdBu_r", NULL)->rows;
    for (int i = 0; i < 256; i++) {
        double x = i / 255.0;
        double green = fmin(fmax(fmin((x - 0.125) / 0.25, (0.91 - x) / 0.27), 0), 1);
        double heat = fmin(fmax((x - 0.365079) / (0.746032 - 0.365079), 0), 1);
        assert_true(fabs(jet[i].g - 255 * green) <= 1);
        assert_true(fabs(hot[i].g - 255 * heat) <= 1);
        assert_int_equal(gray[i].r, i);
        assert_memory_equal(&gray[i].g, &gray[i].r, 1);
        assert_memory_equal(&rdbu[i], &rdbu_r[255 - i], 3);
    }
    assert_non_null(mv_colour_table_lookup("jet", NULL)->misleads);
}

static void diverging_table_is_even_and_alike_in_grey(void **state)
{
    (void)state;
    const mv_colour_table *t = mv_colour_table_lookup("blue-red", NULL);
    assert_true(t->diverging);
    double least = 1, most = 0;
    for (int i = 0; i < 128; i++) {
        assert_true(fabs(lightness(t->rows[i]) - lightness(t->rows[255 - i])) < 0.5);
        if (i >= 8) {
            assert_true(lightness(t->rows[i]) > lightness(t->rows[i - 8]));
            for (int arm = 0; arm < 2; arm++) {
                double step = distance(t->rows[arm ? 255 - i : i], t->rows[arm ? 263 - i : i - 8]);
                least = fmin(least, step);
                most = fmax(most, step);
            }
        }
    }
    assert_true(most / least < 1.35);
    mv_rgb middle = t->rows[127];
    assert_true(abs(middle.r - middle.g) <= 4 && abs(middle.g - middle.b) <= 4 && middle.g > 230);
}

static void colours_lie_between_rows(void **state)
{
    (void)state;
    const mv_colour_table *t = mv_colour_table_lookup("viridis", NULL);
    for (int i = 0; i < 256; i++) {
        mv_rgb c = mv_colour_at(t, i / 255.0);
        assert_memory_equal(&c, &t->rows[i], 3);
    }
    mv_rgb low = mv_colour_at(t, -3), odd = mv_colour_at(t, NAN), high = mv_colour_at(t, INFINITY);
    assert_memory_equal(&low, &t->rows[0], 3);
    assert_memory_equal(&odd, &t->rows[0], 3);
    assert_memory_equal(&high, &t->rows[255], 3);

    mv_error e = {0};
    assert_null(mv_colour_table_lookup("rainbow", &e));
    assert_int_equal(e.code, MV_EINPUT);
    for (int i = 0; mv_colour_table_at(i); i++)
        assert_non_null(strstr(e.text, mv_colour_table_at(i)->name));
}

/* --- scales ------------------------------------------------------------------------------------ */

static void places_follow_their_law(void **state)
{
    (void)state;
    mv_scale linear = mv_scale_of(MV_SCALE_AUTO, 0, 8, false), root = mv_scale_of(MV_SCALE_SQRT, 0, 36, false),
             decades = mv_scale_of(MV_SCALE_LOG, 0, 1000, false), arms = mv_scale_of(MV_SCALE_LINEAR, -3, 8, true),
             root_arms = mv_scale_of(MV_SCALE_SQRT, -8, 2, true);
    assert_true(fabs(mv_scale_place(&linear, 2) - 0.25) < 1e-12);
    assert_true(fabs(mv_scale_place(&root, 9) - 0.5) < 1e-12);
    assert_true(fabs(mv_scale_place(&decades, 10) - 1.0 / 3) < 1e-12);
    assert_true(fabs(mv_scale_place(&decades, 100) - 2.0 / 3) < 1e-12);
    assert_true(mv_scale_place(&decades, 0) == 0);
    assert_true(arms.lo == -8 && arms.hi == 8);
    assert_true(fabs(mv_scale_place(&arms, -4) - 0.25) < 1e-12 && mv_scale_place(&arms, 0) == 0.5);
    assert_true(fabs(mv_scale_place(&root_arms, -2) - 0.25) < 1e-12);
    assert_true(isnan(mv_scale_place(&linear, NAN)));
    assert_true(mv_scale_place(&linear, INFINITY) == 1 && mv_scale_place(&linear, -INFINITY) == 0);
}

static void places_rise_within_0_and_1(void **state)
{
    (void)state;
    static const double ends[][2] = {{0, 1},   {0, 0},           {5, 5},        {-2, 3},
                                     {NAN, 1}, {0, INFINITY},    {0, 1e-300},   {-1e38, 1e38},
                                     {-7, -2}, {3.4e38, 3.4e38}, {1e-30, 1e30}, {2, 1}};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        for (int kind = MV_SCALE_AUTO; kind <= MV_SCALE_LOG; kind++)
            for (int diverging = 0; diverging < 2; diverging++) {
                mv_scale s = mv_scale_of((mv_scale_kind)kind, ends[i][0], ends[i][1], diverging);
                assert_true(s.lo < s.hi && s.kind != MV_SCALE_AUTO);
                double before = 0;
                for (int k = 0; k <= 100; k++) {
                    double place = mv_scale_place(&s, s.lo + (s.hi - s.lo) * k / 100);
                    assert_true(place >= before && place <= 1);
                    before = place;
                }
                assert_true(before > 1 - 1e-9);
                assert_true(mv_scale_place(&s, s.lo) < 1e-9);
            }
}

static void names_of_scales_read_back(void **state)
{
    (void)state;
    assert_string_equal(mv_scale_kind_at(MV_SCALE_AUTO), "auto");
    assert_string_equal(mv_scale_kind_at(MV_SCALE_LINEAR), "linear");
    assert_string_equal(mv_scale_kind_at(MV_SCALE_SQRT), "sqrt");
    assert_string_equal(mv_scale_kind_at(MV_SCALE_LOG), "log");
    assert_null(mv_scale_kind_at(MV_SCALE_LOG + 1));
    assert_null(mv_scale_kind_at(-1));
}

static void check_ticks(const mv_scale *s, double length, double label, bool times)
{
    mv_tick tick[MV_TICKS_MAX];
    int n = mv_scale_ticks(s, length, label, times, tick);
    assert_true(n >= 0 && n <= MV_TICKS_MAX);
    for (int i = 0; i < n; i++) {
        double centre = mv_tick_centre(&tick[i], length, label);
        assert_true(tick[i].value >= s->lo && tick[i].value <= s->hi);
        assert_true(tick[i].place == mv_scale_place(s, tick[i].value));
        assert_true(*tick[i].label && strlen(tick[i].label) < sizeof tick[i].label);
        if (length >= label)
            assert_true(centre - label / 2 > -1e-9 && centre + label / 2 < length + 1e-9);
        if (i > 0) {
            assert_true(tick[i].value > tick[i - 1].value);
            assert_true(centre - mv_tick_centre(&tick[i - 1], length, label) > label * 1.3);
        }
        assert_int_equal(tick[i].marked, times && tick[i].value == 1);
    }
    if (times && length > 10 * label)
        assert_true(tick[n - 1].value == s->hi);
}

static void ticks_never_touch_and_stay_inside(void **state)
{
    (void)state;
    for (int i = 0; i < 20000; i++) {
        double size = pow(10, 12 * uniform() - 6), lo = uniform() < 0.5 ? 0 : -size * uniform();
        mv_scale_kind kind = (mv_scale_kind)(1 + (int)(3 * uniform()));
        mv_scale s = mv_scale_of(kind, lo, size, uniform() < 0.4);
        check_ticks(&s, 40 + 1000 * uniform(), 8 + 40 * uniform(), uniform() < 0.5 && !s.diverging);
        s = mv_scale_even(kind - 1, fabs(lo), size);
        check_ticks(&s, 40 + 1000 * uniform(), 8 + 40 * uniform(), true);
    }
    static const double odd[] = {0, 1, 1e-300, 3.4e38, 5, 0.9999, 1.0001};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        for (int kind = MV_SCALE_LINEAR; kind <= MV_SCALE_LOG; kind++)
            for (int times = 0; times < 2; times++) {
                mv_scale s = mv_scale_of((mv_scale_kind)kind, 0, odd[i], false);
                check_ticks(&s, 300, 14, times);
                check_ticks(&s, 5, 14, times);
            }
}

static void ticks_are_those_of_the_sketches(void **state)
{
    (void)state;
    static const char *const expected[] = {"0×", "1×", "5×", "10×", "20×", "37×"};
    mv_scale s = mv_scale_of(MV_SCALE_SQRT, 0, 36.7, false);
    mv_tick tick[MV_TICKS_MAX];
    int n = mv_scale_ticks(&s, 300, 14, true, tick), found = 0;
    for (int i = 0; i < n && found < 6; i++)
        if (strcmp(tick[i].label, expected[found]) == 0)
            found++;
    assert_int_equal(found, 6);

    static const char *const octaves[] = {"<1/4×", "1/2×", "1×", "2×", "4×", "8×", "16×", "37×"};
    s = mv_scale_even(MV_SCALE_AUTO, 0, 36.7);
    n = mv_scale_ticks(&s, 300, 14, true, tick);
    assert_int_equal(n, 8);
    for (int i = 0; i < n; i++)
        assert_string_equal(tick[i].label, octaves[i]);
    static const char *const near_even[] = {"0.60×", "1×", "2×", "4×"};
    s = mv_scale_even(MV_SCALE_AUTO, 0.6, 1.9);
    n = mv_scale_ticks(&s, 300, 14, true, tick);
    assert_int_equal(n, 4);
    for (int i = 0; i < n; i++)
        assert_string_equal(tick[i].label, near_even[i]);

    s = mv_scale_of(MV_SCALE_LINEAR, -4.5, 8.3, true);
    n = mv_scale_ticks(&s, 348, 30, false, tick);
    assert_int_equal(n, 3);
    assert_string_equal(tick[0].label, "\xe2\x88\x92"
                                       "5");
    assert_string_equal(tick[1].label, "0");
    assert_string_equal(tick[2].label, "5");
}

static void ends_of_ranges_have_the_same_digits(void **state)
{
    (void)state;
    static const struct {
        double lo, hi;
        bool sign;
        const char *text;
    } of[] = {{-3.94, 12.51, true, "−3.9 to +12.5"},
              {0, 0.114, false, "0.00 to 0.11"},
              {0.00007, 0.052, false, "0.000 to 0.052"},
              {-0.0042, 0.0009, true, "−0.0042 to +0.0009"},
              {0.00001, 0.00035, false, "0.00001 to 0.00035"},
              {0.000001, 0.00035, false, "1.0e-06 to 3.5e-04"},
              {0.0000071, 0.000068, false, "7.1e-06 to 6.8e-05"},
              {-3e-7, 7.21e-5, true, "−3.0e-07 to +7.2e-05"},
              {0, 4e-12, false, "0 to 4.0e-12"},
              {12, 2.5e9, false, "1.2e+01 to 2.5e+09"},
              {0, 0, true, "+0.0 to +0.0"},
              {0, INFINITY, false, "0 to not finite"}};
    char text[80];
    for (size_t i = 0; i < sizeof of / sizeof *of; i++)
        assert_string_equal(mv_range_text(text, of[i].lo, of[i].hi, of[i].sign), of[i].text);
}

static void ticks_are_powers_of_ten_together(void **state)
{
    (void)state;
    static const struct {
        double lo, hi;
        const char *label[5];
    } of[] = {{0, 0.00016, {"0", "5e-05", "1e-04", "1.5e-04"}},
              {0, 0.0016, {"0", "0.0005", "0.001", "0.0015"}},
              {-0.00012, 0.00011, {"−1e-04", "−5e-05", "0", "5e-05", "1e-04"}},
              {0, 1600000, {"0", "5e+05", "1e+06", "1.5e+06"}}};
    mv_tick tick[MV_TICKS_MAX];
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        mv_scale s = mv_scale_of(MV_SCALE_LINEAR, of[i].lo, of[i].hi, false);
        int n = mv_scale_ticks(&s, 300, 40, false, tick);
        assert_int_equal(n, of[i].label[4] ? 5 : 4);
        for (int k = 0; k < n; k++)
            assert_string_equal(tick[k].label, of[i].label[k]);
    }
}

static void ends_keep_two_digits_beside_powers(void **state)
{
    (void)state;
    mv_scale s = mv_scale_of(MV_SCALE_LOG, 123.456, 123456, false);
    mv_tick tick[MV_TICKS_MAX];
    int n = mv_scale_ticks(&s, 600, 40, true, tick);
    assert_true(n > 2);
    assert_string_equal(tick[0].label, "1.2e+02×");
    assert_string_equal(tick[n - 1].label, "1.2e+05×");
}

static void numbers_have_true_signs(void **state)
{
    (void)state;
    static const struct {
        double value;
        int decimals;
        bool sign;
        const char *text;
    } cases[] = {
        {4.3712, 3, true, "+4.371"},
        {-0.5, 1, true,
         "\xe2\x88\x92"
         "0.5"},
        {-0.0004, 3, true, "+0.000"},
        {-0.0004, 3, false, "0.000"},
        {12, 0, false, "12"},
        {NAN, 2, true, "not finite"},
        {-INFINITY, 2, true, "not finite"},
        {2.5e12, 1, true, "+2.5e+12"},
        {0, 2, true, "+0.00"},
    };
    char text[32], range[80];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(mv_number_text(text, cases[i].value, cases[i].decimals, cases[i].sign), cases[i].text);
    assert_string_equal(mv_range_text(range, -4.46, 8.3, true), "\xe2\x88\x92"
                                                                "4.5 to +8.3");
    assert_string_equal(mv_range_text(range, 0.027, 0.0351, false), "0.027 to 0.035");
    assert_string_equal(mv_range_text(range, 0, 0, true), "+0.0 to +0.0");
}

/* --- rasters ----------------------------------------------------------------------------------- */

static mv_image noise(int w, int h)
{
    mv_image i = {w, h, malloc((size_t)(w * h * 3))};
    for (int k = 0; k < w * h * 3; k++)
        i.rgb[k] = (uint8_t)(256 * uniform());
    return i;
}

static double keys(double x)
{
    x = fabs(x);
    return x < 1 ? 1.5 * x * x * x - 2.5 * x * x + 1 : x < 2 ? -0.5 * x * x * x + 2.5 * x * x - 4 * x + 2 : 0;
}

/* The same in double, as one sum over the whole picture. */
static double photo_reference(const mv_image *in, int w, int h, int x, int y, int channel)
{
    double sx = (double)in->w / w, sy = (double)in->h / h, fx = fmax(sx, 1), fy = fmax(sy, 1), sum = 0, all = 0;
    for (int v = 0; v < in->h; v++)
        for (int u = 0; u < in->w; u++) {
            double weight = keys((u + 0.5 - (x + 0.5) * sx) / fx) * keys((v + 0.5 - (y + 0.5) * sy) / fy);
            sum += weight * in->rgb[(v * in->w + u) * 3 + channel];
            all += weight;
        }
    return fmin(fmax(sum / all, 0), 255);
}

static void photos_are_resampled_as_defined(void **state)
{
    (void)state;
    static const int cases[][4] = {{20, 14, 20, 14}, {20, 14, 33, 31}, {20, 14, 9, 5}, {1, 1, 6, 4}, {3, 40, 8, 11}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        mv_image in = noise(cases[k][0], cases[k][1]), out;
        int w = cases[k][2], h = cases[k][3];
        assert_int_equal(mv_raster_picture(&out, &in, w, h, NULL), MV_OK);
        if (k == 0)
            assert_memory_equal(out.rgb, in.rgb, (size_t)(w * h * 3));
        for (int i = 0; i < w * h * 3; i++)
            assert_true(fabs(out.rgb[i] - photo_reference(&in, w, h, i / 3 % w, i / 3 / w, i % 3)) < 0.52);
        free(out.rgb);
        free(in.rgb);
    }
    /* a large reduction goes through boxes: a plain colour stays, a mean stays */
    mv_image in = noise(640, 480), out;
    assert_int_equal(mv_raster_picture(&out, &in, 16, 12, NULL), MV_OK);
    double mean = 0;
    for (int i = 0; i < 16 * 12 * 3; i++)
        mean += out.rgb[i] / (16 * 12 * 3.0);
    assert_true(fabs(mean - 127.5) < 2);
    free(out.rgb);
    memset(in.rgb, 77, 640 * 480 * 3);
    assert_int_equal(mv_raster_picture(&out, &in, 17, 13, NULL), MV_OK);
    for (int i = 0; i < 17 * 13 * 3; i++)
        assert_int_equal(out.rgb[i], 77);
    free(out.rgb);
    free(in.rgb);
}

static mv_colouring colouring_of(const char *table, mv_scale_kind kind, double lo, double hi, bool diverging)
{
    return (mv_colouring){.table = mv_colour_table_lookup(table, NULL), .scale = mv_scale_of(kind, lo, hi, diverging)};
}

static void cells_have_their_colour(void **state)
{
    (void)state;
    float v[12];
    for (int i = 0; i < 12; i++)
        v[i] = (float)(10 * uniform());
    v[5] = NAN;
    mv_map map = {.h = 3, .w = 4, .v = v};
    mv_colouring k = colouring_of("viridis", MV_SCALE_SQRT, 0, 10, false);
    mv_image out = noise(50, 35);
    assert_int_equal(mv_raster_cells(&out, &map, &k, NULL), MV_OK);
    for (int y = 0; y < 35; y++)
        for (int x = 0; x < 50; x++) {
            int cell = (2 * y + 1) * 3 / 70 * 4 + (2 * x + 1) * 4 / 100;
            const uint8_t *p = out.rgb + (y * 50 + x) * 3;
            mv_rgb want = mv_colour_at(k.table, sqrt(v[cell] / 10.0));
            if (cell == 5)
                assert_true(p[0] > 120 && p[0] < 200 && abs(p[0] - p[2]) < 20); /* hatched in grey */
            else
                assert_memory_equal(p, &want, 3);
        }
    free(out.rgb);
}

static void maps_of_three_channels_are_their_own_colours(void **state)
{
    (void)state;
    enum { CELLS = 4, PIXELS = 36 };
    float v[CELLS * CELLS * 3];
    for (int i = 0; i < CELLS * CELLS * 3; i++)
        v[i] = (float)uniform();
    v[3 * 5 + 1] = NAN;
    mv_map map = {.h = CELLS, .w = CELLS, .channels = 3, .v = v};
    mv_colouring k = {0};
    mv_image cells = noise(PIXELS, PIXELS), overlay = {PIXELS, PIXELS, malloc(PIXELS * PIXELS * 3)};
    memset(overlay.rgb, 90, PIXELS * PIXELS * 3);
    assert_int_equal(mv_raster_cells(&cells, &map, &k, NULL), MV_OK);
    assert_int_equal(mv_raster_overlay(&overlay, &map, &k, NULL), MV_OK);
    for (int cell = 0; cell < CELLS * CELLS; cell++) {
        int x = cell % CELLS * 9 + 4, y = cell / CELLS * 9 + 4; /* its centre */
        for (int c = 0; c < 3; c++) {
            int on_cells = cells.rgb[(y * PIXELS + x) * 3 + c], over = overlay.rgb[(y * PIXELS + x) * 3 + c];
            if (cell == 5) {
                assert_true(on_cells > 120 && on_cells < 200 && over > 120 && over < 200); /* hatched in grey */
                continue;
            }
            assert_true(fabs(on_cells - 255.0 * (double)v[3 * cell + c]) <= 0.5001);
            assert_true(fabs(over - (0.7 * 255 * (double)v[3 * cell + c] + 0.3 * 90)) < 1);
        }
    }
    double lo, hi;
    assert_int_equal(mv_map_extent(&map, &lo, &hi), 1);
    assert_true(lo >= 0 && hi <= 1 && lo < hi);
    free(cells.rgb);
    free(overlay.rgb);
}

static void overlay_is_the_photo_where_nothing_happens(void **state)
{
    (void)state;
    float zero[4] = {0, 0, 0, 0};
    mv_map map = {.h = 2, .w = 2, .v = zero};
    for (int diverging = 0; diverging < 2; diverging++) {
        mv_colouring k = colouring_of(diverging ? "blue-red" : "inferno", MV_SCALE_LINEAR, 0, 1, diverging);
        mv_image in = noise(30, 20), out = {30, 20, malloc(1800)};
        memcpy(out.rgb, in.rgb, 1800);
        assert_int_equal(mv_raster_overlay(&out, &map, &k, NULL), MV_OK);
        for (int i = 0; i < 600; i++) {
            double grey = 0.299 * in.rgb[3 * i] + 0.587 * in.rgb[3 * i + 1] + 0.114 * in.rgb[3 * i + 2];
            for (int c = 0; c < 3; c++)
                assert_true(fabs(out.rgb[3 * i + c] - grey) < 1.6);
        }
        free(out.rgb);
        free(in.rgb);
    }
}

static void overlay_is_bilinear_in_places(void **state)
{
    (void)state;
    enum { CELLS = 5, PIXELS = 35 }; /* cell centres fall on pixels */
    float v[CELLS * CELLS];
    for (int i = 0; i < CELLS * CELLS; i++)
        v[i] = (float)(-8 + 16 * uniform());
    v[7] = NAN;
    mv_map map = {.h = CELLS, .w = CELLS, .v = v};
    mv_colouring k = colouring_of("blue-red", MV_SCALE_LINEAR, -8, 8, true);
    mv_image out = {PIXELS, PIXELS, malloc(PIXELS * PIXELS * 3)};
    memset(out.rgb, 90, PIXELS * PIXELS * 3);
    assert_int_equal(mv_raster_overlay(&out, &map, &k, NULL), MV_OK);
    for (int y = 0; y < PIXELS; y++)
        for (int x = 0; x < PIXELS; x++) {
            double fy = fmin(fmax((y + 0.5) * CELLS / PIXELS - 0.5, 0), CELLS - 1);
            double fx = fmin(fmax((x + 0.5) * CELLS / PIXELS - 0.5, 0), CELLS - 1), place = 0;
            bool odd = false;
            for (int j = 0; j < CELLS; j++)
                for (int i = 0; i < CELLS; i++) {
                    double weight = fmax(0, 1 - fabs(fy - j)) * fmax(0, 1 - fabs(fx - i));
                    if (weight > 0 && isnan(v[j * CELLS + i]))
                        odd = true;
                    else if (weight > 0)
                        place += weight * (0.5 + v[j * CELLS + i] / 16);
                }
            if (odd)
                continue;
            double opacity = mv_colouring_opacity(&k, place);
            mv_rgb c = mv_colour_at(k.table, place);
            const uint8_t *p = out.rgb + (y * PIXELS + x) * 3;
            assert_true(fabs(p[0] - (90 + (c.r - 90) * opacity)) < 2);
            assert_true(fabs(p[1] - (90 + (c.g - 90) * opacity)) < 2);
            assert_true(fabs(p[2] - (90 + (c.b - 90) * opacity)) < 2);
        }
    free(out.rgb);
}

/* An overlay in a frame is the overlay of the frame alone, put in its place; around it the picture is as it was. */
static void overlay_in_a_frame_leaves_the_rest(void **state)
{
    (void)state;
    enum { W = 61, H = 47, X = 13, Y = 9, FW = 28, FH = 35 };
    float v[20];
    for (int i = 0; i < 20; i++)
        v[i] = (float)(-8 + 16 * uniform());
    mv_map map = {.h = 5, .w = 4, .v = v};
    mv_colouring k = colouring_of("blue-red", MV_SCALE_LINEAR, -8, 8, true);
    mv_overlay_look look = {0};
    mv_image in = noise(W, H), out = {W, H, malloc(W * H * 3)}, part = {FW, FH, malloc(FW * FH * 3)};
    memcpy(out.rgb, in.rgb, W * H * 3);
    for (int y = 0; y < FH; y++)
        memcpy(part.rgb + y * FW * 3, in.rgb + ((Y + y) * W + X) * 3, FW * 3);
    assert_int_equal(mv_raster_overlay(&part, &map, &k, NULL), MV_OK);
    assert_int_equal(mv_raster_overlay_in(&out, (mv_frame){X, Y, FW, FH}, &map, &k, &look, NULL), MV_OK);
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            bool within = x >= X && x < X + FW && y >= Y && y < Y + FH;
            const uint8_t *expected = within ? part.rgb + ((y - Y) * FW + x - X) * 3 : in.rgb + (y * W + x) * 3;
            for (int c = 0; c < 3; c++)
                assert_true(abs(out.rgb[(y * W + x) * 3 + c] - expected[c]) <= 1);
        }
    /* A frame that sticks out shows a part of the map: the same as an overlay of the whole, cut. */
    mv_image large = {FW, FH, malloc(FW * FH * 3)}, cut = {10, 12, malloc(360)};
    memset(large.rgb, 90, FW * FH * 3);
    memset(cut.rgb, 90, 360);
    assert_int_equal(mv_raster_overlay(&large, &map, &k, NULL), MV_OK);
    assert_int_equal(mv_raster_overlay_in(&cut, (mv_frame){-7, -11, FW, FH}, &map, &k, &look, NULL), MV_OK);
    for (int y = 0; y < 12; y++)
        for (int x = 0; x < 30; x++)
            assert_true(abs(cut.rgb[y * 30 + x] - large.rgb[(y + 11) * FW * 3 + 21 + x]) <= 1);
    free(in.rgb);
    free(out.rgb);
    free(part.rgb);
    free(large.rgb);
    free(cut.rgb);
}

static void overlay_follows_its_look(void **state)
{
    (void)state;
    float v[4] = {8, 8, 8, 8};
    mv_map map = {.h = 2, .w = 2, .v = v};
    mv_colouring k = colouring_of("blue-red", MV_SCALE_LINEAR, -8, 8, true);
    mv_rgb red = k.table->rows[255];
    bool keep[4] = {true, false, true, true};
    for (int photo = 0; photo < 2; photo++)
        for (double alpha = 0.25; alpha <= 1; alpha += 0.25) {
            mv_image in = noise(20, 20), out = {20, 20, malloc(1200)};
            memcpy(out.rgb, in.rgb, 1200);
            mv_overlay_look look = {.alpha = alpha, .photo = photo, .keep = keep};
            assert_int_equal(mv_raster_overlay_in(&out, (mv_frame){0, 0, 20, 20}, &map, &k, &look, NULL), MV_OK);
            for (int i = 0; i < 400; i++) {
                const uint8_t *p = in.rgb + 3 * i;
                double grey = 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2];
                double share = i % 20 >= 10 && i < 200 ? 0 : alpha;
                const uint8_t top[3] = {red.r, red.g, red.b};
                for (int c = 0; c < 3; c++)
                    assert_true(fabs(out.rgb[3 * i + c] - (share * top[c] + (1 - share) * (photo ? p[c] : grey))) < 2);
            }
            free(in.rgb);
            free(out.rgb);
        }
}

static void strongest_cells_hold_their_share(void **state)
{
    (void)state;
    float v[6] = {1, -5, 3, NAN, 1, 0}; /* magnitudes 5, 3, 1, 1: sum 10 */
    mv_map map = {.h = 2, .w = 3, .v = v};
    static const struct {
        double share;
        bool keep[6];
    } known[] = {{0.5, {false, true, false, false, false, false}},
                 {0.51, {false, true, true, false, false, false}},
                 {0.8, {false, true, true, false, false, false}},
                 {0.81, {true, true, true, false, true, false}},
                 {1, {true, true, true, false, true, false}}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        bool keep[6];
        assert_int_equal(mv_raster_strongest(keep, &map, known[i].share, NULL), MV_OK);
        assert_memory_equal(keep, known[i].keep, sizeof keep);
    }
    float zero[6] = {0};
    bool keep[6];
    map.v = zero;
    assert_int_equal(mv_raster_strongest(keep, &map, 0.6, NULL), MV_OK);
    assert_false(keep[0]);
}

static void opacity_rises_with_the_value(void **state)
{
    (void)state;
    for (int diverging = 0; diverging < 2; diverging++) {
        mv_colouring k = colouring_of("inferno", MV_SCALE_LINEAR, 0, 1, diverging);
        double before = 0;
        for (int i = 0; i <= 200; i++) {
            double arm = i / 200.0, opacity = mv_colouring_opacity(&k, diverging ? 0.5 + arm / 2 : arm);
            assert_true(opacity >= before && opacity <= 1);
            if (diverging)
                assert_true(fabs(opacity - mv_colouring_opacity(&k, 0.5 - arm / 2)) < 1e-12);
            before = opacity;
        }
        assert_true(before > 0.55 && before <= MV_OPACITY && mv_colouring_opacity(&k, diverging ? 0.5 : 0) == 0);
        k.opacity = 1;
        assert_true(fabs(mv_colouring_opacity(&k, 1) - 1) < 1e-12);
    }
}

static mv_colouring even_colouring(mv_scale_kind kind, double lo, double hi)
{
    return (mv_colouring){.table = mv_colour_table_lookup("inferno", NULL),
                          .cells = mv_colour_table_lookup("blue-red", NULL),
                          .scale = mv_scale_even(kind, lo, hi)};
}

/* Octaves: equal steps for equal ratios, from 1/4 or more up to 4 or more. */
static void octaves_follow_the_logarithm(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++) {
        double lo = uniform() < 0.3 ? 0 : 2 * uniform(), hi = exp2(12 * uniform() - 2);
        mv_scale s = mv_scale_even(MV_SCALE_AUTO, lo, hi);
        assert_true(s.kind == MV_SCALE_OCTAVES && s.times && s.lo >= 0.25 && s.lo <= 1 && s.hi >= 4);
        assert_true(s.hi >= hi && (s.lo <= lo || s.cut || lo >= 1));
        double a = s.lo + (s.hi - s.lo) * uniform(), b = s.lo + (s.hi - s.lo) * uniform();
        double step = mv_scale_place(&s, b) - mv_scale_place(&s, a);
        assert_true(fabs(step - log2(b / a) / log2(s.hi / s.lo)) < 1e-12);
        assert_true(mv_scale_place(&s, 0) == 0 && mv_scale_place(&s, -1) == 0 && mv_scale_place(&s, 1e9) == 1);
        assert_true(isnan(mv_scale_place(&s, NAN)));
    }
    mv_scale odd = mv_scale_even(MV_SCALE_AUTO, NAN, INFINITY);
    assert_true(odd.lo >= 0.25 && odd.hi == 4);
}

/* For maps from near even to very peaked, in every colour scale: nothing up to 1, more the higher the value; with
 * octaves, 2 is seen in the same colour and opacity on all of them, and the cells of 1 are neutral. */
static void what_is_even_does_not_show_and_twice_even_does(void **state)
{
    (void)state;
    static const double most[] = {1, 1.9, 4.5, 36.7, 160, 3136};
    const mv_colouring first = even_colouring(MV_SCALE_AUTO, 0, 4);
    mv_rgb twice = mv_colouring_colour(&first, mv_scale_place(&first.scale, 2)),
           neutral = mv_colour_at(first.cells, 0.5);
    for (size_t i = 0; i < sizeof most / sizeof *most; i++)
        for (int kind = MV_SCALE_AUTO; kind <= MV_SCALE_LOG; kind++) {
            mv_colouring k = even_colouring((mv_scale_kind)kind, 0.001, most[i]);
            double before = 0;
            for (double v = 0; v <= 1; v += 1.0 / 64)
                assert_true(mv_colouring_opacity(&k, mv_scale_place(&k.scale, v)) < 1e-9);
            for (double v = 1; v <= k.scale.hi; v *= 1.05) {
                double opacity = mv_colouring_opacity(&k, mv_scale_place(&k.scale, v));
                assert_true(opacity >= before && opacity <= MV_OPACITY_EVEN + 1e-9);
                before = opacity;
            }
            if (kind != MV_SCALE_AUTO)
                continue;
            mv_rgb at_2 = mv_colouring_colour(&k, mv_scale_place(&k.scale, 2)),
                   cell = mv_colouring_cell(&k, mv_scale_place(&k.scale, 1));
            assert_true(abs(at_2.r - twice.r) <= 1 && abs(at_2.g - twice.g) <= 1 && abs(at_2.b - twice.b) <= 1);
            assert_true(mv_colouring_opacity(&k, mv_scale_place(&k.scale, 2)) > 0.4);
            assert_true(abs(cell.r - neutral.r) <= 1 && abs(cell.g - neutral.g) <= 1 && abs(cell.b - neutral.b) <= 1);
        }
}

/* Lines are at round values within the scale, two to four on each side of 0. */
static void lines_are_at_round_values(void **state)
{
    (void)state;
    for (int i = 0; i < 2000; i++) {
        double hi = pow(10, 8 * uniform() - 4), value[MV_LINES_MOST];
        mv_colouring k = colouring_of("blue-red", MV_SCALE_LINEAR, i % 2 ? -hi : 0, hi, i % 2);
        int n = mv_colouring_lines(&k, value), above = 0;
        for (int j = 0; j < n; j++) {
            double m = fabs(value[j]), lead = m / pow(10, floor(log10(m) + 1e-9));
            assert_true(m > 0 && m < k.scale.hi && fabs(lead * 4 - round(lead * 4)) < 1e-6);
            above += value[j] > 0;
        }
        assert_true(above >= 1 && above <= 4 && (!k.scale.diverging || n == 2 * above));
    }
}

/* Lines as pixels: white within black at the place of the value, and nothing elsewhere; the query's cell is outlined.
 */
static void lines_are_pixels_where_the_value_is(void **state)
{
    (void)state;
    enum { W = 160, H = 80 };
    float v[8] = {1, 2, 4, 8, 16, 8, 4, 2};
    mv_map map = {.h = 1, .w = 8, .v = v, .query = "cell", .query_x = 0};
    mv_colouring k = even_colouring(MV_SCALE_AUTO, 1, 16);
    mv_image out = {W, H, malloc(W * H * 3)};
    mv_frame frame = {0, 0, W, H};
    memset(out.rgb, 90, W * H * 3);
    assert_int_equal(mv_raster_lines(&out, frame, &map, &k, NULL, 2, NULL), MV_OK);
    const int lines[] = {20 + 10, 20 + 30, 20 + 50, 20 + 90, 20 + 110};
    for (int x = 24; x < W - 14; x++) {
        int to = W, value = out.rgb[(H / 2 * W + x) * 3];
        for (int i = 0; i < 5; i++)
            to = abs(2 * x + 1 - 2 * lines[i]) < 2 * to ? (abs(2 * x + 1 - 2 * lines[i]) + 1) / 2 : to;
        assert_true(to <= 1 ? value > 200 : to == 2 ? value < 60 : to > 3 ? value == 90 : true);
    }
    assert_true(out.rgb[(H / 2 * W + 19) * 3] > 200 || out.rgb[(H / 2 * W + 20) * 3] > 200);
    assert_true(mv_raster_line_width(frame) == 1);
    free(out.rgb);
}

static void grid_lines_lie_between_cells(void **state)
{
    (void)state;
    float v[16] = {0};
    mv_map map = {.h = 4, .w = 4, .v = v};
    mv_colouring k = colouring_of("inferno", MV_SCALE_LINEAR, 0, 1, false);
    k.grid = true;
    k.window = 2;
    mv_image out = noise(80, 80);
    assert_int_equal(mv_raster_cells(&out, &map, &k, NULL), MV_OK);
    for (int x = 0; x < 80; x++) {
        int lit = out.rgb[(5 * 80 + x) * 3]; /* the map itself is black: the dark strand does not show */
        assert_int_equal(lit > 30, x % 20 == 0 && x > 0);
        assert_int_equal(lit > 150, x == 40); /* where two windows meet */
    }
    free(out.rgb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_stands_out_from_paper),
        cmocka_unit_test(text_stands_out_in_browsers),
        cmocka_unit_test(sequential_tables_rise_in_lightness),
        cmocka_unit_test(tables_are_those_published),
        cmocka_unit_test(tables_follow_their_definitions),
        cmocka_unit_test(diverging_table_is_even_and_alike_in_grey),
        cmocka_unit_test(colours_lie_between_rows),
        cmocka_unit_test(places_follow_their_law),
        cmocka_unit_test(places_rise_within_0_and_1),
        cmocka_unit_test(names_of_scales_read_back),
        cmocka_unit_test(octaves_follow_the_logarithm),
        cmocka_unit_test(what_is_even_does_not_show_and_twice_even_does),
        cmocka_unit_test(lines_are_at_round_values),
        cmocka_unit_test(lines_are_pixels_where_the_value_is),
        cmocka_unit_test(ticks_never_touch_and_stay_inside),
        cmocka_unit_test(ticks_are_those_of_the_sketches),
        cmocka_unit_test(ends_of_ranges_have_the_same_digits),
        cmocka_unit_test(ticks_are_powers_of_ten_together),
        cmocka_unit_test(ends_keep_two_digits_beside_powers),
        cmocka_unit_test(numbers_have_true_signs),
        cmocka_unit_test(photos_are_resampled_as_defined),
        cmocka_unit_test(cells_have_their_colour),
        cmocka_unit_test(maps_of_three_channels_are_their_own_colours),
        cmocka_unit_test(overlay_is_the_photo_where_nothing_happens),
        cmocka_unit_test(overlay_is_bilinear_in_places),
        cmocka_unit_test(overlay_in_a_frame_leaves_the_rest),
        cmocka_unit_test(overlay_follows_its_look),
        cmocka_unit_test(strongest_cells_hold_their_share),
        cmocka_unit_test(opacity_rises_with_the_value),
        cmocka_unit_test(grid_lines_lie_between_cells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
