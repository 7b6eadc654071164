/* Any bytes as the beginning of a file: it is named, and the words fit into their room.
 *
 * Covers: src/file/kind.c
 */
#include "src/file/kind.h"
#include "tests/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[MV_KIND_TEXT];
    mv_kind kind = mv_kind_of(data, size);
    fuzz_expect(kind >= MV_KIND_UNKNOWN && kind <= MV_KIND_TEXT_FILE);
    fuzz_expect((kind == MV_KIND_EMPTY) == (size == 0));
    fuzz_expect(mv_kind_what(text, data, size) == text && memchr(text, 0, sizeof text) && *text);
    for (int use = MV_KIND_AS_PICTURE; use <= MV_KIND_AS_CHECKPOINT; use++) {
        mv_error e = {0};
        fuzz_expect(fuzz_refused(mv_kind_refuse(&e, "fuzz", data, size, (mv_kind_use)use, "a picture"), &e));
    }
    return 0;
}
