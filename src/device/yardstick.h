/* What a device can do at best, measured: the multiply-adds a second of a large product, and the bytes a second of a
 * sum of large matrices in place, both in the device's precision and on random values. The time of a pass is given as a
 * share of its floor: the longer of its multiply-adds at the one rate and its bytes at the other.
 *
 * On a device with fp8 the product is of E4M3: its weights are four times as wide, because square layers stay fp16.
 * Otherwise the matrices are square. Their side is doubled from 256 on until a product takes a hundredth of a second,
 * up to 8192.
 */
#ifndef MV_YARDSTICK_H
#define MV_YARDSTICK_H

#include "src/base/backend.h"

typedef struct mv_yardstick mv_yardstick;

/* The device is borrowed. NULL on failure, as where there is no memory for matrices of 256 x 256. */
mv_yardstick *mv_yardstick_new(mv_backend *device, mv_error *e);
void mv_yardstick_free(mv_yardstick *y); /* accepts NULL */
int mv_yardstick_side(const mv_yardstick *y);

/* One measurement each: to be repeated between what is compared with it, since the clock of a processor changes. */
mv_status mv_yardstick_product(mv_yardstick *y, double *macs_a_second, mv_error *e);
mv_status mv_yardstick_sum(mv_yardstick *y, double *bytes_a_second, mv_error *e);

#endif
