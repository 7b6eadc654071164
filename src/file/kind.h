/* What a file is by its first bytes. Messages about a file that cannot be used name it for what it is: a Git LFS
 * pointer, a web page, an archive, a format that this program does not read. No name or ending of a file is looked at.
 */
#ifndef MV_KIND_H
#define MV_KIND_H

#include <stdbool.h>
#include <stddef.h>

#include "src/base/status.h"

enum {
    MV_KIND_BYTES = 4096, /* of a file's beginning are enough to recognise it */
    MV_KIND_TEXT = 160    /* bytes of a description */
};

typedef enum {
    MV_KIND_UNKNOWN,
    MV_KIND_EMPTY, /* no bytes */
    MV_KIND_ZEROS, /* nothing but zeros */
    /* what stands for a file, or came instead of one */
    MV_KIND_LFS_POINTER,
    MV_KIND_ANNEX_POINTER,
    MV_KIND_HTML,
    MV_KIND_APPLE_DOUBLE,
    /* pictures that codecs of src/picture may read */
    MV_KIND_PNG,
    MV_KIND_JPEG,
    MV_KIND_GIF,
    MV_KIND_BMP,
    MV_KIND_WEBP,
    MV_KIND_TIFF,
    MV_KIND_HEIC,
    MV_KIND_AVIF,
    MV_KIND_PNM,
    /* other pictures, documents, films and sounds */
    MV_KIND_DAMAGED_PNG,
    MV_KIND_SVG,
    MV_KIND_JPEG_2000,
    MV_KIND_JPEG_XL,
    MV_KIND_JPEG_XR,
    MV_KIND_PSD,
    MV_KIND_ICO,
    MV_KIND_EXR,
    MV_KIND_HDR,
    MV_KIND_DDS,
    MV_KIND_QOI,
    MV_KIND_PAM,
    MV_KIND_DICOM,
    MV_KIND_FITS,
    MV_KIND_RAW,
    MV_KIND_PDF,
    MV_KIND_POSTSCRIPT,
    MV_KIND_VIDEO,
    MV_KIND_SOUND,
    /* archives */
    MV_KIND_GZIP,
    MV_KIND_BZIP2,
    MV_KIND_XZ,
    MV_KIND_ZSTD,
    MV_KIND_7ZIP,
    MV_KIND_RAR,
    MV_KIND_TAR,
    MV_KIND_ZIP,
    /* checkpoints and arrays */
    MV_KIND_SAFETENSORS,
    MV_KIND_PYTORCH,        /* a zip that holds data.pkl */
    MV_KIND_PYTORCH_LEGACY, /* before PyTorch 1.6 */
    MV_KIND_PICKLE,
    MV_KIND_NPY,
    MV_KIND_NPZ,
    MV_KIND_GGUF,
    MV_KIND_ONNX,
    MV_KIND_HDF5,
    MV_KIND_TFLITE,
    /* text */
    MV_KIND_INDEX,  /* model.safetensors.index.json: JSON with "weight_map" */
    MV_KIND_CONFIG, /* config.json: JSON that describes a network */
    MV_KIND_JSON,
    MV_KIND_XML,
    MV_KIND_PROGRAM,
    MV_KIND_TEXT_FILE
} mv_kind;

/* Recognises a file by its bytes: all of it, or its first MV_KIND_BYTES. */
mv_kind mv_kind_of(const void *bytes, size_t size);

/* The same of the file at `path`, which is not opened unless it is a regular one: MV_EIO if it cannot be read,
 * MV_EINPUT if it is not regular. *out is MV_KIND_UNKNOWN on failure. */
mv_status mv_kind_of_file(mv_kind *out, const char *path, mv_error *e);

/* True for the pictures in the list above that mv_codec may read. */
bool mv_kind_is_picture(mv_kind kind);

/* A noun phrase with its article: "a Git LFS pointer to a file of 127267824 bytes", a web page titled "404 Not
 * Found"". Returns text, which is UTF-8 if the file's own is. */
const char *mv_kind_what(char text[MV_KIND_TEXT], const void *bytes, size_t size);

typedef enum { MV_KIND_AS_PICTURE, MV_KIND_AS_CHECKPOINT } mv_kind_use;

/* MV_EINPUT with "PLACE: found WHAT, expected EXPECTED", and what to do about a file of this kind if that is known. */
mv_status mv_kind_refuse(mv_error *e, const char *place, const void *bytes, size_t size, mv_kind_use use,
                         const char *expected);

#endif
