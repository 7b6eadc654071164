/* A limit on the memory that a decoding library takes. stb_image passes no context to its allocator, so the
 * limit is a thread-local variable: set it before each use; it means nothing afterwards.
 */
#ifndef MV_BUDGET_H
#define MV_BUDGET_H

#include <stdbool.h>
#include <stddef.h>

void mv_budget_set(size_t bytes);

/* Zeroed memory, because decoders would otherwise show what a damaged file leaves out as whatever was there before.
 * NULL if the limit does not allow it, or without memory. */
void *mv_budget_alloc(size_t size);
void *mv_budget_realloc(void *p, size_t size);
void mv_budget_free(void *p);

bool mv_budget_exceeded(void); /* since mv_budget_set, more was asked for than the limit allows */
bool mv_budget_failed(void);   /* since mv_budget_set, the system had no memory */

#endif
