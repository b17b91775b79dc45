// A disk that fails: of the calls that write below the armed folder, the n-th one returns an error, and those after it
// too if `forever`. For LD_PRELOAD; armed through ctypes.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static char folder[PATH_MAX];
static long left = -1, seen = 0;  // left: calls until the failing one; -1: never
static int number = 0, forever = 0;
static char ours[4096];           // descriptors of files below the folder that are written

void disk_arm(const char *below, long at, int error, int for_ever) {
    snprintf(folder, sizeof folder, "%s", below);
    left = at, number = error, forever = for_ever, seen = 0;
}
long disk_seen(void) { return seen; }

static int fails(void) {
    seen++;
    if (left < 0) return 0;
    if (left > 0) { left--; return 0; }
    if (!forever) left = -1;
    errno = number;
    return 1;
}
static int below(const char *path) {
    char whole[PATH_MAX * 2];
    if (!folder[0] || !path) return 0;
    if (path[0] != '/') {
        char here[PATH_MAX];
        if (!getcwd(here, sizeof here)) return 0;
        snprintf(whole, sizeof whole, "%s/%s", here, path);
        path = whole;
    }
    return !strncmp(path, folder, strlen(folder));
}
#define REAL(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))
#define OPEN(name)                                                                  \
    int name(const char *path, int flags, ...) {                                    \
        va_list more; va_start(more, flags);                                        \
        mode_t mode = va_arg(more, int); va_end(more);                              \
        int writes = (flags & O_ACCMODE) != O_RDONLY && below(path);                \
        if (writes && (flags & O_CREAT) && fails()) return -1;                      \
        int fd = REAL(name)(path, flags, mode);                                     \
        if (fd >= 0 && fd < (int)sizeof ours) ours[fd] = writes;                    \
        return fd;                                                                  \
    }
OPEN(open)
OPEN(open64)
int close(int fd) {
    if (fd >= 0 && fd < (int)sizeof ours) ours[fd] = 0;
    return REAL(close)(fd);
}
static int is_ours(int fd) { return fd >= 0 && fd < (int)sizeof ours && ours[fd]; }
ssize_t write(int fd, const void *data, size_t size) {
    return is_ours(fd) && fails() ? -1 : REAL(write)(fd, data, size);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    return is_ours(fd) && fails() ? -1 : REAL(pwrite64)(fd, data, size, at);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    return is_ours(fd) && fails() ? -1 : REAL(writev)(fd, parts, count);
}
int fsync(int fd) { return is_ours(fd) && fails() ? -1 : 0; }  // nobody pulls the plug, and a real one takes its time
int mkdir(const char *path, mode_t mode) { return below(path) && fails() ? -1 : REAL(mkdir)(path, mode); }
int rename(const char *from, const char *to) { return below(to) && fails() ? -1 : REAL(rename)(from, to); }
