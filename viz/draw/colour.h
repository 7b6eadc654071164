/* Values to colours: tables, scales, ticks, and the two themes of a page.
 *
 * A table is 256 colours from low to high, embedded from assets/colours/. A scale maps a value of
 * [lo, hi] to a place 0..1 in the table; its ticks are chosen so that their labels never touch.
 * Raw values are untouched: scaling is a matter of drawing.
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
    const char *name;   /* "inferno" */
    bool diverging;     /* the middle row is neutral and means 0 */
    const mv_rgb *rows; /* 256, low to high; static */
} mv_colour_table;

/* The i-th table, or NULL past the last: for help texts and completion. Static. */
const mv_colour_table *mv_colour_table_at(int i);

/* The table of this name. NULL and MV_EINPUT, which lists the names there are, otherwise. */
const mv_colour_table *mv_colour_table_lookup(const char *name, mv_error *e);

/* The colour at t in 0..1, linear between rows; t outside is clamped, NaN is the first row. */
mv_rgb mv_colour_at(const mv_colour_table *table, double t);

/* How values lie along the table. A diverging map is mirrored at 0 on any of them. */
typedef enum {
    MV_SCALE_AUTO, /* what the page holds best: square root for attention, linear for evidence */
    MV_SCALE_LINEAR,
    MV_SCALE_SQRT, /* spans decades, shows 0 */
    MV_SCALE_LOG   /* spans more decades; three of them below hi; what lies lower is drawn as lowest */
} mv_scale_kind;

/* "auto", "linear", "sqrt", "log". MV_EINPUT names what there is. */
mv_status mv_scale_kind_of(mv_scale_kind *out, const char *name, mv_error *e);
const char *mv_scale_kind_name(mv_scale_kind kind);

typedef struct {
    mv_scale_kind kind; /* never MV_SCALE_AUTO */
    double lo, hi;      /* lo < hi; diverging: lo = -hi */
    bool diverging;
} mv_scale;

/* A scale over [lo, hi]; diverging: over [-m, m] with m the larger magnitude. What is not finite
 * counts as 0, an empty range becomes 1 wide. MV_SCALE_AUTO is taken as linear. A logarithm needs a
 * range above 0: it starts at hi / 1000, and is linear where hi is not positive. */
mv_scale mv_scale_of(mv_scale_kind kind, double lo, double hi, bool diverging);

/* Place of a value: 0..1, clamped. NaN stays NaN. */
double mv_scale_place(const mv_scale *s, double value);

enum { MV_TICKS_MAX = 12 };

typedef struct {
    double value, place; /* place: 0..1 along the bar */
    char label[24];      /* "5x" with the multiplication sign, "even", "-5" with a true minus */
    bool marked;         /* set in the ink of the page: the value 1 of a map against an even spread */
} mv_tick;

/* Ticks for a bar `length` px long whose labels take at most `label` px along it, rising, all within
 * the range. A label is centred on its tick, but stays within the bar's ends (mv_tick_centre); so placed, a
 * third of a label at least lies between two. `times`: values are multiples of an even spread, so
 * labels end in the multiplication sign, lo and hi are ticks, and 1 is called "even". Returns how many. */
int mv_scale_ticks(const mv_scale *s, double length, double label, bool times, mv_tick out[MV_TICKS_MAX]);

/* Where along the bar the middle of a tick's label of this length lies, px. */
double mv_tick_centre(const mv_tick *tick, double length, double label);

/* "-4.5 to +8.3": as many decimals as show the range. Returns text. */
const char *mv_range_text(char text[80], double lo, double hi, bool sign);

typedef enum { MV_LIGHT, MV_DARK } mv_theme_kind;

/* The colours of a page (design: ink, second and third voice, hairlines, accent and its counterpart). */
typedef struct {
    mv_rgb paper, ink, second, third, hairline, accent, counter, track;
    bool dark;
} mv_theme;

const mv_theme *mv_theme_of(mv_theme_kind kind);

#endif
