/* A map: one value (or one colour) for each cell of the network's input. Every explanation yields maps.
 *
 * A map carries the words that describe it: the method, the level, block and head it was taken from, the query or class
 * it answers, the windows and the padding of its level, named figures with units, and a proof sentence. Tables, JSON,
 * raw output and captions are made from these, so a method fills them in once and no other file needs to know it.
 *
 * Values stay raw; scaling them to colours is a matter of drawing. Cell (0, 0) is the top left one, and the cells cover
 * the whole input.
 */
#ifndef MV_MAP_H
#define MV_MAP_H

#include <stdbool.h>

#include "src/base/status.h"

enum {
    MV_MAP_NONE = -9,    /* level, block, head, class: the map belongs to none */
    MV_MAP_ALL = -2,     /* block: a combination of all blocks of the level (rollout) */
    MV_MAP_MEAN = -1,    /* head: the mean of the block's heads */
    MV_MAP_FIGURES = 12, /* a method's, and six of faith */
    MV_MAP_OTHERS = 15
};

/* A number that describes a map: "entropy  0.02 of 1". The strings are static. */
typedef struct {
    const char *name; /* in captions and tables: "entropy", "each query alone: reach" (a mean) */
    const char *key;  /* in JSON and metadata: "entropy", "reach_px" */
    const char *unit; /* after the number: "of 1", "px", "" */
    int digits;       /* after the point, in captions */
    double value;     /* NaN: not defined for this map; "-" in tables, left out elsewhere */
} mv_figure;

typedef struct {
    int h, w, channels; /* cells; 1 channel, or 3 for colours (red, green, blue in 0..1). 0 counts as 1 */
    float *v;           /* h * w * channels values, row by row, channels last */
    float lo, hi;       /* least and greatest finite value */
    bool diverging;     /* signed values: 0 is the middle of the colour scale */
    char title[96];     /* "For parachute", "Level 2, block 4, head 3" */
    char unit[32];      /* of v: "logit per cell", "x even" */

    /* The values as the method computed them, where v is another view of them that is made for drawing; else NULL. */
    float *raw;
    float raw_lo, raw_hi;
    char raw_unit[32]; /* "share" */
    bool less_mean;    /* v is raw less the mean of the maps of all classes, which share an offset */

    /* What the map was taken from. The strings are static. */
    const char *method;               /* "cam", "attention" */
    int level, block, head, heads;    /* a number counted from 0, or a constant above; heads: how many the block has */
    const char *what;                 /* which of the values of its block: "dt", "half_life"; NULL: the block has one */
    int class_, against;              /* class numbers, or MV_MAP_NONE */
    int others, other[MV_MAP_OTHERS]; /* further classes against it */
    const char *query;                /* "pooled", "received", "cell"; NULL: none */
    int query_y, query_x;             /* of "cell": in cells */

    /* The geometry of its level. */
    int cell;          /* px a side of a cell; 0: not said */
    int window;        /* cells a side of a window; 0: the level has no windows */
    int down, across;  /* windows */
    double padding;    /* share of the windows' tokens that are padding, 0 to 1 */
    double on_padding; /* share of the map's sum that fell on padding and is not shown, 0 to 1 */

    int figures;
    mv_figure figure[MV_MAP_FIGURES];
    char proof[160]; /* "mean of 49 cells  +4.371  =  its logit  +4.371"; empty: none */
} mv_map;

/* The maps of one explanation, in the order they are shown. The array grows by mv_maps_add; free it, and the maps in
 * it, by mv_maps_free. */
typedef struct {
    int n, room;
    mv_map *map;
} mv_maps;

/* h x w zeros of one channel; level, block, head and classes are MV_MAP_NONE. The map is the caller's to mv_map_free.
 * MV_EMISUSE for an empty size. */
mv_status mv_map_new(mv_map *out, int h, int w, mv_error *e);
void mv_map_free(mv_map *map); /* NULL is fine; the map is empty afterwards */

/* A copy of a map, with its words; the caller's to mv_map_free. */
mv_status mv_map_copy(mv_map *out, const mv_map *from, mv_error *e);

/* Keeps v and its unit as the raw values too, before v becomes another view of them. The map must have no raw values.
 */
mv_status mv_map_keep_raw(mv_map *map, mv_error *e);

/* The values as the method computed them: raw, or v where there is no other view. */
float *mv_map_raw(const mv_map *map);

/* Takes the mean of the maps of all classes from v, for drawing; the raw values stay those of the class. The shapes are
 * equal. */
mv_status mv_map_less_mean(mv_map *map, const mv_map *mean, mv_error *e);

/* The values by which two maps are compared: v, but those of the class itself where v is less a mean. */
const float *mv_map_compared(const mv_map *map);

/* A zeroed place at the end of the list for a map that the caller makes there; NULL without memory. The pointer is
 * valid until the next mv_maps_add. */
mv_map *mv_maps_add(mv_maps *maps, mv_error *e);
void mv_maps_free(mv_maps *maps);

/* Sets lo and hi (and raw_lo and raw_hi) from the finite values; both 0 when there are none. Returns how many cells of
 * v are not finite. */
int mv_map_range(mv_map *map);

/* The same range without changing the map. */
int mv_map_extent(const mv_map *map, double *lo, double *hi);

/* The mean of all values of v, summed in double. */
double mv_map_mean(const mv_map *map);

/* out = a - b of what is compared, of equal shapes (MV_EMISUSE otherwise). Takes over the words of a, but not its
 * title, class, figures and proof. */
mv_status mv_map_subtract(mv_map *out, const mv_map *a, const mv_map *b, mv_error *e);

/* Appends a figure; one too many is dropped, so a method never has to count. */
void mv_map_figure(mv_map *map, const char *name, const char *key, const char *unit, int digits, double value);

/* The value of the figure `key`; NaN if the map has none. */
double mv_map_figure_value(const mv_map *map, const char *key);

typedef enum { MV_MAP_HEADS, MV_MAP_CELLS, MV_MAP_WINDOWS, MV_MAP_PADDING } mv_map_part;

/* One phrase of the geometry: "4 heads" or "head 3 of 4", "14 × 14 cells of 16 px" or "224 × 224 px", "one window" or
 * "2 × 2 windows", "no padding" or "40 % padding"; empty where the map does not say. Returns text. */
const char *mv_map_words(const mv_map *map, mv_map_part part, char text[96]);

/* Figure i in words: "entropy  0.02 of 1". False past the last one. */
bool mv_map_figure_text(const mv_map *map, int i, char text[96]);

/* Line i of the caption beside a map: heads, cells and their size, windows and padding, an empty line, the figures, the
 * share on padding. False past the last one. */
bool mv_map_caption(const mv_map *map, int i, char text[96]);

enum { MV_MAP_NAME = 128 };

/* "levels.2.blocks.7.head.3", "levels.3.blocks.4.mean", "levels.2.blocks.0.dt", "levels.3.rollout", "cam.class.12": the
 * map's name in raw output, unique among the maps of one explanation. */
const char *mv_map_name(const mv_map *map, char text[MV_MAP_NAME]);

#endif
