// What a contestant may hand in, in JavaScript: the first argument says what it does.
"use strict";
const fs = require("fs");
const net = require("net");
const { spawn, execFileSync } = require("child_process");
const { Worker } = require("worker_threads");

const what = process.argv[2];
const sleep = (seconds) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, seconds * 1000);
const reads = (path) => {
  try {
    return fs.readFileSync(path).length > 0;
  } catch {
    return false;
  }
};
const reaches = (host) =>
  new Promise((done) => {
    const socket = net.connect({ host, port: 22, timeout: 200 });
    const end = (answer) => () => (socket.destroy(), done(answer));
    socket.on("connect", end(true)).on("error", end(false)).on("timeout", end(false));
  });
const answer = (wrong) => {
  const numbers = fs.readFileSync(0, "utf8").split(/\s+/).filter(Boolean).map(Number);
  console.log(numbers.reduce((total, number) => total + number, 0) + Number(wrong));
};
const fail = () => process.exit(1);

const deeds = {
  wrong: () => true,
  slow: () => { for (;;); },
  memory: () => { for (const kept = []; ; ) kept.push(new Array(1 << 17).fill(kept.length + 0.5)); },
  fork: () => { for (let n = 0; n < 200; n++) spawn("/bin/sleep", ["60"]).on("error", fail); sleep(0.1); return new Promise(() => {}); },
  disk: () => { const fd = fs.openSync("filler", "w"); for (let n = 0; n < 1024; n++) fs.writeSync(fd, Buffer.alloc(1 << 20)); },
  signals: () => { for (const name of ["HUP", "INT", "QUIT", "TERM", "USR2", "ALRM", "XCPU"]) process.on("SIG" + name, () => {}); sleep(60); },
  network: async () => (await reaches("127.0.0.1")) || (await reaches("10.0.0.1")),
  snoop: () => ["/etc/shadow", "/proc/1/environ", "../answer", "/box/../answer"].some(reads),
  plant: () => { fs.symlinkSync("/etc/passwd", "link"); execFileSync("/usr/bin/mkfifo", ["pipe"]); },
  clock: () => { for (const end = Date.now() + 60000; Date.now() < end; ) sleep(0.01); },
  threads: () => { for (let n = 0; n < 500; n++) new Worker("setInterval(() => {}, 1000)", { eval: true }).on("error", fail); return new Promise(() => {}); },
  flood: () => { for (;;) fs.writeSync(1, "flood\n".repeat(10000)); },
  stop: () => process.kill(process.pid, "SIGSTOP"),
  group: () => process.kill(0, "SIGKILL"),
};

(async () => answer(await (deeds[what] || (() => false))() === true))();
