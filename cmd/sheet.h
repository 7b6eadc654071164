/* A page on its way to a file: where it goes, what its foot and its text chunks say. */
#ifndef SHEET_H
#define SHEET_H

#include "cmd/session.h"
#include "src/file/output.h"
#include "viz/page/page.h"

enum { SHEET_NOTES = 10, SHEET_ITEMS = 8 };

typedef struct {
    char path[4096];
    mv_output *file;
    mv_canvas_target target; /* for mv_page_write */
    mv_recipe recipe;        /* for the page's foot */
    mv_note note[SHEET_NOTES];
    const char *item[SHEET_ITEMS];
    char text[SHEET_ITEMS][640], date[32], range[96];
} sheet;

/* Before anything runs: ends the program for an -o that is no folder and whose ending is none of .png, .svg, .pdf. */
void sheet_check(bool many);

/* Where the page of `source` goes: -o's file, or STEM-SUFFIX.png in -o's folder or here. `many`: -o is a folder, made
 * where it is not there. */
void sheet_place(char path[4096], const char *source, const char *suffix, bool many);

/* Opens the file and writes the recipe: the command line, model, `method`, pipeline, precision and device, version; the
 * range of values goes to the notes alone. False after a complaint. */
bool sheet_open(sheet *s, session *with, const char *path, const char *source, const char *verb, const char *method,
                double lo, double hi);

/* Ends it: the page appears, or, after a failure of drawing (status) or writing, does not. False after a complaint. */
bool sheet_close(sheet *s, mv_status status, const mv_error *drawing);

#endif
