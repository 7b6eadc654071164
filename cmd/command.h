/* What a command is: a const struct that says what it takes, and up to nine functions. Option tables, checks, help,
 * completion, the loop over pictures, progress, resuming, signals and the exit status follow from it.
 *
 * A command that takes pictures runs through stream.c, the only loop over pictures:
 *
 *     check     once, with nothing opened yet: words that do not go together end the program with status 2
 *     list      once, when the sizes of the model and the list of all pictures are there, before --shard takes its part
 *     claim     once, before anything runs: names the files that are read besides the pictures and the model, so that
 *               no output replaces them (claims.h)
 *     open      once, when the model and the device are there: says what is asked of each picture (call.ask), opens
 *               stores
 *     batch     after each batch, in order, on the thread that computes: what must follow the order of computing
 *     study     once for each picture, in order, on the thread that computes, when its maps are made: further forward
 *               passes, and stores of numbers. What it puts into study.own comes to `picture` as shot.own, and ends by
 *               `drop`
 *     picture   once for each picture, on a writer thread: draws, writes files, prints results to shot.out. Several
 *               pictures may be in work at once, so it must not write to `own`; what it prints appears in the order of
 *               the pictures
 *     close     once, at the end, also after a failure or an interruption (call.stopped)
 *
 * Between open and close nothing ends the program; everything returns its failure. Any other command has `run` alone.
 */
#ifndef COMMAND_H
#define COMMAND_H

#include <stdio.h>

#include "cmd/options.h"
#include "cmd/session.h"
#include "src/base/image.h"
#include "src/explain/methods.h"
#include "src/run/back.h"

struct claims;
struct operands;

enum { CALL_ASKS = 16 };

typedef struct call call;

/* One picture's answers. Everything is borrowed for the call of `picture` or `batch`. */
typedef struct {
    const char *path; /* as it is opened */
    const char *name; /* for results, safe to print: the path, with "[3]" for a picture of a ready input of several */
    const char *base; /* the name without its folders */
    int index, of;    /* which of a ready input's pictures; 0 of 1 for a picture file */
    int h, w;         /* pixels of the network's input */
    const float *logits;
    const mv_image *image;   /* what the network saw; NULL unless call.shows */
    const mv_maps *maps;     /* for each ask */
    const char *page, *raw;  /* where its page and its numbers go; NULL: not wanted */
    const char *film;        /* where its moving picture goes; NULL: not wanted */
    const char *overlay;     /* where its overlay goes, or how the names of its overlays begin; NULL: not wanted */
    bool overlays;           /* the latter */
    const mv_image *photo;   /* the picture itself, where it cannot be read again and call.wants_photo; else empty */
    int photo_w, photo_h;    /* its px; 0: a ready input */
    const char *page_name;   /* page, safe to print */
    struct mv_fonts **fonts; /* this thread's typefaces; opened by the first page */
    void *own;               /* what `study` made of it; NULL: nothing */
    FILE *out;               /* its results */
} shot;

/* One picture between the network and the writers. */
typedef struct {
    const shot *shot;              /* without page, raw, fonts and out */
    int picture;                   /* the picture's number in the batch, for probes that kept something of it */
    mv_maps *maps;                 /* for each ask; may be changed and appended to */
    const float *planes;           /* what the network saw: (3, h, w), normalised */
    mv_passes *passes;             /* for further inputs of h x w */
    const mv_explainer *explainer; /* of the batch; NULL without asks */
    void *own;                     /* for shot.own: freed by command.drop, also where `study` fails */
} study;

typedef struct command {
    const char *name, *operands, *summary;
    const mv_param *method_params; /* parameters of a method that are options of the command; NULL: none */
    const mv_param *params;        /* its own options, into the same struct; NULL: none */
    size_t size;                   /* bytes of that struct */
    unsigned takes;                /* TAKES_ bits of options.h */
    const mv_param *completes;     /* what a shell completes operands with, if they are not pictures; NULL: nothing */
    const char *results;           /* the member that each line of --json has: "top"; NULL: none can be resumed */
    const char *pages_need;        /* the option without which no page is written; NULL: pages are always written */
    const char *const *examples;   /* ended by NULL */
    void (*check)(call *c);
    /* Looks at the whole list of pictures, before --shard takes a part: labels them, drops some. May end the program.
     */
    void (*list)(call *c, struct operands *o);
    void (*claim)(const call *c, struct claims *k);
    mv_status (*open)(call *c, mv_error *e);
    mv_status (*batch)(call *c, const shot *shots, int n, mv_error *e);
    mv_status (*study)(call *c, study *s, mv_error *e);
    void (*drop)(void *own); /* NULL: free */
    mv_status (*picture)(const call *c, const shot *t, mv_error *e);
    mv_status (*close)(call *c, mv_error *e);
    int (*run)(call *c);
} command;

/* One call of the program. */
struct call {
    const command *command;
    options o; /* the shared options */
    given given;
    void *own; /* the command's options and state, command->size bytes */
    int operands;
    const char *const *operand;
    session session;

    /* ---- what `check` and `open` say */
    bool wants_page, wants_raw, wants_film; /* a file for each picture, named by stream.c */
    bool wants_overlay;                     /* files for each picture, whose names begin as stream.c says */
    unsigned overlay_asks;                  /* bits of the asks whose maps are overlaid; 0: all */
    bool html;                              /* pages are .html */
    const char *raw;                        /* --raw, if wants_raw */
    const char *film;                       /* --animate, if wants_film */
    const char *store;                      /* a store of the values of all pictures; NULL: none */
    const char *store_option;               /* that names it: "-o", "--raw" */
    int together;                           /* pictures that a page may show if -o names a file; 0: one */
    const char *journal;                    /* a file of its own that --resume goes on with; NULL: none */
    bool shows;                             /* shot.image is wanted */
    bool wants_photo;                       /* photo_open is called (photo.h) */
    bool one_size;                          /* all inputs must have the size of the first */
    int asks;
    mv_ask ask[CALL_ASKS];
    struct {
        const char **query;    /* the method's parameter; NULL: without --at */
        int x, y;              /* px */
        bool level[MV_LEVELS]; /* that are shown */
        char text[24];         /* the query of the batch */
    } at;                      /* at.h */
    bool indexed;              /* a folder of pages gets an index.html */
    struct index_file *index;  /* of this run; NULL: none */
    bool stores_only;          /* study makes no forward passes */
    mv_probe *probes;          /* besides those of the asks; NULL: none */
    const mv_back *back;       /* backward passes of each batch; NULL: those of the asks */
    const char *gradient;      /* what they differentiate, and how, in words for a store; NULL: there are none */
    /* True for a picture that an earlier run has answered (--resume). NULL: files that exist say so. */
    bool (*answered)(call *c, const char *name);

    /* ---- what stream.c says */
    const struct operands *list;     /* the pictures of this run, those of an earlier one included */
    int height, width;               /* with one_size: the size of the input */
    int pictures;                    /* of all operands of this run; one that cannot be read counts as one */
    bool joined;                     /* a page shows several pictures: by `together` or --sheet (together.h) */
    const struct destination *pages; /* where pages go */
    struct claims *claims;  /* what outputs that are named late are held against; NULL: there are none (claims.h) */
    int done, failed, kept; /* of these: answered, failed, and answered by an earlier run */
    bool incomplete;        /* a folder could not be read */
    bool stopped;           /* by a signal, or because the reader of the results has left */
    bool broken;            /* the run cannot go on */
    int culprit;            /* the picture of the batch, from 1, because of which the batch fails; 0: all alike */
};

extern const command *const commands[]; /* in the order of help; ended by NULL */

#endif
