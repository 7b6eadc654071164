/* Results for programs and people, written once for all commands and methods: JSON lines, tables of maps, and maps as
 * numbers.
 */
#ifndef REPLY_H
#define REPLY_H

#include <jansson.h>
#include <stdio.h>

#include "cmd/command.h"

/* {"image": NAME, "model": ..., "device": ..., "precision": ...}: how the line of a picture begins. NULL without
 * memory.
 */
json_t *reply_new(const call *c, const shot *t);

/* The same with "maps": the list of the maps of all asks. */
json_t *reply_maps(const call *c, const shot *t);

/* Prints a value as one line, and takes it; NULL, a value that could not be built, is an error. `place` names it. */
mv_status reply_print(json_t *value, FILE *out, const char *place, mv_error *e);

/* Adds a value to an object or a list, and takes it. False, and the container unusable, where either is NULL or there
 * is no memory: the caller drops the container, so that no reply is ever printed without one of its parts. */
bool reply_set(json_t *object, const char *key, json_t *value);
bool reply_append(json_t *list, json_t *value);

/* What a map carries: level, block, head, class, cells, range, padding and figures. NULL without memory. */
json_t *reply_map(const mv_map *map);

/* A line for each map, under headings. */
void table_maps(FILE *out, const mv_maps *maps);

/* Writes the maps' raw values, a tensor (h, w) for each, named by mv_map_name, to a .safetensors; or one map to a .npy.
 * `query` is kept in the metadata, unless NULL. */
mv_status maps_write(const char *path, const mv_maps *maps, const char *query, mv_error *e);

#endif
