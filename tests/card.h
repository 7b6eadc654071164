/* The GPU under test: the emulated one, where it is linked in, or those of the plug-in that MVSCOPE_PLUGIN names. */
#ifndef CARD_H
#define CARD_H

#include "src/device/plugin.h"

extern const mv_plugin *card;
extern bool card_emulated;

/* False, and told, where the plug-in or a GPU cannot be had. */
bool card_find(void);
mv_backend *card_open(mv_dtype act); /* fails the test where it cannot be opened */

#endif
