/* Counts the calls that change files below a folder, and lets one of them fail. Loaded with LD_PRELOAD.
 *
 * fault_watch(folder, log) starts counting; each call is logged as "number name path" to the descriptor `log`.
 * An empty folder stops it.
 * fault_arm(number, error) lets the call of that number fail once with that errno; -1 lets none fail.
 * A write that fails with ENOSPC first writes half of its data, as on a full disk.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static char watched[PATH_MAX];
static size_t length;
static int log_to = -1;
static atomic_long calls;
static long failing = -1;
static int failure;

void fault_watch(const char *folder, int log) {
    snprintf(watched, sizeof watched, "%s/", folder);
    length = *folder ? strlen(watched) : 0;
    log_to = log;
    atomic_store(&calls, 0);
}

void fault_arm(long number, int error) {
    failing = number;
    failure = error;
}

long fault_calls(void) { return atomic_load(&calls); }

/* Return whether this call must fail. */
static int fails(const char *name, const char *path) {
    if (!length || strncmp(path, watched, length) != 0) return 0;
    int before = errno;
    long number = atomic_fetch_add(&calls, 1);
    if (log_to >= 0) {
        char line[PATH_MAX + 64];
        int size = snprintf(line, sizeof line, "%ld %s %s\n", number, name, path + length);
        syscall(SYS_write, log_to, line, (size_t)size);
    }
    errno = number == failing ? failure : before;
    return number == failing;
}

static int fails_file(const char *name, int file) {
    char link[32], path[PATH_MAX];
    if (!length) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    int before = errno;
    ssize_t size = readlink(link, path, sizeof path - 1);
    errno = before;
    if (size < 0) return 0;
    path[size] = 0;
    return fails(name, path);
}

static int fails_path(const char *name, int folder, const char *path) {
    char full[2 * PATH_MAX], link[32];
    if (!length) return 0;
    if (path[0] == '/' || folder == AT_FDCWD) return fails(name, path);
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    int before = errno;
    ssize_t size = readlink(link, full, PATH_MAX - 1);
    errno = before;
    if (size < 0) return 0;
    snprintf(full + size, sizeof full - (size_t)size, "/%s", path);
    return fails(name, full);
}

#define REAL(name) static __typeof__(name) *real; if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

ssize_t write(int file, const void *data, size_t size) {
    REAL(write);
    if (!fails_file("write", file)) return real(file, data, size);
    if (failure == ENOSPC) { real(file, data, size / 2); errno = ENOSPC; }
    return -1;
}

#define PWRITE(name, offset_type) \
    ssize_t name(int file, const void *data, size_t size, offset_type offset) { \
        REAL(name); \
        if (!fails_file(#name, file)) return real(file, data, size, offset); \
        if (failure == ENOSPC) { real(file, data, size / 2, offset); errno = ENOSPC; } \
        return -1; \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define PWRITEV(name, offset_type) \
    ssize_t name(int file, const struct iovec *parts, int count, offset_type offset) { \
        REAL(name); \
        return fails_file(#name, file) ? -1 : real(file, parts, count, offset); \
    }
PWRITEV(pwritev, off_t)
PWRITEV(pwritev64, off64_t)

ssize_t writev(int file, const struct iovec *parts, int count) {
    REAL(writev);
    return fails_file("writev", file) ? -1 : real(file, parts, count);
}

int fsync(int file) {
    REAL(fsync);
    return fails_file("fsync", file) ? -1 : real(file);
}

int fdatasync(int file) {
    REAL(fdatasync);
    return fails_file("fdatasync", file) ? -1 : real(file);
}

int ftruncate(int file, off_t size) {
    REAL(ftruncate);
    return fails_file("ftruncate", file) ? -1 : real(file, size);
}

int ftruncate64(int file, off64_t size) {
    REAL(ftruncate64);
    return fails_file("ftruncate64", file) ? -1 : real(file, size);
}

int rename(const char *from, const char *to) {
    REAL(rename);
    return fails_path("rename", AT_FDCWD, to) ? -1 : real(from, to);
}

int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    REAL(renameat);
    return fails_path("renameat", to_folder, to) ? -1 : real(from_folder, from, to_folder, to);
}

int link(const char *from, const char *to) {
    REAL(link);
    return fails_path("link", AT_FDCWD, to) ? -1 : real(from, to);
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    REAL(linkat);
    return fails_path("linkat", to_folder, to) ? -1 : real(from_folder, from, to_folder, to, flags);
}

int unlink(const char *path) {
    REAL(unlink);
    return fails_path("unlink", AT_FDCWD, path) ? -1 : real(path);
}

int unlinkat(int folder, const char *path, int flags) {
    REAL(unlinkat);
    return fails_path("unlinkat", folder, path) ? -1 : real(folder, path, flags);
}
