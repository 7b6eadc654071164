/* Walks a folder for the pictures and ready inputs in it and below.
 *
 * Hidden files and folders are left out. Links are followed, but a folder is walked once, and a link to a file that is
 * listed adds nothing: links to the folder itself, to its parent and two links to one folder end. Hard links are files
 * of their own. File systems of the kernel (/proc, /sys) are not entered; pipes, sockets and devices are not opened. A
 * file whose name has no known ending is listed if it has no ending at all and begins as a picture does.
 */
#ifndef WALK_H
#define WALK_H

#include "cmd/operands.h"

/* Adds what it finds to `o`, sorted by name, folder by folder. Complains of every folder that cannot be read, of links
 * that lead nowhere, and of what lies too deep or has too long a path; false if there was any of these. Warns of what
 * was passed over: how many files, by ending. */
bool walk_folder(operands *o, const char *folder);

#endif
