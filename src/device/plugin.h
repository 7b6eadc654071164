/* Devices that are loaded as a shared object (mv_plugin in backend.h). They are found and checked at run time, so that
 * one program starts everywhere and can say why a device is not available.
 */
#ifndef MV_PLUGIN_H
#define MV_PLUGIN_H

#include "src/base/backend.h"

#define MV_PLUGIN_CUDA "mvscope-cuda.so" /* the name of the file */

/* Looks for the plug-in beside the program, then in ../lib/mvscope/ of it; `folder` is the program's. MV_OK, and its
 * path in `path`; MV_EINPUT if it is not installed. */
mv_status mv_plugin_find(const char *folder, char path[], size_t room, mv_error *e);

/* MV_OK if there is an NVIDIA driver; MV_EINPUT if none is installed, and MV_EDEVICE if it cannot be loaded, both with
 * what to do. Call it before mv_plugin_open: the CUDA libraries take 90 MB and a tenth of a second to load, even
 * without a GPU. */
mv_status mv_plugin_driver(mv_error *e);

/* MV_OK if the plug-in is as trustworthy as the program, whose code it becomes: the file, its folder, and the folders
 * of links that lead there belong to root, to the user or to the owner of the program, and only the owner and his group
 * may write into them. Else MV_EDEVICE, and which of them is not. */
mv_status mv_plugin_trust(const char *path, mv_error *e);

/* Loads `path`. It stays loaded until the process ends, because its libraries have threads and exit handlers. NULL, and
 * MV_EDEVICE, if the file cannot be loaded or belongs to another version. */
const mv_plugin *mv_plugin_open(const char *path, mv_error *e);

/* Device i of the plug-in, checked by mv_backend_check. NULL on failure; freed by backend->free. */
mv_backend *mv_plugin_device(const mv_plugin *p, int i, mv_dtype act, bool fp8, mv_error *e);

#endif
