/* JSON files that Python programs write beside checkpoints: configs, and indices of shards. Python's json module writes
 * NaN and Infinity, editors a byte order mark; both are read.
 *
 * Parsed JSON takes many times the memory of its text: an empty object of three letters takes 240 bytes. Every text
 * that this program did not make itself is therefore weighed before it is parsed.
 */
#ifndef MV_JSON_H
#define MV_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "src/base/status.h"
#include "src/base/warnings.h"

enum {
    MV_JSON_LARGEST = 8 << 20, /* bytes of text: several configs of the 21,841 classes of ImageNet-21K */
    MV_JSON_ROOM = 256 << 20   /* bytes of memory: some 180,000 tensors of a safetensors header */
};

/* The memory that parsing takes, in bytes, from above: by the number of objects, lists, values and letters. Takes none
 * itself, and one look at each letter; any text will do. */
size_t mv_json_weight(const char *text, size_t size);

/* MV_EINPUT if that exceeds `most`; MV_OK says nothing about the grammar. */
mv_status mv_json_weigh(const char *text, size_t size, size_t most, const char *place, mv_error *e);

/* Parses an object, the caller's to json_decref. NaN and Infinity become null. Of a key that stands there twice the
 * last value counts, with a warning. NULL for anything else, which is named, and for more than MV_JSON_LARGEST or
 * MV_JSON_ROOM. */
json_t *mv_json_load(const char *text, size_t size, const char *place, mv_warnings *warnings, mv_error *e);

#endif
