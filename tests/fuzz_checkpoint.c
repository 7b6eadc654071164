/* A checkpoint of tensors of any shapes and with any config, in memory or as a file with its configs beside it: it is
 * refused with a sentence, or its sizes make a network, whose sites can be listed and whose values are then missing.
 * Most tensors have no values, so their shapes may be of any size; matrices have, because a head of none fits nothing.
 *
 * Covers: src/model/checkpoint.c src/model/choose.c src/model/infer.c src/model/infer_head.c src/model/stated.c
 *         src/model/weights.c src/model/config.c src/model/processor_json.c src/run/sites.c
 */
#include "src/device/null.h"
#include "src/model/checkpoint.h"
#include "src/run/sites.h"
#include "tests/fuzz.h"

enum { ROOM = 1 << 18, VALUES = 1 << 18, MOST_TENSORS = 64, MOST_BLOCKS = 40 };

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
static const char *const prefixes[] = {"",          "model.",      "state_dict_ema.", "module.model.",
                                       "backbone.", "state_dict.", "model_ema.",      "state_dict.backbone."};
static const char *const chosen[] = {NULL, "ema", "model", "backbone"};

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

/* The next tensor that the bytes choose, as JSON; `used` bytes of values come before its own. */
static char *put_tensor(char *to, fuzz_bytes *b, size_t *used)
{
    unsigned which = fuzz_byte(b) % (sizeof names / sizeof *names), how = fuzz_byte(b);
    uint32_t dim = fuzz_word(b) & 0x7fffffff, width = 8 * (dim >> 8 & 127);
    const char *type = how & 64 ? "U8" : "F16";
    size_t from = *used, n = (dim & 255) * (size_t)width * (how & 64 ? 1 : 2);
    to += sprintf(to, "\"%s%s\":", prefixes[(how & 3) | (how & 32 ? 4 : 0)], names[which]);
    if (how & 16 && n <= VALUES - from) {
        *used += n;
        return to + sprintf(to, "{\"dtype\":\"%s\",\"shape\":[%u,%u],\"data_offsets\":[%zu,%zu]},", type, dim & 255,
                            width, from, *used);
    }
    return to + sprintf(to, "{\"dtype\":\"F32\",\"shape\":[%u,0%s],\"data_offsets\":[%zu,%zu]},",
                        how & 4 ? dim & 1023 : dim, how & 8 ? ",3,3" : "", from, from);
}

/* The tensors, then the config, which is what is left, unless it is `beside` the file. */
static size_t make(char *out, fuzz_bytes *b, bool beside)
{
    char *to = out + 8, *end = out + ROOM - 256;
    unsigned tensors = fuzz_byte(b) % MOST_TENSORS;
    size_t used = 0;
    *to++ = '{';
    for (unsigned i = 0; i < tensors; i++)
        to = put_tensor(to, b, &used);
    to += sprintf(to, "\"__metadata__\":{\"%s\":\"", beside ? "note" : "config");
    if (!beside)
        to = put(to, end, (const char *)b->at, b->left);
    to += sprintf(to, "\"}}");
    uint64_t length = (uint64_t)(to - out) - 8;
    memcpy(out, &length, 8);
    memset(to, 0, used);
    return (size_t)(to - out) + used;
}

/* As a file; the first line of what is left is config.json, the rest preprocessor_config.json. */
static mv_checkpoint *open_file(const char *bytes, size_t n, fuzz_bytes b, const char *which, mv_warnings *warnings,
                                mv_error *e)
{
    const uint8_t *line = memchr(b.at, '\n', b.left);
    size_t first = line ? (size_t)(line - b.at) : b.left;
    char path[PATH_MAX];
    fuzz_file("model.safetensors", bytes, n);
    fuzz_file("config.json", b.at, first);
    unlink(fuzz_path(path, "preprocessor_config.json"));
    if (line)
        fuzz_file("preprocessor_config.json", line + 1, b.left - first - 1);
    return mv_checkpoint_open(fuzz_path(path, "model.safetensors"), which, warnings, e);
}

static void look(mv_checkpoint *c, unsigned how, mv_warnings *warnings)
{
    const mv_config *k = mv_checkpoint_config(c);
    const mv_labels *labels = mv_checkpoint_labels(c);
    mv_error e = {0}, f = {0};
    mv_sites sites = {0};
    char hex[65];
    int blocks = 0;
    for (int i = 0; i < MV_LEVELS; i++)
        blocks += k->depth[i];
    fuzz_expect(mv_config_check(k, "fuzz", NULL) == MV_OK && (!labels->n || labels->n == k->classes));
    fuzz_expect(*mv_checkpoint_name(c) && mv_checkpoint_file(c, 0) && !mv_checkpoint_file(c, 1));
    fuzz_expect(mv_checkpoint_sha256(c, hex, &f) == MV_OK && strlen(hex) == 64);
    if (blocks > MOST_BLOCKS)
        return;
    mv_backend *null = mv_null_new(MV_F32, &e);
    fuzz_expect(null != NULL);
    mv_model *m = mv_model_new(k, null, mv_checkpoint_source(c), &e);
    fuzz_expect(!m && fuzz_refused(e.code, &e));
    mv_checkpoint_unread(c, how & 2, warnings);
    if (how & 1)
        fuzz_refused(mv_sites_list(&sites, k, 1 + (int)(how >> 1) % 7, k->preprocess.h, k->preprocess.w, &f), &f);
    mv_sites_free(&sites);
    null->free(null);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char bytes[ROOM + VALUES];
    fuzz_bytes b = {data, size};
    mv_warnings warnings = {0};
    mv_error e = {0};
    if (size < 2 || size > ROOM / 16)
        return 0;
    unsigned how = fuzz_byte(&b);
    bool beside = how & 32;
    size_t n = make(bytes, &b, beside);
    mv_checkpoint *c =
        beside ? open_file(bytes, n, b, chosen[how >> 6], &warnings, &e) : mv_checkpoint_of(bytes, n, "fuzz", &e);
    fuzz_expect(c ? !e.code : fuzz_refused(e.code, &e));
    if (c)
        look(c, how, &warnings);
    mv_checkpoint_close(c);
    return 0;
}
