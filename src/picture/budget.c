#include "src/picture/budget_impl.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local struct {
    size_t left;
    bool exceeded, failed;
} budget;

void mv_budget_set(size_t bytes)
{
    budget.left = bytes;
    budget.exceeded = budget.failed = false;
}

bool mv_budget_exceeded(void)
{
    return budget.exceeded;
}

bool mv_budget_failed(void)
{
    return budget.failed;
}

void *mv_budget_alloc(size_t size)
{
    if (size > budget.left) {
        budget.exceeded = true;
        return NULL;
    }
    void *p = calloc(1, size);
    if (p)
        budget.left -= malloc_usable_size(p) < budget.left ? malloc_usable_size(p) : budget.left;
    else
        budget.failed = true;
    return p;
}

void mv_budget_free(void *p)
{
    budget.left += malloc_usable_size(p);
    free(p);
}

void *mv_budget_realloc(void *p, size_t size)
{
    void *q = mv_budget_alloc(size);
    if (q && p) {
        size_t old = malloc_usable_size(p);
        memcpy(q, p, old < size ? old : size);
        mv_budget_free(p);
    }
    return q;
}
