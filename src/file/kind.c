#include "src/file/kind.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "src/base/text.h"

/* What a file's first bytes are compared with. */
typedef struct {
    const char *bytes;
    size_t size;
} view;

static bool has(view v, size_t at, const char *text, size_t length)
{
    return v.size >= at + length && memcmp(v.bytes + at, text, length) == 0;
}

/* Where `word` begins, case ignored; NULL if it is not in v. */
static const char *find(view v, const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= v.size; i++)
        if (strncasecmp(v.bytes + i, word, n) == 0)
            return v.bytes + i;
    return NULL;
}

/* The text after a byte-order mark and blanks. */
static view text_of(view v)
{
    size_t at = has(v, 0, "\xEF\xBB\xBF", 3) ? 3 : 0;
    while (at < v.size && isspace((unsigned char)v.bytes[at]))
        at++;
    return (view){v.bytes + at, v.size - at};
}

static bool begins(view v, const char *word)
{
    size_t n = strlen(word);
    return v.size >= n && strncasecmp(v.bytes, word, n) == 0;
}

/* ---- what takes more than a signature */

static bool is_empty(view v)
{
    return v.size == 0;
}

static bool is_zeros(view v)
{
    for (size_t i = 0; i < v.size; i++)
        if (v.bytes[i])
            return false;
    return v.size > 0;
}

static bool is_annex(view v)
{
    return v.size < 1024 && find(v, "annex/objects/") && !memchr(v.bytes, 0, v.size);
}

static bool is_html(view v)
{
    static const char *const first[] = {"<!doctype html", "<html", "<head", "<body", "<title", "<script", "<meta"};
    view t = text_of(v);
    for (size_t i = 0; i < sizeof first / sizeof *first; i++)
        if (begins(t, first[i]))
            return true;
    return (begins(t, "<!--") || begins(t, "<?xml")) && find(t, "<html");
}

static bool is_svg(view v)
{
    view t = text_of(v);
    return begins(t, "<svg") || ((begins(t, "<?xml") || begins(t, "<!")) && find(t, "<svg"));
}

static bool is_xml(view v)
{
    return begins(text_of(v), "<?xml");
}

static bool is_bmp(view v)
{
    if (!has(v, 0, "BM", 2) || v.size < 18)
        return false;
    const unsigned char *b = (const unsigned char *)v.bytes;
    unsigned header = b[14] | (unsigned)b[15] << 8 | (unsigned)b[16] << 16 | (unsigned)b[17] << 24;
    return header == 12 || (header >= 40 && header <= 124 && header % 4 == 0);
}

/* A RIFF file of this form. */
static bool is_riff(view v, const char *form)
{
    return has(v, 0, "RIFF", 4) && has(v, 8, form, 4);
}

static bool is_webp(view v)
{
    return is_riff(v, "WEBP");
}

static bool is_wave(view v)
{
    return is_riff(v, "WAVE");
}

static bool is_pnm(view v)
{
    return v.size >= 3 && v.bytes[0] == 'P' && v.bytes[1] >= '1' && v.bytes[1] <= '6' &&
           (isspace((unsigned char)v.bytes[2]) || v.bytes[2] == '#');
}

/* True if the box "ftyp" of an ISO base media file (ISO/IEC 14496-12) names one of these brands; `major`: as its major
 * brand. Brands are four letters each. */
static bool has_brand(view v, const char *brands, bool major)
{
    if (!has(v, 4, "ftyp", 4) || v.size < 12)
        return false;
    const unsigned char *b = (const unsigned char *)v.bytes;
    size_t end = (size_t)b[0] << 24 | (size_t)b[1] << 16 | (size_t)b[2] << 8 | b[3];
    end = major ? 12 : end < v.size ? end : v.size;
    for (size_t at = 8; at + 4 <= end; at += at == 8 ? 8 : 4)
        for (const char *brand = brands; *brand; brand += 4)
            if (memcmp(v.bytes + at, brand, 4) == 0)
                return true;
    return false;
}

static bool is_avif(view v)
{
    return has_brand(v, "avifavis", true) || (has_brand(v, "mif1msf1miaf", true) && has_brand(v, "avifavis", false));
}

static bool is_heic(view v)
{
    return has_brand(v, "heicheixheimheishevchevxhevmhevsmif1msf1mif2", true);
}

static bool is_damaged_png(view v)
{
    return v.size >= 16 && (has(v, 1, "PNG", 3) || has(v, 12, "IHDR", 4));
}

static bool is_ico(view v)
{
    return (has(v, 0, "\0\0\1\0", 4) || has(v, 0, "\0\0\2\0", 4)) && v.size >= 22 && v.bytes[4] && !v.bytes[5] &&
           !v.bytes[9];
}

/* Packets of an MPEG transport stream are 188 bytes long. */
static bool is_video(view v)
{
    return has(v, 4, "ftyp", 4) || is_riff(v, "AVI ") ||
           (has(v, 0, "G", 1) && has(v, 188, "G", 1) && has(v, 376, "G", 1));
}

/* A zip whose first member has a name that ends so. */
static bool zip_begins_with(view v, const char *ending)
{
    if (!has(v, 0, "PK\3\4", 4) || v.size < 30)
        return false;
    size_t n = (unsigned char)v.bytes[26] | (size_t)(unsigned char)v.bytes[27] << 8, m = strlen(ending);
    return n >= m && n <= v.size - 30 && memcmp(v.bytes + 30 + n - m, ending, m) == 0;
}

static bool is_pytorch(view v)
{
    return zip_begins_with(v, "/data.pkl") || zip_begins_with(v, "/.format_version") || zip_begins_with(v, "/version");
}

static bool is_npz(view v)
{
    return zip_begins_with(v, ".npy");
}

static bool is_pickle(view v)
{
    return v.size >= 3 && v.bytes[0] == '\x80' && v.bytes[1] >= 2 && v.bytes[1] <= 5;
}

static bool is_safetensors(view v)
{
    if (v.size < 10 || v.bytes[8] != '{' || v.bytes[6] || v.bytes[7])
        return false;
    return v.bytes[9] == '"' || v.bytes[9] == '}' || v.bytes[9] == ' ';
}

/* ModelProto of ONNX: field 1 is ir_version, field 2 the producer's name. */
static bool is_onnx(view v)
{
    if (v.size < 8 || v.bytes[0] != 8 || v.bytes[1] < 1 || v.bytes[1] > 32 || v.bytes[2] != 0x12)
        return false;
    size_t n = (unsigned char)v.bytes[3];
    if (n < 2 || n > 100 || v.size < 4 + n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isprint((unsigned char)v.bytes[4 + i]))
            return false;
    return true;
}

static bool is_json(view v)
{
    view t = text_of(v);
    if (t.size < 2 || (t.bytes[0] != '{' && t.bytes[0] != '['))
        return false;
    view rest = text_of((view){t.bytes + 1, t.size - 1});
    return rest.size > 0 && strchr(t.bytes[0] == '{' ? "\"}" : "\"]{[-0123456789tfn", rest.bytes[0]);
}

static bool is_index(view v)
{
    return is_json(v) && (find(v, "\"weight_map\"") || (find(v, "\"total_size\"") && find(v, "\"metadata\"")));
}

static bool is_config(view v)
{
    static const char *const key[] = {"\"model_type\"",  "\"architectures\"", "\"architecture\"", "\"id2label\"",
                                      "\"window_size\"", "\"image_mean\"",    "\"num_classes\""};
    for (size_t i = 0; i < sizeof key / sizeof *key && is_json(v); i++)
        if (find(v, key[i]))
            return true;
    return false;
}

static bool is_program(view v)
{
    return has(v, 0, "\177ELF", 4) || (has(v, 0, "MZ", 2) && v.size > 64 && find(v, "This program"));
}

/* Text in UTF-8, which may be cut in its last character: no control character but those that lay it out. */
static bool is_text(view v)
{
    int following = 0;
    for (size_t i = 0; i < v.size; i++) {
        unsigned char c = (unsigned char)v.bytes[i];
        bool follows = (c & 0xC0) == 0x80;
        if ((c < ' ' && !isspace(c)) || c == 0x7F || c > 0xF4 || follows != (following > 0))
            return false;
        following = follows ? following - 1 : c < 0xC0 ? 0 : c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;
    }
    return v.size > 0;
}

/* ---- the table */

#define CONVERT  "convert it to PNG or JPEG"
#define UNPACK   "unpack it"
#define DOWNLOAD "a download that went wrong leaves one: open it in a browser to see what it says"
#define AGAIN    "download it again"
#define WEIGHTS  "-m names the model; a picture is an operand"
#define TAKE_M   "-m is the option for a checkpoint"
#define NO_HEIF  "this build cannot read it: install libheif-dev and build again, or convert it to PNG or JPEG"
#define OTHER    "take the model.safetensors of the same model"

/* In the order in which files are tried: what is sure comes first, text last. */
static const struct {
    mv_kind kind;
    const char *noun;      /* NULL: another sign of the row above */
    size_t at;             /* where the signature is */
    const char *signature; /* NULL: `is` decides */
    size_t length;
    bool (*is)(view);
    const char *as_picture, *as_checkpoint; /* advice */
} table[] = {
#define BYTES_AT(at, text) at, text, sizeof(text) - 1, NULL
#define BYTES(text)        BYTES_AT(0, text)
#define TEST(is)           0, NULL, 0, is
#define ALSO_AT(kind, at, text)                                                                                        \
    {                                                                                                                  \
        kind, NULL, BYTES_AT(at, text), NULL, NULL                                                                     \
    }
#define ALSO(kind, text) ALSO_AT(kind, 0, text)
    {MV_KIND_EMPTY, "an empty file", TEST(is_empty), AGAIN, AGAIN},
    {MV_KIND_LFS_POINTER, "a Git LFS pointer", BYTES("version https://git-lfs.github.com/spec/"),
     "\"git lfs pull\" in its repository brings the picture", "\"git lfs pull\" in its repository brings the weights"},
    {MV_KIND_ANNEX_POINTER, "a git-annex pointer", TEST(is_annex), "\"git annex get\" brings the picture",
     "\"git annex get\" brings the weights"},
    {MV_KIND_APPLE_DOUBLE, "macOS's notes about a file (AppleDouble)", BYTES("\0\5\x16\7"),
     "the picture is the file without ._ in its name", "the weights are the file without ._ in its name"},
    {MV_KIND_PNG, "a PNG picture", BYTES("\x89PNG\r\n\x1a\n"), NULL, WEIGHTS},
    {MV_KIND_JPEG, "a JPEG picture", BYTES("\xFF\xD8\xFF"), NULL, WEIGHTS},
    {MV_KIND_GIF, "a GIF picture", BYTES("GIF8"), NULL, WEIGHTS},
    {MV_KIND_BMP, "a BMP picture", TEST(is_bmp), NULL, WEIGHTS},
    {MV_KIND_WEBP, "a WebP picture", TEST(is_webp), NULL, WEIGHTS},
    {MV_KIND_RAW, "a camera's raw file", BYTES("II*\0\20\0\0\0CR\2"), "develop it, or take the JPEG beside it",
     WEIGHTS},
    ALSO_AT(MV_KIND_RAW, 4, "ftypcrx "),
    ALSO(MV_KIND_RAW, "FUJIFILMCCD-RAW"),
    ALSO(MV_KIND_RAW, "IIU\0"),
    ALSO(MV_KIND_RAW, "IIRO"),
    ALSO(MV_KIND_RAW, "IIRS"),
    {MV_KIND_TIFF, "a TIFF picture", BYTES("II*\0"), NULL, WEIGHTS},
    ALSO(MV_KIND_TIFF, "MM\0*"),
    ALSO(MV_KIND_TIFF, "II+\0\10\0\0\0"),
    ALSO(MV_KIND_TIFF, "MM\0+\0\10\0\0"),
    {MV_KIND_AVIF, "an AVIF picture", TEST(is_avif), NO_HEIF, WEIGHTS},
    {MV_KIND_HEIC, "a HEIC picture", TEST(is_heic), NO_HEIF, WEIGHTS},
    {MV_KIND_PNM, "a PNM picture", TEST(is_pnm), NULL, WEIGHTS},
    {MV_KIND_DAMAGED_PNG, "a PNG whose first 8 bytes are not PNG's", TEST(is_damaged_png), "was it copied as text?",
     NULL},
    {MV_KIND_JPEG_2000, "a JPEG 2000 picture", BYTES("\0\0\0\14jP  "), CONVERT, NULL},
    ALSO(MV_KIND_JPEG_2000, "\xFF\x4F\xFF\x51"),
    {MV_KIND_JPEG_XL, "a JPEG XL picture", BYTES("\0\0\0\14JXL "), CONVERT ", for example with djxl", NULL},
    ALSO(MV_KIND_JPEG_XL, "\xFF\n"),
    {MV_KIND_JPEG_XR, "a JPEG XR picture", BYTES("II\xBC\1"), CONVERT, NULL},
    {MV_KIND_PSD, "a Photoshop document", BYTES("8BPS"), "export it as PNG or JPEG", NULL},
    {MV_KIND_ICO, "an icon (ICO)", TEST(is_ico), CONVERT, NULL},
    {MV_KIND_EXR, "an OpenEXR picture", BYTES("\x76\x2F\x31\1"), CONVERT, NULL},
    {MV_KIND_HDR, "a Radiance HDR picture", BYTES("#?R"), CONVERT, NULL},
    {MV_KIND_DDS, "a DDS texture", BYTES("DDS "), CONVERT, NULL},
    {MV_KIND_QOI, "a QOI picture", BYTES("qoif"), CONVERT, NULL},
    {MV_KIND_PAM, "a Netpbm PAM or PFM file", BYTES("P7\n"), CONVERT " or PPM", NULL},
    ALSO(MV_KIND_PAM, "PF\n"),
    ALSO(MV_KIND_PAM, "Pf\n"),
    {MV_KIND_FITS, "a FITS file", BYTES("SIMPLE  ="), CONVERT, NULL},
    {MV_KIND_PDF, "a PDF document", BYTES("%PDF-"), "draw a page of it, for example with pdftoppm -png", NULL},
    {MV_KIND_POSTSCRIPT, "a PostScript document", BYTES("%!PS"), CONVERT, NULL},
    {MV_KIND_SOUND, "a sound file", TEST(is_wave), NULL, NULL},
    ALSO_AT(MV_KIND_SOUND, 4, "ftypM4A "),
    ALSO(MV_KIND_SOUND, "ID3"),
    ALSO(MV_KIND_SOUND, "fLaC"),
    ALSO(MV_KIND_SOUND, "OggS"),
    {MV_KIND_VIDEO, "a video", TEST(is_video), "take frames out of it, for example with ffmpeg -i VIDEO frame-%04d.png",
     NULL},
    ALSO_AT(MV_KIND_VIDEO, 4, "moov"),
    ALSO_AT(MV_KIND_VIDEO, 4, "mdat"),
    ALSO(MV_KIND_VIDEO, "\x1A\x45\xDF\xA3"),
    ALSO(MV_KIND_VIDEO, "\0\0\1\xBA"),
    ALSO(MV_KIND_VIDEO, "\0\0\1\xB3"),
    ALSO(MV_KIND_VIDEO, "FLV\1"),
    {MV_KIND_GZIP, "a gzip archive", BYTES("\x1F\x8B"), "gunzip unpacks it", "gunzip unpacks it"},
    {MV_KIND_BZIP2, "a bzip2 archive", BYTES("BZh"), "bunzip2 unpacks it", "bunzip2 unpacks it"},
    {MV_KIND_XZ, "an xz archive", BYTES("\3757zXZ\0"), "unxz unpacks it", "unxz unpacks it"},
    {MV_KIND_ZSTD, "a zstd archive", BYTES("\x28\xB5\x2F\xFD"), "unzstd unpacks it", "unzstd unpacks it"},
    {MV_KIND_7ZIP, "a 7-Zip archive", BYTES("7z\xBC\xAF\x27\x1C"), UNPACK, UNPACK},
    {MV_KIND_RAR, "a RAR archive", BYTES("Rar!\x1A\7"), UNPACK, UNPACK},
    {MV_KIND_PYTORCH, "a PyTorch checkpoint (a zip with a pickle)", TEST(is_pytorch), TAKE_M, OTHER},
    {MV_KIND_NPZ, "NumPy arrays (.npz)", TEST(is_npz), "a ready input is a .npy or .safetensors file", OTHER},
    {MV_KIND_ZIP, "a zip archive", BYTES("PK\3\4"), UNPACK, UNPACK},
    ALSO(MV_KIND_ZIP, "PK\5\6"),
    {MV_KIND_PYTORCH_LEGACY, "a PyTorch checkpoint of the format before version 1.6",
     BYTES("\x80\2\x8A\nl\xFC\x9C\x46\xF9 j\xA8P\x19."), TAKE_M,
     "load and save it again with a newer PyTorch: torch.save(torch.load(FILE), FILE)"},
    {MV_KIND_PICKLE, "a Python pickle", TEST(is_pickle), NULL, OTHER},
    {MV_KIND_NPY, "a NumPy array (.npy)", BYTES("\x93NUMPY"), "name it with the ending .npy, for a ready input", OTHER},
    {MV_KIND_GGUF, "a GGUF checkpoint", BYTES("GGUF"), TAKE_M, OTHER},
    {MV_KIND_HDF5, "an HDF5 file", BYTES("\x89HDF\r\n\x1a\n"), NULL, OTHER},
    {MV_KIND_TFLITE, "a TensorFlow Lite model", BYTES_AT(4, "TFL3"), TAKE_M, OTHER},
    {MV_KIND_SAFETENSORS, "a safetensors file", TEST(is_safetensors),
     "-m takes a checkpoint; a ready input has the ending .safetensors", NULL},
    {MV_KIND_ONNX, "an ONNX model", TEST(is_onnx), TAKE_M, OTHER},
    {MV_KIND_DICOM, "a DICOM file", BYTES_AT(128, "DICM"), CONVERT ", for example with dcmj2pnm", NULL},
    {MV_KIND_TAR, "a tar archive", BYTES_AT(257, "ustar"), "tar -xf unpacks it", "tar -xf unpacks it"},
    {MV_KIND_PROGRAM, "a program", TEST(is_program), NULL, NULL},
    {MV_KIND_HTML, "a web page", TEST(is_html), DOWNLOAD, DOWNLOAD},
    {MV_KIND_SVG, "an SVG drawing", TEST(is_svg), "draw it as PNG, for example with rsvg-convert", NULL},
    {MV_KIND_INDEX, "the index of a checkpoint in several files", TEST(is_index), TAKE_M,
     "-m takes the folder that holds it and its files"},
    {MV_KIND_CONFIG, "a model's configuration (JSON)", TEST(is_config), TAKE_M,
     "the weights lie beside it: -m takes the folder or model.safetensors"},
    {MV_KIND_JSON, "a JSON file", TEST(is_json), NULL, NULL},
    {MV_KIND_XML, "an XML file", TEST(is_xml), NULL, NULL},
    {MV_KIND_ZEROS, "nothing but zeros", TEST(is_zeros), AGAIN, AGAIN},
    {MV_KIND_TEXT_FILE, "text", TEST(is_text), NULL, NULL},
};

enum { ROWS = sizeof table / sizeof *table };

static int row_of(view v)
{
    int i = 0;
    for (; i < ROWS; i++)
        if (table[i].is ? table[i].is(v) : has(v, table[i].at, table[i].signature, table[i].length))
            break;
    while (i >= 0 && i < ROWS && !table[i].noun)
        i--;
    return i < ROWS ? i : -1;
}

mv_kind mv_kind_of(const void *bytes, size_t size)
{
    int i = row_of((view){bytes, size < MV_KIND_BYTES ? size : MV_KIND_BYTES});
    return i < 0 ? MV_KIND_UNKNOWN : table[i].kind;
}

bool mv_kind_is_picture(mv_kind kind)
{
    return kind >= MV_KIND_PNG && kind <= MV_KIND_PNM;
}

/* What to do about a file of this kind, for the end of a sentence; NULL if there is nothing to say. */
static const char *advice_for(mv_kind kind, mv_kind_use use)
{
    for (int i = 0; i < ROWS; i++)
        if (table[i].kind == kind)
            return use == MV_KIND_AS_PICTURE ? table[i].as_picture : table[i].as_checkpoint;
    return NULL;
}

/* ---- words */

/* Appends ", which WORDS 'what stands from p on'" up to `end` of a text, on one line and cut to what reads well. */
static void quote(char text[MV_KIND_TEXT], const char *words, const char *p, const char *end)
{
    enum { LONGEST = 60 };
    char line[LONGEST + 1];
    size_t n = 0;
    while (p < end && isspace((unsigned char)*p))
        p++;
    for (; p < end && n < LONGEST && *p; p++) {
        bool blank = isspace((unsigned char)*p);
        if (!blank || (n && line[n - 1] != ' '))
            line[n++] = blank ? ' ' : *p;
    }
    while (n && line[n - 1] == ' ')
        n--;
    line[n] = 0;
    size_t used = strlen(text);
    if (n)
        mv_text_print(text + used, MV_KIND_TEXT - used, "%s\"%s%s\"", words, line,
                      p < end && n == LONGEST ? "..." : "");
}

const char *mv_kind_what(char text[MV_KIND_TEXT], const void *bytes, size_t size)
{
    enum { SHORT = 200 }; /* bytes of a text that is quoted: what a server says instead of sending a file */
    view v = {bytes, size < MV_KIND_BYTES ? size : MV_KIND_BYTES};
    int i = row_of(v);
    const char *p, *end = v.bytes + v.size;
    unsigned long long of = 0;
    snprintf(text, MV_KIND_TEXT, "%s", i < 0 ? "a file of an unknown kind" : table[i].noun);
    size_t used = strlen(text);
    switch (i < 0 ? MV_KIND_UNKNOWN : table[i].kind) {
    case MV_KIND_LFS_POINTER:
        p = find(v, "\nsize ");
        for (p = p ? p + 6 : end; p < end && isdigit((unsigned char)*p) && of < 1ULL << 59; p++)
            of = of * 10 + (unsigned)(*p - '0');
        if (of)
            snprintf(text + used, MV_KIND_TEXT - used, " to a file of %llu bytes", of);
        break;
    case MV_KIND_HTML:
        p = find(v, "<title");
        p = p ? memchr(p, '>', (size_t)(end - p)) : NULL;
        if (p) {
            const char *close = find((view){p, (size_t)(end - p)}, "</title");
            quote(text, " titled ", p + 1, close ? close : end);
        }
        break;
    case MV_KIND_TEXT_FILE:
    case MV_KIND_JSON:
        if (size <= SHORT)
            quote(text, ", ", v.bytes, end);
        break;
    default: break;
    }
    return text;
}

mv_status mv_kind_refuse(mv_error *e, const char *place, const void *bytes, size_t size, mv_kind_use use,
                         const char *expected)
{
    char what[MV_KIND_TEXT];
    const char *advice = advice_for(mv_kind_of(bytes, size), use);
    return mv_fail(e, MV_EINPUT, "%s: found %s, expected %s%s%s", place, mv_kind_what(what, bytes, size), expected,
                   advice ? "; " : "", advice ? advice : "");
}
