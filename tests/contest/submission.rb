# What a contestant may hand in, in Ruby: the first argument says what it does.
require "socket"

what = ARGV.shift
wrong = 0

def reaches(address)
  Socket.tcp(address, 22, connect_timeout: 0.2) { true }
rescue SystemCallError
  false
end

def reads(path)
  !File.read(path, 1).nil?
rescue SystemCallError
  false
end

wrong = 1 if what == "wrong"
nil while what == "slow"
kept = []
kept << "x" * (1 << 20) while what == "memory"
200.times { fork { sleep 60 } } if what == "fork"
File.open("filler", "w") { |file| 1024.times { file.write("x" * (1 << 20)) } } if what == "disk"
if what == "signals"
  Signal.list.each_value { |number| trap(number, "IGNORE") rescue nil }
  sleep 60
end
wrong = 1 if what == "network" && (reaches("127.0.0.1") || reaches("10.0.0.1"))
wrong = 1 if what == "snoop" && ["/etc/shadow", "/proc/1/environ", "../answer", "/box/../answer"].any? { |path| reads(path) }
if what == "plant"
  File.symlink("/etc/passwd", "link")
  File.mkfifo("pipe")
end
if what == "clock"
  finish = Process.clock_gettime(Process::CLOCK_MONOTONIC) + 60
  sleep 0.01 while Process.clock_gettime(Process::CLOCK_MONOTONIC) < finish
end
500.times { Thread.new { sleep 60 } } if what == "threads"
puts "flood" while what == "flood"
Process.kill("STOP", Process.pid) if what == "stop"
Process.kill("KILL", 0) if what == "group"
puts $stdin.read.split.sum(&:to_i) + wrong
