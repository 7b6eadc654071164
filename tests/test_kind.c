/* What files are by their first bytes, and the sentences that say so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "src/file/kind.h"
#include "tests/scratch.h"

#define SAID(bytes) bytes, sizeof(bytes) - 1

static void test_signatures(void **state)
{
    (void)state;
    static const struct {
        mv_kind kind;
        const char *bytes;
        size_t size;
    } of[] = {
        {MV_KIND_EMPTY, SAID("")},
        {MV_KIND_ZEROS, SAID("\0\0\0\0\0\0")},
        {MV_KIND_UNKNOWN, SAID("\1\2\3\4\5\6\7\x08")},
        {MV_KIND_PNG, SAID("\x89PNG\r\n\x1a\n\0\0\0\rIHDR")},
        {MV_KIND_DAMAGED_PNG, SAID("\x89PNG\n\x1a\n\0\0\0\rIHDR\0\0\0\1")},
        {MV_KIND_JPEG, SAID("\xFF\xD8\xFF\xE0")},
        {MV_KIND_WEBP, SAID("RIFF\x10\0\0\0WEBPVP8 ")},
        {MV_KIND_SOUND, SAID("RIFF\x10\0\0\0WAVEfmt ")},
        {MV_KIND_VIDEO, SAID("RIFF\x10\0\0\0AVI LIST")},
        {MV_KIND_TIFF, SAID("II*\0\x08\0\0\0")},
        {MV_KIND_TIFF, SAID("MM\0*\0\0\0\x08")},
        {MV_KIND_RAW, SAID("II*\0\x10\0\0\0CR\2\0")},
        {MV_KIND_HEIC, SAID("\0\0\0\x18"
                            "ftypheic\0\0\0\0mif1heic")},
        {MV_KIND_HEIC, SAID("\0\0\0\x18"
                            "ftypmif1\0\0\0\0mif1heic")},
        {MV_KIND_AVIF, SAID("\0\0\0\x18"
                            "ftypavif\0\0\0\0mif1avif")},
        {MV_KIND_AVIF, SAID("\0\0\0\x18"
                            "ftypmif1\0\0\0\0mif1avif")},
        {MV_KIND_VIDEO, SAID("\0\0\0\x18"
                             "ftypisom\0\0\0\0isommp42")},
        {MV_KIND_RAW, SAID("\0\0\0\x18"
                           "ftypcrx \0\0\0\1crx isom")},
        {MV_KIND_JPEG_2000, SAID("\0\0\0\14jP  \r\n\x87\n")},
        {MV_KIND_JPEG_XL, SAID("\xFF\n\xFA\x1F")},
        {MV_KIND_ICO, SAID("\0\0\1\0\1\0\x10\x10\0\0\1\0\x20\0h\4\0\0\x16\0\0\0")},
        {MV_KIND_PSD, SAID("8BPS\0\1")},
        {MV_KIND_PDF, SAID("%PDF-1.7\n")},
        {MV_KIND_GZIP, SAID("\x1F\x8B\x08\0")},
        {MV_KIND_XZ, SAID("\3757zXZ\0")},
        {MV_KIND_PYTORCH, SAID("PK\3\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10\0\0\0archive/data.pkl\x80\2")},
        {MV_KIND_NPZ, SAID("PK\3\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\5\0\0\0a.npy")},
        {MV_KIND_ZIP, SAID("PK\3\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xFF\xFF\0\0a.npy")},
        {MV_KIND_PYTORCH_LEGACY, SAID("\x80\2\x8A\nl\xFC\x9C\x46\xF9 j\xA8P\x19.\x80\2M\xE9\3.")},
        {MV_KIND_PICKLE, SAID("\x80\4\x95\x10")},
        {MV_KIND_NPY, SAID("\x93NUMPY\1\0")},
        {MV_KIND_GGUF, SAID("GGUF\3\0\0\0")},
        {MV_KIND_ONNX, SAID("\x08\7\x12\7pytorch\x1A\3")},
        {MV_KIND_HDF5, SAID("\x89HDF\r\n\x1a\n")},
        {MV_KIND_TFLITE, SAID("\x1C\0\0\0TFL3")},
        {MV_KIND_SAFETENSORS, SAID("\x40\0\0\0\0\0\0\0{\"a\":{")},
        {MV_KIND_HTML, SAID("\xEF\xBB\xBF\r\n <HTML lang=en>")},
        {MV_KIND_HTML, SAID("<?xml version=\"1.0\"?><!DOCTYPE html PUBLIC><html xmlns=")},
        {MV_KIND_SVG, SAID("<?xml version=\"1.0\"?>\n<!-- drawn -->\n<svg width=")},
        {MV_KIND_XML, SAID("<?xml version=\"1.0\"?><feed/>")},
        {MV_KIND_INDEX, SAID("{\"metadata\": {\"total_size\": 9}, \"weight_map\": {")},
        {MV_KIND_CONFIG, SAID("{\n  \"architectures\": [\"MambaVision\"]}")},
        {MV_KIND_JSON, SAID("[{\"a\": 1}]")},
        {MV_KIND_TEXT_FILE, SAID("{curly} but no JSON")},
        {MV_KIND_TEXT_FILE, SAID("Entry not found")},
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        char *copy = malloc(of[i].size ? of[i].size : 1); /* so that a sanitizer sees what is read past the end */
        assert_non_null(copy);
        memcpy(copy, of[i].bytes, of[i].size);
        if (mv_kind_of(copy, of[i].size) != of[i].kind)
            fail_msg("row %zu is kind %d, expected %d", i, (int)mv_kind_of(copy, of[i].size), (int)of[i].kind);
        free(copy);
    }
}

/* Files of other programs, beside what says where they are from. */
static void test_files(void **state)
{
    (void)state;
    static const struct {
        mv_kind kind;
        const char *path;
    } of[] = {
        {MV_KIND_PNG, "tests/data/image/small.png"}, {MV_KIND_TEXT_FILE, "README.md"},
        {MV_KIND_TEXT_FILE, "src/file/kind.c"},      {MV_KIND_SAFETENSORS, "assets/nano.safetensors"},
        {MV_KIND_HTML, "assets/report.html"},        {MV_KIND_PROGRAM, "/proc/self/exe"},
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        mv_kind kind;
        mv_error e = {0};
        if (mv_kind_of_file(&kind, of[i].path, &e) || kind != of[i].kind)
            fail_msg("%s: is kind %d, expected %d %s", of[i].path, (int)kind, (int)of[i].kind, e.text);
    }
}

static void test_what_cannot_be_read(void **state)
{
    (void)state;
    mv_kind kind;
    mv_error e = {0};
    assert_int_equal(mv_kind_of_file(&kind, in_folder("none"), &e), MV_EIO);
    assert_non_null(strstr(e.text, "none: cannot be opened: No such file or directory"));
    const char *pipe = in_folder("pipe");
    assert_int_equal(mkfifo(pipe, 0600), 0);
    assert_int_equal(mv_kind_of_file(&kind, pipe, NULL), MV_EINPUT); /* at once: nobody writes */
    assert_int_equal(mv_kind_of_file(&kind, "/dev/zero", NULL), MV_EINPUT);
    assert_int_equal(kind, MV_KIND_UNKNOWN);
}

static void says(const char *bytes, mv_kind_use use, const char *sentence)
{
    mv_error e = {0};
    const char *expected = use == MV_KIND_AS_PICTURE ? "a picture" : "a checkpoint";
    assert_int_equal(mv_kind_refuse(&e, "x", bytes, strlen(bytes), use, expected), MV_EINPUT);
    assert_string_equal(e.text, sentence);
}

static void test_sentences(void **state)
{
    (void)state;
    says("version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 127267824\n", MV_KIND_AS_CHECKPOINT,
         "x: found a Git LFS pointer to a file of 127267824 bytes, expected a checkpoint; \"git lfs pull\" in its "
         "repository brings the weights");
    says("version https://git-lfs.github.com/spec/v1\noid sha256:ab\n", MV_KIND_AS_PICTURE,
         "x: found a Git LFS pointer, expected a picture; \"git lfs pull\" in its repository brings the picture");
    says("<!DOCTYPE html>\n<html><head><title class=\"a\">\n  404 Not\tFound\n</title></head>", MV_KIND_AS_PICTURE,
         "x: found a web page titled \"404 Not Found\", expected a picture; a download that went wrong leaves one: "
         "open it in "
         "a browser to see what it says");
    says("Entry not found", MV_KIND_AS_CHECKPOINT, "x: found text, \"Entry not found\", expected a checkpoint");
    says("\1\2\3\4", MV_KIND_AS_PICTURE, "x: found a file of an unknown kind, expected a picture");
    says("GIF89a", MV_KIND_AS_CHECKPOINT,
         "x: found a GIF picture, expected a checkpoint; -m names the model; a picture is an operand");
}

/* What a server chose to write is cut, stays on one line and stays UTF-8. */
static void test_quotes(void **state)
{
    (void)state;
    char page[1024] = "<html><title>", text[MV_KIND_TEXT];
    for (int i = 0; i < 100; i++)
        strcat(page, "\xC3\xA9");
    strcat(page, "</title>");
    mv_kind_what(text, page, strlen(page));
    assert_true(strlen(text) < 100);
    assert_string_equal(text + strlen(text) - 6, "\xC3\xA9...\"");
    mv_kind_what(text, "<html><title>a", 14); /* cut in its title */
    assert_string_equal(text, "a web page titled \"a\"");
    mv_kind_what(text, "<html><title", 12);
    assert_string_equal(text, "a web page");
    mv_kind_what(text, "version https://git-lfs.github.com/spec/v1\nsize 99999999999999999999999999", 74);
    assert_non_null(strstr(text, "a Git LFS pointer to a file of "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signatures), cmocka_unit_test(test_files),  cmocka_unit_test(test_what_cannot_be_read),
        cmocka_unit_test(test_sentences),  cmocka_unit_test(test_quotes),
    };
    return cmocka_run_group_tests_name("kind", tests, scratch_enter, scratch_leave);
}
