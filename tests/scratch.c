#include "tests/scratch.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "src/file/mapping.h"
#include "src/file/npy.h"

static char folder[64];

int scratch_enter(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/mvscope-test-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

int scratch_leave(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

const char *scratch_folder(void)
{
    return folder;
}

const char *in_folder(const char *name)
{
    static _Thread_local char paths[4][512];
    static _Thread_local int turn;
    turn = (turn + 1) % 4;
    snprintf(paths[turn], sizeof paths[turn], "%s/%s", folder, name);
    return paths[turn];
}

int files_in(const char *path)
{
    DIR *d = opendir(path);
    assert_non_null(d);
    int n = 0;
    while (readdir(d))
        n++;
    closedir(d);
    return n - 2;
}

void put_file(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

mv_status npy_decode(mv_tensor *out, const void *bytes, size_t size, const char *name, mv_error *e)
{
    mv_tensor t = {0};
    mv_status s = mv_npy_of(&t, bytes, size, name, e);
    if (s)
        return s;
    size_t n = mv_tensor_bytes(t);
    void *copy = malloc(n ? n : 1);
    if (!copy)
        return mv_fail_memory(e, name);
    memcpy(copy, t.data, n);
    *out = t;
    out->data = copy;
    return MV_OK;
}

mv_status npy_load(mv_tensor *out, const char *path, mv_error *e)
{
    mv_mapping m;
    mv_status s = mv_mapping_open(&m, path, e);
    if (s)
        return s;
    s = npy_decode(out, m.bytes, m.size, path, e);
    mv_mapping_close(&m);
    return s;
}
