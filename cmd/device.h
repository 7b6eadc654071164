/* The device chosen by --device, --precision and --threads: the CPU, or a GPU through the plug-in. */
#ifndef DEVICE_H
#define DEVICE_H

#include "cmd/options.h"
#include "src/device/plugin.h"

/* The GPU plug-in, which is opened by the first call; NULL, and the reason, if it cannot be used. */
const mv_plugin *device_plugin(mv_error *e);

/* The CPU, which -d auto falls back to. Ends the program on failure. */
mv_backend *device_cpu(const options *o);

/* The device of the options; ends the program if there is none. *gpu is true if `auto` chose a GPU: what fails on it
 * may be tried on the CPU. If auto cannot use a GPU that is there, a warning says why; without a plug-in or a driver it
 * is silent, unless -v was given. */
mv_backend *device_chosen(const options *o, bool *gpu);

/* "fp32": a word of options_precisions. */
const char *device_precision(const mv_backend *b);

#endif
