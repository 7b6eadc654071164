/* From values to colours: tables, scales, ticks, and the two themes of a page.
 *
 * A table holds 256 colours from low to high and is embedded from assets/colours/. A scale maps a value in [lo, hi] to
 * a place 0..1 in the table. Its ticks are chosen so that their labels never touch.
 */
#ifndef MV_COLOUR_H
#define MV_COLOUR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/number.h"
#include "src/base/status.h"

typedef struct {
    uint8_t r, g, b;
} mv_rgb;

typedef struct {
    const char *name;     /* "inferno" */
    bool diverging;       /* the middle row is neutral and means 0 */
    const mv_rgb *rows;   /* 256, low to high; static */
    const char *misleads; /* why it should not be used, "its lightness ..."; NULL: nothing speaks against it. Static */
} mv_colour_table;

/* The i-th table; NULL past the last one. For help and completion. Static. */
const mv_colour_table *mv_colour_table_at(int i);

/* The table of this name; NULL and MV_EINPUT, with the names there are, for any other. */
const mv_colour_table *mv_colour_table_lookup(const char *name, mv_error *e);

/* The colour at t, 0 to 1, linear between rows. t is clamped; NaN gives the first row. */
mv_rgb mv_colour_at(const mv_colour_table *table, double t);

/* How values are spread along the table. Diverging scales are mirrored at 0. */
typedef enum {
    MV_SCALE_AUTO, /* the page chooses: octaves for multiples of an even spread, linear for others */
    MV_SCALE_LINEAR,
    MV_SCALE_SQRT,   /* spans decades and shows 0 */
    MV_SCALE_LOG,    /* three decades below hi; what is lower is drawn as the lowest */
    MV_SCALE_OCTAVES /* log2 of multiples of an even spread (mv_scale_even); not by name */
} mv_scale_kind;

/* The name of the i-th kind; NULL past the last one that can be chosen. For help and completion. Static. */
const char *mv_scale_kind_at(int i);

typedef struct {
    mv_scale_kind kind; /* never MV_SCALE_AUTO */
    double lo, hi;      /* lo < hi; diverging: lo = -hi */
    bool diverging;
    bool times; /* multiples of an even spread: 1 is what every cell gets if all get the same, and neutral */
    bool cut;   /* of octaves: there are values below lo */
} mv_scale;

/* A scale over [lo, hi], or over [-m, m] if diverging, where m is the larger magnitude. A bound that is not finite
 * counts as 0, and an empty range becomes 1 wide. MV_SCALE_AUTO is the same as linear. A logarithmic scale starts at hi
 * / 1000 at the lowest, and is linear if hi is not positive. */
mv_scale mv_scale_of(mv_scale_kind kind, double lo, double hi, bool diverging);

/* A scale for multiples of an even spread whose values are lo to hi. MV_SCALE_AUTO: octaves, from a least of 1/4 or
 * more up to at least 4, so that twice an even share is seen on every page and an even map does not stand out. Other
 * kinds begin at 0. */
mv_scale mv_scale_even(mv_scale_kind kind, double lo, double hi);

/* The place of a value, 0 to 1, clamped. NaN stays NaN. */
double mv_scale_place(const mv_scale *s, double value);

enum { MV_TICKS_MAX = 12 };

typedef struct {
    double value, place; /* place: 0..1 along the bar */
    char label[24];      /* "5x" with the multiplication sign, "-5" with a true minus */
    bool marked;         /* set in full ink: the value 1 of a map of multiples of an even spread */
} mv_tick;

/* Rising ticks within the range, for a bar `length` px long whose labels take at most `label` px along it. A label is
 * centred on its tick but stays within the ends of the bar (mv_tick_centre), and at least a third of a label separates
 * two. `times` is for multiples of an even spread: labels end in the multiplication sign, lo and hi are ticks, and 1 is
 * marked. Returns the number of ticks. */
int mv_scale_ticks(const mv_scale *s, double length, double label, bool times, mv_tick out[MV_TICKS_MAX]);

/* The middle of a tick's label along the bar, px. */
double mv_tick_centre(const mv_tick *tick, double length, double label);

/* "-4.5 to +8.3", both ends with the decimals that the larger one needs; "-3.1e-05 to +7.2e-05" below 0.0001, and from
 * 1e9 on. Returns text. */
const char *mv_range_text(char text[80], double lo, double hi, bool sign);

typedef enum { MV_LIGHT, MV_DARK } mv_theme_kind;

/* The colours of a page: ink, second and third voice, hairlines, accent and its counterpart. What text is set in has a
 * contrast of at least 4.5 on paper (WCAG 2.2, 1.4.3). */
typedef struct {
    mv_rgb paper, ink, second, third, hairline, accent, counter, track;
} mv_theme;

const mv_theme *mv_theme_of(mv_theme_kind kind);

#endif
