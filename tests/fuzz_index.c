/* Any bytes as the index of a checkpoint in shards: the names of shards are of files beside it, each once.
 *
 * Covers: src/file/shard_index.c src/file/json.c src/file/kind.c
 */
#include "src/base/text.h"
#include "src/file/tensors_impl.h"
#include "tests/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mv_error e = {0};
    mv_shard_index x;
    mv_status s = mv_shard_index_of(&x, data, size, "fuzz", &e);
    if (!fuzz_refused(s, &e))
        fuzz_expect(x.n >= 1 && x.n <= MV_TENSORS_SHARDS);
    for (int i = 0; !s && i < x.n; i++) {
        fuzz_expect(*x.shard[i] && *x.shard[i] != '.' && !strchr(x.shard[i], '/') && mv_text_is_clean(x.shard[i]));
        fuzz_expect(i == 0 || strcmp(x.shard[i - 1], x.shard[i]) < 0);
    }
    mv_shard_index_free(&x);
    return 0;
}
