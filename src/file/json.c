#include "src/file/json.h"

#include <stdlib.h>
#include <string.h>

#include "src/file/kind.h"

/* Bytes that jansson 2.14 takes on 64 bits, with malloc's own: an empty object and an empty list, with their first
 * room; a number and its place; a string besides its letters; what a key has besides those. */
enum { OBJECT = 256, LIST = 144, VALUE = 48, STRING = 64, KEY = 64 };

size_t mv_json_weight(const char *text, size_t size)
{
    size_t weight = VALUE;
    const char *end = text + size;
    for (const char *p = text; p < end; p++)
        switch (*p) {
        case '{': weight += OBJECT; break;
        case '[': weight += LIST; break;
        case ',': weight += VALUE; break;
        case ':': weight += KEY; break;
        case '"': {
            const char *begin = p++;
            while (p < end && *p != '"')
                p += *p == '\\' ? 2 : 1;
            weight += STRING + (size_t)(p - begin);
            break;
        }
        default: break;
        }
    return weight;
}

mv_status mv_json_weigh(const char *text, size_t size, size_t most, const char *place, mv_error *e)
{
    size_t weight = mv_json_weight(text, size);
    if (weight <= most)
        return MV_OK;
    return mv_fail(e, MV_EINPUT, "%s: found JSON that would take %zu MB of memory, expected at most %zu", place,
                   weight >> 20, most >> 20);
}

static bool is_word(const char *p, const char *end, const char *word)
{
    size_t n = strlen(word);
    return (size_t)(end - p) >= n && memcmp(p, word, n) == 0;
}

/* What is no JSON is named for what it is, or else where it ceases to be. */
static void fail_syntax(const char *text, size_t size, const json_error_t *je, const char *place, mv_error *e)
{
    mv_kind kind = mv_kind_of(text, size);
    if (kind == MV_KIND_UNKNOWN || kind >= MV_KIND_INDEX)
        mv_fail(e, MV_EINPUT, "%s: is no JSON: %s at byte %d", place, je->text, je->position);
    else
        mv_kind_refuse(e, place, text, size, MV_KIND_AS_CHECKPOINT, "JSON");
}

/* Copies JSON without its byte order mark and with null for NaN, Infinity and -Infinity, which Python writes and JSON
 * lacks. The caller's to free; NULL without memory. */
static char *plain_json(const char *text, size_t size, size_t *out_size)
{
    static const char *const words[] = {"NaN", "Infinity", "-Infinity"};
    const char *end = text + size, *p = text;
    char *out = malloc(size + size / 3 + 2), *to = out; /* NaN grows by a letter */
    bool quoted = false;
    if (!out)
        return NULL;
    if (is_word(p, end, "\xef\xbb\xbf"))
        p += 3;
    while (p < end) {
        size_t n = 0;
        for (size_t i = 0; !quoted && !n && i < sizeof words / sizeof *words; i++)
            if (is_word(p, end, words[i]))
                n = strlen(words[i]);
        if (n) {
            memcpy(to, "null", 4);
            to += 4;
            p += n;
            continue;
        }
        if (quoted && *p == '\\' && p + 1 < end)
            *to++ = *p++;
        else if (*p == '"')
            quoted = !quoted;
        *to++ = *p++;
    }
    *out_size = (size_t)(to - out);
    return out;
}

json_t *mv_json_load(const char *text, size_t size, const char *place, mv_warnings *warnings, mv_error *e)
{
    json_error_t je;
    size_t n;
    if (size > MV_JSON_LARGEST) {
        mv_fail(e, MV_EINPUT, "%s: found %zu bytes, expected JSON of at most %d", place, size, MV_JSON_LARGEST);
        return NULL;
    }
    if (mv_json_weigh(text, size, MV_JSON_ROOM, place, e))
        return NULL;
    char *plain = plain_json(text, size, &n);
    if (!plain) {
        mv_fail_memory(e, place);
        return NULL;
    }
    json_t *root = json_loadb(plain, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &je);
    if (!root && json_error_code(&je) == json_error_duplicate_key) {
        mv_warn(warnings, "%s: %s; the last value counts", place, je.text);
        root = json_loadb(plain, n, JSON_ALLOW_NUL, &je);
    }
    if (!root && json_error_code(&je) == json_error_numeric_overflow) /* a seed of 64 bits, say */
        root = json_loadb(plain, n, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &je);
    free(plain);
    if (!root && json_error_code(&je) == json_error_out_of_memory)
        mv_fail_memory(e, place);
    else if (!root)
        fail_syntax(text, size, &je, place, e);
    else if (!json_is_object(root)) {
        json_decref(root);
        root = NULL;
        mv_fail(e, MV_EINPUT, "%s: found JSON that is no object, expected {...}", place);
    }
    return root;
}
