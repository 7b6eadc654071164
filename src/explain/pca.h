/* Features as colours: the projections on the first three principal directions become red, green and blue (Oquab et al.
 * 2023, arXiv 2304.07193, figure 1). Each direction's range from its 2nd to its 98th percentile is spread over 0 to 1.
 */
#ifndef MV_EXPLAIN_PCA_H
#define MV_EXPLAIN_PCA_H

#include "src/base/map.h"

/* The own state of the method "pca" (mv_explainer_own) is an mv_cells, so that the pictures of a page can be coloured
 * together. */
enum { MV_PCA_COLOURS = 3 };

/* Colours n maps together, so that a colour means the same features in all of them: the directions and the percentiles
 * are those of the cells of all maps. features[i] (h w, channels) are those of map i, which keeps its words, gets three
 * channels, and the projections as its raw values. */
mv_status mv_pca_colour(mv_map *const maps[], const float *const features[], int n, int channels, mv_error *e);

#endif
