#include "viz/draw/palette.h"

#include <stdlib.h>
#include <string.h>

enum { BITS = 5, SIDE = 1 << BITS, CELLS = SIDE * SIDE * SIDE, COLOURS = MV_PALETTE_COLOURS };

typedef struct {
    uint32_t n;
    uint64_t sum[3];
} cell;

/* Cells lo[i] to hi[i] of channel i, both included. */
typedef struct {
    int lo[3], hi[3];
    uint64_t n;
} box;

struct mv_palette {
    int colours;
    mv_rgb colour[COLOURS];
    int16_t nearest[CELLS]; /* of the middle of a cell that holds no counted colour; -1: not looked for yet */
    cell cell[CELLS];
};

mv_palette *mv_palette_new(mv_error *e)
{
    mv_palette *p = calloc(1, sizeof *p);
    if (!p)
        mv_fail_memory(e, "palette");
    return p;
}

void mv_palette_free(mv_palette *p)
{
    free(p);
}

static int cell_of(int r, int g, int b)
{
    return (r * SIDE + g) * SIDE + b;
}

static int cell_at(const uint8_t rgb[3])
{
    return cell_of(rgb[0] >> (8 - BITS), rgb[1] >> (8 - BITS), rgb[2] >> (8 - BITS));
}

void mv_palette_count(mv_palette *p, const mv_pixels *pixels, uint8_t *row)
{
    for (int y = 0; y < pixels->h; y++) {
        mv_pixels_row(pixels, 0, y, pixels->w, row);
        for (int x = 0; x < pixels->w; x++) {
            cell *c = &p->cell[cell_at(row + 3 * x)];
            c->n++;
            for (int i = 0; i < 3; i++)
                c->sum[i] += row[3 * x + i];
        }
    }
}

/* ---- median cut */

/* Counts the pixels of a box by the place of their cell along an axis. */
static void profile(const mv_palette *p, const box *b, int axis, uint64_t count[SIDE])
{
    memset(count, 0, SIDE * sizeof *count);
    for (int r = b->lo[0]; r <= b->hi[0]; r++)
        for (int g = b->lo[1]; g <= b->hi[1]; g++)
            for (int v = b->lo[2]; v <= b->hi[2]; v++)
                count[axis == 0 ? r : axis == 1 ? g : v] += p->cell[cell_of(r, g, v)].n;
}

/* Shrinks a box to the cells that hold colours, and counts its pixels. */
static void tighten(const mv_palette *p, box *b)
{
    for (int axis = 0; axis < 3; axis++) {
        uint64_t count[SIDE];
        profile(p, b, axis, count);
        while (b->lo[axis] < b->hi[axis] && count[b->lo[axis]] == 0)
            b->lo[axis]++;
        while (b->hi[axis] > b->lo[axis] && count[b->hi[axis]] == 0)
            b->hi[axis]--;
        b->n = 0;
        for (int i = b->lo[axis]; i <= b->hi[axis]; i++)
            b->n += count[i];
    }
}

/* How much a cut of this box helps: its longest side, and many pixels. 0: it is one cell. The root of the count keeps a
 * large even area from taking all entries. */
static double worth(const box *b)
{
    int longest = 0;
    for (int i = 0; i < 3; i++)
        longest = b->hi[i] - b->lo[i] > longest ? b->hi[i] - b->lo[i] : longest;
    double root = 1;
    for (double n = (double)b->n; n > 4; n /= 4)
        root *= 2;
    return longest * root;
}

/* Cuts a box at the median of its longest side; `b` keeps the lower part. */
static box cut(const mv_palette *p, box *b)
{
    int axis = 1; /* green wins a tie: the eye sees it best */
    for (int i = 0; i < 3; i++)
        if (b->hi[i] - b->lo[i] > b->hi[axis] - b->lo[axis])
            axis = i;
    uint64_t count[SIDE], below = 0;
    profile(p, b, axis, count);
    int at = b->lo[axis];
    for (; at < b->hi[axis] - 1 && 2 * (below + count[at]) < b->n; at++)
        below += count[at];
    box upper = *b;
    b->hi[axis] = at;
    upper.lo[axis] = at + 1;
    tighten(p, b);
    tighten(p, &upper);
    return upper;
}

static mv_rgb mean_of(const mv_palette *p, const box *b)
{
    uint64_t n = 0, sum[3] = {0};
    for (int r = b->lo[0]; r <= b->hi[0]; r++)
        for (int g = b->lo[1]; g <= b->hi[1]; g++)
            for (int v = b->lo[2]; v <= b->hi[2]; v++) {
                const cell *c = &p->cell[cell_of(r, g, v)];
                n += c->n;
                for (int i = 0; i < 3; i++)
                    sum[i] += c->sum[i];
            }
    if (n == 0)
        return (mv_rgb){0, 0, 0};
    return (mv_rgb){(uint8_t)((sum[0] + n / 2) / n), (uint8_t)((sum[1] + n / 2) / n), (uint8_t)((sum[2] + n / 2) / n)};
}

void mv_palette_choose(mv_palette *p)
{
    box all[COLOURS] = {{{0, 0, 0}, {SIDE - 1, SIDE - 1, SIDE - 1}, 0}};
    int n = 1;
    tighten(p, all);
    while (n < COLOURS) {
        int best = 0;
        for (int i = 1; i < n; i++)
            if (worth(&all[i]) > worth(&all[best]))
                best = i;
        if (!(worth(&all[best]) > 0))
            break;
        all[n++] = cut(p, &all[best]);
    }
    p->colours = n;
    for (int i = 0; i < n; i++)
        p->colour[i] = mean_of(p, &all[i]);
    memset(p->nearest, -1, sizeof p->nearest);
}

/* ---- use */

mv_rgb mv_palette_at(const mv_palette *p, int i)
{
    return i >= 0 && i < p->colours ? p->colour[i] : (mv_rgb){0, 0, 0};
}

/* The squared distance, with the weights of Rec. 601. */
static int distance(mv_rgb a, const uint8_t b[3])
{
    int r = a.r - b[0], g = a.g - b[1], v = a.b - b[2];
    return 3 * r * r + 6 * g * g + v * v;
}

uint8_t mv_palette_nearest(mv_palette *p, const uint8_t rgb[3])
{
    int16_t *known = &p->nearest[cell_at(rgb)];
    if (*known >= 0)
        return (uint8_t)*known;
    /* One answer for all colours of a cell, so that flat areas stay flat: that of their mean where they were counted.
     */
    const cell *c = &p->cell[cell_at(rgb)];
    uint8_t middle[3];
    for (int i = 0; i < 3; i++)
        middle[i] = (uint8_t)(c->n ? (c->sum[i] + c->n / 2) / c->n : ((rgb[i] & 0xf8U) | 4U));
    int best = 0;
    for (int i = 1; i < p->colours; i++)
        if (distance(p->colour[i], middle) < distance(p->colour[best], middle))
            best = i;
    *known = (int16_t)best;
    return (uint8_t)best;
}
