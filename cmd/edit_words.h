/* Edits of named values (src/run/edit.h) as words of the command line, and as words for people:
 *
 *     SITE=zero                   SITE is a pattern of sites, with an index or without: levels.*.mixer.v[head=3]
 *     SITE=mean                   the mean over the tokens
 *     SITE=noise:scale=1,seed=0   Gaussian noise is added
 *     SITE=original               the value itself
 *     SITE=FILE, SITE=FILE:NAME   values of a .npy, .npz, .safetensors or FOLDER/; NAME: of the array, else the site's
 *     SITE@PICTURE                the value that another picture has there, prepared in the same way
 */
#ifndef EDIT_WORDS_H
#define EDIT_WORDS_H

#include "cmd/command.h"
#include "src/run/edit.h"

enum { EDIT_WORDS = 240 };

/* Looks at the form alone, before anything is opened: for mv_param.check. */
mv_status edit_words_check(const char *text, const char *place, mv_error *e);

/* Adds the edit to `ed`, for inputs of h x w px: reads its file, or decodes its picture and runs the network on it.
 * `sites` are those of one picture. MV_EINPUT for what does not fit them. */
mv_status edit_words_add(call *c, mv_edits *ed, const char *text, int h, int w, const mv_sites *sites, mv_error *e);

/* The file or picture that the edit reads; NULL: none. The caller's to free; *e has a code without memory. */
char *edit_words_file(const char *text, mv_error *e);

/* "Without head 3 of level 2 block 4", "With the mixer of level 2 block 0 from church.jpg". Returns out. */
const char *edit_words_say(const mv_config *config, const char *text, char out[EDIT_WORDS]);

#endif
