/* Any text as the parameters of a method, and of a table with an option of every kind: values stay in their ranges.
 * What parses as a question is opened for a network, and a number that parses is written and read back.
 *
 * Covers: src/base/param.c src/base/number.c src/explain/params.c src/explain/methods.c
 */
#include <math.h>

#include "src/base/number.h"
#include "src/explain/methods.h"
#include "tests/every_param.h"
#include "tests/fuzz.h"

static void check(const values *a)
{
    fuzz_expect(a->integer >= -2 && a->integer <= 40 && (a->number == 0 || (a->number >= 0.25 && a->number <= 8)));
    fuzz_expect(a->count <= 1000000000000 && a->word >= -1 && a->word < 2 && a->letter >= -1 && a->letter < 3);
    fuzz_expect(!a->size.h || (a->size.h >= 32 && a->size.h <= 16384 && a->size.w >= 32 && a->size.w <= 16384));
    fuzz_expect(!a->part.n || (a->part.i >= 1 && a->part.i <= a->part.n && a->part.n <= 1000));
    fuzz_expect(a->list.n >= 0 && a->list.n <= MV_PARAM_MOST && a->texts.n >= 0 && a->texts.n <= MV_PARAM_MOST);
    for (int i = 0; i < a->list.n; i++)
        fuzz_expect(a->list.v[i] >= -2 && a->list.v[i] <= 99);
}

/* A number of the values as it is written for people, with a true minus sign, read back. */
static void write_number(const values *a)
{
    static const char minus[] = "\xe2\x88\x92";
    char text[32], count[48];
    int decimals = (int)(a->count % 10);
    double value = a->integer * (a->number + (double)a->count / 1000);
    const char *number = mv_number_text(text, value, decimals, a->flag);
    bool negative = strncmp(number, minus, sizeof minus - 1) == 0;
    double read = strtod(negative ? number + sizeof minus - 1 : number, NULL);
    if (fabs(value) < 1e9)
        fuzz_expect(fabs((negative ? -read : read) - value) <= 0.5 * pow(10, -decimals) + 1e-6);
    fuzz_expect(!a->flag || *number == '+' || negative);
    fuzz_expect(atoi(mv_count_text(count, a->integer, "cell")) == a->integer);
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
    values a = {0};
    if (size > 2048)
        return 0;
    char *text = fuzz_text(data, size), *copy = calloc(1, size + 1);
    fuzz_expect(copy);
    mv_param_defaults(&a, table);
    if (!fuzz_refused(mv_param_parse(&a, table, text, copy, "fuzz", &e), &e)) {
        check(&a);
        write_number(&a);
    }
    ask(text);
    free(copy);
    free(text);
    return 0;
}
