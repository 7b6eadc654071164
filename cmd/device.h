/* The device that -d, -p and -j ask for: the CPU of this program, or a GPU by its plug-in, which lies beside the
 * program or in ../lib/mvscope/ of it.
 */
#ifndef DEVICE_H
#define DEVICE_H

#include "src/device/plugin.h"

/* The GPU plug-in, opened at the first call; NULL and why. */
const mv_plugin *device_plugin(mv_error *e);

/* Where -d auto may go on when a GPU fails: always a device, or the program's end. */
mv_backend *device_cpu(void);

/* The device of the options; *gpu says whether `auto` chose a GPU, so that what fails on it may be tried on the CPU.
 * With auto, a GPU that is there and cannot be used is told of once. */
mv_backend *device_chosen(bool *gpu);

#endif
