/* What a command works with: the model that --model names (a file, a folder, or a name in the hub's cache), on the
 * device that --device names, with the pipeline that the picture options ask for, and the class names. Failures end the
 * program with a message: a session is opened before any output.
 */
#ifndef SESSION_H
#define SESSION_H

#include "cmd/options.h"
#include "src/model/checkpoint.h"
#include "src/model/weights.h"

typedef struct {
    mv_checkpoint *checkpoint; /* NULL: a variant's name, sizes without weights */
    bool cached;               /* it is a snapshot in the hub's cache */
    char lacks[512];           /* what that cache lacks for a variant's name */
    bool embedded;             /* the checkpoint is the program's own small one */
    mv_config config;          /* with --size and the crop options in it */
    mv_backend *backend;       /* NULL until session_load */
    mv_model *model;
    mv_labels imagenet;      /* ImageNet's, for a model of 1000 classes that are these in their order; else n 0 */
    const mv_labels *labels; /* those of the checkpoint, or ImageNet's; n 0 if none are known */
    bool again;              /* its checkpoint was opened before, so its warnings were printed */
    char **brief;            /* the first name of each class */
    char **files;            /* what the model was read from, ended by NULL: no output may replace it */
    char name[80], hash[65], loading[96];
} session;

/* Opens the checkpoint and reads its sizes; loads nothing yet. */
void session_open(session *s, const options *o);

/* Binds the weights on the device. A variant without weights ends the program and says how to get some. */
void session_load(session *s, const options *o);
void session_close(session *s);

/* SHA-256 of the checkpoint, computed at the first call; "" without one. Later calls, and s->hash, may be read by
 * several threads. */
const char *session_hash(session *s);

/* Ends the program where the model has no classification head, which `command` needs. Warns where its head has one
 * logit, whose probability is the sigmoid. */
void session_need_head(const session *s, const char *command);

/* " (sigmoid)" where the head has one logit, else "": after a probability. */
const char *session_sigmoid(const session *s);

/* "church"; of several names of a class the first; "class 7" where no name is known, "no class" below 0. For tables and
 * pages. Returns a string of the session or text. */
const char *session_class(const session *s, int i, char text[24]);

/* The same with all its names, "tench, Tinca tinca": for JSON. wnid: NULL where unknown. */
const char *session_label(const session *s, int i, char text[24]);
const char *session_wnid(const session *s, int i);

/* session_class as an mv_class_name, whose context is the session. */
const char *session_class_name(void *session_, int i, char text[24]);

/* The class that `text` names: its number, its wnid, its name in either case, or one of several names that are
 * separated by commas; "top" and "second" give MV_CLASS_TOP and MV_CLASS_SECOND. MV_EINPUT, with the nearest name,
 * where there is none. `place` begins the message: "--class". */
mv_status session_find_class(const session *s, const char *text, const char *place, int *out, mv_error *e);

/* "fp32", "cpu": for results and recipes. */
const char *session_precision(const session *s);
const char *session_device(const session *s);

/* "demo model: ten classes" where the embedded model answers, else empty: for every page. Returns text. */
const char *session_demo(const session *s, char text[48]);

/* "224 x 224, center 1.0, bicubic": how pictures are prepared. */
const char *session_pipeline(const session *s, char text[64]);

#endif
