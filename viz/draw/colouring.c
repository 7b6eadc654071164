#include "viz/draw/colouring.h"

#include <math.h>

/* Where an overlay begins in its table: what is darker cannot be seen over a photo. */
#define FIRST_COLOUR 0.25

/* At 2 times an even spread: the share of the way to the last colour, and to the full opacity. */
#define COLOUR_AT_2  0.3
#define OPACITY_AT_2 0.6

/* Cells have their lowest colour at this many octaves below even, and it is paler than the highest: in a peaked map it
 * fills most of the area. */
#define BELOW       2.0
#define DEPTH_BELOW 0.36

/* Octaves above an even spread, below 0 below it. */
static double octaves_at(const mv_scale *s, double place)
{
    return log2(s->lo) + place * log2(s->hi / s->lo);
}

/* 0 at an even spread, `at_2` at 2 times, 1 at the end of the scale; linear in octaves between. */
static double rise(const mv_scale *s, double octaves, double at_2)
{
    double last = log2(s->hi);
    if (octaves <= 1)
        return fmax(octaves, 0) * at_2;
    return at_2 + (1 - at_2) * fmin((octaves - 1) / (last - 1), 1);
}

mv_rgb mv_colouring_colour(const mv_colouring *k, double place)
{
    if (k->scale.kind != MV_SCALE_OCTAVES || isnan(place))
        return mv_colour_at(k->table, place);
    double share = rise(&k->scale, octaves_at(&k->scale, place), COLOUR_AT_2);
    return mv_colour_at(k->table, FIRST_COLOUR + (1 - FIRST_COLOUR) * share);
}

mv_rgb mv_colouring_cell(const mv_colouring *k, double place)
{
    if (k->scale.kind != MV_SCALE_OCTAVES || !k->cells || isnan(place))
        return mv_colouring_colour(k, place);
    double octaves = octaves_at(&k->scale, place), arm = rise(&k->scale, octaves, COLOUR_AT_2);
    if (octaves < 0)
        arm = -DEPTH_BELOW * fmin(-octaves / BELOW, 1);
    return mv_colour_at(k->cells, 0.5 + 0.5 * arm);
}

double mv_colouring_opacity(const mv_colouring *k, double place)
{
    double most = k->opacity > 0 ? k->opacity : k->scale.times ? MV_OPACITY_EVEN : MV_OPACITY;
    if (k->scale.kind == MV_SCALE_OCTAVES)
        return most * rise(&k->scale, octaves_at(&k->scale, place), OPACITY_AT_2);
    if (k->scale.diverging) {
        double arm = fabs(2 * place - 1);
        return most * arm * (2 - arm);
    }
    double even = k->scale.times ? mv_scale_place(&k->scale, 1) : 0;
    double t = fmin(1, 1.1 * fmax(0, place - even) / (1 - even));
    return most * t * t * (3 - 2 * t);
}

/* The least step of 1, 2, 2.5 or 5 x 10^k that fits into `range` at most four times. */
static double step_of(double range)
{
    static const double leads[] = {1, 2, 2.5, 5, 10};
    double decade = pow(10, floor(log10(range / 4)));
    for (int i = 0; i < 4; i++)
        if (leads[i] * decade * 4 >= range * (1 - 1e-9))
            return leads[i] * decade;
    return leads[4] * decade;
}

int mv_colouring_lines(const mv_colouring *k, double value[MV_LINES_MOST])
{
    const mv_scale *s = &k->scale;
    int n = 0;
    if (s->times) {
        for (double v = 2; v <= 8 && v < s->hi; v *= 2)
            value[n++] = v;
        return n;
    }
    double from = s->diverging ? 0 : s->lo, step = step_of(s->hi - from);
    for (double i = floor(from / step) + 1; i * step < s->hi && n + (s->diverging ? 2 : 1) <= MV_LINES_MOST; i++) {
        value[n++] = i * step;
        if (s->diverging)
            value[n++] = -i * step;
    }
    return n;
}

int mv_colouring_cell_lines(const mv_colouring *k, double value[MV_LINES_MOST])
{
    return k->scale.times || k->scale.diverging || k->table->misleads ? mv_colouring_lines(k, value) : 0;
}

mv_colouring mv_colouring_above_even(mv_colouring k)
{
    if (k.scale.kind == MV_SCALE_OCTAVES) {
        k.scale.lo = 1;
        k.scale.cut = false;
    }
    return k;
}
