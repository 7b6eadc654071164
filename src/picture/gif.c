#include "src/picture/codec_impl.h"

#include <stdlib.h>

#include <gif_lib.h>

/* GIF89a (CompuServe). The first frame is placed on the screen as Pillow does: what it leaves free has its transparent
 * colour, or else colour 0, and a screen that it exceeds grows. A transparent colour is a colour. giflib unpacks. */

typedef struct {
    size_t head;     /* bytes of the header and the global colour table */
    size_t at;       /* where the frame begins */
    int x, y, w, h;  /* on the screen */
    int free_colour; /* of what the frame leaves free */
} frame;

static bool is_gif(const uint8_t *b, size_t n)
{
    return mv_starts_with(b, n, "GIF87a", 6) || mv_starts_with(b, n, "GIF89a", 6);
}

/* The position after a chain of sub-blocks (a length and as many bytes, until length 0). At the end of the file if only
 * length 0 is missing; 0 if more is. */
static size_t past_blocks(const mv_encoded *f, size_t at)
{
    while (at < f->size && f->bytes[at])
        at += 1 + (size_t)f->bytes[at];
    return at < f->size ? at + 1 : at == f->size ? at : 0;
}

/* Bytes of the colour table that the flags announce. */
static size_t colours(uint8_t flags)
{
    return flags & 0x80 ? (size_t)6 << (flags & 7) : 0;
}

static mv_status find_frame(const mv_encoded *f, frame *out, mv_error *e)
{
    const uint8_t *b = f->bytes;
    if (f->size < 13)
        return mv_encoded_short(f, "the GIF ends in its header", e);
    *out = (frame){.head = 13 + colours(b[10])};
    for (size_t at = out->head; at && at < f->size;) {
        if (b[at] == ';')
            return mv_fail(e, MV_EINPUT, "%s: the GIF holds no picture", f->name);
        if (b[at] == '!') {
            bool control = f->size - at >= 8 && b[at + 1] == 0xF9 && b[at + 2] >= 4;
            if (control && b[at + 3] & 1)
                out->free_colour = b[at + 6];
            at = past_blocks(f, at + 2);
            continue;
        }
        if (b[at] != ',')
            return mv_fail(e, MV_EINPUT,
                           "%s: is damaged: GIF block %02x at byte %zu, expected a picture or an extension", f->name,
                           b[at], at);
        if (f->size - at < 11)
            break;
        out->at = at;
        out->x = (int)mv_le16(b + at + 1);
        out->y = (int)mv_le16(b + at + 3);
        out->w = (int)mv_le16(b + at + 5);
        out->h = (int)mv_le16(b + at + 7);
        if (!out->w || !out->h)
            return mv_fail(e, MV_EINPUT, "%s: the first frame of the GIF has %d x %d pixels", f->name, out->w, out->h);
        size_t data = at + 10 + colours(b[at + 9]);
        if (data >= f->size || !past_blocks(f, data + 1))
            break;
        if (b[data] > 8)
            return mv_fail(e, MV_EINPUT, "%s: is damaged: GIF colours of %d bits, expected at most 8", f->name,
                           b[data]);
        return MV_OK;
    }
    return mv_encoded_short(f, "the GIF ends inside its first frame", e);
}

static mv_status check(mv_encoded *f, mv_error *e)
{
    frame first = {0};
    mv_status s = find_frame(f, &first, e);
    if (s)
        return s;
    uint64_t w = mv_le16(f->bytes + 6), h = mv_le16(f->bytes + 8);
    uint64_t right = (uint64_t)first.x + (uint64_t)first.w, below = (uint64_t)first.y + (uint64_t)first.h;
    return mv_encoded_set_size(f, w > right ? w : right, h > below ? h : below, e);
}

/* ---- decoding */

typedef struct {
    const mv_encoded *f;
    const frame *first;
    size_t at;
    bool past_end;
} stream;

/* The header, then the first frame. A block's length that the file no longer has is 0: the blocks end there. */
static int source(GifFileType *gif, GifByteType *out, int n)
{
    stream *s = gif->UserData;
    for (int i = 0; i < n; i++) {
        if (s->at == s->first->head)
            s->at = s->first->at;
        if (s->at < s->f->size)
            out[i] = s->f->bytes[s->at++];
        else if (n == 1) {
            out[i] = 0;
            s->past_end = true;
        } else
            return i;
    }
    return n;
}

/* As in Pillow, without a table colours are shades of grey, and a colour that the table lacks is black. */
static void make_palette(uint8_t palette[256][3], const ColorMapObject *map)
{
    for (int i = 0; i < 256; i++) {
        bool known = map && i < map->ColorCount;
        uint8_t other = map ? 0 : (uint8_t)i;
        palette[i][0] = known ? map->Colors[i].Red : other;
        palette[i][1] = known ? map->Colors[i].Green : other;
        palette[i][2] = known ? map->Colors[i].Blue : other;
    }
}

/* The row of the frame that is stored as number n. */
static int row_of(int n, int h, bool interlaced)
{
    static const int start[] = {0, 4, 2, 1}, step[] = {8, 8, 4, 2};
    for (int pass = 0; interlaced && pass < 4; pass++) {
        int rows = (h - start[pass] + step[pass] - 1) / step[pass];
        if (n < rows)
            return start[pass] + n * step[pass];
        n -= rows > 0 ? rows : 0;
    }
    return n;
}

static bool read_frame(GifFileType *gif, const frame *first, uint8_t *line, mv_image *out)
{
    GifRecordType kind;
    uint8_t palette[256][3];
    if (DGifGetRecordType(gif, &kind) != GIF_OK || kind != IMAGE_DESC_RECORD_TYPE || DGifGetImageDesc(gif) != GIF_OK)
        return false;
    make_palette(palette, gif->Image.ColorMap ? gif->Image.ColorMap : gif->SColorMap);
    for (size_t i = 0; i < (size_t)out->w * (size_t)out->h; i++)
        memcpy(out->rgb + 3 * i, palette[first->free_colour], 3);
    for (int n = 0; n < first->h; n++) {
        if (DGifGetLine(gif, line, first->w) != GIF_OK)
            return false;
        size_t y = (size_t)first->y + (size_t)row_of(n, first->h, gif->Image.Interlace);
        uint8_t *to = out->rgb + 3 * (y * (size_t)out->w + (size_t)first->x);
        for (int x = 0; x < first->w; x++, to += 3)
            memcpy(to, palette[line[x]], 3);
    }
    return true;
}

static mv_status decode(const mv_encoded *f, mv_image *out, mv_error *e)
{
    frame first = {0};
    mv_status s = find_frame(f, &first, e);
    if (!s)
        s = mv_image_new(out, f->w, f->h, e);
    if (s)
        return s;
    stream in = {.f = f, .first = &first};
    int code = 0;
    uint8_t *line = malloc((size_t)first.w + 1);
    GifFileType *gif = line ? DGifOpen(&in, source, &code) : NULL;
    bool good = gif && read_frame(gif, &first, line, out);
    if (gif) {
        code = gif->Error;
        DGifCloseFile(gif, NULL);
    }
    free(line);
    if (good) {
        if (in.past_end)
            mv_warn(f->warnings, "%s: the end of the GIF is missing; all pixels are there", f->name);
        return MV_OK;
    }
    mv_image_free(out);
    if (!gif || code == D_GIF_ERR_NOT_ENOUGH_MEM) /* the header is good, so opening fails for lack of memory alone */
        return mv_fail_memory(e, f->name);
    if (in.past_end || code == D_GIF_ERR_EOF_TOO_SOON || code == D_GIF_ERR_READ_FAILED)
        return mv_encoded_short(f, "the GIF has less data than its frame has pixels", e);
    const char *what = GifErrorString(code);
    return mv_fail(e, MV_EINPUT, "%s: this GIF cannot be decoded: %s", f->name, what ? what : "unknown error");
}

const mv_codec mv_codec_gif = {.name = "GIF", .endings = {".gif"}, .is = is_gif, .check = check, .decode = decode};
