/* A checkpoint of tensors without values, of any shapes and with any config: it is refused with a sentence, or its
 * sizes make a network, whose sites can be listed and whose values are then missing.
 *
 * Covers: src/model/checkpoint.c src/model/choose.c src/model/infer.c src/model/infer_head.c src/model/stated.c
 *         src/model/weights.c src/model/config.c src/run/sites.c
 */
#include "src/device/null.h"
#include "src/model/checkpoint.h"
#include "src/run/sites.h"
#include "tests/fuzz.h"

enum { ROOM = 1 << 18, MOST_TENSORS = 64, MOST_BLOCKS = 40 };

static const char *const names[] = {"patch_embed.conv_down.0.weight",
                                    "patch_embed.conv_down.3.weight",
                                    "head.weight",
                                    "head.bias",
                                    "levels.0.blocks.0.norm1.weight",
                                    "levels.0.blocks.0.gamma",
                                    "levels.1.blocks.0.norm1.weight",
                                    "levels.1.blocks.2.norm1.weight",
                                    "levels.2.blocks.0.norm1.weight",
                                    "levels.2.blocks.0.mlp.fc1.weight",
                                    "levels.2.blocks.0.gamma_1",
                                    "levels.2.blocks.9.norm1.weight",
                                    "levels.3.blocks.0.norm1.weight",
                                    "levels.3.blocks.4.norm1.weight",
                                    "levels.3.blocks.4.mixer.qkv.weight",
                                    "norm.weight",
                                    "head.1.weight",
                                    "classifier.weight",
                                    "fc.0.weight",
                                    "levels.2.blocks.2147483647.norm1.weight"};
static const char *const prefixes[] = {"", "model.", "state_dict_ema.", "module.model."};

/* Appends letters to a JSON text. */
static char *put(char *to, const char *end, const char *text, size_t n)
{
    for (size_t i = 0; i < n && to < end; i++) {
        char c = text[i];
        if (c == '"' || c == '\\')
            *to++ = '\\', *to++ = c;
        else if (c >= ' ' && c < 127)
            *to++ = c;
        else
            to += sprintf(to, "\\u%04x", c ? (unsigned char)c : 1U);
    }
    return to;
}

/* The tensors that the bytes choose, each with the data of no value; then the config, which is what is left. */
static size_t make(char *out, fuzz_bytes *b)
{
    char *to = out + 8, *end = out + ROOM - 256;
    unsigned tensors = fuzz_byte(b) % MOST_TENSORS;
    *to++ = '{';
    for (unsigned i = 0; i < tensors; i++) {
        unsigned which = fuzz_byte(b), how = fuzz_byte(b);
        uint32_t dim = fuzz_word(b) & 0x7fffffff;
        to += sprintf(to, "\"%s%s\":{\"dtype\":\"F32\",\"shape\":[%u,0%s],\"data_offsets\":[0,0]},", prefixes[how & 3],
                      names[which % (sizeof names / sizeof *names)], how & 4 ? dim & 1023 : dim, how & 8 ? ",3,3" : "");
    }
    to += sprintf(to, "\"__metadata__\":{\"config\":\"");
    to = put(to, end, (const char *)b->at, b->left);
    to += sprintf(to, "\"}}");
    uint64_t length = (uint64_t)(to - out) - 8;
    memcpy(out, &length, 8);
    return (size_t)(to - out);
}

static void look(mv_checkpoint *c, unsigned how)
{
    const mv_config *k = mv_checkpoint_config(c);
    const mv_labels *labels = mv_checkpoint_labels(c);
    mv_error e = {0}, f = {0};
    mv_sites sites = {0};
    int blocks = 0;
    for (int i = 0; i < MV_LEVELS; i++)
        blocks += k->depth[i];
    fuzz_expect(mv_config_check(k, "fuzz", NULL) == MV_OK && (!labels->n || labels->n == k->classes));
    if (blocks > MOST_BLOCKS)
        return;
    mv_backend *null = mv_null_new(MV_F32, &e);
    fuzz_expect(null != NULL);
    mv_model *m = mv_model_new(k, null, mv_checkpoint_source(c), &e);
    fuzz_expect(!m && fuzz_refused(e.code, &e));
    if (how & 1)
        fuzz_refused(mv_sites_list(&sites, k, 1 + (int)(how >> 1) % 7, k->preprocess.h, k->preprocess.w, &f), &f);
    mv_sites_free(&sites);
    null->free(null);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char bytes[ROOM];
    fuzz_bytes b = {data, size};
    mv_error e = {0};
    if (size < 2 || size > ROOM / 16)
        return 0;
    unsigned how = fuzz_byte(&b);
    size_t n = make(bytes, &b);
    mv_checkpoint *c = mv_checkpoint_of(bytes, n, "fuzz", &e);
    fuzz_expect(c ? !e.code : fuzz_refused(e.code, &e));
    if (c)
        look(c, how);
    mv_checkpoint_close(c);
    return 0;
}
