/* Where pictures are read from: files, pipes and standard input; and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/picture/decode.h"
#include "tests/reference_png.h"
#include "tests/scratch.h"

#define SMALL "tests/data/image/small.png" /* 20 x 14 */

static void written(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void not_loaded(const char *path, const mv_picture_options *o, mv_status code, const char *rest)
{
    mv_image image = {1, 1, NULL};
    mv_error e = {0};
    char text[256];
    snprintf(text, sizeof text, "%s: %s", path[0] == '-' ? "standard input" : path, rest);
    assert_int_equal(mv_picture_load(&image, path, o, &e), code);
    assert_null(image.rgb);
    if (!strstr(e.text, text))
        fail_msg("'%s' does not say '%s'", e.text, text);
}

static void test_no_pictures(void **state)
{
    (void)state;
    not_loaded(in_folder("none.png"), NULL, MV_EIO, "cannot be opened: No such file or directory");
    not_loaded(scratch_folder(), NULL, MV_EINPUT, "is a directory, expected a picture");
    not_loaded("/dev/zero", NULL, MV_EINPUT, "is a device, expected a picture");
    const char *path = in_folder("pic.jpg");
    written(path, "", 0);
    not_loaded(path, NULL, MV_EINPUT, "is empty, expected a picture");
    static const char page[] = "<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n";
    written(path, page, sizeof page - 1);
    not_loaded(path, NULL, MV_EINPUT, "found a web page, expected a picture; a download that went wrong ");
    written(path, "BMW drives", 10);
    not_loaded(path, NULL, MV_EINPUT, "found text, \"BMW drives\", expected a picture");
    written(path, "\x89PNG", 4);
    not_loaded(path, NULL, MV_EINPUT, "is no picture of a known format, expected PNG, JPEG, GIF, ");
}

/* A file of more bytes than its pixels could need is not read to its end. */
static void test_too_many_bytes(void **state)
{
    (void)state;
    size_t size;
    uint8_t *png = reference_file(SMALL, &size);
    const char *path = in_folder("long.png");
    written(path, png, size);
    free(png);
    assert_int_equal(truncate(path, (off_t)3 << 20), 0);
    not_loaded(path, &(mv_picture_options){.max_pixels = 1000}, MV_EINPUT, "found more than 1056576 bytes");
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

typedef struct {
    size_t taken, most;
    int calls;
} ledger;

static void take(void *context, size_t bytes)
{
    ledger *l = context;
    l->taken += bytes;
    l->most = l->taken > l->most ? l->taken : l->most;
    l->calls++;
}

static void give(void *context, size_t bytes)
{
    ledger *l = context;
    assert_true(bytes <= l->taken);
    l->taken -= bytes;
}

static void test_memory_is_bounded(void **state)
{
    (void)state;
    size_t size;
    uint8_t *png = reference_file(SMALL, &size);
    const size_t need = size + 16 * 20 * 14 + (1 << 20);
    ledger l = {0};
    const mv_picture_share share = {&l, take, give};
    mv_image image;
    mv_error e = {0};
    mv_picture_options o = {.max_memory = need, .share = &share};
    assert_int_equal(mv_picture_decode(&image, png, size, "pic", &o, &e), MV_OK);
    assert_int_equal(l.most, need);
    assert_int_equal(l.taken, 0);
    mv_image_free(&image);
    o.max_memory--;
    assert_int_equal(mv_picture_decode(&image, png, size, "pic", &o, &e), MV_EINPUT);
    assert_string_equal(e.text,
                        "pic: found 20 x 14 pixels, which may take 1 MB of memory to decode, expected at most 1 "
                        "(--max-memory)");
    assert_int_equal(l.calls, 1);
    o.max_memory = 0;
    png[60] ^= 1; /* one that fails gives all back, too */
    if (mv_picture_decode(&image, png, size, "pic", &o, NULL) == MV_OK)
        mv_image_free(&image);
    assert_int_equal(l.calls, 2);
    assert_int_equal(l.taken, 0);
    free(png);

    const char *path = in_folder("large.jpg"); /* is no picture: its 100 GB are not read, nor is there room for them */
    written(path, (const uint8_t *)"no picture", 10);
    if (truncate(path, (off_t)100 << 30) == 0) {
        struct rusage before, after;
        getrusage(RUSAGE_SELF, &before);
        not_loaded(path, NULL, MV_EINPUT, "is no picture of a known format");
        getrusage(RUSAGE_SELF, &after);
        assert_true(after.ru_maxrss - before.ru_maxrss < 16 << 10);
    }
    not_loaded(SMALL, &(mv_picture_options){.max_memory = 100}, MV_EINPUT, "found more than 100 bytes");
}

/* --- pipes and standard input --------------------------------------------------------------------------------------
 */

struct feed {
    int fd;
    const uint8_t *bytes;
    size_t size;
    bool for_ever;
    bool refused; /* the reader went away */
};

static void *feed(void *context)
{
    struct feed *f = context;
    do {
        for (size_t at = 0; at < f->size && !f->refused;) {
            ssize_t n = write(f->fd, f->bytes + at, f->size - at < 700 ? f->size - at : 700);
            if (n < 0)
                f->refused = errno == EPIPE;
            else
                at += (size_t)n;
        }
    } while (f->for_ever && !f->refused);
    close(f->fd);
    return NULL;
}

static void test_standard_input(void **state)
{
    (void)state;
    size_t size;
    uint8_t *png = reference_file(SMALL, &size), zeros[4096] = {0};
    int keep = dup(STDIN_FILENO), ends[2];
    pthread_t thread;
    for (int endless = 0; endless < 2; endless++) {
        assert_int_equal(pipe(ends), 0);
        assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
        close(ends[0]);
        struct feed f = {ends[1], endless ? zeros : png, endless ? sizeof zeros : size, endless, false};
        assert_int_equal(pthread_create(&thread, NULL, feed, &f), 0);
        if (endless)
            not_loaded("-", NULL, MV_EINPUT, "found nothing but zeros, expected a picture");
        else {
            mv_image image;
            assert_int_equal(mv_picture_load(&image, "-", NULL, NULL), MV_OK);
            assert_int_equal(image.w, 20);
            mv_image_free(&image);
        }
        assert_int_equal(dup2(keep, STDIN_FILENO), STDIN_FILENO);
        pthread_join(thread, NULL);
        assert_int_equal(f.refused, endless);
    }
    close(keep);
    free(png);
}

static void *feed_by_name(void *context)
{
    struct feed *f = context;
    f->fd = open(in_folder("pipe"), O_WRONLY); /* waits for the reader */
    return feed(f);
}

static void test_a_named_pipe(void **state)
{
    (void)state;
    size_t size;
    uint8_t *png = reference_file(SMALL, &size);
    char path[128];
    strcpy(path, in_folder("pipe"));
    assert_int_equal(mkfifo(path, 0600), 0);
    pthread_t thread;
    struct feed f = {-1, png, size, false, false};
    assert_int_equal(pthread_create(&thread, NULL, feed_by_name, &f), 0);
    mv_image image;
    mv_error e = {0};
    if (mv_picture_load(&image, path, NULL, &e) != MV_OK)
        fail_msg("%s", e.text);
    assert_int_equal(image.h, 14);
    pthread_join(thread, NULL);
    mv_image_free(&image);
    free(png);
}

static int enter(void **state)
{
    signal(SIGPIPE, SIG_IGN);
    return scratch_enter(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_pictures),       cmocka_unit_test(test_too_many_bytes),
        cmocka_unit_test(test_memory_is_bounded), cmocka_unit_test(test_standard_input),
        cmocka_unit_test(test_a_named_pipe),
    };
    return cmocka_run_group_tests_name("image files", tests, enter, scratch_leave);
}
