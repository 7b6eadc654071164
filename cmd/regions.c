#include "cmd/regions.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "src/base/text.h"
#include "src/file/boxes.h"
#include "src/file/mapping.h"
#include "src/picture/decode.h"

enum { UNKNOWN = -1 };

struct regions {
    const char *folder; /* NULL: coco */
    size_t max_pixels, max_memory;
    mv_boxes coco;
    int *class_; /* of each of its categories */
};

/* ---- the file or folder */

/* The class of each category. The caller's to free; NULL without memory. */
static int *classes_of(const session *s, const mv_boxes *b)
{
    int *class_ = malloc(((size_t)b->categories + 1) * sizeof *class_);
    for (int i = 0; class_ && i < b->categories; i++)
        if (session_find_class(s, b->category[i], "category", &class_[i], NULL) || class_[i] < 0)
            class_[i] = UNKNOWN;
    return class_;
}

regions *regions_open(const session *s, const char *path, size_t max_pixels, size_t max_memory, mv_error *e)
{
    struct stat st;
    mv_mapping m = {0};
    mv_error why = {0};
    regions *r = calloc(1, sizeof *r);
    if (!r) {
        mv_fail_memory(e, path);
        return NULL;
    }
    r->max_memory = max_memory;
    r->max_pixels = max_pixels ? max_pixels : MV_PICTURE_MAX_PIXELS;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        r->folder = path;
        return r;
    }
    mv_status status = mv_mapping_open(&m, path, e);
    if (!status) {
        mv_boxes_coco(&r->coco, m.bytes, m.size, path, &why);
        status = mv_mapping_finish(&m, path, &why, e);
    }
    mv_mapping_close(&m);
    if (!status && !(r->class_ = classes_of(s, &r->coco)))
        status = mv_fail_memory(e, path);
    if (!status)
        return r;
    regions_free(r);
    return NULL;
}

void regions_free(regions *r)
{
    if (!r)
        return;
    mv_boxes_free(&r->coco);
    free(r->class_);
    free(r);
}

/* ---- pictures of regions */

/* The boxes that count, white on black, by the sums of what begins and ends at a pixel: many boxes take no longer. */
static mv_status paint(mv_image *out, const mv_boxed *p, const int *class_, int categories, int wanted, bool *any,
                       mv_error *e)
{
    size_t wide = (size_t)p->w + 1;
    bool some = false;
    int *sum = calloc(wide * ((size_t)p->h + 1), sizeof *sum);
    if (!sum)
        return mv_fail_memory(e, p->name);
    for (int i = 0; i < categories; i++)
        some |= class_[i] != UNKNOWN;
    for (int i = 0; i < p->n; i++) {
        const mv_box *b = &p->box[i];
        if (some && (b->category < 0 || class_[b->category] != wanted))
            continue;
        size_t x0 = (size_t)fmin(fmax(round(b->x), 0), p->w), x1 = (size_t)fmin(fmax(round(b->x + b->w), 0), p->w),
               y0 = (size_t)fmin(fmax(round(b->y), 0), p->h), y1 = (size_t)fmin(fmax(round(b->y + b->h), 0), p->h);
        sum[y0 * wide + x0]++;
        sum[y0 * wide + x1]--;
        sum[y1 * wide + x0]--;
        sum[y1 * wide + x1]++;
        *any |= x0 < x1 && y0 < y1;
    }
    mv_status s = mv_image_new(out, p->w, p->h, e);
    for (size_t y = 0; !s && y < (size_t)p->h; y++)
        for (size_t x = 0; x < (size_t)p->w; x++) {
            int *at = &sum[y * wide + x];
            *at += (x ? at[-1] : 0) + (y ? *(at - wide) : 0) - (x && y ? *(at - wide - 1) : 0);
            memset(out->rgb + 3 * (y * (size_t)p->w + x), *at > 0 ? 255 : 0, 3);
        }
    free(sum);
    return s;
}

/* The picture of boxes; nothing for a picture without any. */
static mv_status of_boxes(const regions *r, mv_image *out, const mv_boxed *p, const int *class_, int categories,
                          int wanted, const char *place, mv_error *e)
{
    bool any = false;
    if (!p || p->n == 0)
        return MV_OK;
    if ((size_t)p->w * (size_t)p->h > r->max_pixels)
        return mv_fail(e, MV_EINPUT, "%s: found a picture of %d x %d, expected at most %zu pixels (--max-pixels)",
                       place, p->w, p->h, r->max_pixels);
    mv_status s = paint(out, p, class_, categories, wanted, &any, e);
    if (s || !any)
        mv_image_free(out);
    return s;
}

static mv_status of_voc(const regions *r, const session *s, mv_image *out, const char *path, int wanted, mv_error *e)
{
    mv_mapping m;
    mv_boxes b;
    if (mv_mapping_load(&m, path, MV_BOXES_XML, e))
        return e->code;
    mv_status status = mv_boxes_voc(&b, m.bytes, m.size, path, e);
    mv_mapping_close(&m);
    if (status)
        return status;
    int *class_ = classes_of(s, &b);
    status = class_ ? of_boxes(r, out, b.picture, class_, b.categories, wanted, path, e) : mv_fail_memory(e, path);
    free(class_);
    mv_boxes_free(&b);
    return status;
}

static mv_status of_mask(const regions *r, mv_image *out, const char *path, mv_error *e)
{
    mv_picture_options how = {.max_pixels = r->max_pixels, .max_memory = r->max_memory};
    mv_status s = mv_picture_load(out, path, &how, e);
    for (size_t i = 0; !s && i < (size_t)out->w * (size_t)out->h; i++) {
        uint8_t *p = out->rgb + 3 * i;
        memset(p, p[0] | p[1] | p[2] ? 255 : 0, 3);
    }
    return s;
}

/* FOLDER/cat/1.xml or FOLDER/1.xml for cat/1.jpg: the first that is there; NULL for none. The caller's to free. */
static char *file_beside(const regions *r, const char *below, const char *ending)
{
    const char *base = mv_text_base_name(below), *names[] = {below, base};
    struct stat st;
    for (int i = 0; i < 2; i++) {
        const char *dot = strrchr(names[i], '.');
        int n = dot && dot > base ? (int)(dot - names[i]) : (int)strlen(names[i]);
        char *path;
        if (asprintf(&path, "%s/%.*s%s", r->folder, n, names[i], ending) < 0)
            return NULL;
        if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
            return path;
        free(path);
    }
    return NULL;
}

static mv_status of_folder(const regions *r, const session *s, mv_image *out, const char *below, int wanted,
                           mv_error *e)
{
    char *path = file_beside(r, below, ".xml");
    mv_status status = MV_OK;
    if (path)
        status = of_voc(r, s, out, path, wanted, e);
    else if ((path = file_beside(r, below, ".png")))
        status = of_mask(r, out, path, e);
    free(path);
    return status;
}

/* ---- the pixels of the input */

/* Black beside the picture, which pads with its mean colour. */
static mv_status to_input(const session *s, const mv_image *image, int h, int w, bool **inside, mv_error *e)
{
    mv_preprocess p = s->config.preprocess;
    mv_image crop = {0};
    size_t marked = 0, n = (size_t)h * (size_t)w;
    for (int c = 0; c < 3; c++)
        p.mean[c] = 0;
    mv_status status = mv_preprocess_crop(&p, image, &crop, e);
    *inside = status ? NULL : malloc(n * sizeof **inside);
    if (!status && !*inside)
        status = mv_fail_memory(e, "boxes");
    for (size_t i = 0; !status && i < n; i++) {
        (*inside)[i] = crop.rgb[3 * i] > 127;
        marked += (*inside)[i];
    }
    if (marked == 0) { /* cut off by the crop */
        free(*inside);
        *inside = NULL;
    }
    mv_image_free(&crop);
    return status;
}

mv_status regions_of(const regions *r, const session *s, const char *below, int class_, int h, int w, bool **inside,
                     mv_error *e)
{
    mv_image image = {0};
    mv_status status;
    *inside = NULL;
    if (h != s->config.preprocess.h || w != s->config.preprocess.w) /* a ready input has no geometry */
        return MV_OK;
    if (r->folder)
        status = of_folder(r, s, &image, below, class_, e);
    else {
        const mv_boxed *p = mv_boxes_lookup(&r->coco, below);
        if (!p)
            p = mv_boxes_lookup(&r->coco, mv_text_base_name(below));
        status = of_boxes(r, &image, p, r->class_, r->coco.categories, class_, "--boxes", e);
    }
    if (!status && image.rgb)
        status = to_input(s, &image, h, w, inside, e);
    mv_image_free(&image);
    return status;
}
