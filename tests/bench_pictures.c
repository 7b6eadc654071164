/* What is done to a picture around the network: decoding, resizing to the network's input, writing a PNG. Milliseconds
 * of CPU time, the least of some rounds, which other programs disturb least. bench_beside.py sets Pillow beside it.
 *
 *   bench_pictures [FILE [ROUNDS]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "src/picture/decode.h"
#include "src/picture/preprocess.h"
#include "tests/timing.h"
#include "viz/draw/pixels.h"
#include "viz/draw/png_file.h"

typedef struct {
    const char *file;
    mv_image image; /* decoded */
} picture;

static double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static mv_status drop(void *context, const void *bytes, size_t n)
{
    (void)bytes;
    *(size_t *)context += n;
    return MV_OK;
}

static void decode(picture *p, mv_error *e)
{
    const mv_picture_options options = {0};
    mv_image image;
    mv_picture_load(&image, p->file, &options, e);
    mv_image_free(&image);
}

static void resize(picture *p, mv_error *e)
{
    const mv_preprocess pp = {.h = 224, .w = 224, .crop_pct = 1, .mean = {0.5f, 0.5f, 0.5f}, .std = {1, 1, 1}};
    mv_image out;
    mv_preprocess_crop(&pp, &p->image, &out, e);
    mv_image_free(&out);
}

static void png(picture *p, mv_error *e)
{
    size_t written = 0;
    const mv_pixels pixels = {p->image.w, p->image.h, p->image.rgb, 3 * (size_t)p->image.w, false, 0};
    const mv_canvas_target to = {.kind = MV_CANVAS_PNG, .write = drop, .ctx = &written};
    mv_png_write(&pixels, &to, e);
}

static const struct {
    const char *name;
    void (*run)(picture *p, mv_error *e);
} steps[] = {{"decode", decode}, {"resize", resize}, {"png", png}};

int main(int argc, char **argv)
{
    const mv_picture_options options = {0};
    picture p = {.file = argc > 1 ? argv[1] : "assets/samples/church.jpg"};
    int rounds = argc > 2 ? atoi(argv[2]) : 20;
    mv_error e = {0};
    mv_picture_load(&p.image, p.file, &options, &e);
    timing_die_if(&e);
    for (size_t s = 0; s < sizeof steps / sizeof *steps; s++) {
        double least = 1e9;
        for (int i = 0; i < rounds; i++) {
            double begin = cpu_now();
            steps[s].run(&p, &e);
            double t = cpu_now() - begin;
            least = t < least ? t : least;
        }
        timing_die_if(&e);
        printf("%-8s %8.3f ms\n", steps[s].name, least * 1e3);
    }
    mv_image_free(&p.image);
    return 0;
}
