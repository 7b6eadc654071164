/* The only loop over pictures. For a command that takes them it does everything that is not the command's own subject:
 *
 *     list (folders, --shard) -> check outputs -> load the model -> decode threads -> batch -> run -> explain
 *         -> writer threads (command.picture) -> results in the order of the pictures
 *
 * All queues are bounded, so memory does not grow with the number of pictures. A picture that fails is complained of
 * and counted, and the others go on. A signal, or a reader of the results that has left, ends the loop after the batch
 * that runs, with all outputs whole. --resume goes on from what an earlier run has written.
 */
#ifndef STREAM_H
#define STREAM_H

#include "cmd/command.h"

/* Runs the command over its operands; returns the exit status, or ends the process by the signal that stopped it. */
int stream_run(call *c);

#endif
