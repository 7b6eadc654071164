/* A table with an option of every kind, for the test and the fuzzer of options. */
#ifndef EVERY_PARAM_H
#define EVERY_PARAM_H

#include <stddef.h>
#include <string.h>

#include "src/base/param.h"

typedef struct {
    bool flag;
    int integer, word, letter;
    double number;
    size_t count;
    mv_param_size size;
    mv_param_part part;
    const char *text;
    mv_param_texts texts;
    mv_param_list list;
} values;

static const char *const words[] = {"mean", "all", NULL};

static const char *letter_at(int i)
{
    static const char *const letters[] = {"a", "b", "c"};
    return i >= 0 && i < 3 ? letters[i] : NULL;
}

static mv_status refuse_x(const char *value, const char *place, mv_error *e)
{
    return strcmp(value, "x") == 0 ? mv_fail(e, MV_EINPUT, "%s: found 'x', expected anything else", place) : MV_OK;
}

#define AT(member) offsetof(values, member)
static const mv_param table[] = {
    {.name = "flag", .kind = MV_PARAM_FLAG, .offset = AT(flag), .help = "a flag"},
    {.name = "integer",
     .also = "whole",
     .letter = 'i',
     .kind = MV_PARAM_INTEGER,
     .offset = AT(integer),
     .least = -2,
     .most = 40,
     .otherwise = "7",
     .argument = "N",
     .help = "a number"},
    {.name = "word", .kind = MV_PARAM_WORD, .offset = AT(word), .words = words, .help = "a word"},
    {.name = "letter", .kind = MV_PARAM_WORD, .offset = AT(letter), .word_at = letter_at, .help = "a letter"},
    {.name = "number", .kind = MV_PARAM_NUMBER, .offset = AT(number), .least = 0.25, .most = 8, .help = "a share"},
    {.name = "count", .kind = MV_PARAM_COUNT, .offset = AT(count), .least = 1, .most = 1e12, .help = "a count"},
    {.name = "size", .kind = MV_PARAM_SIZE, .offset = AT(size), .least = 32, .most = 16384, .help = "a size"},
    {.name = "part", .kind = MV_PARAM_SHARE, .offset = AT(part), .most = 1000, .help = "a part"},
    {.name = "text", .kind = MV_PARAM_TEXT, .offset = AT(text), .check = refuse_x, .help = "a text"},
    {.name = "texts", .kind = MV_PARAM_TEXTS, .offset = AT(texts), .help = "texts"},
    {.name = "list", .kind = MV_PARAM_LIST, .offset = AT(list), .most = 99, .words = words, .help = "a list"},
    {0}};

#endif
