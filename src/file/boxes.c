#include "src/file/boxes.h"

#include <errno.h>
#include <expat.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "src/file/json.h"

/* WEIGHT: bytes of memory for a byte of text. The densest of real files, boxes alone and no spaces, take 21. */
enum { LARGEST = 1 << 30, MOST_CATEGORIES = 100000, WEIGHT = 32, SMALL = 16 << 20 };

void mv_boxes_free(mv_boxes *b)
{
    for (int i = 0; i < b->n; i++) {
        free(b->picture[i].name);
        free(b->picture[i].box);
    }
    for (int i = 0; i < b->categories; i++)
        free(b->category[i]);
    free(b->picture);
    free(b->category);
    *b = (mv_boxes){0};
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const mv_boxed *)a)->name, ((const mv_boxed *)b)->name);
}

const mv_boxed *mv_boxes_lookup(const mv_boxes *b, const char *name)
{
    mv_boxed key = {.name = (char *)name};
    return b->n ? bsearch(&key, b->picture, (size_t)b->n, sizeof *b->picture, by_name) : NULL;
}

static bool is_full(const mv_boxed *p)
{
    return p->n >= MV_BOXES_PER_PICTURE;
}

/* False without memory, or for one box too many, of which is_full is true. A box without an area is passed over. */
static bool add_box(mv_boxed *p, mv_box box)
{
    if (!isfinite(box.x) || !isfinite(box.y) || !(box.w > 0) || !(box.h > 0) || !isfinite(box.w) || !isfinite(box.h))
        return true;
    if (p->n == p->room) {
        int room = p->room ? 2 * p->room : 4;
        mv_box *more = is_full(p) ? NULL : realloc(p->box, (size_t)room * sizeof *more);
        if (!more)
            return false;
        p->box = more;
        p->room = room;
    }
    p->box[p->n++] = box;
    return true;
}

/* ---- COCO */

/* Numbers of things in a COCO file, and their places here. */
typedef struct {
    json_int_t id;
    int at;
} numbered;

static int by_id(const void *a, const void *b)
{
    const numbered *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static int place_of(const numbered *list, int n, const json_t *id)
{
    numbered key = {.id = json_integer_value(id)};
    const numbered *found = json_is_integer(id) && n ? bsearch(&key, list, (size_t)n, sizeof *list, by_id) : NULL;
    return found ? found->at : -1;
}

static mv_status wrong(const char *place, const char *what, size_t i, const char *expected, mv_error *e)
{
    return mv_fail(e, MV_EINPUT, "%s: %s %zu: expected %s", place, what, i, expected);
}

static mv_status read_images(mv_boxes *out, numbered *number, const json_t *images, const char *place, mv_error *e)
{
    for (size_t i = 0; i < json_array_size(images); i++) {
        const json_t *one = json_array_get(images, i), *id = json_object_get(one, "id");
        const char *name = json_string_value(json_object_get(one, "file_name"));
        json_int_t w = json_integer_value(json_object_get(one, "width")),
                   h = json_integer_value(json_object_get(one, "height"));
        if (!json_is_integer(id) || !name || w < 1 || h < 1 || w > MV_BOXES_SIDE || h > MV_BOXES_SIDE)
            return wrong(place, "image", i, "id, file_name, width and height", e);
        out->picture[out->n] = (mv_boxed){.name = strdup(name), .w = (int)w, .h = (int)h};
        if (!out->picture[out->n].name)
            return mv_fail_memory(e, place);
        number[out->n] = (numbered){json_integer_value(id), out->n};
        out->n++;
    }
    return MV_OK;
}

static mv_status read_categories(mv_boxes *out, numbered *number, const json_t *list, const char *place, mv_error *e)
{
    if (json_array_size(list) > MOST_CATEGORIES)
        return mv_fail(e, MV_EINPUT, "%s: found %zu categories, expected at most %d", place, json_array_size(list),
                       MOST_CATEGORIES);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i), *id = json_object_get(one, "id");
        const char *name = json_string_value(json_object_get(one, "name"));
        if (!json_is_integer(id) || !name)
            return wrong(place, "category", i, "id and name", e);
        out->category[out->categories] = strdup(name);
        if (!out->category[out->categories])
            return mv_fail_memory(e, place);
        number[out->categories] = (numbered){json_integer_value(id), out->categories};
        out->categories++;
    }
    return MV_OK;
}

static mv_status read_annotations(mv_boxes *out, const numbered *image, const numbered *category, const json_t *list,
                                  const char *place, mv_error *e)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i), *box = json_object_get(one, "bbox");
        int at = place_of(image, out->n, json_object_get(one, "image_id"));
        double v[4];
        bool good = at >= 0 && json_array_size(box) == 4;
        for (size_t k = 0; k < 4 && good; k++) {
            good = json_is_number(json_array_get(box, k));
            v[k] = json_number_value(json_array_get(box, k));
        }
        if (!good)
            return wrong(place, "annotation", i, "the image_id of an image, and bbox, four numbers", e);
        if (!add_box(&out->picture[at],
                     (mv_box){v[0], v[1], v[2], v[3],
                              place_of(category, out->categories, json_object_get(one, "category_id"))}))
            return is_full(&out->picture[at])
                       ? mv_fail(e, MV_EINPUT, "%s: found more than %d boxes on a picture", place, MV_BOXES_PER_PICTURE)
                       : mv_fail_memory(e, place);
    }
    return MV_OK;
}

static mv_status read_coco(mv_boxes *out, const json_t *root, const char *place, mv_error *e)
{
    const json_t *images = json_object_get(root, "images"), *categories = json_object_get(root, "categories"),
                 *annotations = json_object_get(root, "annotations");
    size_t n = json_array_size(images), k = json_array_size(categories);
    if (!json_is_array(images) || !json_is_array(annotations))
        return mv_fail(e, MV_EINPUT, "%s: found no lists of images and annotations, expected COCO's JSON", place);
    numbered *image = calloc(n + 1, sizeof *image), *category = calloc(k + 1, sizeof *category);
    out->picture = calloc(n + 1, sizeof *out->picture);
    out->category = calloc(k + 1, sizeof *out->category);
    mv_status s = image && category && out->picture && out->category ? MV_OK : mv_fail_memory(e, place);
    if (!s)
        s = read_images(out, image, images, place, e);
    if (!s)
        s = read_categories(out, category, categories, place, e);
    if (!s) {
        qsort(image, (size_t)out->n, sizeof *image, by_id);
        qsort(category, (size_t)out->categories, sizeof *category, by_id);
        s = read_annotations(out, image, category, annotations, place, e);
    }
    free(image);
    free(category);
    if (!s && out->n)
        qsort(out->picture, (size_t)out->n, sizeof *out->picture, by_name);
    return s;
}

mv_status mv_boxes_coco(mv_boxes *out, const void *bytes, size_t size, const char *place, mv_error *e)
{
    json_error_t at;
    *out = (mv_boxes){0};
    if (size > LARGEST)
        return mv_fail(e, MV_EINPUT, "%s: found %zu bytes, expected at most %d", place, size, LARGEST);
    mv_status s = mv_json_weigh(bytes ? bytes : "", size, WEIGHT * size + SMALL, place, e);
    if (s)
        return s;
    errno = 0;
    json_t *root = json_loadb(bytes ? bytes : "", size, 0, &at);
    if (!root && errno == ENOMEM)
        return mv_fail_memory(e, place);
    if (!root)
        return mv_fail(e, MV_EINPUT, "%s: line %d: %.100s, expected COCO's JSON", place, at.line, at.text);
    s = read_coco(out, root, place, e);
    json_decref(root);
    if (s)
        mv_boxes_free(out);
    return s;
}

/* ---- VOC */

enum { DEEPEST = 32, LONGEST = 512 };

/* An XML file while it is parsed. */
typedef struct {
    XML_Parser parser;
    mv_boxes *out;
    int depth;
    char path[DEEPEST * 16]; /* "/annotation/object/bndbox" */
    size_t begin[DEEPEST];   /* of each element's name in path */
    char text[LONGEST];
    size_t letters;
    double corner[4]; /* of the object at hand: xmin, ymin, xmax, ymax */
    const char *what; /* is wrong; NULL: nothing */
} voc;

static void stop(voc *v, const char *what)
{
    if (!v->what)
        v->what = what;
    XML_StopParser(v->parser, XML_FALSE);
}

static void XMLCALL on_start(void *context, const char *name, const char **attributes)
{
    voc *v = context;
    size_t used = strlen(v->path), n = strlen(name);
    (void)attributes;
    if (v->depth == DEEPEST || used + n + 2 > sizeof v->path) {
        stop(v, "elements that lie too deep");
        return;
    }
    v->begin[v->depth++] = used;
    v->path[used] = '/';
    memcpy(v->path + used + 1, name, n + 1);
    v->letters = 0;
    if (strcmp(v->path, "/annotation/object") == 0) {
        for (int k = 0; k < 4; k++)
            v->corner[k] = NAN;
        if (v->out->categories == MV_BOXES_PER_PICTURE)
            stop(v, "too many objects");
        else
            v->out->category[v->out->categories] = NULL;
    }
}

static void XMLCALL on_text(void *context, const char *text, int n)
{
    voc *v = context;
    if (v->letters + (size_t)n >= sizeof v->text) {
        stop(v, "a text that is too long");
        return;
    }
    memcpy(v->text + v->letters, text, (size_t)n);
    v->letters += (size_t)n;
}

static bool is_at(const voc *v, const char *path)
{
    return strcmp(v->path, path) == 0;
}

/* The corners are pixels, counted from 1, and inside. */
static void end_object(voc *v)
{
    mv_boxes *b = v->out;
    const double *c = v->corner;
    if (!b->category[b->categories] && !(b->category[b->categories] = strdup(""))) {
        stop(v, NULL);
        return;
    }
    if (!add_box(b->picture, (mv_box){c[0] - 1, c[1] - 1, c[2] - c[0] + 1, c[3] - c[1] + 1, b->categories++}))
        stop(v, is_full(b->picture) ? "too many objects" : NULL);
}

static void replace(voc *v, char **text)
{
    free(*text);
    *text = strdup(v->text);
    if (!*text)
        stop(v, NULL);
}

static void XMLCALL on_end(void *context, const char *name)
{
    static const char *const corners[] = {"xmin", "ymin", "xmax", "ymax"};
    voc *v = context;
    mv_boxed *p = v->out->picture;
    v->text[v->letters] = 0;
    char *end;
    double number = strtod(v->text, &end);
    bool is_number = end > v->text && !end[strspn(end, " \t\r\n")] && isfinite(number);
    int side = number >= 1 && number <= MV_BOXES_SIDE ? (int)number : 0;
    if (is_at(v, "/annotation/filename"))
        replace(v, &p->name);
    else if (is_at(v, "/annotation/size/width"))
        p->w = side;
    else if (is_at(v, "/annotation/size/height"))
        p->h = side;
    else if (is_at(v, "/annotation/object/name"))
        replace(v, &v->out->category[v->out->categories]);
    else if (is_at(v, "/annotation/object"))
        end_object(v);
    else if (strncmp(v->path, "/annotation/object/bndbox/", 26) == 0)
        for (int k = 0; k < 4; k++) {
            if (strcmp(name, corners[k]) != 0)
                continue;
            v->corner[k] = number;
            if (!is_number)
                stop(v, "a corner that is no number");
        }
    v->letters = 0;
    v->path[v->begin[--v->depth]] = 0;
}

/* Entities can grow without bound, and no annotation needs them. */
static void XMLCALL on_entity(void *context, const char *name, int parameter, const char *value, int length,
                              const char *base, const char *system, const char *public, const char *notation)
{
    (void)name, (void)parameter, (void)value, (void)length, (void)base, (void)system, (void)public, (void)notation;
    stop(context, "an entity");
}

static unsigned long line_of(XML_Parser parser)
{
#if XML_MAJOR_VERSION > 2 || XML_MINOR_VERSION >= 8 /* deprecates the other */
    return (unsigned long)XML_GetCurrentLineNumber64(parser);
#else
    return (unsigned long)XML_GetCurrentLineNumber(parser);
#endif
}

static mv_status parse_voc(voc *v, const void *bytes, size_t size, const char *place, mv_error *e)
{
    mv_boxes *b = v->out;
    XML_SetUserData(v->parser, v);
    XML_SetElementHandler(v->parser, on_start, on_end);
    XML_SetCharacterDataHandler(v->parser, on_text);
    XML_SetEntityDeclHandler(v->parser, on_entity);
    bool good = XML_Parse(v->parser, bytes ? bytes : "", (int)size, XML_TRUE) == XML_STATUS_OK;
    if (v->what)
        return mv_fail(e, MV_EINPUT, "%s: line %lu: found %s, expected VOC's XML", place, line_of(v->parser), v->what);
    enum XML_Error code = XML_GetErrorCode(v->parser);
    if (!good && (code == XML_ERROR_ABORTED || code == XML_ERROR_NO_MEMORY))
        return mv_fail_memory(e, place);
    if (!good)
        return mv_fail(e, MV_EINPUT, "%s: line %lu: %s, expected VOC's XML", place, line_of(v->parser),
                       XML_ErrorString(code));
    if (b->picture->w == 0 || b->picture->h == 0)
        return mv_fail(e, MV_EINPUT, "%s: found no width and height, expected VOC's XML with the size of the picture",
                       place);
    return MV_OK;
}

mv_status mv_boxes_voc(mv_boxes *out, const void *bytes, size_t size, const char *place, mv_error *e)
{
    voc *v = calloc(1, sizeof *v);
    *out = (mv_boxes){0};
    if (size > MV_BOXES_XML) {
        free(v);
        return mv_fail(e, MV_EINPUT, "%s: found %zu bytes, expected at most %d", place, size, MV_BOXES_XML);
    }
    out->picture = calloc(1, sizeof *out->picture);
    out->category = calloc(MV_BOXES_PER_PICTURE + 1, sizeof *out->category);
    if (out->picture)
        out->picture->name = strdup("");
    if (v) {
        v->out = out;
        v->parser = XML_ParserCreate(NULL);
    }
    bool made = v && v->parser && out->category && out->picture && out->picture->name;
    out->n = out->picture != NULL;
    mv_status s = made ? parse_voc(v, bytes, size, place, e) : mv_fail_memory(e, place);
    if (v && v->parser)
        XML_ParserFree(v->parser);
    free(v);
    if (s) {
        if (out->category) /* one of an object that did not end */
            free(out->category[out->categories]);
        mv_boxes_free(out);
    }
    return s;
}
