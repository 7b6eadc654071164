/* Products of bf16 rows with fp32 sums. Two neighbours of a row are one 32-bit number, a pair, so that the processor's
 * bf16 instruction, where there is one, multiplies both and adds them to a lane. `b` is laid out for it: one pair of
 * the summed dimension after the other, columns side by side.
 *
 * A sum is made in the order of the pairs, whatever tile its row and column are in: its bits are the same for any
 * number of threads.
 */
#ifndef MV_PAIRS_H
#define MV_PAIRS_H

#include "src/kernel/kernel_impl.h"

enum {
    PAIR_ROWS = MV_ATTENTION_ROWS,      /* of a tile at most */
    PAIR_VECTORS = LANES == 16 ? 4 : 2, /* of a tile at most: as many sums as there are registers */
    PAIR_COLUMNS = PAIR_VECTORS * LANES
};

/* out[r][c] = [out[r][c] +] sum over i < pairs of a[r][2i] b[i][c].low + a[r][2i+1] b[i][c].high for 1 to PAIR_ROWS
 * rows and the columns of 1 to PAIR_VECTORS vectors. Steps are in elements, from row to row. */
void KERNEL(tile)(float *out, size_t out_step, const uint16_t *a, size_t a_step, const float *b, size_t b_step,
                  int pairs, int rows, int vectors, bool onto);

/* The same for any number of vectors, which are shared evenly between tiles. */
INLINE void pairs_product(float *out, size_t out_step, const uint16_t *a, size_t a_step, const float *b, size_t b_step,
                          int pairs, int rows, int vectors, bool onto)
{
    for (int tiles = (vectors + PAIR_VECTORS - 1) / PAIR_VECTORS; tiles; tiles--) {
        int here = (vectors + tiles - 1) / tiles;
        KERNEL(tile)(out, out_step, a, a_step, b, b_step, pairs, rows, here, onto);
        out += here * LANES;
        b += here * LANES;
        vectors -= here;
    }
}

#endif
