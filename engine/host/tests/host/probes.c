/* A plugin that tries to get out of its worker: its parameter says how, after a colon with what. A way that works is
   answered with status 0, one that does not with the words of the system. */
#define _GNU_SOURCE
#include <isoscan.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const char DESCRIPTOR[] =
    "{\"id\": \"probes\", \"version\": \"1.0.0\", \"name\": \"Probes\", \"family\": \"test\", \"summary\": \"Probes\","
    " \"inputs\": [{\"name\": \"image\", \"modalities\": [], \"units\": [], \"spacing_mm\": null, \"range\": null,"
    "   \"optional\": false, \"text\": \"the image\"}],"
    " \"output\": {\"modality\": null, \"unit\": null, \"text\": \"the image\"},"
    " \"patching\": {\"axes\": \"volume\", \"size\": [0, 0, 0], \"multiple\": [1, 1, 1], \"halo\": [0, 0, 0],"
    "   \"max_batch\": 1},"
    " \"params\": [{\"id\": \"way\", \"type\": \"choice\", \"choices\": [\"none\"], \"default\": \"none\","
    "   \"unit\": \"\", \"text\": \"which\"}],"
    " \"deterministic\": true, \"synthetic\": false}";

static IsoStr describe(void) { return iso_str(DESCRIPTOR); }

static IsoStatus create(const IsoHost *host, IsoStr config, void **instance) {
    (void)host;
    (void)config;
    *instance = NULL;
    return ISO_STATUS_OK;
}

static void destroy(void *instance) { (void)instance; }

static int is(const char *way, const char *name) { return strcmp(way, name) == 0; }

/* 0 when `result` tells of success. */
static int outcome(long result) { return result < 0 ? errno : 0; }

static int opened(const char *path, int flags) {
    int fd = open(path, flags, 0600);
    if (fd < 0) {
        return errno;
    }
    close(fd);
    return 0;
}

static int over_ip(int type, const char *port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, type, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
        return errno;
    }
    return outcome(send(fd, "x", 1, 0));
}

static int over_unix(const char *name, int is_abstract) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    snprintf(to.sun_path + is_abstract, sizeof to.sun_path - 1, "%s", name);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)is_abstract + strlen(name));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    return fd < 0 ? errno : outcome(connect(fd, (struct sockaddr *)&to, len));
}

static int forked(void) {
    pid_t child = fork();
    if (child == 0) {
        execl("/bin/true", "true", NULL);
        _exit(1);
    }
    if (child < 0) {
        return errno;
    }
    int status = 0;
    waitpid(child, &status, 0);
    return 0;
}

/* A process made by the system call itself, without the C library in between. */
static int cloned(void) {
    long child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
        _exit(0);
    }
    return outcome(child);
}

/* Shrinks the shared memory that holds the tensor at `at`, or writes into its file, by every way to that file. */
static int shared_memory(const void *at, int reopen) {
    int last = ENOENT;
    for (int fd = 3; fd < 256; fd++) {
        char path[64], target[256] = {0};
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (readlink(path, target, sizeof target - 1) > 0 && strstr(target, "memfd") != NULL) {
            int file = reopen ? open(path, O_RDWR) : fd;
            last = file < 0 ? errno : outcome(reopen ? pwrite(file, "x", 1, 0) : ftruncate(file, 0));
            if (reopen && file >= 0) {
                close(file);
            }
            if (last == 0) {
                return 0;
            }
        }
    }
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        unsigned long from = 0, to = 0;
        if (sscanf(line, "%lx-%lx", &from, &to) == 2 && from <= (uintptr_t)at && (uintptr_t)at < to) {
            char path[128];
            snprintf(path, sizeof path, "/proc/self/map_files/%lx-%lx", from, to);
            int file = open(path, O_RDWR);
            if (file < 0) {
                file = open(path, O_RDONLY);
            }
            last = file < 0 ? errno : outcome(reopen ? pwrite(file, "x", 1, 0) : ftruncate(file, 0));
            close(file);
        }
    }
    if (maps != NULL) {
        fclose(maps);
    }
    return last;
}

/* Asks to be sent a signal in the engine's name. */
static int owner(void) {
    int ends[2];
    if (pipe(ends) < 0) {
        return errno;
    }
    return outcome(fcntl(ends[0], F_SETOWN, (long)getppid()));
}

static int probe(const char *way, const char *what, const IsoCall *call) {
    char path[1200];
    pid_t engine = getppid();
    struct iovec piece = {path, sizeof path};
    if (is(way, "read")) {
        return opened(what, O_RDONLY);
    }
    if (is(way, "write")) {
        return opened(what, O_WRONLY | O_CREAT | O_TRUNC);
    }
    if (is(way, "append")) {
        return opened(what, O_WRONLY | O_APPEND);
    }
    if (is(way, "list")) {
        return opened(what, O_RDONLY | O_DIRECTORY);
    }
    if (is(way, "truncate")) {
        return outcome(truncate(what, 0));
    }
    if (is(way, "chmod")) {
        return outcome(chmod(what, 0777));
    }
    if (is(way, "unlink")) {
        return outcome(unlink(what));
    }
    if (is(way, "mkdir")) {
        return outcome(mkdir(what, 0700));
    }
    if (is(way, "symlink")) {
        return outcome(symlink("/etc/passwd", what));
    }
    if (is(way, "tcp")) {
        return over_ip(SOCK_STREAM, what);
    }
    if (is(way, "udp")) {
        return over_ip(SOCK_DGRAM, what);
    }
    if (is(way, "abstract")) {
        return over_unix(what, 1);
    }
    if (is(way, "unix")) {
        return over_unix(what, 0);
    }
    if (is(way, "fork")) {
        return forked();
    }
    if (is(way, "clone")) {
        return cloned();
    }
    if (is(way, "exec")) {
        return outcome(execl("/bin/true", "true", NULL));
    }
    if (is(way, "kill-0")) {
        return outcome(kill(engine, 0));
    }
    if (is(way, "kill")) {
        return outcome(kill(engine, SIGTERM));
    }
    if (is(way, "tgkill")) {
        return outcome(syscall(SYS_tgkill, engine, engine, SIGTERM));
    }
    if (is(way, "sigqueue")) {
        return outcome(syscall(SYS_rt_sigqueueinfo, engine, SIGTERM, &(siginfo_t){.si_code = SI_QUEUE}));
    }
    if (is(way, "owner")) {
        return owner();
    }
    if (is(way, "ptrace")) {
        return outcome(ptrace(PTRACE_SEIZE, engine, NULL, NULL));
    }
    if (is(way, "peek")) {
        return outcome(process_vm_readv(engine, &piece, 1, &piece, 1, 0));
    }
    if (is(way, "engine-memory")) {
        snprintf(path, sizeof path, "/proc/%d/mem", engine);
        return opened(path, O_RDONLY);
    }
    if (is(way, "engine-files")) {
        snprintf(path, sizeof path, "/proc/%d/fd", engine);
        return opened(path, O_RDONLY | O_DIRECTORY);
    }
    if (is(way, "renice")) {
        return outcome(setpriority(PRIO_PROCESS, (id_t)engine, 19));
    }
    if (is(way, "affinity")) {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(0, &one);
        return outcome(sched_setaffinity(engine, sizeof one, &one));
    }
    if (is(way, "limits")) {
        struct rlimit most = {RLIM_INFINITY, RLIM_INFINITY};
        return outcome(setrlimit(RLIMIT_DATA, &most));
    }
    if (is(way, "orphan")) {
        return outcome(prctl(PR_SET_PDEATHSIG, 0));
    }
    if (is(way, "io_uring")) {
        char params[256] = {0};
        return outcome(syscall(SYS_io_uring_setup, 4, params));
    }
    if (is(way, "mount")) {
        return outcome(mount("none", what, "tmpfs", 0, NULL));
    }
    if (is(way, "unshare")) {
        return outcome(unshare(CLONE_NEWNS));
    }
    if (is(way, "bpf")) {
        return outcome(syscall(SYS_bpf, 0, path, 0));
    }
    if (is(way, "userfaultfd")) {
        return outcome(syscall(SYS_userfaultfd, 0));
    }
    if (is(way, "perf")) {
        char event[128] = {0};
        return outcome(syscall(SYS_perf_event_open, event, 0, -1, -1, 0));
    }
    if (is(way, "keyctl")) {
        return outcome(syscall(SYS_keyctl, 0, -4, 1, 0, 0));
    }
    if (is(way, "memfd")) {
        return outcome(memfd_create("hidden", 0));
    }
    if (is(way, "shared-pages")) {
        void *at = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        return at == MAP_FAILED ? errno : 0;
    }
    if (is(way, "segment")) {
        return outcome(shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600));
    }
    if (is(way, "terminal")) {
        return outcome(ioctl(0, TIOCSTI, "x"));
    }
    if (is(way, "shrink-input")) {
        return shared_memory(call->inputs->data, 0);
    }
    if (is(way, "shrink-output")) {
        return shared_memory(call->outputs->data, 0);
    }
    if (is(way, "write-input-file")) {
        return shared_memory(call->inputs->data, 1);
    }
    if (is(way, "punch-input")) {
        return outcome(madvise((void *)((uintptr_t)call->inputs->data & ~(uintptr_t)4095), 4096, MADV_REMOVE));
    }
    if (is(way, "unprotect-input")) {
        return outcome(mprotect((void *)((uintptr_t)call->inputs->data & ~(uintptr_t)4095), 4096, PROT_READ | PROT_WRITE));
    }
    return ENOTSUP;
}

static void *squared(void *number) {
    *(double *)number *= *(double *)number;
    return NULL;
}

/* What honest plugins do: threads, scratch memory, looking at the processor, discarding output. */
static int honest(void) {
    pthread_t threads[8];
    double numbers[8];
    for (int i = 0; i < 8; i++) {
        numbers[i] = i;
        if (pthread_create(&threads[i], NULL, squared, &numbers[i]) != 0) {
            return errno;
        }
    }
    double sum = 0.0;
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        sum += numbers[i];
    }
    char *scratch = malloc(64 << 20);
    if (sum != 140.0 || scratch == NULL) {
        return EDOM;
    }
    memset(scratch, 1, 64 << 20);
    free(scratch);
    static const char *const READ[] = {"/proc/cpuinfo", "/proc/self/maps", "/proc/meminfo", "/dev/urandom",
                                       "/sys/devices/system/cpu/online"};
    char some[16];
    for (size_t i = 0; i < sizeof READ / sizeof *READ; i++) {
        int fd = open(READ[i], O_RDONLY);
        if (fd < 0 || read(fd, some, sizeof some) <= 0) {
            return errno;
        }
        close(fd);
    }
    FILE *nothing = fopen("/dev/null", "w");
    if (nothing == NULL || fputs("x", nothing) < 0 || fclose(nothing) != 0) {
        return errno;
    }
    cpu_set_t cores;
    struct rlimit limit;
    if (sched_getaffinity(0, sizeof cores, &cores) != 0 || getrlimit(RLIMIT_DATA, &limit) != 0) {
        return errno;
    }
    return sysconf(_SC_NPROCESSORS_ONLN) < 1 ? EDOM : pthread_setname_np(pthread_self(), "honest");
}

/* Goes over all voxels a number of times, as a filter does. */
static void work(const IsoCall *call, long times) {
    float *output = call->outputs->data;
    uint64_t count = call->outputs->byte_len / sizeof(float);
    for (long pass = 0; pass < times; pass++) {
        for (uint64_t i = 1; i < count; i++) {
            output[i] = 0.25f * output[i - 1] + 0.75f * output[i];
        }
    }
}

/* Allocates and touches `mib` MiB, piece by piece, and crashes where that ends early. */
static void hog(long mib) {
    for (long i = 0; i < mib; i++) {
        char *piece = malloc(1 << 20);
        memset(piece, 1, 1 << 20);
    }
}

static IsoStatus run(void *instance, const IsoHost *host, const IsoCall *call) {
    (void)instance;
    static char *kept;
    static int calls;
    memcpy(call->outputs->data, call->inputs->data, call->outputs->byte_len);
    char text[1200] = {0};
    memcpy(text, call->params.ptr, call->params.len < sizeof text ? call->params.len : sizeof text - 1);
    char *way = strstr(text, "\"way\":\"");
    if (way == NULL) {
        return ISO_STATUS_OK;
    }
    way += strlen("\"way\":\"");
    *strchr(way, '"') = '\0';
    char *what = strchr(way, ':');
    if (what != NULL) {
        *what++ = '\0';
    }
    if (is(way, "work")) {
        work(call, atol(what));
        return ISO_STATUS_OK;
    }
    if (is(way, "hog")) {
        hog(atol(what));
        return ISO_STATUS_OK;
    }
    if (is(way, "big")) {
        host->set_error(host->ctx, iso_str("no memory for that"));
        return malloc((size_t)atol(what) << 20) == NULL ? ISO_STATUS_FAILED : ISO_STATUS_OK;
    }
    if (is(way, "threads")) {
        host->set_error(host->ctx, iso_str(getenv("OMP_NUM_THREADS")));
        return ISO_STATUS_FAILED;
    }
    if (is(way, "keep")) {
        kept = malloc((size_t)atol(what) << 20);
        memset(kept, 1, (size_t)atol(what) << 20);
        return ISO_STATUS_OK;
    }
    if (is(way, "die")) {
        *(volatile int *)16 = 1;
    }
    if (is(way, "fifth") && ++calls % 5 == 0) {
        abort();
    }
    if (is(way, "fifth") || is(way, "poison")) {
        if (((const float *)call->inputs->data)[0] == -1.0f) {
            abort();
        }
        return ISO_STATUS_OK;
    }
    if (is(way, "mute")) {
        for (int i = 0; i < 10; i++) {
            host->progress(host->ctx, 0.1f * (float)i);
            usleep(20000);
        }
        for (;;) {
            pause();
        }
    }
    if (is(way, "talk")) {
        for (int i = 0; i < 40; i++) {
            host->progress(host->ctx, 0.5f);
            usleep(20000);
        }
        return ISO_STATUS_OK;
    }
    int error = is(way, "honest") ? honest() : probe(way, what == NULL ? "" : what, call);
    if (error == 0) {
        return ISO_STATUS_OK;
    }
    snprintf(text, sizeof text, "%s", strerrorname_np(error));
    host->set_error(host->ctx, iso_str(text));
    return ISO_STATUS_FAILED;
}

static const void *get_extension(IsoStr id) {
    (void)id;
    return NULL;
}

const IsoEntry isoscan_plugin_entry = {
    .magic = ISO_MAGIC,
    .abi_major = ISO_ABI_MAJOR,
    .abi_minor_needed = 0,
    .abi_hash = ISO_ABI_HASH,
    .describe = describe,
    .create = create,
    .destroy = destroy,
    .run = run,
    .get_extension = get_extension,
};
