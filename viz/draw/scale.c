/* From values to places along a colour bar, and its ticks. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "viz/draw/colour.h"

#define MINUS "\xe2\x88\x92" /* U+2212 */
#define TIMES "\xc3\x97"     /* U+00D7 */

#define LARGEST 1e150 /* so that hi - lo is finite */

#define LEAST_END   4.0  /* times an even spread: no scale ends before */
#define LEAST_START 0.25 /* nor starts before */

enum { LOG_DECADES = 3, MOST_STEPS = 7 };

static const char *const kind_names[] = {"auto", "linear", "sqrt", "log"};

const char *mv_scale_kind_at(int i)
{
    return i >= 0 && i < (int)(sizeof kind_names / sizeof *kind_names) ? kind_names[i] : NULL;
}

mv_scale mv_scale_of(mv_scale_kind kind, double lo, double hi, bool diverging)
{
    lo = isfinite(lo) ? fmax(lo, -LARGEST) : 0;
    hi = isfinite(hi) ? fmin(hi, LARGEST) : 0;
    if (diverging) {
        hi = fmax(fabs(lo), fabs(hi));
        hi = hi > 0 ? hi : 1;
        lo = -hi;
    } else if (kind == MV_SCALE_LOG && hi > 0) {
        double floor_of_log = hi * pow(10, -LOG_DECADES);
        lo = lo > floor_of_log && lo < hi ? lo : floor_of_log;
    } else {
        if (!(lo < hi))
            hi = lo + fmax(1, fabs(lo));
        if (kind == MV_SCALE_LOG)
            kind = MV_SCALE_LINEAR;
    }
    bool as_is = kind == MV_SCALE_AUTO || kind == MV_SCALE_OCTAVES;
    return (mv_scale){.kind = as_is ? MV_SCALE_LINEAR : kind, .lo = lo, .hi = hi, .diverging = diverging};
}

mv_scale mv_scale_even(mv_scale_kind kind, double lo, double hi)
{
    hi = isfinite(hi) ? fmin(fmax(hi, LEAST_END), LARGEST) : LEAST_END;
    lo = isfinite(lo) ? lo : 0;
    mv_scale s = {.kind = MV_SCALE_OCTAVES, .lo = fmin(fmax(lo, LEAST_START), 1), .hi = hi, .cut = lo < LEAST_START};
    if (kind != MV_SCALE_AUTO && kind != MV_SCALE_OCTAVES)
        s = mv_scale_of(kind, 0, hi, false);
    s.times = true;
    return s;
}

/* The place 0..1 of a share 0..1 of the range, or of one arm of a diverging range. */
static double bend(mv_scale_kind kind, double share, double decades)
{
    if (kind == MV_SCALE_SQRT)
        return sqrt(share);
    if (kind == MV_SCALE_LOG)
        return share > 0 ? fmax(0, 1 + log10(share) / decades) : 0;
    return share;
}

double mv_scale_place(const mv_scale *s, double value)
{
    if (isnan(value))
        return value;
    value = fmin(fmax(value, s->lo), s->hi);
    if (s->diverging) {
        double arm = bend(s->kind, fabs(value) / s->hi, LOG_DECADES);
        return 0.5 + (value < 0 ? -0.5 : 0.5) * arm;
    }
    if (s->kind == MV_SCALE_OCTAVES)
        return log2(value / s->lo) / log2(s->hi / s->lo);
    if (s->kind == MV_SCALE_LOG)
        return bend(MV_SCALE_LOG, value / s->hi, log10(s->hi / s->lo));
    return bend(s->kind, (value - s->lo) / (s->hi - s->lo), 1);
}

double mv_tick_centre(const mv_tick *tick, double length, double label)
{
    return fmin(fmax(tick->place * length, label / 2), fmax(length - label / 2, label / 2));
}

/* --- labels ------------------------------------------------------------------------------------ */

/* The number without trailing zeros and with a true minus: 5, 0.25, 2e+06. */
static void plain_label(char *text, size_t size, double value, int digits, const char *unit)
{
    char number[32];
    snprintf(number, sizeof number, "%.*g", digits, fabs(value));
    snprintf(text, size, "%s%.16s%s", value < 0 ? MINUS : "", number, unit);
}

/* The end of a range, with the digits that a bar needs: 0.37, 5.6, 37, 147. */
static void end_label(char *text, size_t size, double value, const char *unit)
{
    double m = fabs(value);
    if (m >= 1e5 || (m > 0 && m < 0.01))
        plain_label(text, size, value, 2, unit);
    else
        snprintf(text, size, "%s%.*f%s", value < 0 ? MINUS : "",
                 m >= 10 || m == floor(m) ? 0
                 : m >= 1                 ? 1
                                          : 2,
                 m, unit);
}

const char *mv_range_text(char text[80], double lo, double hi, bool sign)
{
    double m = fmax(fabs(lo), fabs(hi));
    int decimals = m >= 100 ? 0 : m >= 1 || m == 0 ? 1 : m >= 0.1 ? 2 : m >= 0.01 ? 3 : m >= 1e-3 ? 4 : 5;
    char a[32], b[32];
    bool zeros = m < 1e-3 && (mv_number_vanishes(lo, decimals) || mv_number_vanishes(hi, decimals));
    if (m >= 1e9 || (m > 0 && m < 1e-4) || zeros)
        snprintf(text, 80, "%s to %s", mv_power_text(a, lo, sign), mv_power_text(b, hi, sign));
    else
        snprintf(text, 80, "%s to %s", mv_number_text(a, lo, decimals, sign), mv_number_text(b, hi, decimals, sign));
    return text;
}

/* --- ticks ------------------------------------------------------------------------------------- */

typedef struct {
    const mv_scale *scale;
    double length, label;
    int count;
    mv_tick *out;
} ticker;

/* Adds a tick unless its label would be too near to one that is placed. */
static bool place_tick(ticker *t, mv_tick tick)
{
    if (t->count == MV_TICKS_MAX || tick.value < t->scale->lo || tick.value > t->scale->hi)
        return false;
    tick.place = mv_scale_place(t->scale, tick.value);
    double centre = mv_tick_centre(&tick, t->length, t->label);
    for (int i = 0; i < t->count; i++)
        if (fabs(mv_tick_centre(&t->out[i], t->length, t->label) - centre) < t->label * 4 / 3)
            return false;
    int at = t->count++;
    for (; at > 0 && t->out[at - 1].value > tick.value; at--)
        t->out[at] = t->out[at - 1];
    t->out[at] = tick;
    return true;
}

static void offer(ticker *t, double value, const char *unit, bool end)
{
    mv_tick tick = {.value = value};
    if (end)
        end_label(tick.label, sizeof tick.label, value, unit);
    else
        plain_label(tick.label, sizeof tick.label, value, 6, unit);
    place_tick(t, tick);
}

static void offer_even(ticker *t)
{
    mv_tick tick = {.value = 1, .marked = true, .label = "1" TIMES};
    place_tick(t, tick);
}

/* A power of two: 4x, 1/4x. */
static void offer_octave(ticker *t, int octave, const char *before)
{
    mv_tick tick = {.value = exp2(octave)};
    if (octave < 0)
        snprintf(tick.label, sizeof tick.label, "%s1/%.0f" TIMES, before, exp2(-octave));
    else
        snprintf(tick.label, sizeof tick.label, "%s%.0f" TIMES, before, exp2(octave));
    place_tick(t, tick);
}

/* Powers of two, those nearest to an even share first; `cut` marks the lowest. */
static void offer_octaves(ticker *t)
{
    offer_even(t);
    offer_octave(t, 1, "");
    offer(t, t->scale->hi, TIMES, true);
    if (t->scale->cut)
        offer_octave(t, (int)log2(t->scale->lo), "<");
    else
        offer(t, t->scale->lo, TIMES, true);
    for (int octave = 2; octave < (int)ceil(log2(t->scale->hi)); octave++)
        offer_octave(t, octave, "");
    for (int octave = -1; octave > (int)floor(log2(t->scale->lo)); octave--)
        offer_octave(t, octave, "");
}

/* 1, 2 and 5 of every decade, the roundest and largest first. For scales that are not linear. */
static void offer_decades(ticker *t, const char *unit)
{
    static const int leads[] = {1, 5, 2};
    double top = fmax(fabs(t->scale->lo), fabs(t->scale->hi));
    int decade = (int)floor(log10(top));
    bool above_even = *unit && top > 1; /* below an even share no figures are needed */
    for (int l = 0; l < 3; l++)
        for (int k = decade; k > decade - 2 * LOG_DECADES; k--) {
            double value = leads[l] * pow(10, k);
            if (above_even && value <= 1)
                continue;
            offer(t, value, unit, false);
            offer(t, -value, unit, false);
        }
}

/* Ticks at the finest step of 1, 2 or 5 x 10^k that leaves room for all labels. */
static void even_steps(ticker *t, const char *unit)
{
    double range = t->scale->hi - t->scale->lo;
    static const int leads[] = {1, 2, 5};
    int first = t->count;
    mv_tick kept[MV_TICKS_MAX];
    memcpy(kept, t->out, sizeof kept);
    int decade = (int)floor(log10(range));
    for (int i = -3; i <= 6; i++) {
        double step = leads[(i + 6) % 3] * pow(10, decade + (int)floor(i / 3.0));
        double from = ceil(t->scale->lo / step), to = floor(t->scale->hi / step);
        if (!(to - from < MOST_STEPS))
            continue;
        t->count = first;
        memcpy(t->out, kept, sizeof kept);
        bool room = true;
        for (double k = from; k <= to; k++) {
            mv_tick tick = {.value = k == 0 ? 0 : k * step};
            plain_label(tick.label, sizeof tick.label, tick.value, 6, unit);
            room = place_tick(t, tick) && room;
        }
        if (room)
            return;
    }
}

/* Where one label has an exponent, all have one, except 0 and the marked one: 5e-05, 1e-04. The ends of shares are
 * rounded to two digits. */
static void write_powers(ticker *t, const char *unit)
{
    bool any = false;
    for (int i = 0; i < t->count; i++)
        any = any || strchr(t->out[i].label, 'e');
    for (int i = 0; i < t->count && any; i++) {
        mv_tick *tick = &t->out[i];
        double power = tick->value == 0 ? 0 : floor(log10(fabs(tick->value)) + 1e-9);
        int digits = *unit && (tick->value == t->scale->lo || tick->value == t->scale->hi) ? 2 : 6;
        if (tick->value != 0 && !tick->marked && !strchr(tick->label, 'e'))
            snprintf(tick->label, sizeof tick->label, "%s%.*ge%+03.0f%s", tick->value < 0 ? MINUS : "", digits,
                     fabs(tick->value) / pow(10, power), power, unit);
    }
}

int mv_scale_ticks(const mv_scale *s, double length, double label, bool times, mv_tick out[MV_TICKS_MAX])
{
    ticker t = {s, length, label, 0, out};
    memset(out, 0, MV_TICKS_MAX * sizeof *out);
    const char *unit = times ? TIMES : "";
    if (s->kind == MV_SCALE_OCTAVES) {
        offer_octaves(&t);
        return t.count;
    }
    if (times && s->hi == 1)
        offer_even(&t);
    else if (times)
        offer(&t, s->hi, unit, true);
    if (times) {
        offer(&t, s->lo, unit, true);
        offer_even(&t);
    }
    if (times || s->kind != MV_SCALE_LINEAR) {
        if (s->diverging)
            offer(&t, 0, unit, false);
        offer_decades(&t, unit);
    } else {
        even_steps(&t, unit);
    }
    write_powers(&t, unit);
    return t.count;
}
