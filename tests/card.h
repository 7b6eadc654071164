/* The GPU under test: the emulated one that is linked in, or those of the plug-in named by MVSCOPE_PLUGIN. */
#ifndef CARD_H
#define CARD_H

#include "src/device/plugin.h"

extern const mv_plugin *card;
extern bool card_emulated;

/* False, with a message, if there is no plug-in or GPU. */
bool card_find(void);
mv_backend *card_open(mv_dtype act); /* fails the test if it cannot be opened */
mv_backend *card_open_fp8(void);

#endif
