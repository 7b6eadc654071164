/* Any bytes as the index of a folder of pages that --resume goes on with: a file that is no index stays as it is, and
 * of an index rows are taken over whose pages are there.
 *
 * Covers: cmd/index_file.c viz/html/index.c
 */
#include "cmd/index_file.h"
#include "tests/fuzz_program.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const operand[] = {"photos", NULL};
    char path[PATH_MAX];
    mv_error e = {0};
    struct stat st;
    call c = {.command = lookup("classify"), .operand = operand, .operands = 1, .pictures = 1};
    c.o.out = fuzz_folder();
    c.o.resume = true;
    if (size > 1 << 16)
        return 0;
    fuzz_file("index.html", data, size);
    fuzz_file("a b.png", "", 0);
    index_file *x = index_file_new(&c);
    if (x)
        fuzz_refused(index_file_write(x, &c, &e), &e);
    else
        fuzz_expect(stat(fuzz_path(path, "index.html"), &st) == 0 && (size_t)st.st_size == size);
    index_file_free(x);
    fuzz_expect(fuzz_count(fuzz_folder()) == 2);
    return 0;
}
