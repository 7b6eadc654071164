/* The device that --device, --precision and --threads ask for: the CPU of this program, or a GPU by its plug-in, which
 * lies beside the program or in ../lib/mvscope/ of it.
 */
#ifndef DEVICE_H
#define DEVICE_H

#include "cmd/options.h"
#include "src/device/plugin.h"

/* The GPU plug-in, opened at the first call; NULL, and why, if there is none. */
const mv_plugin *device_plugin(mv_error *e);

/* The CPU device, where -d auto goes on when a GPU fails. Ends the program where it cannot be made. */
mv_backend *device_cpu(const options *o);

/* The device of the options. *gpu is true if `auto` chose a GPU, so that what fails on it may be tried on the CPU. Ends
 * the program where the device is not to be had. */
mv_backend *device_chosen(const options *o, bool *gpu);

#endif
