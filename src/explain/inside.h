/* Everything about chosen mixer blocks as maps, for the command `mixer`: a method that is in no list, because its maps
 * answer no single question. It makes for each block, in network order, the maps that are wanted in the order of
 * mv_mixer_kind, then the matrices. mv_map.what says which one a map is:
 *
 *     "dt", "B", "C", "write", "h", "half_life"   the values on the cells of the level
 *     "ratio"            v is log2 of |y| / |z|, which is drawn around 0; raw is the ratio
 *     "hidden"           v against an even spread, raw as mixer.h has it; with its sign it stays as it is
 *     "contributions"    likewise; the figure "scan" is the scan's share of the block
 *     "hidden_matrix", "contributions_matrix"     windows * T rows of T values, as mixer.h delivers them
 */
#ifndef MV_INSIDE_H
#define MV_INSIDE_H

#include "src/explain/method.h"
#include "src/explain/mixer.h"

typedef struct {
    mv_param_list level, block;
    const char *query;
    bool with_sign;
    int channel;              /* MV_CHANNEL_MEAN, or one */
    unsigned wants, matrices; /* MV_MIXER_BITs: said by the command, not by an option */
} mv_inside_params;

extern const mv_param mv_inside_param[];
extern const mv_method mv_method_inside;

/* The map of a block that is `what`; NULL if there is none. */
const mv_map *mv_inside_lookup(const mv_maps *maps, int level, int block, const char *what);

#endif
