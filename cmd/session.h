/* What a command works with: the model that -m names, on the device that -d names, with the pipeline that the picture
 * options ask for; and the class names. Failures end the program with a sentence.
 */
#ifndef SESSION_H
#define SESSION_H

#include "src/model/checkpoint.h"
#include "src/model/weights.h"

typedef struct {
    mv_checkpoint *checkpoint; /* NULL: a variant's name, sizes without weights */
    mv_config config;          /* with --size and the crop options in it */
    mv_backend *backend;       /* NULL until session_load */
    mv_model *model;
    mv_labels labels; /* ImageNet's, for a model of 1000 classes that brings none */
    char name[80], hash[65];
} session;

/* Opens the checkpoint, reads sizes; loads nothing yet. */
void session_open(session *s);

/* Binds the weights on the device. A variant without weights ends the program, saying how to get some. */
void session_load(session *s);
void session_close(session *s);

/* SHA-256 of the checkpoint, computed when first asked for; "" without one. */
const char *session_hash(session *s);

/* "church"; "class 7" where no name is known. wnid: NULL where unknown. */
const char *session_class(const session *s, int i, char text[24]);
const char *session_wnid(const session *s, int i);

/* "fp32", "cpu": for results and recipes. */
const char *session_precision(const session *s);
const char *session_device(const session *s);

/* "224 x 224, center 1.0": how pictures are prepared. */
const char *session_pipeline(const session *s, char text[64]);

#endif
