/* Any text as the parameters of a method, and of a table with an option of every kind: values stay in their ranges.
 * What parses as a question is opened for a network.
 *
 * Covers: src/base/param.c src/base/number.c src/explain/params.c src/explain/methods.c
 */
#include "src/explain/methods.h"
#include "tests/fuzz.h"

typedef struct {
    bool flag;
    int whole, word;
    double number;
    size_t count;
    mv_param_size size;
    mv_param_part part;
    const char *text;
    mv_param_texts texts;
    mv_param_list list;
} all;

static const char *const words[] = {"one", "two", NULL};
static const mv_param table[] = {
    {.name = "flag", .kind = MV_PARAM_FLAG, .offset = offsetof(all, flag)},
    {.name = "whole", .kind = MV_PARAM_INTEGER, .offset = offsetof(all, whole), .least = -5, .most = 1e6},
    {.name = "number", .kind = MV_PARAM_NUMBER, .offset = offsetof(all, number), .least = -1, .most = 1e9},
    {.name = "count", .kind = MV_PARAM_COUNT, .offset = offsetof(all, count), .least = 1, .most = 1e12},
    {.name = "size", .kind = MV_PARAM_SIZE, .offset = offsetof(all, size), .least = 32, .most = 16384},
    {.name = "part", .kind = MV_PARAM_SHARE, .offset = offsetof(all, part), .most = 256},
    {.name = "word", .kind = MV_PARAM_WORD, .offset = offsetof(all, word), .words = words},
    {.name = "text", .also = "words", .kind = MV_PARAM_TEXT, .offset = offsetof(all, text)},
    {.name = "texts", .kind = MV_PARAM_TEXTS, .offset = offsetof(all, texts)},
    {.name = "list", .kind = MV_PARAM_LIST, .offset = offsetof(all, list), .most = 99, .words = words},
    {0}};

static void check(const all *a)
{
    fuzz_expect(a->whole >= -5 && a->whole <= 1000000 && a->number >= -1 && a->number <= 1e9);
    fuzz_expect(a->count <= 1000000000000 && a->word >= -1 && a->word < 2);
    fuzz_expect(!a->size.h || (a->size.h >= 32 && a->size.h <= 16384 && a->size.w >= 32 && a->size.w <= 16384));
    fuzz_expect(!a->part.n || (a->part.i >= 1 && a->part.i <= a->part.n && a->part.n <= 256));
    fuzz_expect(a->list.n >= 0 && a->list.n <= MV_PARAM_MOST && a->texts.n >= 0 && a->texts.n <= MV_PARAM_MOST);
    for (int i = 0; i < a->list.n; i++)
        fuzz_expect(a->list.v[i] >= -2 && a->list.v[i] <= 99);
}

static void ask(const char *text)
{
    mv_error e = {0};
    mv_ask one;
    void *memory = NULL;
    mv_status s = mv_ask_parse(&one, &memory, text, &e);
    if (!fuzz_refused(s, &e)) {
        mv_explainer *x = mv_explainer_new(&one, 1, mv_config_at(0), 64, 64, &e);
        fuzz_expect(x ? !e.code : e.code && e.text[0]);
        mv_explainer_free(x);
    }
    free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mv_error e = {0};
    all a = {0};
    if (size > 2048)
        return 0;
    char *text = fuzz_text(data, size), *copy = calloc(1, size + 1);
    fuzz_expect(copy);
    mv_param_defaults(&a, table);
    if (!fuzz_refused(mv_param_parse(&a, table, text, copy, "fuzz", &e), &e))
        check(&a);
    ask(text);
    free(copy);
    free(text);
    return 0;
}
