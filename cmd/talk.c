#include "cmd/talk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cmd/stop.h"
#include "src/base/clock.h"
#include "src/base/text.h"
#include "src/file/output.h"

bool talk_quiet;

/* ---- the line of progress: one for the process, as there is one terminal */

enum { WAIT_MS = 500, REDRAW_MS = 100, BAR = 32 };

static pthread_mutex_t terminal = PTHREAD_MUTEX_INITIALIZER; /* of all that follows, and of stdout and stderr */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct {
    pthread_t ticker;
    bool ticking, ending, shown;
    const char *what; /* NULL: nothing to tell */
    int done, all, first;
    int passed, passes;     /* forward passes of the picture at hand; passes 0: one alone */
    double since, counting; /* seconds: when `what` began; when the first count came */
    double passing;         /* when the first of the passes ended */
    int first_passed;
    double bytes, all_bytes, first_bytes; /* of a download; all_bytes 0: none */
} progress;

static int columns(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/* "1:04 left" */
static void time_text(double seconds, char text[32])
{
    long s = seconds < 360000 ? (long)(seconds + 0.5) : 360000;
    if (s >= 3600)
        snprintf(text, 32, "%ld:%02ld:%02ld left", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(text, 32, "%ld:%02ld left", s / 60, s % 60);
}

/* What is counted in the line: pictures, or the passes of a single one. */
typedef struct {
    int done, all, first;
    double since;
} counted;

/* A line of a count and a rate behind a bar of `share`, as long as there is room: the bar goes first, then the rate. */
static void bar_text(char *text, size_t size, int room, double share, const char *count, const char *rate)
{
    int words = (int)(strlen(count) + strlen(rate));
    int bar = room - words - 3 < BAR ? room - words - 3 : BAR;
    if (bar >= 8) {
        char marks[BAR + 1];
        memset(marks, ' ', sizeof marks);
        memset(marks, '#', (size_t)(bar * share));
        snprintf(text, size, "[%.*s] %s%s", bar, marks, count, rate);
    } else
        snprintf(text, size, "%s%s", count, words <= room ? rate : "");
}

static void bytes_text(char *text, size_t size, int room)
{
    char count[96], rate[64] = "", left[32];
    double came = progress.bytes - progress.first_bytes, passed = mv_clock_now() - progress.counting;
    snprintf(count, sizeof count, "%.1f of %.1f MB", progress.bytes * 1e-6, progress.all_bytes * 1e-6);
    if (came > 0 && passed > 0) {
        time_text(passed / came * (progress.all_bytes - progress.bytes), left);
        snprintf(rate, sizeof rate, ", %.1f MB/s, %s", came / passed * 1e-6, left);
    }
    bar_text(text, size, room, progress.bytes / progress.all_bytes, count, rate);
}

/* The line, as long as the terminal is wide. */
static void progress_text(char *text, size_t size)
{
    int room = columns() - 1;
    bool one = progress.all < 2;
    counted n = one ? (counted){progress.passed, progress.passes, progress.first_passed, progress.passing}
                    : (counted){progress.done, progress.all, progress.first, progress.counting};
    if (progress.all_bytes > 0)
        bytes_text(text, size, room);
    else if (n.all < 2) {
        snprintf(text, size, "%s ...", progress.what);
    } else {
        char count[96], rate[64] = "", left[32];
        int used = snprintf(count, sizeof count, "%d of %d %s", n.done, n.all, one ? "passes" : "pictures");
        if (!one && progress.passes > 1)
            snprintf(count + used, sizeof count - (size_t)used, ", pass %d of %d", progress.passed, progress.passes);
        int answered = n.done - n.first;
        double passed = mv_clock_now() - n.since;
        if (answered > 0 && passed > 0) {
            time_text(passed / answered * (n.all - n.done), left);
            snprintf(rate, sizeof rate, ", %.*f/s, %s", answered / passed < 10 ? 1 : 0, answered / passed, left);
        }
        if ((int)(strlen(count) + strlen(rate)) <= room)
            bar_text(text, size, room, (double)n.done / n.all, count, rate);
        else
            snprintf(text, size, "%d/%d", n.done, n.all);
    }
    if (room > 0 && strlen(text) > (size_t)room)
        text[room] = '\0';
}

static void draw_progress(void)
{
    char text[256];
    if (!progress.what || mv_clock_now() - progress.since < 1e-3 * WAIT_MS)
        return;
    progress_text(text, sizeof text);
    fprintf(stderr, "\r%s\033[K", text);
    fflush(stderr);
    progress.shown = true;
}

static void clear_progress(void)
{
    if (progress.shown) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
    progress.shown = false;
}

static void *tick(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&terminal);
    while (!progress.ending) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += REDRAW_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        if (pthread_cond_timedwait(&changed, &terminal, &until) == ETIMEDOUT && !progress.ending)
            draw_progress();
    }
    clear_progress();
    pthread_mutex_unlock(&terminal);
    return NULL;
}

void progress_begin(const char *what)
{
    if (talk_quiet || !isatty(STDERR_FILENO))
        return;
    pthread_mutex_lock(&terminal);
    clear_progress();
    progress.what = what;
    progress.since = mv_clock_now();
    progress.done = progress.all = progress.passes = 0;
    progress.counting = progress.all_bytes = 0;
    progress.ending = false;
    if (!progress.ticking)
        progress.ticking = stop_new_thread(&progress.ticker, tick, NULL);
    pthread_mutex_unlock(&terminal);
}

void progress_count(int done, int all)
{
    pthread_mutex_lock(&terminal);
    done = done < 0 ? 0 : done > all ? all : done;
    if (progress.counting <= 0) {
        progress.counting = mv_clock_now();
        progress.first = done;
    }
    progress.done = done;
    progress.all = all;
    progress.passes = 0;
    pthread_mutex_unlock(&terminal);
}

void progress_passes(void *unused, int done, int all)
{
    (void)unused;
    pthread_mutex_lock(&terminal);
    if (progress.passes != all || done < progress.passed) {
        progress.passing = mv_clock_now();
        progress.first_passed = done;
    }
    progress.passed = done;
    progress.passes = all;
    pthread_mutex_unlock(&terminal);
}

void progress_bytes(uint64_t done, uint64_t all)
{
    pthread_mutex_lock(&terminal);
    if (progress.counting <= 0 || (double)done < progress.bytes) {
        progress.counting = mv_clock_now();
        progress.first_bytes = (double)done;
    }
    progress.bytes = (double)done;
    progress.all_bytes = (double)all;
    pthread_mutex_unlock(&terminal);
}

void progress_end(void)
{
    pthread_mutex_lock(&terminal);
    bool ticking = progress.ticking;
    progress.ending = true;
    progress.ticking = false;
    progress.what = NULL;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&terminal);
    if (ticking)
        pthread_join(progress.ticker, NULL);
}

/* ---- messages */

static atomic_int unsent; /* why results could not be sent first; 0: all were */

void flush_results(void)
{
    int none = 0;
    if (fflush(stdout))
        atomic_compare_exchange_strong(&unsent, &none, errno);
}

static void say(const char *format, va_list args)
{
    char text[1024];
    vsnprintf(text, sizeof text, format, args);
    char *escaped = mv_text_escape_once(text);
    for (char *c = text; !escaped && *c; c++) /* without memory */
        *c = *c < ' ' || *c > '~' ? '?' : *c;
    pthread_mutex_lock(&terminal);
    clear_progress();
    flush_results(); /* results and messages in the order they came */
    fprintf(stderr, "mvscope: %s\n", escaped ? escaped : text);
    pthread_mutex_unlock(&terminal);
    free(escaped);
}

void warn(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (!talk_quiet)
        say(format, args);
    va_end(args);
}

void complain(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
}

void warn_each(const mv_warnings *warnings)
{
    for (int i = 0; i < warnings->n && i < MV_WARNINGS_KEPT; i++)
        warn("%s", warnings->text[i]);
    if (warnings->n > MV_WARNINGS_KEPT)
        warn("and %d more of this kind", warnings->n - MV_WARNINGS_KEPT);
}

void die(int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
    progress_end();
    mv_output_discard_all();
    exit(status);
}

void die_of(const mv_error *e, bool words)
{
    die(words && e->code == MV_EINPUT ? EXIT_MISUSE : EXIT_FAILED, "%s", e->text);
}

int misuse_of(const mv_error *e)
{
    return e->code == MV_ENOMEM ? EXIT_FAILED : EXIT_MISUSE;
}

void *must(void *p)
{
    if (!p)
        die(EXIT_FAILED, "out of memory");
    return p;
}

/* ---- results */

/* For standard output that does not wait, as a pipe of Node's or a terminal that another program has set so: stdio
 * would lose what is not taken at once. */
static ssize_t put_waiting(void *unused, const char *bytes, size_t n)
{
    (void)unused;
    for (size_t done = 0; done < n;) {
        struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
        ssize_t k = write(STDOUT_FILENO, bytes + done, n - done);
        if (k >= 0)
            done += (size_t)k;
        else if (errno != EINTR && (errno != EAGAIN || poll(&out, 1, -1) < 0))
            return 0;
    }
    return (ssize_t)n;
}

void talk_begin(void)
{
    int flags = fcntl(STDOUT_FILENO, F_GETFL);
    FILE *out =
        flags >= 0 && flags & O_NONBLOCK ? fopencookie(NULL, "w", (cookie_io_functions_t){.write = put_waiting}) : NULL;
    if (out)
        stdout = out;
}

bool talk_results(const char *text, size_t n)
{
    bool good = true;
    pthread_mutex_lock(&terminal);
    clear_progress();
    while (n && good) {
        /* A pipe that is ready takes PIPE_BUF bytes without waiting, so a reader that does not read never holds a
         * signal. */
        struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
        if (poll(&out, 1, REDRAW_MS) == 0) {
            good = !stop_asked();
            errno = EINTR;
            continue;
        }
        ssize_t k = write(STDOUT_FILENO, text, n < PIPE_BUF ? n : PIPE_BUF);
        if (k >= 0)
            text += k, n -= (size_t)k;
        else
            good = errno == EINTR || errno == EAGAIN;
    }
    pthread_mutex_unlock(&terminal);
    return good;
}

/* Says why a write of results failed; ends the process by SIGPIPE, quietly, if the reader has left. */
static int results_failed(int error)
{
    if (error == EPIPE) {
        signal(SIGPIPE, SIG_DFL);
        raise(SIGPIPE);
    }
    complain("standard output: cannot be written: %s", strerror(error));
    return EXIT_FAILED;
}

int finish(int status)
{
    bool bad = ferror(stdout) != 0;
    if (fflush(stdout) == 0 && !bad)
        return status;
    int why = unsent ? unsent : errno;
    return results_failed(why ? why : EIO);
}
