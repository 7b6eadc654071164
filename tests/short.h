/* A test program that includes this header has a short form, in which it proves something of every kind in less time.
 * `make check` runs the short form, `make check-all` the full one. tests/run finds these programs by the include.
 */
#ifndef SHORT_H
#define SHORT_H

#include <stdbool.h>
#include <stdlib.h>

static inline bool test_is_short(void)
{
    return getenv("MVSCOPE_TEST_SHORT");
}

#endif
