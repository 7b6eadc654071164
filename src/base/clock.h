/* A clock for durations. */
#ifndef MV_CLOCK_H
#define MV_CLOCK_H

/* Seconds since some moment in the past; never goes back, whatever is done to the date. */
double mv_clock_now(void);

#endif
