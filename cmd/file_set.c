#include "cmd/file_set.h"

#include <stdint.h>
#include <stdlib.h>

#include "cmd/talk.h"

static struct file_id *slot_of(const file_set *s, const struct stat *st)
{
    uint64_t h = ((uint64_t)st->st_ino + (uint64_t)st->st_dev * 0x9E3779B97F4A7C15u) * 0xD6E8FEB86659FD93u;
    for (size_t i = (size_t)(h >> 20) & (s->room - 1);; i = (i + 1) & (s->room - 1))
        if (!s->slot[i].used || (s->slot[i].inode == st->st_ino && s->slot[i].device == st->st_dev))
            return s->slot + i;
}

static bool widen(file_set *s)
{
    file_set wider = {.room = s->room ? 2 * s->room : 64, .n = s->n};
    wider.slot = calloc(wider.room, sizeof *wider.slot);
    if (!wider.slot)
        return false;
    for (size_t i = 0; i < s->room; i++)
        if (s->slot[i].used) {
            struct stat old = {.st_dev = s->slot[i].device, .st_ino = s->slot[i].inode};
            *slot_of(&wider, &old) = s->slot[i];
        }
    free(s->slot);
    *s = wider;
    return true;
}

mv_status file_set_try(file_set *s, const struct stat *st, bool *added, mv_error *e)
{
    if (2 * s->n >= s->room && !widen(s))
        return mv_fail_memory(e, "list of files");
    struct file_id *slot = slot_of(s, st);
    *added = !slot->used;
    s->n += *added;
    *slot = (struct file_id){st->st_dev, st->st_ino, true};
    return MV_OK;
}

bool file_set_add(file_set *s, const struct stat *st)
{
    bool added = false;
    mv_error e = {0};
    if (file_set_try(s, st, &added, &e))
        die_of(&e, false);
    return added;
}

void file_set_free(file_set *s)
{
    free(s->slot);
    *s = (file_set){0};
}
