/* Names for failures that show late: every op is marked when it is asked for, and the card writes the number of a mark
 * when it comes by. What failed is the first op whose mark it did not reach.
 */
#pragma once

#include <cstdio>
#include <cstring>

enum { MARKS = 2048, MARK_TEXT = 128 }; /* more than the ops of a pass */

struct marks {
    unsigned count;
    char text[MARKS][MARK_TEXT];

    unsigned add(const char *site, const char *op)
    {
        snprintf(text[count % MARKS], MARK_TEXT, "%s: %s", *site ? site : "first or last layers", op);
        return ++count;
    }

    /* The op after mark number `passed`; recorded passes have no marks. */
    const char *after(unsigned passed, char out[MARK_TEXT]) const
    {
        unsigned left = count - passed;
        snprintf(out, MARK_TEXT, "%s",
                 left == 0       ? "a recorded pass, or a copy"
                 : left <= MARKS ? text[passed % MARKS]
                                 : "an op long before");
        return out;
    }
};
