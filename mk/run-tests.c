/* SPDX-License-Identifier: MIT */
/*
 * Runs test programs that speak TAP (cmocka's, shell scripts, anything) and sums them up.
 *
 * A program fails as a whole, on top of what its cases say, when it crashes, runs out of time,
 * exits with an error although no case failed, reports no case, or reports another number of
 * cases than it announced. A case that is skipped must say why: the last line before it that
 * begins with "skipped: " (or the text after "# SKIP" for programs that put the reason there).
 *
 * The last line of output is "N passed, N failed, N skipped", alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define JOBS_MAX 64

struct counts {
	unsigned passed;
	unsigned failed;
	unsigned skipped;
};

struct stage {
	char *name;
	struct counts counts;
	double seconds; /* sum over its programs */
	unsigned programs;
};

struct job {
	struct stage *stage;
	char *command;
	char *log_path;
	pid_t pid;
	int output; /* our end of the pseudo-terminal */
	FILE *log;
	double started;
	bool timed_out;
	char line[4096];
	size_t line_length;
	char reason[512];
	unsigned planned;
	bool plan_seen;
	struct counts counts;
};

/* A remark for the end of the report: a failure or a skip. */
struct remark {
	struct remark *next;
	char text[1024];
};

static struct {
	const char *log_directory;
	unsigned jobs;
	unsigned limit; /* seconds per program */
	bool progress;  /* stderr is a terminal */
	struct remark *failures, **failures_end;
	struct remark *skips, **skips_end;
} options;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what)
{
	fprintf(stderr, "run-tests: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void *allocate(size_t size)
{
	void *memory = calloc(1, size);

	if (memory == NULL)
		die("out of memory");
	return memory;
}

__attribute__((format(printf, 2, 3))) static void add_remark(struct remark ***end,
							     const char *format, ...)
{
	struct remark *remark = allocate(sizeof(*remark));
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(remark->text, sizeof(remark->text), format, arguments);
	va_end(arguments);
	**end = remark;
	*end = &remark->next;
}

/* ---- TAP ---------------------------------------------------------------------------------- */

/* cmocka 1.1.5 writes "not ok 3 # SKIP name"; everybody else "ok 3 - name # SKIP reason". */
static void take_result(struct job *job, const char *text, bool ok)
{
	const char *skip = strstr(text, "# SKIP");
	const char *name = text + strspn(text, "0123456789 -");

	if (skip == NULL) {
		if (ok) {
			job->counts.passed++;
		} else {
			job->counts.failed++;
			add_remark(&options.failures_end, "%s: %s: %s", job->stage->name,
				   job->command, name);
		}
	} else {
		const char *after = skip + strlen("# SKIP");
		const char *reason = job->reason;

		after += strspn(after, " ");
		if (name < skip && reason[0] == '\0')
			reason = after;
		else if (name >= skip)
			name = after;
		if (reason[0] == '\0') {
			job->counts.failed++;
			add_remark(&options.failures_end,
				   "%s: %s: %s: skipped without a reason; print a line "
				   "\"skipped: why\" first",
				   job->stage->name, job->command, name);
		} else {
			job->counts.skipped++;
			add_remark(&options.skips_end, "%s: %s: %.*s: %s", job->stage->name,
				   job->command,
				   (int)(name < skip ? skip - name : (long)strlen(name)), name,
				   reason);
		}
	}
	job->reason[0] = '\0';
}

static void take_line(struct job *job, const char *line)
{
	unsigned planned;

	fprintf(job->log, "%s\n", line);
	if (strncmp(line, "ok ", 3) == 0) {
		take_result(job, line + 3, true);
	} else if (strncmp(line, "not ok ", 7) == 0) {
		take_result(job, line + 7, false);
	} else if (sscanf(line, "1..%u", &planned) == 1) {
		job->planned += planned;
		job->plan_seen = true;
	} else {
		const char *text = line + strspn(line, "# ");

		if (strncmp(text, "skipped: ", 9) == 0)
			snprintf(job->reason, sizeof(job->reason), "%s", text + 9);
	}
}

static void take_bytes(struct job *job, const char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (bytes[i] == '\n' || job->line_length == sizeof(job->line) - 1) {
			job->line[job->line_length] = '\0';
			take_line(job, job->line);
			job->line_length = 0;
		}
		if (bytes[i] != '\n' && bytes[i] != '\r')
			job->line[job->line_length++] = bytes[i];
	}
}

/* ---- one program -------------------------------------------------------------------------- */

/* A terminal, so that what a program printed before it crashed is not lost in its buffers. */
static int open_terminal(char *name, size_t size)
{
	int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (fd < 0 || grantpt(fd) != 0 || unlockpt(fd) != 0 || ptsname_r(fd, name, size) != 0)
		die("cannot open a pseudo-terminal");
	return fd;
}

static void start(struct job *job)
{
	char terminal[64];

	job->output = open_terminal(terminal, sizeof(terminal));
	job->log = fopen(job->log_path, "we");
	if (job->log == NULL)
		die(job->log_path);
	job->started = now();
	job->pid = fork();
	if (job->pid < 0)
		die("fork");
	if (job->pid == 0) {
		int fd = open(terminal, O_RDWR | O_NOCTTY);
		int null = open("/dev/null", O_RDONLY);

		setpgid(0, 0);
		if (fd < 0 || null < 0)
			_exit(127);
		dup2(null, 0);
		dup2(fd, 1);
		dup2(fd, 2);
		close(fd);
		close(null);
		setenv("CMOCKA_MESSAGE_OUTPUT", "TAP", 1);
		execl("/bin/sh", "sh", "-c", job->command, (char *)NULL);
		_exit(127);
	}
	setpgid(job->pid, job->pid);
}

__attribute__((format(printf, 2, 3))) static void fail_program(struct job *job,
							       const char *format, ...)
{
	char text[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	job->counts.failed++;
	add_remark(&options.failures_end, "%s: %s: %s (see %s)", job->stage->name, job->command,
		   text, job->log_path);
	fprintf(job->log, "# run-tests: %s\n", text);
}

static void judge(struct job *job, int status)
{
	unsigned reported = job->counts.passed + job->counts.failed + job->counts.skipped;

	if (job->timed_out)
		fail_program(job, "no end after %u s", options.limit);
	else if (WIFSIGNALED(status))
		fail_program(job, "died of signal %d (%s)", WTERMSIG(status),
			     strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status) != 0 && job->counts.failed == 0)
		fail_program(job, "exit status %d", WEXITSTATUS(status));
	if (reported == 0)
		fail_program(job, "reported no test case");
	else if (!job->plan_seen)
		fail_program(job, "announced no number of test cases");
	else if (reported != job->planned)
		fail_program(job, "announced %u test cases, reported %u", job->planned, reported);
}

/* Takes what there is to read; false when the other end is closed. */
static bool drain(struct job *job)
{
	char bytes[4096];

	for (;;) {
		ssize_t count = read(job->output, bytes, sizeof(bytes));

		if (count > 0)
			take_bytes(job, bytes, (size_t)count);
		else if (count < 0 && errno == EINTR)
			continue;
		else
			return count < 0 && errno == EAGAIN;
	}
}

/* The program has ended: whatever it left running goes with it. */
static void finish(struct job *job)
{
	struct stage *stage = job->stage;
	int status = 0;

	kill(-job->pid, SIGKILL);
	while (waitpid(job->pid, &status, 0) < 0 && errno == EINTR)
		continue;
	drain(job);
	if (job->line_length != 0)
		take_bytes(job, "\n", 1);
	judge(job, status);
	fclose(job->log);
	close(job->output);
	stage->seconds += now() - job->started;
	stage->programs++;
	stage->counts.passed += job->counts.passed;
	stage->counts.failed += job->counts.failed;
	stage->counts.skipped += job->counts.skipped;
	job->pid = 0;
}

static bool has_ended(const struct job *job)
{
	siginfo_t info = {.si_pid = 0};

	/* WNOWAIT: the process group keeps its number until it was killed. */
	return waitid(P_PID, (id_t)job->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid == job->pid;
}

/* ---- all of them -------------------------------------------------------------------------- */

static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
	interrupted = number;
}

/* On a terminal one line that changes, elsewhere a line every ten seconds. */
static void show_progress(unsigned done, unsigned total, const struct counts *sum,
			  const char *command)
{
	static double shown;

	if (!options.progress && now() - shown < 10)
		return;
	if (shown != 0 || options.progress)
		fprintf(stderr, "%s[%u/%u] %u passed, %u failed, %u skipped  %.60s%s",
			options.progress ? "\r\033[K" : "", done, total, sum->passed, sum->failed,
			sum->skipped, command, options.progress ? "" : "\n");
	shown = now();
}

static void stop_all(struct job *running[], unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		kill(-running[i]->pid, SIGKILL);
	fprintf(stderr, "\nrun-tests: interrupted\n");
	exit(128 + interrupted);
}

/* Waits until output, an end or a tenth of a second came. */
static void wait_for_any(struct job *running[], bool open[], unsigned count)
{
	struct pollfd polls[JOBS_MAX];

	for (unsigned i = 0; i < count; i++)
		polls[i] = (struct pollfd){.fd = open[i] ? running[i]->output : -1,
					   .events = POLLIN};
	poll(polls, count, 100);
	for (unsigned i = 0; i < count; i++) {
		if (open[i])
			open[i] = drain(running[i]);
		if (!running[i]->timed_out && now() - running[i]->started > options.limit) {
			running[i]->timed_out = true;
			kill(-running[i]->pid, SIGKILL);
		}
	}
}

static void run_all(struct job *jobs, unsigned total)
{
	struct job *running[JOBS_MAX];
	bool open[JOBS_MAX];
	unsigned next = 0, count = 0, done = 0;
	struct counts sum = {0};

	while (done < total) {
		while (count < options.jobs && next < total) {
			start(&jobs[next]);
			fcntl(jobs[next].output, F_SETFL, O_RDWR | O_NONBLOCK);
			open[count] = true;
			running[count++] = &jobs[next++];
		}
		show_progress(done, total, &sum, running[0]->command);
		wait_for_any(running, open, count);
		if (interrupted)
			stop_all(running, count);
		for (unsigned i = 0; i < count;) {
			struct job *job = running[i];

			if (!has_ended(job)) {
				i++;
				continue;
			}
			finish(job);
			done++;
			sum.passed += job->counts.passed;
			sum.failed += job->counts.failed;
			sum.skipped += job->counts.skipped;
			running[i] = running[--count];
			open[i] = open[count];
		}
	}
	if (options.progress)
		fprintf(stderr, "\r\033[K");
}

/* ---- the report --------------------------------------------------------------------------- */

static void print_remarks(const char *title, const struct remark *remark)
{
	if (remark != NULL)
		printf("\n%s\n", title);
	for (; remark != NULL; remark = remark->next)
		printf("  %s\n", remark->text);
}

static bool report(struct stage *const *stages, unsigned count, double seconds, long since)
{
	struct counts sum = {0};

	printf("%-24s %8s %8s %8s %8s %10s\n", "stage", "programs", "passed", "failed", "skipped",
	       "seconds");
	for (unsigned i = 0; i < count; i++) {
		const struct stage *s = stages[i];

		printf("%-24s %8u %8u %8u %8u %10.1f\n", s->name, s->programs, s->counts.passed,
		       s->counts.failed, s->counts.skipped, s->seconds);
		sum.passed += s->counts.passed;
		sum.failed += s->counts.failed;
		sum.skipped += s->counts.skipped;
	}
	print_remarks("FAILED", options.failures);
	print_remarks("Skipped", options.skips);
	if (since != 0)
		printf("\nbuild %.0f s, tests %.0f s; logs in %s\n",
		       (double)(time(NULL) - since) - seconds, seconds, options.log_directory);
	printf("%u passed, %u failed, %u skipped\n", sum.passed, sum.failed, sum.skipped);
	return sum.failed == 0 && sum.passed != 0;
}

static const char usage[] =
	"usage: run-tests [--jobs N] [--limit SECONDS] [--log DIRECTORY] [--since EPOCH]\n"
	"                 STAGE: COMMAND... [STAGE: COMMAND...]\n"
	"Runs each COMMAND (a shell command that prints TAP) and prints the sums per stage.\n"
	"Exit status: 0 when nothing failed, 1 when something did, 2 on a usage or system error.\n";

static unsigned number_of(const char *text, unsigned least, unsigned most)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*text == '\0' || *end != '\0' || value < least || value > most) {
		fprintf(stderr, "run-tests: '%s' is not a number from %u to %u\n%s", text, least,
			most, usage);
		exit(2);
	}
	return (unsigned)value;
}

/* build/asan/tests/unit/space -> <log directory>/build_asan_tests_unit_space.log */
static char *log_path_of(const char *command)
{
	size_t size = strlen(options.log_directory) + strlen(command) + 8;
	char *path = allocate(size);
	size_t start = strlen(options.log_directory) + 1;

	snprintf(path, size, "%s/%s.log", options.log_directory, command);
	for (char *c = path + start; *c != '\0'; c++) {
		if (strchr("/ '\"$&;|<>*?=", *c) != NULL)
			*c = '_';
	}
	return path;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{"jobs", required_argument, NULL, 'j'},  {"limit", required_argument, NULL, 'l'},
		{"log", required_argument, NULL, 'o'},   {"since", required_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0},
	};
	struct job *jobs = allocate(sizeof(*jobs) * (size_t)(argc + 1));
	struct stage **stages = allocate(sizeof(*stages) * (size_t)(argc + 1));
	unsigned job_count = 0, stage_count = 0;
	double begin = now();
	long since = 0;
	int option;

	options.log_directory = ".";
	options.jobs = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	options.limit = 300;
	options.progress = isatty(2);
	options.failures_end = &options.failures;
	options.skips_end = &options.skips;
	while ((option = getopt_long(argc, argv, "+", longs, NULL)) != -1) {
		switch (option) {
		case 'j': options.jobs = number_of(optarg, 1, JOBS_MAX); break;
		case 'l': options.limit = number_of(optarg, 1, 1000000); break;
		case 'o': options.log_directory = optarg; break;
		case 's': since = atol(optarg); break;
		case 'h': fputs(usage, stdout); return 0;
		default: fputs(usage, stderr); return 2;
		}
	}
	if (options.jobs > JOBS_MAX)
		options.jobs = JOBS_MAX;
	for (; optind < argc; optind++) {
		size_t length = strlen(argv[optind]);

		if (length > 1 && argv[optind][length - 1] == ':') {
			argv[optind][length - 1] = '\0';
			stages[stage_count] = allocate(sizeof(**stages));
			stages[stage_count++]->name = argv[optind];
			continue;
		}
		if (stage_count == 0) {
			fputs(usage, stderr);
			return 2;
		}
		jobs[job_count].stage = stages[stage_count - 1];
		jobs[job_count].command = argv[optind];
		jobs[job_count++].log_path = log_path_of(argv[optind]);
	}
	if (mkdir(options.log_directory, 0777) != 0 && errno != EEXIST)
		die(options.log_directory);
	signal(SIGINT, interrupt);
	signal(SIGTERM, interrupt);
	run_all(jobs, job_count);
	return report(stages, stage_count, now() - begin, since) ? 0 : 1;
}
