/* The maps of a picture as arrays for --raw, under the names of their asks. */
#ifndef MAP_ARRAYS_H
#define MAP_ARRAYS_H

#include "cmd/asks.h"
#include "cmd/raw_file.h"

/* Adds a picture to the FILE of all pictures: in study. */
mv_status map_arrays_add(raw_file *f, call *c, const asks *a, const study *s, mv_error *e);

/* Writes the file of one picture, t->raw: in picture. */
mv_status map_arrays_write(const call *c, const asks *a, const shot *t, mv_error *e);

#endif
