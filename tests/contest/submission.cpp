// What a contestant may hand in, in C++: the first argument says what it does.
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace std::chrono_literals;

static bool reaches(const char *address) {
	sockaddr_in to{};
	to.sin_family = AF_INET;
	to.sin_port = htons(22);
	inet_pton(AF_INET, address, &to.sin_addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	return fd >= 0 && connect(fd, reinterpret_cast<sockaddr *>(&to), sizeof to) == 0;
}

static bool reads(const char *path) {
	std::ifstream file(path);
	char byte;
	return bool(file.get(byte));
}

int main(int count, char **words) {
	const std::string what = count > 1 ? words[1] : "correct";
	long wrong = 0;
	if (what == "wrong")
		wrong = 1;
	if (what == "slow")
		for (volatile long n = 0;; n = n + 1)
			;
	if (what == "memory") {
		std::vector<std::vector<char>> all;
		for (;;)
			all.emplace_back(1 << 20, 'x');
	}
	if (what == "fork")
		for (int n = 0; n < 200; n++) {
			pid_t child = fork();
			if (child == 0)
				std::this_thread::sleep_for(60s);
			if (child < 0)
				return 1;
		}
	if (what == "disk") {
		std::ofstream file("filler");
		const std::string block(1 << 20, 'x');
		for (int n = 0; n < 1024; n++)
			if (!file.write(block.data(), block.size()))
				return 1;
	}
	if (what == "signals") {
		for (int n = 1; n < 65; n++)
			std::signal(n, SIG_IGN);
		std::this_thread::sleep_for(60s);
	}
	if (what == "network")
		wrong = reaches("127.0.0.1") || reaches("10.0.0.1");
	if (what == "snoop")
		wrong = reads("/etc/shadow") || reads("/proc/1/environ") || reads("../answer") || reads("/box/../answer");
	if (what == "plant" && (symlink("/etc/passwd", "link") || mkfifo("pipe", 0666)))
		return 1;
	if (what == "clock")
		for (auto end = std::chrono::steady_clock::now() + 60s; std::chrono::steady_clock::now() < end;)
			std::this_thread::sleep_for(10ms);
	if (what == "threads") {
		std::vector<std::thread> all;
		for (int n = 0; n < 500; n++)
			all.emplace_back([] { std::this_thread::sleep_for(60s); });
	}
	while (what == "flood" && std::cout << "flood\n")
		;
	if (what == "flood")
		return 1;
	if (what == "stop")
		kill(getpid(), SIGSTOP);
	if (what == "group")
		kill(0, SIGKILL);
	long total = 0, number;
	while (std::cin >> number)
		total += number;
	std::cout << total + wrong << '\n';
}
