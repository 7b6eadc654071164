#include "src/picture/codec_impl.h"

/* ITU T.81, annex B: markers FF xx, most of them with a length, and after each SOS entropy-coded data in which no
 * marker can occur. The decoder replaces missing data by zeros, so the walk to the end marker is what distinguishes a
 * whole picture from half of one. */

enum {
    SOF0 = 0xC0,
    SOF2 = 0xC2,
    DHT = 0xC4,
    RST0 = 0xD0,
    RST7 = 0xD7,
    SOI = 0xD8,
    EOI = 0xD9,
    SOS = 0xDA,
    APP1 = 0xE1,
    MAX_SCANS = 100 /* progressive pictures have about ten; each costs a walk over all blocks */
};

typedef struct {
    bool progressive;
    int n, scans;
    struct {
        uint8_t id;
        uint64_t blocks;
        bool seen; /* in a scan that starts it */
    } part[4];     /* colour components */
} jpeg_frame;

static bool is_jpeg(const uint8_t *b, size_t n)
{
    return mv_starts_with(b, n, "\xFF\xD8\xFF", 3);
}

static mv_status damaged(const mv_encoded *f, const char *what, size_t at, mv_error *e)
{
    return mv_fail(e, MV_EINPUT, "%s: is damaged: JPEG %s at byte %zu", f->name, what, at);
}

/* p: the segment of n bytes, which begins with its length. */
static mv_status check_frame(mv_encoded *f, jpeg_frame *frame, const uint8_t *p, size_t n, mv_error *e)
{
    size_t at = (size_t)(p - f->bytes);
    if (frame->n)
        return damaged(f, "second frame", at, e);
    if (n < 8 || n != 8 + 3 * (size_t)p[7] || (p[7] != 1 && p[7] != 3 && p[7] != 4))
        return damaged(f, "frame of impossible length or number of components", at, e);
    if (p[2] != 8)
        return mv_fail(e, MV_EINPUT, "%s: found a JPEG of %d bits per sample, expected 8", f->name, p[2]);
    mv_status s = mv_encoded_set_size(f, mv_be16(p + 5), mv_be16(p + 3), e);
    if (s)
        return s;
    frame->n = p[7];
    unsigned most_h = 1, most_v = 1;
    for (int i = 0; i < frame->n; i++) {
        unsigned h = p[9 + 3 * i] >> 4, v = p[9 + 3 * i] & 15;
        if (h < 1 || h > 4 || v < 1 || v > 4)
            return damaged(f, "sampling factor", at, e);
        most_h = h > most_h ? h : most_h;
        most_v = v > most_v ? v : most_v;
    }
    for (int i = 0; i < frame->n; i++) {
        unsigned h = p[9 + 3 * i] >> 4, v = p[9 + 3 * i] & 15;
        unsigned w8 = 8 * most_h, h8 = 8 * most_v;
        frame->part[i].id = p[8 + 3 * i];
        frame->part[i].blocks = (uint64_t)(((unsigned)f->w * h + w8 - 1) / w8) * (((unsigned)f->h * v + h8 - 1) / h8);
    }
    return MV_OK;
}

/* Huffman tables: a class and number, 16 counts, and as many values as the counts add up to. */
static mv_status check_tables(const mv_encoded *f, const uint8_t *p, size_t n, mv_error *e)
{
    for (size_t i = 2; i < n;) {
        size_t values = 0;
        if (n - i >= 17)
            for (int k = 1; k <= 16; k++)
                values += p[i + (size_t)k];
        if (n - i < 17 || values > 256 || n - i - 17 < values)
            return damaged(f, "Huffman table", (size_t)(p - f->bytes) + i, e);
        i += 17 + values;
    }
    return MV_OK;
}

/* Bytes of entropy-coded data from `at` on, up to the next marker other than RST0 to RST7. */
static size_t entropy_bytes(const mv_encoded *f, size_t at)
{
    size_t i = at;
    while (i < f->size) {
        const uint8_t *ff = memchr(f->bytes + i, 0xFF, f->size - i);
        if (!ff)
            return f->size - at;
        i = (size_t)(ff - f->bytes);
        if (i + 1 < f->size && f->bytes[i + 1] != 0xFF && f->bytes[i + 1] != 0 &&
            !(f->bytes[i + 1] >= RST0 && f->bytes[i + 1] <= RST7))
            break;
        i += i + 1 < f->size && f->bytes[i + 1] == 0xFF ? 1 : 2;
    }
    return (i < f->size ? i : f->size) - at;
}

static mv_status check_scan(const mv_encoded *f, jpeg_frame *frame, const uint8_t *p, size_t n, mv_error *e)
{
    size_t at = (size_t)(p - f->bytes), parts = n > 2 ? p[2] : 0;
    if (!frame->n || parts < 1 || parts > 4 || n != 6 + 2 * parts)
        return damaged(f, "scan without a frame, or of impossible length", at, e);
    if (++frame->scans > MAX_SCANS)
        return mv_fail(e, MV_EINPUT, "%s: found a JPEG of more than %d scans, expected about ten", f->name, MAX_SCANS);

    /* The first scan of a component has a least size: two bits per block if sequential (a DC and an end code), one if
     * progressive. Less means that data are missing, or that the file was made to be slow. */
    bool starts = !frame->progressive || (p[n - 3] == 0 && p[n - 1] >> 4 == 0);
    uint64_t blocks = 0;
    for (size_t k = 0; k < parts; k++)
        for (int i = 0; i < frame->n; i++)
            if (frame->part[i].id == p[3 + 2 * k] && starts) {
                frame->part[i].seen = true;
                blocks += frame->part[i].blocks;
            }
    uint64_t bits = 8 * (uint64_t)entropy_bytes(f, at + n);
    if (bits < blocks * (frame->progressive ? 1 : 2) || bits == 0)
        return mv_encoded_short(f, "a JPEG scan has less data than it has blocks", e);
    return MV_OK;
}

static mv_status check(mv_encoded *f, mv_error *e)
{
    const uint8_t *b = f->bytes;
    jpeg_frame frame = {0};
    for (size_t at = 2;;) {
        while (at < f->size && b[at] != 0xFF) /* some cameras pad */
            at++;
        while (at < f->size && b[at] == 0xFF)
            at++;
        if (at >= f->size)
            return mv_encoded_short(
                f, frame.scans ? "the JPEG's end marker is missing" : "the JPEG ends before its data", e);
        int marker = b[at++];
        if (marker == EOI)
            break;
        if (marker == SOI)
            return damaged(f, "start marker inside", at - 1, e);
        size_t n = f->size - at >= 2 ? mv_be16(b + at) : 0;
        if (n < 2 && f->size - at >= 2)
            return damaged(f, "segment of impossible length", at, e);
        if (n < 2 || n > f->size - at)
            return mv_encoded_short(f, "a JPEG segment is longer than the rest of the file", e);

        mv_status s = MV_OK;
        if (marker == DHT)
            s = check_tables(f, b + at, n, e);
        else if (marker >= SOF0 && marker <= SOF2) {
            frame.progressive = marker == SOF2;
            s = check_frame(f, &frame, b + at, n, e);
        } else if (marker > SOF2 && marker <= 0xCF && marker != 0xC8 && marker != 0xCC)
            s = mv_fail(e, MV_EINPUT,
                        "%s: found a lossless, hierarchical or arithmetic-coded JPEG (SOF%d), expected a "
                        "baseline or progressive one",
                        f->name, marker - SOF0);
        else if (marker == APP1 && !f->exif && n > 8 && memcmp(b + at + 2, "Exif\0\0", 6) == 0) {
            f->exif = b + at + 8;
            f->exif_size = n - 8;
        } else if (marker == SOS) {
            s = check_scan(f, &frame, b + at, n, e);
            if (!s)
                at += entropy_bytes(f, at + n);
        }
        if (s)
            return s;
        at += n;
    }
    if (!frame.n)
        return mv_fail(e, MV_EINPUT, "%s: the JPEG holds no picture", f->name);
    for (int i = 0; i < frame.n; i++)
        if (!frame.part[i].seen)
            return mv_encoded_short(f, "the JPEG lacks the data of a colour component", e);
    return MV_OK;
}

const mv_codec mv_codec_jpeg = {
    .name = "JPEG", .endings = {".jpg", ".jpeg"}, .is = is_jpeg, .check = check, .decode = mv_stb_decode, .block = 32};
