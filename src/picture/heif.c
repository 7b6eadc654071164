#include "src/picture/heif_impl.h"

#include <dlfcn.h>
#include <libheif/heif.h>

#include "src/base/library.h"
#include "src/base/text.h"
#include "src/file/kind.h"

/* HEIC and AVIF by libheif, in builds that found its headers: the primary image, 8 bits a colour. libheif turns and
 * mirrors as the file's own boxes say, and EXIF does not count (ISO/IEC 23008-12, 6.5.10), so that nothing is turned
 * twice.
 *
 * The library is loaded when the first such picture is met: with its codecs it would take a third of the time in which
 * the program starts, and the program runs without it.
 *
 * Tiles are decoded in this thread; the codecs behind libheif have threads of their own. Sides and pixels are checked
 * before a codec runs, and libheif 1.19 and later gets the allowed pixels as its limit. Before libheif sees a file,
 * heif_items.c has seen what its images are made of. */

#define FUNCTIONS(X)                                                                                                   \
    X(heif_context_alloc)                                                                                              \
    X(heif_context_free)                                                                                               \
    X(heif_context_set_max_decoding_threads)                                                                           \
    X(heif_context_set_maximum_image_size_limit)                                                                       \
    X(heif_context_read_from_memory_without_copy)                                                                      \
    X(heif_context_get_primary_image_handle)                                                                           \
    X(heif_context_get_number_of_top_level_images)                                                                     \
    X(heif_have_decoder_for_format)                                                                                    \
    X(heif_image_handle_get_width)                                                                                     \
    X(heif_image_handle_get_height)                                                                                    \
    X(heif_image_handle_release)                                                                                       \
    X(heif_decoding_options_alloc)                                                                                     \
    X(heif_decoding_options_free)                                                                                      \
    X(heif_decode_image)                                                                                               \
    X(heif_image_get_width)                                                                                            \
    X(heif_image_get_height)                                                                                           \
    X(heif_image_get_plane_readonly)                                                                                   \
    X(heif_image_get_decoding_warnings)                                                                                \
    X(heif_image_release)

/* The library, and what is open of a file. */
typedef struct {
#define POINTER(name) __typeof__(name) *name;
    FUNCTIONS(POINTER)
#if LIBHEIF_HAVE_VERSION(1, 19, 0)
    __typeof__(heif_context_get_security_limits) *heif_context_get_security_limits;
#endif
#if LIBHEIF_HAVE_VERSION(1, 15, 0)
    __typeof__(heif_get_decoder_descriptors) *heif_get_decoder_descriptors;
    __typeof__(heif_decoder_descriptor_get_id_name) *heif_decoder_descriptor_get_id_name;
#endif
    struct heif_context *context;
    struct heif_image_handle *primary;
} heif;

/* It stays loaded: the next picture finds it at once. */
static mv_status load(heif *h, const char *name, mv_error *e)
{
    static const char *const names[] = {"libheif.so.1", NULL};
    mv_error why = {0};
    void *library = mv_library_load(names, RTLD_NOW | RTLD_LOCAL, &why);
    bool whole = library;
#define FIND(name) whole = whole && (*(void **)&h->name = dlsym(library, #name));
    FUNCTIONS(FIND)
#if LIBHEIF_HAVE_VERSION(1, 19, 0)
    FIND(heif_context_get_security_limits)
#endif
#if LIBHEIF_HAVE_VERSION(1, 15, 0)
    FIND(heif_get_decoder_descriptors)
    FIND(heif_decoder_descriptor_get_id_name)
#endif
    if (whole)
        return MV_OK;
    return mv_fail(e, MV_EINPUT,
                   "%s: found a HEIC or AVIF picture, which libheif reads: %s; install libheif1, or convert the "
                   "picture to PNG or JPEG",
                   name, library ? "the one that is installed is too old" : why.text);
}

static bool is_heif(const uint8_t *b, size_t n)
{
    mv_kind kind = mv_kind_of(b, n);
    return kind == MV_KIND_HEIC || kind == MV_KIND_AVIF;
}

static mv_status refused(const heif *h, const mv_encoded *f, struct heif_error why, mv_error *e)
{
    /* With other subcodes the file is at fault: a size of zero, or beyond a limit. */
    if (why.code == heif_error_Memory_allocation_error && why.subcode == heif_suberror_Unspecified)
        return mv_fail_memory(e, f->name);
    if (why.subcode == heif_suberror_End_of_data) /* of the file, or of a box in it */
        return mv_fail(e, MV_EINPUT, "%s: is cut short or damaged, says libheif: %.*s", f->name,
                       mv_text_said(why.message), why.message);
    if (why.code == heif_error_Unsupported_feature && why.subcode == heif_suberror_Unsupported_codec) {
        bool hevc = h->heif_have_decoder_for_format(heif_compression_HEVC);
        bool av1 = h->heif_have_decoder_for_format(heif_compression_AV1);
        return mv_fail(e, MV_EINPUT, "%s: libheif has no decoder for this picture%s%s", f->name,
                       hevc ? "" : "; libheif-plugin-libde265 brings one for HEIC",
                       av1 ? "" : "; libheif-plugin-dav1d brings one for AVIF");
    }
    return mv_fail(e, MV_EINPUT, "%s: is damaged or of an unknown form, says libheif: %.*s", f->name,
                   mv_text_said(why.message), why.message);
}

/* The pixels that any image of the file may have: a tile may be larger than the picture. */
static size_t most_pixels(const mv_encoded *f)
{
    enum { SMALL_TILE = 1 << 20, LARGEST = 1 << 28 }; /* above, libheif 1.15 multiplies in too few bits */
    size_t most = f->max_pixels > SMALL_TILE ? f->max_pixels : SMALL_TILE;
    return most < LARGEST ? most : LARGEST;
}

/* Opens the primary image of the file. `close_primary` releases it, also after a failure. */
static mv_status open_primary(heif *h, const mv_encoded *f, mv_error *e)
{
    *h = (heif){0};
    mv_status s = load(h, f->name, e);
    if (s)
        return s;
    h->context = h->heif_context_alloc();
    if (!h->context)
        return mv_fail_memory(e, f->name);
    h->heif_context_set_max_decoding_threads(h->context, 0);
    h->heif_context_set_maximum_image_size_limit(h->context, MV_HEIF_SIDE);
#if LIBHEIF_HAVE_VERSION(1, 19, 0)
    h->heif_context_get_security_limits(h->context)->max_image_size_pixels = most_pixels(f);
#endif
    struct heif_error why = h->heif_context_read_from_memory_without_copy(h->context, f->bytes, f->size, NULL);
    if (!why.code)
        why = h->heif_context_get_primary_image_handle(h->context, &h->primary);
    return why.code ? refused(h, f, why, e) : MV_OK;
}

static void close_primary(heif *h)
{
    if (h->primary)
        h->heif_image_handle_release(h->primary);
    if (h->context)
        h->heif_context_free(h->context);
}

static mv_status check(mv_encoded *f, mv_error *e)
{
    heif h;
    mv_status s = mv_heif_check_items(f, most_pixels(f), e);
    if (s)
        return s;
    s = open_primary(&h, f, e);
    if (!s) {
        int w = h.heif_image_handle_get_width(h.primary), high = h.heif_image_handle_get_height(h.primary);
        s = mv_encoded_set_size(f, w > 0 ? (uint64_t)w : 0, high > 0 ? (uint64_t)high : 0, e);
    }
    int n = s ? 1 : h.heif_context_get_number_of_top_level_images(h.context);
    if (n > 1)
        mv_warn(f->warnings, "%s: found %d pictures; the primary one is read", f->name, n);
    close_primary(&h);
    return s;
}

/* Copies the decoded image. Its size is that of the handle, unless the file lies. */
static mv_status copy(const heif *h, const mv_encoded *f, const struct heif_image *image, mv_image *out, mv_error *e)
{
    int stride = 0;
    const uint8_t *rgb = h->heif_image_get_plane_readonly(image, heif_channel_interleaved, &stride);
    size_t row = (size_t)f->w * 3;
    if (!rgb || stride < 0 || (size_t)stride < row ||
        h->heif_image_get_width(image, heif_channel_interleaved) != f->w ||
        h->heif_image_get_height(image, heif_channel_interleaved) != f->h)
        return mv_fail(e, MV_EINPUT, "%s: is damaged: its data do not give the %d x %d pixels of its header", f->name,
                       f->w, f->h);
    mv_status s = mv_image_new(out, f->w, f->h, e);
    for (int y = 0; !s && y < f->h; y++)
        memcpy(out->rgb + (size_t)y * row, rgb + (size_t)y * (size_t)stride, row);
    return s;
}

static void warn(const heif *h, const mv_encoded *f, struct heif_image *image)
{
    struct heif_error why;
    if (h->heif_image_get_decoding_warnings(image, 0, &why, 1) > 0)
        mv_warn(f->warnings, "%s: is damaged, says libheif: %.*s; it is read as far as possible", f->name,
                mv_text_said(why.message), why.message);
}

/* Asks for libaom if libheif has it: dav1d prints to stderr what it dislikes, and loses memory then. Newer versions
 * fail if they are asked for what is not there. */
static void prefer_aom(const heif *h, struct heif_decoding_options *how)
{
#if LIBHEIF_HAVE_VERSION(1, 15, 0)
    const struct heif_decoder_descriptor *decoder[8];
    int n = h->heif_get_decoder_descriptors(heif_compression_AV1, decoder, 8);
    for (int i = 0; i < n && i < 8; i++)
        if (strcmp(h->heif_decoder_descriptor_get_id_name(decoder[i]), "aom") == 0)
            how->decoder_id = "aom";
#else
    (void)h;
    (void)how;
#endif
}

static mv_status decode(const mv_encoded *f, mv_image *out, mv_error *e)
{
    heif h;
    struct heif_image *image = NULL;
    mv_status s = open_primary(&h, f, e);
    struct heif_decoding_options *how = s ? NULL : h.heif_decoding_options_alloc();
    if (!s && !how)
        s = mv_fail_memory(e, f->name);
    if (!s) {
        how->convert_hdr_to_8bit = 1;
        if (mv_kind_of(f->bytes, f->size) == MV_KIND_AVIF)
            prefer_aom(&h, how);
        struct heif_error why =
            h.heif_decode_image(h.primary, &image, heif_colorspace_RGB, heif_chroma_interleaved_RGB, how);
        s = why.code ? refused(&h, f, why, e) : copy(&h, f, image, out, e);
    }
    if (!s)
        warn(&h, f, image);
    if (image)
        h.heif_image_release(image);
    if (how)
        h.heif_decoding_options_free(how);
    close_primary(&h);
    return s;
}

const mv_codec mv_codec_heif = {.name = "HEIC, AVIF",
                                .endings = {".heic", ".heif", ".hif", ".avif"},
                                .is = is_heif,
                                .check = check,
                                .decode = decode};
