#include "src/picture/codec_impl.h"

#include <stdlib.h>

/* GIF89a (CompuServe). Only the first frame is decoded. */

static bool is_gif(const uint8_t *b, size_t n)
{
    return mv_starts_with(b, n, "GIF87a", 6) || mv_starts_with(b, n, "GIF89a", 6);
}

/* The position after a chain of sub-blocks (a length and as many bytes, until length 0); 0 if the file ends first. */
static size_t past_blocks(const mv_encoded *f, size_t at)
{
    while (at < f->size && f->bytes[at])
        at += 1 + (size_t)f->bytes[at];
    return at < f->size ? at + 1 : 0;
}

/* Bytes of the colour table that the flags announce. */
static size_t colours(uint8_t flags)
{
    return flags & 0x80 ? (size_t)6 << (flags & 7) : 0;
}

/* The copy for the decoder: header, colour table and first frame. Without the extensions no colour is transparent, so
 * every pixel gets its own colour. */
static mv_status make_clean(mv_encoded *f, size_t head, size_t frame, size_t end, mv_error *e)
{
    f->clean_size = head + (end - frame) + 1;
    f->clean = malloc(f->clean_size);
    if (!f->clean)
        return mv_fail_memory(e, f->name);
    memcpy(f->clean, f->bytes, head);
    memcpy(f->clean + head, f->bytes + frame, end - frame);
    f->clean[f->clean_size - 1] = ';';
    return MV_OK;
}

static mv_status check(mv_encoded *f, mv_error *e)
{
    const uint8_t *b = f->bytes;
    if (f->size < 13)
        return mv_encoded_short(f, "the GIF ends in its header", e);
    mv_status s = mv_encoded_set_size(f, mv_le16(b + 6), mv_le16(b + 8), e);
    if (s)
        return s;
    size_t head = 13 + colours(b[10]);
    for (size_t at = head; at < f->size;) {
        size_t frame = at;
        if (b[at] == ';')
            return mv_fail(e, MV_EINPUT, "%s: the GIF holds no picture", f->name);
        if (b[at] == '!') {
            at = past_blocks(f, at + 2);
            if (!at)
                break;
            continue;
        }
        if (b[at] != ',')
            return mv_fail(e, MV_EINPUT,
                           "%s: is damaged: GIF block %02x at byte %zu, expected a picture or an extension", f->name,
                           b[at], at);
        if (f->size - at < 11)
            break;
        if (!colours(b[10]) && !colours(b[at + 9]))
            return mv_fail(e, MV_EINPUT, "%s: the GIF has no colour table", f->name);
        at = past_blocks(f, at + 11 + colours(b[at + 9]));
        if (!at)
            break;
        return make_clean(f, head, frame, at, e);
    }
    return mv_encoded_short(f, "the GIF ends inside its first frame", e);
}

const mv_codec mv_codec_gif = {
    .name = "GIF", .endings = {".gif"}, .is = is_gif, .check = check, .decode = mv_stb_decode};
