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

bool file_set_add(file_set *s, const struct stat *st)
{
    if (2 * s->n >= s->room) {
        file_set wider = {.room = s->room ? 2 * s->room : 64};
        wider.slot = must(calloc(wider.room, sizeof *wider.slot));
        for (size_t i = 0; i < s->room; i++)
            if (s->slot[i].used) {
                struct stat old = {.st_dev = s->slot[i].device, .st_ino = s->slot[i].inode};
                *slot_of(&wider, &old) = s->slot[i];
            }
        wider.n = s->n;
        free(s->slot);
        *s = wider;
    }
    struct file_id *slot = slot_of(s, st);
    if (slot->used)
        return false;
    *slot = (struct file_id){st->st_dev, st->st_ino, true};
    s->n++;
    return true;
}

void file_set_free(file_set *s)
{
    free(s->slot);
    *s = (file_set){0};
}
