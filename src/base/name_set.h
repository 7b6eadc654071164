/* A set of names that is too large to keep as texts: the hash of each name (mv_text_hash). A name that was added twice
 * is in the set twice.
 */
#ifndef MV_NAME_SET_H
#define MV_NAME_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "src/base/status.h"

typedef struct {
    int n, room;
    bool sorted;
    uint64_t *hash;
    bool *taken;
} mv_name_set;

mv_status mv_name_set_add(mv_name_set *s, const char *name, mv_error *e);
void mv_name_set_free(mv_name_set *s); /* the set is empty afterwards */

/* True if the name is in the set; each time it was added it can be taken once. No name may be added after the first
 * call.
 */
bool mv_name_set_take(mv_name_set *s, const char *name);

#endif
