/* Files carried inside the program (embed.S). Bytes are static, aligned to 64, and one zero follows
 * them, so that a text asset ends as a C string does.
 *
 *     mv_asset model = MV_ASSET(model);
 *     if (model.size == 0) ... this build carries none
 */
#ifndef MV_ASSETS_H
#define MV_ASSETS_H

#include <stddef.h>

typedef struct {
    const unsigned char *bytes;
    size_t size; /* 0: left out of this build */
} mv_asset;

#define MV_ASSET_SYMBOLS(name) extern const unsigned char mv_asset_##name[], mv_asset_##name##_end[]
#define MV_ASSET(name)         ((mv_asset){mv_asset_##name, (size_t)(mv_asset_##name##_end - mv_asset_##name)})

MV_ASSET_SYMBOLS(inter_regular); /* typefaces: the OpenType files of assets/fonts */
MV_ASSET_SYMBOLS(inter_medium);
MV_ASSET_SYMBOLS(inter_semibold);
MV_ASSET_SYMBOLS(jetbrains_mono);
MV_ASSET_SYMBOLS(html_page);  /* the page for browsers: report.html, report.css, report.js */
MV_ASSET_SYMBOLS(html_index); /* the index of a folder of pages: index.html */
MV_ASSET_SYMBOLS(html_style);
MV_ASSET_SYMBOLS(html_script);
MV_ASSET_SYMBOLS(labels); /* class names of the published checkpoints, or empty */
MV_ASSET_SYMBOLS(model);  /* the small model, .safetensors, or empty */

#endif
