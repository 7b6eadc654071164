/* One step of a rollout: rows times a matrix. ROWS rows and COLUMNS vectors of columns are kept in registers, and the
 * columns' part of the matrix in cache, while all tokens are added up.
 */
#include "src/kernel/kernel_impl.h"

enum { ROWS = 4, COLUMNS = 4, WIDTH = COLUMNS * LANES };

/* 1 / (2 sum) of a row; 0 if it sums to 0, and the row of I is all that stays. */
INLINE float half_share(const float *row, int tokens, bool *empty)
{
    double sum = 0;
    for (int j = 0; j < tokens; j++)
        sum += (double)row[j];
    *empty = sum == 0;
    return *empty ? 0 : (float)(0.5 / sum);
}

/* Columns [first, first + n) of `count` rows from i on, n at most WIDTH. */
INLINE void roll_tile(float *out, const float *rows, const float *before, int tokens, int i, int count, int first,
                      int n)
{
    const size_t t = (size_t)tokens;
    vf sum[ROWS][COLUMNS];
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < COLUMNS; c++)
            sum[r][c] = v_all(0);
    for (int j = 0; j < tokens; j++) {
        const float *from = before + (size_t)j * t + (size_t)first;
        vf b[COLUMNS];
        for (int c = 0; c < COLUMNS; c++) {
            int left = n - c * LANES;
            b[c] = left >= LANES ? v_load(from + c * LANES)
                   : left > 0    ? v_get_part(from, (size_t)(c * LANES), MV_F32, left)
                                 : v_all(0);
        }
        for (int r = 0; r < ROWS; r++) {
            float a = rows[(size_t)(i + (r < count ? r : 0)) * t + (size_t)j];
            for (int c = 0; c < COLUMNS; c++)
                sum[r][c] += a * b[c];
        }
    }
    for (int r = 0; r < count; r++)
        for (int c = 0; c < COLUMNS; c++)
            for (int k = 0; k < LANES && c * LANES + k < n; k++)
                out[(size_t)(i + r) * t + (size_t)(first + c * LANES + k)] = sum[r][c][k];
}

void KERNEL(roll)(float *out, const float *rows, const float *before, int tokens, int from, int to)
{
    const size_t t = (size_t)tokens;
    for (int first = 0; before && first < tokens; first += WIDTH) {
        int n = tokens - first < WIDTH ? tokens - first : WIDTH;
        for (int i = from; i < to; i += ROWS) {
            int count = to - i < ROWS ? to - i : ROWS;
            if (n == WIDTH)
                roll_tile(out, rows, before, tokens, i, count, first, WIDTH);
            else
                roll_tile(out, rows, before, tokens, i, count, first, n);
        }
    }
    for (int i = from; i < to; i++) { /* out has the row of A before, or the row of A */
        const float *row = rows + (size_t)i * t;
        float *o = out + (size_t)i * t;
        bool empty;
        float share = half_share(row, tokens, &empty), stays = empty ? 1.0f : 0.5f;
        for (size_t k = 0; k < t; k++)
            o[k] = share * (before ? o[k] : row[k]) + stays * (before ? before[(size_t)i * t + k] : k == (size_t)i);
    }
}
