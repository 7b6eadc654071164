/* The inside of a set text, for the canvas that draws it. */
#ifndef MV_SET_TEXT_H
#define MV_SET_TEXT_H

#include <pango/pango.h>
#include <stdbool.h>

#include "viz/draw/fonts.h"

/* Held around all that touches a font: setting and drawing text, finishing a PDF, freeing either. cairo shares one
 * FreeType library between all threads and opens faces in it without a lock, which corrupts memory. */
void mv_fonts_lock(void);
void mv_fonts_unlock(void);

struct mv_text {
    PangoLayout *layout;
    mv_type type;
    int lines;
    bool cut;
    double width;    /* px of the widest line */
    double line;     /* px from baseline to baseline */
    double baseline; /* px from the top to the first one */
};

/* How a type is written in CSS: for SVG. */
typedef struct {
    const char *families;
    double size;
    int weight;
    bool mono, tabular;
} mv_type_css;

mv_type_css mv_type_css_of(mv_type type);

/* The visible characters of line i, with an ellipsis where it was cut. The caller's to g_free. */
char *mv_text_line(const mv_text *text, int i);

#endif
