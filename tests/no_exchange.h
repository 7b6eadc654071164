/* For the tests of folders: a file system on which two names cannot be exchanged, while no_exchange is set. The
 * renameat2 here takes the place of libc's.
 */
#ifndef NO_EXCHANGE_H
#define NO_EXCHANGE_H

#include <errno.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/scratch.h"

static bool no_exchange;

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    if (no_exchange) {
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
}

/* cmocka's set-up: the system's own renameat2 */
static int enter(void **state)
{
    no_exchange = false;
    return scratch_enter(state);
}

#endif
