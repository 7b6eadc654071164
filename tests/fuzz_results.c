/* Any bytes as the results that --resume goes on with: other files stay as they are, of ours a line that was not
 * finished is cut off.
 *
 * Covers: cmd/resume.c src/base/name_set.c
 */
#include <sys/mman.h>

#include "cmd/resume.h"
#include "tests/fuzz_program.h"

static void read_all(void *results_)
{
    results_read(results_, "top", "T");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int file = -1;
    struct stat st;
    results r = {0};
    if (file < 0)
        file = memfd_create("results", MFD_CLOEXEC);
    fuzz_expect(file >= 0 && ftruncate(file, 0) == 0 && pwrite(file, data, size, 0) == (ssize_t)size);
    fuzz_expect(dup2(file, STDOUT_FILENO) == STDOUT_FILENO);
    bool read = fuzz_run(read_all, &r);
    const uint8_t *end = size ? memrchr(data, '\n', size) : NULL;
    size_t whole = end ? (size_t)(end - data) + 1 : 0;
    fuzz_expect(fstat(file, &st) == 0 && (size_t)st.st_size == (read ? whole : size));
    if (read) {
        fuzz_expect(r.kept && lseek(STDOUT_FILENO, 0, SEEK_CUR) == (off_t)whole);
        results_take(&r, "a.jpg");
    }
    results_free(&r);
    return 0;
}
