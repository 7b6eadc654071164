#include "src/picture/codec_impl.h"

#include <webp/decode.h>
#include <webp/demux.h>

#include "src/file/kind.h"
#include "src/picture/orient_impl.h"

/* WebP by libwebp. Of an animation the first frame is decoded and placed on a black canvas, which is what is left of a
 * transparent one when alpha is dropped. A frame is decoded straight to RGB: the colours of transparent pixels are
 * those that the file stores, as with alpha.
 *
 * Memory: libwebp takes at most 3 x 4 bytes for each pixel of a frame (lossless; lossy pictures are decoded in rows),
 * and frames lie inside the canvas, whose size is checked. Time is linear in the pixels: a frame that is decoded early
 * ends early. */

static bool is_webp(const uint8_t *b, size_t n)
{
    return mv_kind_of(b, n) == MV_KIND_WEBP;
}

static WebPDemuxer *demux(const mv_encoded *f)
{
    return WebPDemux(&(WebPData){f->bytes, f->size});
}

static void orient(mv_encoded *f, WebPDemuxer *d)
{
    WebPChunkIterator chunk;
    if (WebPDemuxGetChunk(d, "EXIF", 1, &chunk)) {
        mv_orient_by_exif(f, chunk.chunk.bytes, chunk.chunk.size);
        WebPDemuxReleaseChunkIterator(&chunk);
    }
    if (WebPDemuxGetChunk(d, "XMP ", 1, &chunk)) {
        mv_orient_by_xmp(f, chunk.chunk.bytes, chunk.chunk.size);
        WebPDemuxReleaseChunkIterator(&chunk);
    }
}

static mv_status check(mv_encoded *f, mv_error *e)
{
    size_t expected = f->size < 8 ? 0 : (size_t)mv_le32(f->bytes + 4) + 8;
    if (f->size < expected)
        return mv_encoded_short(f, "the WebP has fewer bytes than its header says", e);
    WebPBitstreamFeatures features;
    if (f->size < 30 || WebPGetFeatures(f->bytes, f->size, &features) == VP8_STATUS_NOT_ENOUGH_DATA)
        return mv_encoded_short(f, "the WebP ends in its header", e);
    WebPDemuxer *d = demux(f);
    if (!d) /* without memory, too: it does not say which */
        return mv_fail(e, MV_EINPUT, "%s: is damaged: its chunks are not those of a WebP", f->name);
    uint32_t w = WebPDemuxGetI(d, WEBP_FF_CANVAS_WIDTH), h = WebPDemuxGetI(d, WEBP_FF_CANVAS_HEIGHT);
    mv_status s = mv_encoded_set_size(f, w, h, e);
    if (!s && WebPDemuxGetI(d, WEBP_FF_FRAME_COUNT) > 1)
        mv_warn(f->warnings, "%s: found an animation of %u frames; the first is read", f->name,
                (unsigned)WebPDemuxGetI(d, WEBP_FF_FRAME_COUNT));
    if (!s)
        orient(f, d);
    WebPDemuxDelete(d);
    return s;
}

/* What libwebp says of a frame that it cannot decode. */
static mv_status refused(const mv_encoded *f, VP8StatusCode code, mv_error *e)
{
    if (code == VP8_STATUS_OUT_OF_MEMORY)
        return mv_fail_memory(e, f->name);
    if (code == VP8_STATUS_NOT_ENOUGH_DATA || code == VP8_STATUS_SUSPENDED)
        return mv_encoded_short(f, "the WebP has fewer pixels than its size says", e);
    return mv_fail(e, MV_EINPUT, "%s: is damaged: the data of the WebP cannot be decoded", f->name);
}

static mv_status decode(const mv_encoded *f, mv_image *out, mv_error *e)
{
    WebPDemuxer *d = demux(f);
    WebPIterator frame = {0};
    mv_status s = mv_image_new(out, f->w, f->h, e);
    if (!s && (!d || !WebPDemuxGetFrame(d, 1, &frame)))
        s = mv_fail_memory(e, f->name); /* `check` found it */
    WebPDecoderConfig c;
    if (!s && (frame.width != f->w || frame.height != f->h))
        memset(out->rgb, 0, (size_t)f->w * (size_t)f->h * 3);
    if (!s && !WebPInitDecoderConfig(&c))
        s = mv_fail(e, MV_EINPUT, "%s: libwebp is of another version than mvscope was built with", f->name);
    if (!s) {
        size_t stride = (size_t)f->w * 3, at = (size_t)frame.y_offset * stride + (size_t)frame.x_offset * 3;
        c.output.colorspace = MODE_RGB;
        c.output.is_external_memory = 1;
        c.output.u.RGBA.rgba = out->rgb + at;
        c.output.u.RGBA.stride = (int)stride;
        c.output.u.RGBA.size = stride * (size_t)f->h - at;
        VP8StatusCode code = WebPDecode(frame.fragment.bytes, frame.fragment.size, &c);
        if (code)
            s = refused(f, code, e);
    }
    WebPDemuxReleaseIterator(&frame);
    WebPDemuxDelete(d);
    if (s)
        mv_image_free(out);
    return s;
}

const mv_codec mv_codec_webp = {.name = "WebP", .endings = {".webp"}, .is = is_webp, .check = check, .decode = decode};
