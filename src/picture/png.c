#include "src/picture/codec_impl.h"

#include <setjmp.h>
#include <stdlib.h>

#include <png.h>
#include <zlib.h>

#include "src/base/text.h"
#include "src/picture/orient_impl.h"

/* PNG specification, third edition: a signature, then chunks of length, type, data and CRC. `check` walks over them for
 * what says how the camera was held, and makes sure that a file without its end has all its pixels. libpng decodes. */

enum {
    SIGNATURE = 8,
    FRAME = 12,
    IHDR = 13,
    MAX_TEXTS = 16,    /* texts that are looked at; each may have to be inflated */
    MAX_TEXT = 1 << 20 /* bytes of one */
};

static bool is_png(const uint8_t *b, size_t n)
{
    return mv_starts_with(b, n, "\x89PNG\r\n\x1a\n", SIGNATURE);
}

/* ---- texts: a keyword and NUL, then what depends on the chunk's type */

typedef struct {
    const uint8_t *p;
    size_t n;
} span;

/* Moves `s` past the next NUL; false if there is none. */
static bool past_nul(span *s)
{
    const uint8_t *nul = memchr(s->p, 0, s->n);
    if (!nul)
        return false;
    s->n -= (size_t)(nul + 1 - s->p);
    s->p = nul + 1;
    return true;
}

/* Inflates a text into `room` of MAX_TEXT bytes; an empty span if it is damaged or larger. */
static span inflated(span packed, uint8_t *room)
{
    uLongf n = MAX_TEXT;
    bool whole = uncompress(room, &n, packed.p, (uLong)packed.n) == Z_OK;
    return (span){room, whole ? n : 0};
}

/* The text of a tEXt, zTXt or iTXt chunk, without its keyword; empty if there is none. */
static span text_of(const uint8_t *type, span s, uint8_t *room)
{
    static const span none = {NULL, 0};
    bool packed = type[0] == 'z';
    if (!past_nul(&s))
        return none;
    if (type[0] == 'i') { /* is it compressed, how, NUL-terminated language and translated keyword */
        if (s.n < 2)
            return none;
        packed = s.p[0];
        s = (span){s.p + 2, s.n - 2};
        for (int part = 0; part < 2; part++)
            if (!past_nul(&s))
                return none;
    } else if (packed) { /* how */
        if (s.n < 1)
            return none;
        s = (span){s.p + 1, s.n - 1};
    }
    return packed ? inflated(s, room) : s;
}

static int hex_digit(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* ImageMagick's raw profile: three lines, an empty one, "exif" and a length, then hexadecimal digits in lines. Returns
 * how many bytes it holds; they are put into `out`, which has room for half as many as the text has. */
static size_t raw_profile(span s, uint8_t *out)
{
    size_t n = 0;
    for (int lines = 0; lines < 3; lines++) {
        const uint8_t *end = memchr(s.p, '\n', s.n);
        if (!end)
            return 0;
        s.n -= (size_t)(end + 1 - s.p);
        s.p = end + 1;
    }
    for (; s.n; s.p++, s.n--) {
        int digit = hex_digit(*s.p);
        if (digit < 0 && *s.p > ' ')
            return 0;
        if (digit >= 0) {
            out[n / 2] = (uint8_t)(n % 2 ? out[n / 2] << 4 | digit : digit);
            n++;
        }
    }
    return n / 2;
}

/* Looks for an orientation in a text chunk. *raw is that of a raw profile. */
static mv_status read_text(mv_encoded *f, const uint8_t *type, span s, int *raw, mv_error *e)
{
    static const char profile[] = "Raw profile type exif", xmp[] = "XML:com.adobe.xmp";
    bool exif = mv_starts_with(s.p, s.n, profile, sizeof profile);
    if (!exif && !mv_starts_with(s.p, s.n, xmp, sizeof xmp))
        return MV_OK;
    uint8_t *room = malloc(MAX_TEXT), *block = malloc(MAX_TEXT / 2 + 1);
    if (room && block) {
        span text = text_of(type, s, room);
        mv_encoded found = {0};
        if (exif && text.n && text.n <= MAX_TEXT) {
            mv_orient_by_exif(&found, block, raw_profile(text, block));
            *raw = found.exif ? found.exif : *raw;
        } else if (text.n)
            mv_orient_by_xmp(f, text.p, text.n);
    }
    bool ready = room && block;
    free(room);
    free(block);
    return ready ? MV_OK : mv_fail_memory(e, f->name);
}

/* ---- a file without its end */

/* Bytes of all rows, each with its filter, before they are compressed. p: the data of IHDR. */
static uint64_t bytes_unpacked(const uint8_t *p)
{
    static const uint64_t samples[7] = {1, 0, 3, 1, 2, 0, 4};
    static const struct {
        uint64_t x, y, dx, dy;
    } adam7[] = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};
    uint64_t w = mv_be32(p), h = mv_be32(p + 4), bits = p[8] * (p[9] < 7 ? samples[p[9]] : 0), n = 0;
    if (!p[12])
        return h * (1 + (w * bits + 7) / 8);
    for (int i = 0; i < 7; i++) {
        uint64_t wide = (w + adam7[i].dx - 1 - adam7[i].x) / adam7[i].dx;
        uint64_t high = (h + adam7[i].dy - 1 - adam7[i].y) / adam7[i].dy;
        n += wide ? high * (1 + (wide * bits + 7) / 8) : 0;
    }
    return n;
}

/* True if the data that are there, the last chunk's possibly cut, unpack to all rows. */
static mv_status all_rows_there(const mv_encoded *f, bool *there, mv_error *e)
{
    uint8_t out[1 << 14];
    z_stream z = {0};
    if (inflateInit(&z) != Z_OK)
        return mv_fail_memory(e, f->name);
    uint64_t need = bytes_unpacked(f->bytes + SIGNATURE + 8);
    int state = Z_OK;
    for (size_t at = SIGNATURE; f->size - at > 8 && need && state == Z_OK;) {
        size_t length = mv_be32(f->bytes + at), left = f->size - at - 8;
        if (memcmp(f->bytes + at + 4, "IDAT", 4) == 0) {
            z.next_in = (z_const Bytef *)f->bytes + at + 8;
            z.avail_in = (uInt)(length < left ? length : left);
            do {
                z.next_out = out;
                z.avail_out = sizeof out;
                state = inflate(&z, Z_NO_FLUSH);
                uint64_t got = sizeof out - z.avail_out;
                need -= got < need ? got : need;
            } while (need && state == Z_OK && z.avail_out == 0);
            state = state == Z_BUF_ERROR ? Z_OK : state; /* it wants the next chunk */
        }
        if (left < 4 || length > left - 4)
            break;
        at += FRAME + length;
    }
    *there = need == 0;
    bool failed = state == Z_MEM_ERROR;
    inflateEnd(&z);
    return failed ? mv_fail_memory(e, f->name) : MV_OK;
}

static mv_status check_cut(const mv_encoded *f, mv_error *e)
{
    bool there = false;
    mv_status s = all_rows_there(f, &there, e);
    if (s)
        return s;
    if (!there)
        return mv_encoded_short(f, "the PNG ends inside its data", e);
    mv_warn(f->warnings, "%s: the end of the PNG is missing; all pixels are there", f->name);
    return MV_OK;
}

static mv_status check(mv_encoded *f, mv_error *e)
{
    const uint8_t *b = f->bytes;
    if (f->size < SIGNATURE + FRAME + IHDR)
        return mv_encoded_short(f, "the PNG ends in its header", e);
    if (memcmp(b + SIGNATURE, "\0\0\0\15IHDR", 8) != 0)
        return mv_fail(e, MV_EINPUT, "%s: %s", f->name,
                       memcmp(b + SIGNATURE + 4, "CgBI", 4) == 0
                           ? "is a PNG for iOS (CgBI), which only Apple's programs read"
                           : "the PNG does not begin with its header (IHDR)");
    mv_status s = mv_encoded_set_size(f, mv_be32(b + SIGNATURE + 8), mv_be32(b + SIGNATURE + 12), e);
    span exif = {NULL, 0};
    int raw = 0, texts = 0;
    for (size_t at = SIGNATURE; !s;) {
        const uint8_t *type = b + at + 4;
        size_t length = f->size - at >= FRAME ? mv_be32(b + at) : SIZE_MAX;
        if (length == SIZE_MAX || length > f->size - at - FRAME) {
            s = check_cut(f, e);
            break;
        }
        if (memcmp(type, "IEND", 4) == 0)
            break;
        if (memcmp(type, "eXIf", 4) == 0)
            exif = (span){type + 4, length};
        else if (memcmp(type + 1, type[0] == 'i' || type[0] == 'z' ? "TXt" : "EXt", 3) == 0 && texts++ < MAX_TEXTS)
            s = read_text(f, type, (span){type + 4, length}, &raw, e);
        at += FRAME + length;
    }
    f->exif = raw;
    if (exif.p) {
        f->exif = 0;
        mv_orient_by_exif(f, exif.p, exif.n);
    }
    return s;
}

/* ---- decoding */

typedef struct {
    const mv_encoded *f;
    mv_image *out;
    size_t at;
    int rows_left;   /* of all passes, before the last one is complete */
    size_t past_end; /* bytes that libpng asked for beyond the file */
    bool no_memory, grey16;
    char what[128]; /* libpng's last error or first warning */
} reader;

/* Behind the end of the file libpng finds zeros, but not for as long as the last chunk claims to be. */
static void source(png_structp png, png_bytep out, size_t n)
{
    enum { ENOUGH = 1 << 16 };
    reader *r = png_get_io_ptr(png);
    size_t left = r->f->size - r->at, take = n < left ? n : left;
    memcpy(out, r->f->bytes + r->at, take);
    memset(out + take, 0, n - take); /* `check` found that all rows come before */
    r->at += take;
    r->past_end += n - take;
    if (r->past_end > ENOUGH)
        png_error(png, "the file ends");
}

static void fail_at_once(png_structp png, png_const_charp what)
{
    reader *r = png_get_error_ptr(png);
    snprintf(r->what, sizeof r->what, "%s", what);
    png_longjmp(png, 1);
}

static void heed(png_structp png, png_const_charp what)
{
    reader *r = png_get_error_ptr(png);
    if (!*r->what)
        snprintf(r->what, sizeof r->what, "%s", what);
}

static png_voidp take_memory(png_structp png, png_alloc_size_t n)
{
    reader *r = png_get_mem_ptr(png);
    void *p = malloc(n);
    r->no_memory = r->no_memory || !p;
    return p;
}

static void give_memory(png_structp png, png_voidp p)
{
    (void)png;
    free(p);
}

/* To 8-bit RGB: alpha is dropped, 16 bits keep their upper 8. */
static void ask_for_rgb(png_structp png, png_infop info)
{
    png_set_expand_gray_1_2_4_to_8(png);
    if (png_get_color_type(png, info) == PNG_COLOR_TYPE_PALETTE)
        png_set_palette_to_rgb(png);
    png_set_strip_16(png);
    png_set_gray_to_rgb(png);
    png_set_strip_alpha(png);
}

/* Reads the rows of r->out; false if libpng gave up. */
static bool read_rows(reader *r, png_structp png, png_infop info)
{
    if (setjmp(png_jmpbuf(png)))
        return false;
    png_set_read_fn(png, r, source);
    png_set_user_limits(png, (png_uint_32)r->f->w, (png_uint_32)r->f->h);
    png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_QUIET_USE);
#ifdef PNG_IGNORE_ADLER32 /* it may be missing; the chunks have checksums of their own */
    png_set_option(png, PNG_IGNORE_ADLER32, PNG_OPTION_ON);
#endif
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1); /* what is not needed for the pixels */
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, (png_const_bytep) "tRNS\0eXIf", 2);
    png_read_info(png, info);
    r->grey16 = png_get_bit_depth(png, info) == 16 && !(png_get_color_type(png, info) & PNG_COLOR_MASK_COLOR);
    ask_for_rgb(png, info);
    int passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    if (png_get_rowbytes(png, info) != (size_t)r->out->w * 3)
        png_error(png, "a row has another size than expected");
    r->rows_left = passes * r->out->h;
    for (int pass = 0; pass < passes; pass++)
        for (int y = 0; y < r->out->h; y++, r->rows_left--)
            png_read_row(png, r->out->rgb + (size_t)y * (size_t)r->out->w * 3, NULL);
    png_read_end(png, NULL);
    return true;
}

static unsigned greatest_of(const mv_image *image)
{
    unsigned most = 0;
    for (size_t i = 0; i < (size_t)image->w * (size_t)image->h * 3; i++)
        most = image->rgb[i] > most ? image->rgb[i] : most;
    return most;
}

/* True if all pixels are there although libpng gave up: the last row is complete when it looks for the rest of the
 * data, which holds no more pixels. A libpng that checks zlib's checksum in any case does not deliver that row if it is
 * missing. */
static mv_status has_all_rows(const reader *r, bool *has, mv_error *e)
{
#ifdef PNG_IGNORE_ADLER32
    const bool delivered = true;
#else
    const bool delivered = r->past_end && !strstr(r->what, "incorrect data check");
#endif
    bool looks_for_more =
        delivered && r->rows_left == 1 && (r->past_end || strcmp(r->what, "Not enough image data") == 0);
    *has = r->rows_left == 0 || (looks_for_more && r->past_end); /* at the end of the file, `check` has looked */
    return looks_for_more && !*has ? all_rows_there(r->f, has, e) : MV_OK;
}

static void warn_of(const reader *r, const mv_image *image, bool whole)
{
    if (!whole && !r->past_end)
        mv_warn(r->f->warnings, "%s: the PNG is damaged after its pixels, all of which are there: %.*s", r->f->name,
                mv_text_said(r->what), r->what);
    else if (*r->what && !r->past_end)
        mv_warn(r->f->warnings, "%s: part of the picture may be wrong: %.*s", r->f->name, mv_text_said(r->what),
                r->what);
    if (r->grey16)
        mv_encoded_warn_dark(r->f, greatest_of(image) << 8 | 255);
}

static mv_status decode(const mv_encoded *f, mv_image *out, mv_error *e)
{
    reader r = {.f = f, .out = out, .rows_left = -1};
    png_structp png =
        png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &r, fail_at_once, heed, &r, take_memory, give_memory);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    bool ready = info && mv_image_new(out, f->w, f->h, NULL) == MV_OK, whole = ready && read_rows(&r, png, info);
    png_destroy_read_struct(&png, &info, NULL);
    bool good = whole;
    mv_status s = !ready || r.no_memory ? mv_fail_memory(e, f->name) : whole ? MV_OK : has_all_rows(&r, &good, e);
    if (!s && !good)
        s = mv_fail(e, MV_EINPUT, "%s: this PNG cannot be decoded: %.*s", f->name, mv_text_said(r.what), r.what);
    if (s)
        mv_image_free(out);
    else
        warn_of(&r, out, whole);
    return s;
}

const mv_codec mv_codec_png = {.name = "PNG", .endings = {".png"}, .is = is_png, .check = check, .decode = decode};
