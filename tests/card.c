#include "tests/card.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/network.h"

extern const mv_plugin mv_plugin_cuda __attribute__((weak)); /* linked into the tests of the device alone */

const mv_plugin *card;
bool card_emulated;

bool card_find(void)
{
    mv_error e = {0};
    const char *file = getenv("MVSCOPE_PLUGIN");
    card_emulated = !file;
    card = file ? mv_plugin_open(file, &e) : &mv_plugin_cuda;
    int n;
    if (!card || card->count(&n, &e))
        fprintf(stderr, "%s\n", e.text);
    return card && !e.code;
}

static mv_backend *opened(mv_dtype act, bool fp8)
{
    static mv_error e;
    e = (mv_error){0};
    mv_backend *b = mv_plugin_device(card, 0, act, fp8, &e);
    expect_ok(&e);
    return b;
}

mv_backend *card_open(mv_dtype act)
{
    return opened(act, false);
}

mv_backend *card_open_fp8(void)
{
    return opened(MV_F16, true);
}
