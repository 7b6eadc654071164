/* Any bytes as a name that somebody chose: what is made of it is safe to print, and cut where a character ends.
 *
 * Covers: src/base/text.c
 */
#include "src/base/text.h"
#include "tests/fuzz.h"

static size_t characters(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += ((uint8_t)*text & 0xC0) != 0x80;
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 4096)
        return 0;
    char *text = fuzz_text(data + 2, size - 2), *safe = mv_text_escape(text), room[300];
    int most = 4 + data[0] % 100;
    size_t small = 4 + (size_t)data[1];
    fuzz_expect(safe && mv_text_is_safe(safe));
    fuzz_expect(mv_text_is_clean(text) == (strcmp(text, safe) == 0));
    char *twice = mv_text_escape(safe);
    fuzz_expect(twice && (strchr(safe, '\\') || strcmp(twice, safe) == 0));
    int n = mv_text_shorten(room, small, most, safe);
    fuzz_expect(n <= most && strlen(room) < small && (size_t)n == characters(room) && mv_text_is_safe(room));
    n = mv_text_print(room, small, "%.*s", most, safe);
    fuzz_expect((size_t)n == strlen(room) && mv_text_is_safe(room) && strncmp(room, safe, (size_t)n) == 0);
    fuzz_expect(mv_text_is_safe(mv_text_capital(room, small, safe)));
    const char *const words[] = {"levels.2.blocks.0", text, NULL, safe};
    mv_text_nearest(text, 4, words);
    fuzz_expect(mv_text_distance("**", 2, text) == (strlen(text) > MV_TEXT_DISTANCE_MAX ? MV_TEXT_DISTANCE_MAX : 0));
    mv_text_ends_in(text, ".png");
    mv_text_base_name(text);
    free(twice);
    free(safe);
    free(text);
    return 0;
}
