<?php
// What a contestant may hand in, in PHP: the first argument says what it does. What fails says nothing and ends with 1.
error_reporting(0);
$what = $argv[1];
$wrong = 0;

function reaches(string $address): bool {
	return (bool) @fsockopen($address, 22, $code, $why, 0.2);
}

function reads(string $path): bool {
	return strlen((string) @file_get_contents($path, false, null, 0, 1)) > 0;
}

if ($what == 'wrong') $wrong = 1;
while ($what == 'slow');
$kept = [];
while ($what == 'memory') $kept[] = random_bytes(1 << 20);
// PHP has no threads of its own.
if ($what == 'fork' || $what == 'threads') {
	for ($n = 0; $n < 200; $n++) {
		$child = pcntl_fork();
		if ($child == 0) sleep(60);
		if ($child < 0) exit(1);
	}
}
if ($what == 'disk') {
	$file = fopen('filler', 'w');
	for ($n = 0; $n < 1024; $n++) if (fwrite($file, str_repeat('x', 1 << 20)) !== 1 << 20) exit(1);
}
if ($what == 'signals') {
	for ($n = 1; $n < 32; $n++) if ($n != SIGKILL && $n != SIGSTOP) pcntl_signal($n, SIG_IGN);
	sleep(60);
}
if ($what == 'network') $wrong = (int) (reaches('127.0.0.1') || reaches('10.0.0.1'));
if ($what == 'snoop') {
	foreach (['/etc/shadow', '/proc/1/environ', '../answer', '/box/../answer'] as $path) $wrong = max($wrong, (int) reads($path));
}
if ($what == 'plant' && !(symlink('/etc/passwd', 'link') && posix_mkfifo('pipe', 0666))) exit(1);
if ($what == 'clock') for ($end = microtime(true) + 60; microtime(true) < $end;) usleep(10000);
while ($what == 'flood') if (fwrite(STDOUT, "flood\n") === false) exit(1);
if ($what == 'stop') posix_kill(posix_getpid(), SIGSTOP);
if ($what == 'group') posix_kill(0, SIGKILL);
echo array_sum(preg_split('/\s+/', trim(stream_get_contents(STDIN)))) + $wrong, "\n";
