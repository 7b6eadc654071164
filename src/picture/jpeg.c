#include "src/picture/codec_impl.h"

#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>

#include <jerror.h>

#include "src/base/text.h"
#include "src/picture/orient_impl.h"

/* libjpeg-turbo with its default settings, which are Pillow's, so the pixels are Pillow's too. The library replaces
 * missing data by grey and warns about it; here such a warning is an error, because half a picture is none. */

enum {
    MAX_SCANS = 100, /* progressive pictures have about ten; each costs a walk over all blocks */
    BLOCK = 32,      /* px: sides are rounded up to a multiple of the largest unit of blocks */
    APP1 = JPEG_APP0 + 1
};

/* What the library's callbacks need to know. */
typedef struct {
    struct jpeg_decompress_struct jpeg; /* its client_data is this */
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    jmp_buf failed;
    const mv_encoded *f;
    mv_encoded found; /* its orientation is what the header names */
    mv_image *out;
    mv_error *e;
    mv_status status;
    unsigned started; /* bit i: a scan began component i */
    bool warned;
} reader;

/* ---- callbacks of the library */

static void fail_at_once(j_common_ptr jpeg)
{
    reader *r = jpeg->client_data;
    char text[JMSG_LENGTH_MAX];
    r->errors.format_message(jpeg, text);
    switch (r->errors.msg_code) {
    case JERR_OUT_OF_MEMORY: r->status = mv_fail_memory(r->e, r->f->name); break;
    case JWRN_HIT_MARKER: r->status = mv_encoded_short(r->f, "the JPEG has less data than its size says", r->e); break;
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_MUST_RESYNC:
        r->status = mv_fail(r->e, MV_EINPUT, "%s: is damaged: %.*s", r->f->name, mv_text_said(text), text);
        break;
    default:
        r->status =
            mv_fail(r->e, MV_EINPUT, "%s: this JPEG cannot be decoded: %.*s", r->f->name, mv_text_said(text), text);
    }
    longjmp(r->failed, 1);
}

/* level < 0: a warning. Those that leave every pixel in doubt fail, those that leave none do not matter. */
static void heed(j_common_ptr jpeg, int level)
{
    reader *r = jpeg->client_data;
    char text[JMSG_LENGTH_MAX];
    if (level >= 0)
        return;
    switch (r->errors.msg_code) {
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_MUST_RESYNC: fail_at_once(jpeg); break;
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_BOGUS_PROGRESSION:
        r->errors.format_message(jpeg, text);
        if (!r->warned)
            mv_warn(r->f->warnings, "%s: part of the picture may be wrong: %.*s", r->f->name, mv_text_said(text), text);
        r->warned = true;
        break;
    default: break;
    }
}

static void say_nothing(j_common_ptr jpeg)
{
    (void)jpeg;
}

/* Called before each row of blocks of a picture in several scans. */
static void watch_scans(j_common_ptr jpeg)
{
    reader *r = jpeg->client_data;
    const struct jpeg_decompress_struct *d = &r->jpeg;
    if (d->input_scan_number > MAX_SCANS) {
        r->status = mv_fail(r->e, MV_EINPUT, "%s: found a JPEG of more than %d scans, expected about ten", r->f->name,
                            MAX_SCANS);
        longjmp(r->failed, 1);
    }
    for (int i = 0; i < d->comps_in_scan && (!d->progressive_mode || d->Ss == 0); i++)
        r->started |= 1U << d->cur_comp_info[i]->component_index;
}

static void source_ready(j_decompress_ptr jpeg)
{
    (void)jpeg;
}

static boolean source_fill(j_decompress_ptr jpeg) /* everything was there from the start */
{
    reader *r = jpeg->client_data;
    r->status = mv_encoded_short(
        r->f, jpeg->input_scan_number ? "the JPEG's end marker is missing" : "the JPEG ends before its data", r->e);
    longjmp(r->failed, 1);
}

static void source_skip(j_decompress_ptr jpeg, long n)
{
    if ((size_t)n > jpeg->src->bytes_in_buffer) {
        reader *r = jpeg->client_data;
        r->status = mv_encoded_short(r->f, "a JPEG segment is longer than the rest of the file", r->e);
        longjmp(r->failed, 1);
    }
    jpeg->src->next_input_byte += n;
    jpeg->src->bytes_in_buffer -= (size_t)n;
}

/* ---- steps; all of them may jump to r->failed */

static bool is_exif(const struct jpeg_marker_struct *m)
{
    return mv_starts_with(m->data, m->data_length, "Exif\0", 6);
}

/* A block that a segment cannot hold goes on in the next one. */
static void read_exif(reader *r)
{
    size_t n = 0;
    for (const struct jpeg_marker_struct *m = r->jpeg.marker_list; m; m = m->next)
        n += is_exif(m) ? m->data_length - 6 : 0;
    if (!n)
        return;
    uint8_t *block = r->jpeg.mem->alloc_large((j_common_ptr)&r->jpeg, JPOOL_IMAGE, n), *to = block;
    for (const struct jpeg_marker_struct *m = r->jpeg.marker_list; m; m = m->next)
        if (is_exif(m)) {
            memcpy(to, m->data + 6, m->data_length - 6);
            to += m->data_length - 6;
        }
    mv_orient_by_exif(&r->found, block, n);
}

/* Reads up to the first scan. */
static void read_header(reader *r)
{
    static const char xmp[] = "http://ns.adobe.com/xap/1.0/";
    r->source = (struct jpeg_source_mgr){.next_input_byte = r->f->bytes,
                                         .bytes_in_buffer = r->f->size,
                                         .init_source = source_ready,
                                         .fill_input_buffer = source_fill,
                                         .skip_input_data = source_skip,
                                         .resync_to_restart = jpeg_resync_to_restart,
                                         .term_source = source_ready};
    r->progress.progress_monitor = watch_scans;
    jpeg_create_decompress(&r->jpeg);
    r->jpeg.src = &r->source;
    r->jpeg.progress = &r->progress;
    jpeg_save_markers(&r->jpeg, APP1, 0xFFFF);
    jpeg_read_header(&r->jpeg, TRUE);
    read_exif(r);
    for (const struct jpeg_marker_struct *m = r->jpeg.marker_list; m; m = m->next)
        if (mv_starts_with(m->data, m->data_length, xmp, sizeof xmp))
            mv_orient_by_xmp(&r->found, m->data + sizeof xmp, m->data_length - sizeof xmp);
}

/* Adobe's convention, which Pillow takes every file of four components to follow: 255 is no ink. */
static void rgb_of_inks(uint8_t *rgb, const uint8_t *inks, size_t n)
{
    for (size_t i = 0; i < n; i++, rgb += 3, inks += 4)
        for (int c = 0; c < 3; c++) {
            unsigned t = (255U - inks[c]) * inks[3] + 128;
            rgb[c] = (uint8_t)(inks[3] - (((t >> 8) + t) >> 8));
        }
}

/* A progressive picture may end before its last scans, with an end marker all the same. */
static void check_scans(reader *r)
{
    const struct jpeg_decompress_struct *d = &r->jpeg;
    bool fine = true;
    for (int i = 0; d->coef_bits && i < d->num_components; i++)
        for (int k = 0; k < DCTSIZE2; k++)
            fine = fine && d->coef_bits[i][k] == 0;
    if (r->started && r->started != (1U << d->num_components) - 1)
        r->status = mv_encoded_short(r->f, "the JPEG lacks the data of a colour component", r->e);
    else if (!fine)
        mv_warn(r->f->warnings, "%s: the JPEG ends before its last scans: details are missing", r->f->name);
}

/* Reads the whole picture to r->out. */
static void read_pixels(reader *r)
{
    j_decompress_ptr jpeg = &r->jpeg;
    const mv_image *out = r->out;
    read_header(r);
    bool inks = jpeg->num_components == 4;
    size_t pitch = (size_t)out->w * 3;
    jpeg->out_color_space = inks ? JCS_CMYK : JCS_RGB;
    /* for the coefficients of a picture in several scans: two bytes a sample, up to four samples a pixel */
    jpeg->mem->max_memory_to_use = (long)(((size_t)out->w + BLOCK) * ((size_t)out->h + BLOCK) * 8 + (1 << 20));
    jpeg_start_decompress(jpeg);
    check_scans(r);
    if (r->status)
        return;
    JSAMPARRAY row = inks ? jpeg->mem->alloc_sarray((j_common_ptr)jpeg, JPOOL_IMAGE, 4 * jpeg->output_width, 1) : NULL;
    while (jpeg->output_scanline < jpeg->output_height) {
        uint8_t *to = out->rgb + jpeg->output_scanline * pitch;
        jpeg_read_scanlines(jpeg, inks ? row : &to, 1);
        if (inks)
            rgb_of_inks(to, *row, (size_t)out->w);
    }
    jpeg_finish_decompress(jpeg);
}

/* ---- the codec */

static bool is_jpeg(const uint8_t *b, size_t n)
{
    return mv_starts_with(b, n, "\xFF\xD8\xFF", 3);
}

/* Takes the steps, up to the first that fails. */
static mv_status run(reader *r, void (*steps)(reader *))
{
    r->jpeg.err = jpeg_std_error(&r->errors);
    r->jpeg.client_data = r;
    r->errors.error_exit = fail_at_once;
    r->errors.emit_message = heed;
    r->errors.output_message = say_nothing;
    if (!setjmp(r->failed))
        steps(r);
    jpeg_destroy_decompress(&r->jpeg);
    return r->status;
}

static mv_status check(mv_encoded *f, mv_error *e)
{
    reader r = {.f = f, .e = e, .warned = true}; /* decode warns */
    mv_status s = run(&r, read_header);
    int n = r.jpeg.num_components;
    if (s)
        return s;
    if (n != 1 && n != 3 && n != 4)
        return mv_fail(e, MV_EINPUT, "%s: found a JPEG of %d colour components, expected 1, 3 or 4", f->name, n);
    f->exif = r.found.exif;
    f->xmp = r.found.xmp;
    return mv_encoded_set_size(f, r.jpeg.image_width, r.jpeg.image_height, e);
}

static mv_status decode(const mv_encoded *f, mv_image *out, mv_error *e)
{
    reader r = {.f = f, .e = e, .out = out};
    if (mv_image_new(out, f->w, f->h, NULL) != MV_OK)
        return mv_fail_memory(e, f->name);
    mv_status s = run(&r, read_pixels);
    if (s)
        mv_image_free(out);
    return s;
}

const mv_codec mv_codec_jpeg = {
    .name = "JPEG", .endings = {".jpg", ".jpeg", ".jpe", ".jfif"}, .is = is_jpeg, .check = check, .decode = decode};
