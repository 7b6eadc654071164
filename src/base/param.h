/* Options as data. One row says everything about an option: its names, its kind, where its value goes, the range or the
 * words it may take, its default and its help text. Parsing, range errors, --help, completion, the options of methods
 * ("rise:n=4000,seed=7") and the check of the manual pages all follow from the row.
 *
 *     typedef struct { int top; bool explain; } own;
 *     static const mv_param params[] = {
 *         {.name = "top", .letter = 'k', .kind = MV_PARAM_INTEGER, .offset = offsetof(own, top), .least = 1,
 *          .most = 1e6, .otherwise = "5", .argument = "N", .help = "classes to print"},
 *         {.name = "explain", .kind = MV_PARAM_FLAG, .offset = offsetof(own, explain), .help = "write a page"},
 *         {0}};
 *
 * A table ends with a row without a name. Tables are const and may be shared by threads.
 */
#ifndef MV_PARAM_H
#define MV_PARAM_H

#include <stdbool.h>
#include <stddef.h>

#include "src/base/status.h"

/* The kind of an option, and the type that `offset` points at. */
typedef enum {
    MV_PARAM_FLAG,    /* bool; takes no value */
    MV_PARAM_INTEGER, /* int, from least to most */
    MV_PARAM_NUMBER,  /* double, from least to most */
    MV_PARAM_COUNT,   /* size_t, from least to most; "200M" and "1e6" are taken; K, M and G are powers of 1000 */
    MV_PARAM_SIZE,    /* mv_param_size, "N" or "HxW", each from least to most */
    MV_PARAM_SHARE,   /* mv_param_part, "I/N" with 1 <= I <= N <= most */
    MV_PARAM_WORD,    /* int, the index of one of the words */
    MV_PARAM_TEXT,    /* const char *, borrowed from the value that was set */
    MV_PARAM_TEXTS,   /* mv_param_texts: every value given, in order, borrowed */
    MV_PARAM_LIST /* mv_param_list: whole numbers from least to most (most < least: none), and words; joined by commas,
                    repeatable; a value that is given twice counts once */
} mv_param_kind;

enum { MV_PARAM_MOST = 64 }; /* values in a list */

typedef struct {
    int h, w; /* pixels */
} mv_param_size;

typedef struct {
    int i, n; /* part i of n, counted from 1 */
} mv_param_part;

typedef struct {
    int n;
    const char *v[MV_PARAM_MOST];
} mv_param_texts;

typedef struct {
    int n;
    int v[MV_PARAM_MOST]; /* a word is -1 less its index: the first word is -1 */
} mv_param_list;

/* What a shell may complete a value with, where the words do not say it. */
typedef enum {
    MV_COMPLETE_NOTHING,
    MV_COMPLETE_FILE,
    MV_COMPLETE_MODEL,
    MV_COMPLETE_SITE,
    MV_COMPLETE_CLASS
} mv_completes;

typedef struct {
    const char *name; /* "crop-mode"; NULL ends the table */
    const char *also; /* another spelling that is accepted and not listed: "colors"; NULL: none */
    char letter;      /* 'k'; 0: none */
    mv_param_kind kind;
    size_t offset;                 /* into the caller's struct */
    double least, most;            /* the range, where the kind has one; most < least: a LIST of words only */
    const char *otherwise;         /* the default, as text; NULL: zero, or -1 for a word */
    const char *const *words;      /* ended by NULL; NULL: none. Those of a TEXT are suggestions for completion */
    const char *(*word_at)(int i); /* the words, where another room owns them; NULL past the last */
    const char *argument;          /* "N", "FILE"; NULL for a flag */
    const char *help; /* one sentence without a full stop; the range, the words and the default are added to it */
    /* Looks at a TEXT or TEXTS value when it is set; NULL: any text. MV_EINPUT as mv_param_set. */
    mv_status (*check)(const char *value, const char *place, mv_error *e);
    mv_completes completes;
} mv_param;

/* Sets every option of the table to its default. The defaults are trusted: one that does not parse leaves zero. */
void mv_param_defaults(void *into, const mv_param *table);

/* Sets one option from text (ignored for a flag, which becomes true). MV_EINPUT "PLACE: found 'X', expected ...", with
 * place such as "--top" or "rise: n". TEXT and TEXTS keep the pointer. */
mv_status mv_param_set(void *into, const mv_param *p, const char *value, const char *place, mv_error *e);

/* The row of that name or other spelling; NULL when there is none. */
const mv_param *mv_param_lookup(const mv_param *table, const char *name);

/* Word i of a row; NULL past the last. */
const char *mv_param_word(const mv_param *p, int i);

/* The help text with what the row adds: "batch size (1 to 4096; default 8)". Returns text. */
const char *mv_param_help(const mv_param *p, char *text, size_t size);

/* Sets the options in "n=4000,seed=7" (a flag stands alone). `copy` is a buffer of strlen(text) + 1 bytes that TEXT
 * values point into, so it must live as long as they do. */
mv_status mv_param_parse(void *into, const mv_param *table, const char *text, char *copy, const char *place,
                         mv_error *e);

/* The texts with commas between them, as a list of patterns; the caller's to free. NULL without memory. */
char *mv_param_join(const mv_param_texts *texts);

#endif
