/* Names for late failures: every operation is marked when it is launched, and the card writes the number of a mark when
 * it passes it. The operation that failed is the first one whose mark was not passed.
 */
#pragma once

#include <cstdio>
#include <cstring>

namespace mv
{

enum { MARKS = 2048, MARK_TEXT = 128 }; /* more than the operations of a batch */

struct marks {
    unsigned count;
    char text[MARKS][MARK_TEXT];

    unsigned add(const char *site, const char *op)
    {
        snprintf(text[count % MARKS], MARK_TEXT, "%s: %s", *site ? site : "first or last layers", op);
        return ++count;
    }

    /* The operation after mark number `passed`; recordings have no marks. */
    const char *after(unsigned passed, char out[MARK_TEXT]) const
    {
        unsigned left = count - passed;
        snprintf(out, MARK_TEXT, "%s",
                 left == 0       ? "a recorded batch, or a copy"
                 : left <= MARKS ? text[passed % MARKS]
                                 : "an operation long before");
        return out;
    }
};

}  // namespace mv
