/* Devices that come as a shared object (backend.h's mv_plugin): found, checked and opened at run time, so that one
 * program starts anywhere and says plainly why a device is not to be had.
 */
#ifndef MV_PLUGIN_H
#define MV_PLUGIN_H

#include "src/base/backend.h"

#define MV_PLUGIN_CUDA "mvscope-cuda.so" /* the file's name */

/* Whether there is an NVIDIA driver: MV_OK, or MV_EDEVICE and what to do. Ask before mv_plugin_open: CUDA's libraries
 * take 90 MB and a tenth of a second to load, also where there is no GPU for them. */
mv_status mv_plugin_driver(mv_error *e);

/* Loads `path`. It stays loaded until the process ends, as its libraries have threads and exit handlers of their own.
 * NULL, and MV_EDEVICE: there is no such file, or it cannot be loaded, or it is another version's. */
const mv_plugin *mv_plugin_open(const char *path, mv_error *e);

#endif
