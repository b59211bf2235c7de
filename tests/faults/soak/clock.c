/* Sets the clock of a process back by the seconds in the file that SOAK_CLOCK names, at any moment.

   The kernel keeps the true clock. Deadlines that a process has computed from the shifted one are therefore shifted
   back before the kernel sees them; otherwise they would all be in the past, and every wait would end at once. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const long *seconds;

__attribute__((constructor)) static void open_file(void) {
    const char *name = getenv("SOAK_CLOCK");
    int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *memory = mmap(NULL, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
    if (memory != MAP_FAILED) seconds = memory;
    close(file);
}

static long raw(long number, long a, long b, long c, long d, long e, long f) {
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

/* Deadlines of the monotonic clock, which counts from the start of the machine, stay as they are. */
static const struct timespec *true_deadline(const struct timespec *at, struct timespec *shifted) {
    if (!at || !seconds || at->tv_sec < 1000000000) return at;
    *shifted = (struct timespec){at->tv_sec + *seconds, at->tv_nsec};
    return shifted;
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    int result = raw(SYS_clock_gettime, clock, (long)at, 0, 0, 0, 0) == 0 ? 0 : -1;
    if (result == 0 && clock == CLOCK_REALTIME && seconds) at->tv_sec -= *seconds;
    return result;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    int result = clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return result;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}

int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *at) {
    static int (*next)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    struct timespec shifted;
    if (!next) next = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    return next(cond, mutex, true_deadline(at, &shifted));
}

int sem_timedwait(sem_t *sem, const struct timespec *at) {
    static int (*next)(sem_t *, const struct timespec *);
    struct timespec shifted;
    if (!next) next = dlsym(RTLD_NEXT, "sem_timedwait");
    return next(sem, true_deadline(at, &shifted));
}

/* Abseil, which Ray uses, waits by this call. */
long syscall(long number, ...) {
    va_list arguments;
    long a[6];
    struct timespec shifted;
    va_start(arguments, number);
    for (int i = 0; i < 6; i++) a[i] = va_arg(arguments, long);
    va_end(arguments);
    if (number == SYS_futex && (a[1] & FUTEX_CLOCK_REALTIME))
        a[3] = (long)true_deadline((const struct timespec *)a[3], &shifted);
    long result = raw(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (result < 0 && result > -4096) {
        *__errno_location() = (int)-result;
        return -1;
    }
    return result;
}
