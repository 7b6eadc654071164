/* The layout of .zip records, read back by libzip and by the project's reader. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>
#include <zip.h>

#include "src/file/zip_layout.h"
#include "src/file/zip_read.h"
#include "tests/scratch.h"

static void put_at(int fd, const void *bytes, size_t n, uint64_t offset)
{
    assert_int_equal(pwrite(fd, bytes, n, (off_t)offset), n);
}

/* Sizes and offsets that 32 bits do not hold; the archive is sparse, so nothing is written. */
static void beyond_four_gigabytes(void **state)
{
    (void)state;
    const uint64_t huge = 5000000000;
    mv_npz_entry t[2] = {{.name = "huge.npy", .size = huge}, {.name = "small.npy", .size = 5, .crc = 0x3610a686}};
    int fd = open(in_folder("x.zip"), O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    unsigned char record[MV_NPZ_RECORD], end[MV_NPZ_END];
    size_t n = mv_npz_local(record, &t[0]);
    assert_int_equal(n, mv_npz_local_size(t[0].name));
    put_at(fd, record, n, 0);
    t[1].offset = n + huge;
    n = mv_npz_local(record, &t[1]);
    put_at(fd, record, n, t[1].offset);
    put_at(fd, "hello", 5, t[1].offset + n); /* its CRC is above */
    uint64_t directory = t[1].offset + n + 5, at = directory;
    for (int i = 0; i < 2; i++) {
        n = mv_npz_central(record, &t[i]);
        put_at(fd, record, n, at);
        at += n;
    }
    mv_npz_end(end, 2, directory, at - directory);
    put_at(fd, end, sizeof end, at);
    close(fd);

    int code = 0;
    zip_t *z = zip_open(in_folder("x.zip"), ZIP_RDONLY | ZIP_CHECKCONS, &code);
    assert_non_null(z);
    zip_stat_t st;
    assert_int_equal(zip_stat(z, "huge.npy", 0, &st), 0);
    assert_true(st.size == huge && st.comp_size == huge);
    char bytes[6];
    zip_file_t *f = zip_fopen(z, "small.npy", 0);
    assert_non_null(f);
    assert_int_equal(zip_fread(f, bytes, sizeof bytes), 5); /* at the end libzip checks the CRC */
    assert_int_equal(zip_fclose(f), 0);
    assert_memory_equal(bytes, "hello", 5);
    zip_discard(z);

    mv_zip *own = mv_zip_open(in_folder("x.zip"), NULL);
    assert_non_null(own);
    assert_int_equal(mv_zip_count(own), 2);
    assert_true(mv_zip_size_at(own, 0) == huge);
    assert_memory_equal(mv_zip_stored(own, 1), "hello", 5);
    assert_int_equal(mv_zip_check(own, 1, "small.npy", NULL), MV_OK);
    mv_zip_close(own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(beyond_four_gigabytes, scratch_enter, scratch_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
