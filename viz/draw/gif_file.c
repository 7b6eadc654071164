#include "viz/draw/gif_file.h"

#include <gif_lib.h>
#include <stdlib.h>
#include <string.h>

enum { CLEAR = MV_PALETTE_COLOURS }; /* the number of the colour that shows what is below */

struct mv_gif {
    const mv_canvas_target *to;
    mv_palette *palette;
    mv_status status; /* what the hook returned */
    GifFileType *file;
    uint8_t *row;       /* pixels of a row, then their colours' numbers */
    GifPixelType *line; /* within row */
};

/* giflib takes any other count than n for a failure. */
static int take(GifFileType *file, const GifByteType *bytes, int n)
{
    mv_gif *f = file->UserData;
    if (f->status == MV_OK)
        f->status = f->to->write(f->to->ctx, bytes, (size_t)n);
    return f->status == MV_OK ? n : 0;
}

static mv_status failed(const mv_gif *f, bool good, mv_error *e)
{
    if (good && f->status == MV_OK)
        return MV_OK;
    return f->status == MV_OK ? mv_fail_memory(e, "gif") : mv_fail(e, f->status, "gif: the file cannot be written");
}

/* One comment a note: "Command: mvscope mixer photo.jpg". A GIF's texts have no encoding; these are UTF-8. */
static bool put_comment(GifFileType *file, const char *key, const char *value)
{
    size_t n = strlen(key) + strlen(value) + 3;
    char *text = malloc(n);
    if (!text)
        return false;
    strcpy(text, key);
    strcat(text, ": ");
    strcat(text, value);
    bool good = EGifPutComment(file, text) == GIF_OK;
    free(text);
    return good;
}

/* The block that Netscape 2.0 brought: 0 repetitions means for ever. */
static bool put_loop(GifFileType *file)
{
    static const GifByteType forever[] = {1, 0, 0};
    return EGifPutExtensionLeader(file, APPLICATION_EXT_FUNC_CODE) == GIF_OK &&
           EGifPutExtensionBlock(file, 11, "NETSCAPE2.0") == GIF_OK &&
           EGifPutExtensionBlock(file, sizeof forever, forever) == GIF_OK && EGifPutExtensionTrailer(file) == GIF_OK;
}

static bool put_head(const mv_gif *f, int w, int h)
{
    ColorMapObject *map = GifMakeMapObject(256, NULL);
    if (!map)
        return false;
    for (int i = 0; i < MV_PALETTE_COLOURS; i++) {
        mv_rgb c = mv_palette_at(f->palette, i);
        map->Colors[i] = (GifColorType){c.r, c.g, c.b};
    }
    EGifSetGifVersion(f->file, true); /* 89a, for the extensions */
    bool good = EGifPutScreenDesc(f->file, w, h, 8, 0, map) == GIF_OK && put_loop(f->file);
    GifFreeMapObject(map);
    for (int i = 0; i < f->to->note_count && good; i++)
        good = put_comment(f->file, f->to->notes[i].key, f->to->notes[i].value ? f->to->notes[i].value : "");
    return good && (!f->to->date || put_comment(f->file, "Creation Time", f->to->date));
}

mv_gif *mv_gif_open(int w, int h, mv_palette *palette, const mv_canvas_target *to, mv_error *e)
{
    mv_gif *f = calloc(1, sizeof *f);
    if (!f) {
        mv_fail_memory(e, "gif");
        return NULL;
    }
    *f = (mv_gif){.to = to, .palette = palette, .row = malloc((size_t)w * 4)};
    f->line = f->row ? f->row + (size_t)w * 3 : NULL;
    f->file = f->row ? EGifOpen(f, take, NULL) : NULL;
    if (!failed(f, f->file && put_head(f, w, h), e))
        return f;
    mv_gif_free(f);
    return NULL;
}

static bool put_control(GifFileType *file, int milliseconds)
{
    GraphicsControlBlock control = {
        .DisposalMode = DISPOSE_DO_NOT, .DelayTime = (milliseconds + 5) / 10, .TransparentColor = CLEAR};
    GifByteType bytes[4];
    size_t n = EGifGCBToExtension(&control, bytes);
    return EGifPutExtension(file, GRAPHICS_EXT_FUNC_CODE, (int)n, bytes) == GIF_OK;
}

mv_status mv_gif_frame(mv_gif *f, const mv_pixels *p, mv_part part, const bool *same, int milliseconds, mv_error *e)
{
    bool good = put_control(f->file, milliseconds) &&
                EGifPutImageDesc(f->file, part.x, part.y, part.w, part.h, false, NULL) == GIF_OK;
    for (int y = 0; y < part.h && good; y++) {
        mv_pixels_row(p, part.x, part.y + y, part.w, f->row);
        const bool *kept = same + (size_t)(part.y + y) * (size_t)p->w + part.x;
        for (int x = 0; x < part.w; x++)
            f->line[x] = kept[x] ? CLEAR : mv_palette_nearest(f->palette, f->row + 3 * x);
        good = EGifPutLine(f->file, f->line, part.w) == GIF_OK;
    }
    return failed(f, good, e);
}

/* EGifCloseFile writes the end, and frees the file whatever it returns. */
mv_status mv_gif_finish(mv_gif *f, mv_error *e)
{
    bool good = EGifCloseFile(f->file, NULL) == GIF_OK;
    f->file = NULL;
    mv_status status = failed(f, good, e);
    mv_gif_free(f);
    return status;
}

void mv_gif_free(mv_gif *f)
{
    if (!f)
        return;
    f->status = f->status ? f->status : MV_EMISUSE; /* no end is written */
    if (f->file)
        EGifCloseFile(f->file, NULL);
    free(f->row);
    free(f);
}
