/* Temporary files and folders that have a name: ".mvscope-" and 16 hex digits, beside the output they become.
 *
 * Each is locked (flock) for as long as its process lives, and is listed so that mv_output_discard_all (output.h) can
 * remove it when the process ends early. What a killed process left is not locked: mv_temporary_clean removes it.
 */
#ifndef MV_TEMPORARY_IMPL_H
#define MV_TEMPORARY_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { MV_TEMPORARY_NAME = 32 };

/* Makes a name that nobody else uses. */
void mv_temporary_name(char name[MV_TEMPORARY_NAME]);

/* Gives a new file or folder the owner, group and mode (0777) of what it replaces. Root alone may keep the owner; where
 * the group cannot be kept, its members' rights are not given to another group. -1 with errno. */
int mv_temporary_take_rights(int fd, uid_t owner, gid_t group, mode_t mode);

/* Brings the names in a folder (O_PATH) to the disk, as far as the file system and the rights allow it. The output has
 * its name then, so no failure is reported. */
void mv_temporary_sync(int parent);

/* Locks a temporary that was just created, until fd is closed. If that fails the temporary is no more, and errno says
 * why: ENOENT if another process took it for stale and removed it before it was locked; then create another one. A file
 * system without locks is no failure. */
bool mv_temporary_lock(int fd, int parent, const char *name);

/* Lists a temporary; call it before the temporary is made, so that no moment is left in which an interruption would
 * leave it behind. The descriptor is borrowed and must stay open until mv_temporary_unlist. Returns a slot; -1 when the
 * list is full, and nothing is listed then. */
int mv_temporary_list(int parent, const char *name);

/* `inside`: a descriptor of the folder that the slot lists, borrowed as well; it is emptied before it is removed. */
void mv_temporary_enter(int slot, int inside);

void mv_temporary_unlist(int slot); /* -1 is fine */

/* Removes every file of an open folder. Async-signal-safe. */
void mv_temporary_empty(int folder);

/* Removes stale temporaries from a folder: entries of exactly our name pattern that belong to this user, that no
 * process has locked, and that are files, or folders which hold nothing but files that a store writes (NAME.npy and
 * manifest.json). Failures are ignored. Reads the whole folder: call it once per run, not once per output. */
void mv_temporary_clean(int parent);

#endif
