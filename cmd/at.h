/* --at X,Y: the query cell of a picture is the one that holds a pixel of it. The pixel is one of the upright photo, or
 * of a ready input; each photo has its own size, so the cell is found picture by picture.
 */
#ifndef AT_H
#define AT_H

#include <jansson.h>

#include "cmd/command.h"
#include "cmd/inputs.h"

#define OPTION_PIXEL(at)                                                                                               \
    {                                                                                                                  \
        .name = "at", .kind = MV_PARAM_TEXT, .offset = at, .argument = "X,Y", .check = at_check_text,                  \
        .help = "the query is the cell at a pixel of the photo, column first"                                          \
    }

/* For mv_param.check: a text that names no pixel. */
mv_status at_check_text(const char *text, const char *place, mv_error *e);

/* In check: puts the option into call.at. `query` is the parameter of the method, `level` its levels. Ends the program
 * with status 2 beside --query. text NULL: the option was not given. */
void at_choose(call *c, const char *text, const mv_param_list *level, const char **query);

/* A cell of the finest level that is shown, row first. */
typedef struct {
    int y, x;
} at_cell;

/* The cell of a photo of photo_w x photo_h px (0: a ready input) for an input of h x w px. MV_EINPUT, with what is
 * expected, for a pixel that the network does not see. */
mv_status at_find(const call *c, int photo_w, int photo_h, int h, int w, at_cell *out, mv_error *e);

/* Makes `cell` the query of the method, until the next one. On the thread that computes. */
void at_set(call *c, at_cell cell);

/* The query of a picture as --query takes it: "5,9", "pooled". `otherwise` is the method's, which is another picture's
 * by now. */
const char *at_query(const call *c, const shot *t, const char *otherwise, char text[24]);

/* "pixel 812,340 of the photo, in cell 5,9 of level 2 and 2,4 of level 3" */
const char *at_words(const call *c, const shot *t, char text[128]);

/* Adds to the JSON line of a picture: "at": {"x", "y", "cells": {"2": [Y, X], ...}}. False without memory; true
 * without --at. */
bool at_reply(const call *c, const shot *t, json_t *line);

#endif
