/* One page in one file for a browser: the picture, its answers, and what every cell looks at in every block. It needs
 * no server and loads nothing; it works from file://.
 *
 *     mv_html_content content = {.title = "Parachute, p = 0.93", .picture = &picture, .blocks = blocks, ...};
 *     mv_status s = mv_html_write(&content, hook, file, &e);
 *
 * The page is assets/report.html with assets/report.css and report.js in it. The facts follow as JSON, the values as
 * compressed bytes in base64, and whatever a reader without scripts or eyes needs as text and tables. Strings are
 * UTF-8 and need not be escaped: bytes that are not become U+FFFD, and none can end the element they are in.
 *
 * Everything pointed at stays the caller's and must live until the call returns. The same content gives the same bytes.
 */
#ifndef MV_HTML_H
#define MV_HTML_H

#include "src/base/coded.h"
#include "src/base/image.h"
#include "src/base/status.h"

typedef struct {
    int number; /* of the class in the model */
    const char *name;
    double logit, probability;
} mv_html_class;

/* Evidence on the cells of the last level: how many logits a cell adds to a class, less the mean of all classes. */
typedef struct {
    int h, w, cell;     /* cells, px a side of a cell */
    const int8_t *code; /* (classes, h, w), as mv_coded_signed makes them */
    const float *most;  /* for each class */
    double mean_logit;  /* of all classes */
} mv_html_evidence;

/* A map of the whole picture by another method, for one class or one over another. */
typedef struct {
    const char *title, *method; /* "For church", "held" */
    const char *unit, *proof;   /* "logit from a 16 px cell"; proof: "" for none */
    int h, w;                   /* cells, which cover the picture */
    double cell;                /* px a side of a cell */
    const int8_t *code;         /* (h, w), as mv_coded_signed makes them */
    float most;
} mv_html_map;

typedef struct {
    const char *title, *subtitle; /* the finding; the file and its size */
    const char *name;             /* of the picture */
    const char *version;
    const char *const *recipe; /* its lines */
    int recipe_count;
    const mv_image *picture; /* what the network saw */
    const mv_html_class *classes;
    int class_count; /* those on the page, by falling logit; at least 1 */
    int class_total; /* of the model */
    mv_html_evidence evidence;
    const mv_html_map *maps; /* the first is shown at first */
    int map_count;           /* 0: the evidence is all there is */
    const mv_coded *blocks;  /* in network order */
    int block_count;         /* at least 1 */
} mv_html_content;

/* Receives the next n bytes. Any result but MV_OK ends the page with that code. */
typedef mv_status mv_html_sink(void *context, const void *bytes, size_t n);

/* Writes the whole page. MV_EMISUSE for content without a picture, classes or blocks; MV_ENOMEM; what the sink
 * returned. */
mv_status mv_html_write(const mv_html_content *content, mv_html_sink *sink, void *context, mv_error *e);

#endif
