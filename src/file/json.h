/* JSON files that Python programs write beside checkpoints: configs, and indices of shards. Python's json module writes
 * NaN and Infinity, editors a byte order mark; both are read.
 */
#ifndef MV_JSON_H
#define MV_JSON_H

#include <jansson.h>
#include <stddef.h>

#include "src/base/status.h"
#include "src/base/warnings.h"

/* Parses an object, the caller's to json_decref. NaN and Infinity become null. Of a key that stands there twice the
 * last value counts, with a warning. NULL for anything else, which is named, and for more than 8 MB. */
json_t *mv_json_load(const char *text, size_t size, const char *place, mv_warnings *warnings, mv_error *e);

#endif
