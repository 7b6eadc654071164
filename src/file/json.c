#include "src/file/json.h"

#include <stdlib.h>
#include <string.h>

#include "src/file/kind.h"

/* Bytes: several times what a config of the 21,841 classes of ImageNet-21K has. Parsed JSON takes 70 times as many. */
enum { LARGEST = 8 << 20 };

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
    if (size > LARGEST) {
        mv_fail(e, MV_EINPUT, "%s: found %zu bytes, expected JSON of at most %d", place, size, LARGEST);
        return NULL;
    }
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
