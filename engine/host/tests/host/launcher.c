/* Starts the program WORKER as on a kernel without landlock, or without seccomp: the system calls for it fail. With
   COUNT it adds a byte to that file first. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define FAIL_IF(value, error) \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))

int main(int count, char **arguments) {
    (void)count;
#ifdef COUNT
    int starts = open(COUNT, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (write(starts, "x", 1) != 1) {
        return 1;
    }
#endif
    struct sock_filter lines[] = {
        LOAD(nr),
#ifdef NO_LANDLOCK
        FAIL_IF(444, ENOSYS),
        FAIL_IF(445, ENOSYS),
        FAIL_IF(446, ENOSYS),
#endif
#ifdef NO_SECCOMP
        FAIL_IF(SYS_seccomp, EINVAL),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 3),
        LOAD(args[0]),
        FAIL_IF(PR_SET_SECCOMP, EINVAL),
#endif
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof lines / sizeof *lines, lines};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) {
        return 1;
    }
    execv(WORKER, arguments);
    return 1;
}
