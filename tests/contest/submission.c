/* What a contestant may hand in, in C: the first argument says what it does. Answers are the sum of the numbers on stdin. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static long sum(void) {
	long total = 0, number;
	while (scanf("%ld", &number) == 1)
		total += number;
	return total;
}

static void *rest(void *unused) {
	(void)unused;
	for (;;)
		pause();
	return NULL;
}

static int reaches(const char *address) {
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(22)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	inet_pton(AF_INET, address, &to.sin_addr);
	return fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0;
}

static int reads(const char *path) {
	char byte;
	int fd = open(path, O_RDONLY);
	return fd >= 0 && read(fd, &byte, 1) == 1;
}

int main(int count, char **words) {
	const char *what = count > 1 ? words[1] : "correct";
	long wrong = 0;
	if (!strcmp(what, "wrong"))
		wrong = 1;
	if (!strcmp(what, "slow"))
		for (volatile long n = 0;; n++)
			;
	if (!strcmp(what, "memory"))
		for (;;)
			memset(strcpy(malloc(1 << 20), ""), 1, 1 << 20);
	if (!strcmp(what, "fork"))
		for (int n = 0; n < 200; n++) {
			pid_t child = fork();
			if (child == 0)
				rest(NULL);
			if (child < 0)
				return 1;
		}
	if (!strcmp(what, "disk")) {
		FILE *file = fopen("filler", "w");
		static char block[1 << 20];
		for (int n = 0; n < 1024; n++)
			if (fwrite(block, 1, sizeof block, file) != sizeof block)
				return 1;
	}
	if (!strcmp(what, "signals")) {
		for (int n = 1; n < 65; n++)
			signal(n, SIG_IGN);
		rest(NULL);
	}
	if (!strcmp(what, "network"))
		wrong = reaches("127.0.0.1") || reaches("10.0.0.1");
	if (!strcmp(what, "snoop"))
		wrong = reads("/etc/shadow") || reads("/proc/1/environ") || reads("../answer") || reads("/box/../answer");
	if (!strcmp(what, "plant")) {
		if (symlink("/etc/passwd", "link") || mkfifo("pipe", 0666))
			return 1;
	}
	if (!strcmp(what, "clock"))
		sleep(60);
	if (!strcmp(what, "threads"))
		for (int n = 0; n < 500; n++) {
			pthread_t thread;
			if (pthread_create(&thread, NULL, rest, NULL))
				return 1;
		}
	if (!strcmp(what, "flood"))
		while (puts("flood") >= 0)
			;
	if (!strcmp(what, "stop"))
		kill(getpid(), SIGSTOP);
	if (!strcmp(what, "group"))
		kill(0, SIGKILL);
	printf("%ld\n", sum() + wrong);
	return 0;
}
