/* Any bytes as a pattern: mv_pattern_match and mv_pattern_check agree, and a refusal has a sentence.
 *
 * Covers: src/base/pattern.c
 */
#include "src/base/pattern.h"
#include "src/run/edit.h"
#include "tests/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const sites[] = {
        "input", "levels.2", "levels.2.blocks.10.mixer.attn", "levels.3.blocks.0.mixer.B", "norm", "avgpool", "head"};
    enum { N = sizeof sites / sizeof *sites };
    char text[512];
    if (size >= sizeof text)
        return 0;
    memcpy(text, data, size);
    text[size] = 0;
    mv_error e = {0};
    int fits = 0;
    for (int i = 0; i < N; i++)
        fits += mv_pattern_match(text, sites[i]);
    if (!mv_pattern_check(text, N, sites, "fuzz", &e) && !fits)
        __builtin_trap();
    mv_edits *ed = mv_edits_new(NULL);
    mv_edits_add(ed, text, MV_EDIT_ZERO, (mv_tensor){0}, NULL);
    mv_edits_free(ed);
    return 0;
}
