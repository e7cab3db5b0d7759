/* leash CORE PARENT COMMAND...: runs the command on one core (-1: on any), and ends it when its parent process is gone.
 *
 * So a benchmark that is killed leaves no server behind. Both settings survive exec, and the core is inherited by
 * every thread and child of the command.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: leash CORE PARENT COMMAND...\n");
        return 2;
    }
    int core = atoi(argv[1]);
    if (core >= 0) {
        cpu_set_t cores;
        CPU_ZERO(&cores);
        CPU_SET(core, &cores);
        if (sched_setaffinity(0, sizeof cores, &cores) != 0) perror("sched_setaffinity (going on unpinned)");
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != atoi(argv[2])) return 1; /* it went before the signal was set */
    execvp(argv[3], argv + 3);
    perror(argv[3]);
    return 127;
}
