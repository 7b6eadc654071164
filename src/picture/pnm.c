#include "src/picture/codec_impl.h"

#include <ctype.h>

/* Netpbm's six forms: P1, P2, P3 are bitmap, grey and colour as text; P4, P5, P6 are the same in binary. */

static bool is_pnm(const uint8_t *b, size_t n)
{
    return n >= 3 && b[0] == 'P' && b[1] >= '1' && b[1] <= '6' && (isspace(b[2]) || b[2] == '#');
}

/* The position after blanks and comments. */
static size_t past_blanks(const mv_encoded *f, size_t at)
{
    while (at < f->size && (isspace(f->bytes[at]) || f->bytes[at] == '#'))
        if (f->bytes[at++] == '#')
            while (at < f->size && f->bytes[at] != '\n' && f->bytes[at] != '\r')
                at++;
    return at;
}

/* Reads the next number and moves *at past it. False if there is none. Saturates far above any number allowed. */
static bool number(const mv_encoded *f, size_t *at, uint64_t *out)
{
    size_t i = past_blanks(f, *at), start = i;
    for (*out = 0; i < f->size && isdigit(f->bytes[i]); i++)
        if (*out < UINT32_MAX)
            *out = *out * 10 + (uint64_t)(f->bytes[i] - '0');
    *at = i;
    return i > start;
}

/* Reads size and greatest value (1 for a bitmap), and moves *at to the first sample. */
static mv_status read_header(const mv_encoded *f, size_t *at, uint64_t *w, uint64_t *h, uint64_t *most, mv_error *e)
{
    int form = f->bytes[1] - '0';
    *at = 2;
    *most = 1;
    if (!number(f, at, w) || !number(f, at, h) || (form % 3 != 1 && !number(f, at, most)) || *at >= f->size)
        return mv_encoded_short(f, "the PNM ends in its header, expected width, height and greatest value", e);
    if (*most < 1 || *most > 65535)
        return mv_fail(e, MV_EINPUT, "%s: found a greatest value of %llu in the PNM, expected 1 to 65535", f->name,
                       (unsigned long long)*most);
    ++*at; /* one blank */
    return MV_OK;
}

static size_t samples_per_pixel(const mv_encoded *f)
{
    return f->bytes[1] % 3 == 0 ? 3 : 1; /* '3' and '6' */
}

static mv_status check(mv_encoded *f, mv_error *e)
{
    uint64_t w, h, most;
    size_t at;
    mv_status s = read_header(f, &at, &w, &h, &most, e);
    if (s == MV_OK)
        s = mv_encoded_set_size(f, w, h, e);
    if (s)
        return s;
    uint64_t n = w * samples_per_pixel(f), need;
    switch (f->bytes[1]) {
    case '4': need = (w + 7) / 8 * h; break;
    case '5':
    case '6': need = n * h * (most > 255 ? 2 : 1); break;
    case '1': need = n * h; break;        /* bits need no blanks between them */
    default: need = n * h * 2 - 1; break; /* a digit and a blank */
    }
    if (f->size - at < need)
        return mv_encoded_short(f, "the PNM has fewer pixels than its size says", e);
    return MV_OK;
}

static mv_status decode(const mv_encoded *f, mv_image *out, mv_error *e)
{
    const uint8_t *b = f->bytes;
    int form = b[1] - '0';
    uint64_t w, h, most, v = 0;
    size_t at;
    mv_status s = read_header(f, &at, &w, &h, &most, e);
    if (s == MV_OK && form >= 5 && most == 255)
        return mv_stb_decode(f, out, e);
    if (s == MV_OK)
        s = mv_image_new(out, f->w, f->h, e);
    if (s)
        return s;
    size_t each = samples_per_pixel(f), row = (size_t)f->w * each;
    uint8_t *rgb = out->rgb;
    unsigned greatest = 0;
    for (int y = 0; y < f->h; y++) {
        for (size_t x = 0; x < row; x++) {
            bool found = true;
            if (form == 1) {
                at = past_blanks(f, at);
                found = at < f->size && (b[at] == '0' || b[at] == '1');
                v = found ? b[at++] == '0' : 0;
            } else if (form <= 3)
                found = number(f, &at, &v);
            else if (form == 4)
                v = ~b[at + x / 8] >> (7 - x % 8) & 1;
            else if (most > 255)
                v = mv_be16(b + at + 2 * x);
            else
                v = b[at + x];
            if (!found) {
                mv_image_free(out);
                return mv_encoded_short(f, "the PNM has fewer numbers than its size says", e);
            }
            greatest = v > greatest ? (unsigned)v : greatest;
            uint8_t byte = (uint8_t)(((v < most ? v : most) * 255 + most / 2) / most);
            for (size_t c = 0; c < 3 / each; c++)
                *rgb++ = byte;
        }
        at += form == 4 ? (row + 7) / 8 : form > 4 ? row * (most > 255 ? 2 : 1) : 0;
    }
    if (most >= 1 << 12 && each == 1)
        mv_encoded_warn_dark(f, greatest);
    return MV_OK;
}

const mv_codec mv_codec_pnm = {
    .name = "PNM", .endings = {".ppm", ".pgm", ".pbm", ".pnm"}, .is = is_pnm, .check = check, .decode = decode};
