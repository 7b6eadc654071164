/* Text in the embedded typefaces, Inter and JetBrains Mono, by Pango.
 *
 * The system's fonts are neither scanned nor used, so a page looks the same everywhere and starts at once. Only a text
 * with characters that the embedded faces lack (a file name in Chinese) opens the system's fonts. There is no hinting
 * and no rounding, so a line has the same width in PNG, SVG and PDF.
 */
#ifndef MV_FONTS_H
#define MV_FONTS_H

#include <stdbool.h>

#include "src/base/status.h"

typedef struct mv_fonts mv_fonts;

/* Opens the embedded faces, for many pages. One mv_fonts serves one thread at a time; several threads may draw at once,
 * each with its own. */
mv_fonts *mv_fonts_new(mv_error *e);
void mv_fonts_free(mv_fonts *fonts);

/* The first text with a character that no font of the system has either, and that is drawn as a box; NULL: none. Valid
 * until mv_fonts_free. */
const char *mv_fonts_missing(const mv_fonts *fonts);

typedef enum {
    MV_TYPE_TITLE,   /* the finding: Semi-Bold 26 */
    MV_TYPE_SECTION, /* Semi-Bold 17 */
    MV_TYPE_PANEL,   /* panel titles: Medium 15 */
    MV_TYPE_LEAD,    /* the line under the title: Regular 14 */
    MV_TYPE_TEXT,    /* Regular 13 */
    MV_TYPE_STRONG,  /* Medium 13 */
    MV_TYPE_SMALL,   /* ticks and units: Regular 11.5 */
    MV_TYPE_RECIPE,  /* monospaced 11.5 */
    MV_TYPES
} mv_type;

typedef struct mv_text mv_text;

/* Sets `utf8` in lines of at most `width` px; 0 means one line of any width. Bytes that are not UTF-8 show as U+FFFD. A
 * text of more than `lines` lines ends in an ellipsis; 0 means as many lines as needed. Words longer than a line are
 * broken. The text is the caller's to mv_text_free and borrows `fonts`. NULL on failure. */
mv_text *mv_text_new(mv_fonts *fonts, mv_type type, const char *utf8, double width, int lines, mv_error *e);
void mv_text_free(mv_text *text);

/* True if the text was too long and ends in an ellipsis. */
bool mv_text_is_cut(const mv_text *text);

double mv_text_width(const mv_text *text);    /* px of the widest line */
double mv_text_height(const mv_text *text);   /* px, a whole number of line heights */
double mv_text_baseline(const mv_text *text); /* px from the top to the first baseline */

#endif
