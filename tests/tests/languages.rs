//! What judges take: a program in each language that Debian has, compiled and run behind `seccomp-exec --filter judge` in a box with
//! a judge's limits, reads ten megabytes. Each does beside that what its runtime cannot do without: pairs of sockets, locks,
//! threads, children.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::io::Write as _;

use chainbox_tests::{Chain, Folder, Tier, USER, is_root, skip};

struct Language {
    /// The one that compiles, or runs the source.
    program: &'static str,
    file: &'static str,
    source: &'static str,
    compile: &'static str,
    run: &'static str,
}

/// `hello`, and the sum of the numbers in the input, one a line.
const LANGUAGES: [Language; 13] = [
    Language {
        program: "gcc",
        file: "sum.c",
        source: r#"#include <stdio.h>
            int main(void) { long n, sum = 0; while (scanf("%ld", &n) == 1) sum += n; printf("hello %ld\n", sum); return 0; }"#,
        compile: "gcc -O1 -o c sum.c",
        run: "./c",
    },
    Language {
        program: "g++",
        file: "sum.cc",
        source: r#"#include <iostream>
            int main() { long n, sum = 0; while (std::cin >> n) sum += n; std::cout << "hello " << sum << "\n"; }"#,
        compile: "g++ -O1 -o cc sum.cc",
        run: "./cc",
    },
    Language {
        program: "javac",
        file: "Sum.java",
        source: r#"import java.io.*; import java.nio.file.*;
            class Sum { public static void main(String[] words) throws Exception {
                Files.writeString(Path.of("java.txt"), "hello "); long sum = 0; String line;
                BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
                while ((line = in.readLine()) != null) sum += Long.parseLong(line);
                System.out.println(Files.readString(Path.of("java.txt")) + sum); } }"#,
        compile: "javac Sum.java",
        run: "java Sum",
    },
    Language {
        program: "python3",
        file: "sum.py",
        source: r#"
import asyncio, sys
async def hello():
    pipe, null = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    child = await asyncio.create_subprocess_exec("echo", "-n", "hello", stdout=pipe, stdin=null)
    return (await child.communicate())[0].decode()
print(asyncio.run(hello()), sum(map(int, sys.stdin)))"#,
        compile: "",
        run: "python3 sum.py",
    },
    Language {
        program: "node",
        file: "sum.js",
        source: r"const { execFile } = require('child_process');
            let sum = 0; const lines = require('readline').createInterface({ input: process.stdin });
            lines.on('line', line => sum += Number(line));
            lines.on('close', () => execFile('echo', ['-n', 'hello'], (error, out) => console.log(out, sum)));",
        compile: "",
        run: "node sum.js",
    },
    Language {
        program: "go",
        file: "sum.go",
        source: r#"package main
            import ("bufio"; "fmt"; "os"; "strconv")
            func main() { sum, in := 0, bufio.NewScanner(os.Stdin)
                for in.Scan() { n, _ := strconv.Atoi(in.Text()); sum += n }
                fmt.Println("hello", sum) }"#,
        compile: "GOCACHE=/tmp/go go build -o go.out sum.go",
        run: "./go.out",
    },
    Language {
        program: "rustc",
        file: "sum.rs",
        source: r#"fn main() {
            let numbers = std::io::stdin().lines().map(|line| line.unwrap().parse::<i64>().unwrap());
            println!("hello {}", numbers.sum::<i64>()); }"#,
        compile: "rustc -O -o rs sum.rs",
        run: "./rs",
    },
    Language {
        program: "ocamlopt",
        file: "sum.ml",
        source: r#"let rec add sum =
              match input_line stdin with line -> add (sum + int_of_string line) | exception End_of_file -> sum
            let () = Printf.printf "hello %d\n" (add 0)"#,
        compile: "ocamlopt -o ml sum.ml",
        run: "./ml",
    },
    Language {
        program: "ghc",
        file: "sum.hs",
        source: r#"
import qualified Data.ByteString.Char8 as B
main :: IO ()
main = do { text <- B.getContents; putStrLn ("hello " ++ show (sum [n | Just (n, _) <- map B.readInt (B.lines text)])) }"#,
        compile: "ghc -v0 -o hs sum.hs",
        run: "./hs",
    },
    Language {
        program: "ruby",
        file: "sum.rb",
        source: r#"File.open("ruby.lock", "w") { |file| file.flock(File::LOCK_EX) or abort }
            sum = 0; STDIN.each_line { |line| sum += line.to_i }; puts "hello #{sum}""#,
        compile: "",
        run: "ruby sum.rb",
    },
    Language {
        program: "php",
        file: "sum.php",
        source: r#"<?php file_put_contents("php.txt", "hello", LOCK_EX) or exit(1); $sum = 0;
            while (($line = fgets(STDIN)) !== false) $sum += (int) $line; echo file_get_contents("php.txt"), " $sum\n";"#,
        compile: "",
        run: "php sum.php",
    },
    Language {
        program: "fpc",
        file: "sum.pas",
        source: "var n, sum: int64; begin sum := 0; while not eof do begin readln(n); sum := sum + n end; \
                 writeln('hello ', sum) end.",
        compile: "fpc -v0 -opas sum.pas >/dev/null",
        run: "./pas",
    },
    Language {
        program: "mcs",
        file: "sum.cs",
        source: r#"using System;
            class Sum { static void Main() { long sum = 0; string line;
                while ((line = Console.ReadLine()) != null) sum += long.Parse(line);
                Console.WriteLine("hello " + sum); } }"#,
        compile: "mcs -out:cs.exe sum.cs >/dev/null",
        run: "mono cs.exe",
    },
];

/// Some 1,250,000 numbers.
const INPUT: usize = 10_000_000;
const NUMBER: u64 = 1_234_567;

/// The box, with the links and limits of a judge's; `$1` is a line of shell, which gets standard input.
const BOX: &str = "exec cg-run --no-cgroup --wall-time 300 -- \
    ns-unshare --foreground --user --map-self --mount --pid --net --ipc --uts --cgroup -- \
    rlimit-exec --preset judge --nproc 200 --nofile 256 --fsize 256M -- \
    mount-plan --preset host-ro --dev /dev --proc /proc -o ro --tmpfs /tmp -o size=256M --bind \"$PWD\" /box --chdir /box -- \
    seccomp-exec --new-keyring --filter judge -- env PATH=/usr/bin:/bin HOME=/tmp sh -c \"$1\" <input";

fn inside(folder: &Folder, line: &str) -> chainbox_tests::Ran {
    Chain::program("sh").args(["-c", BOX, "sh", line]).at(folder.path()).as_user().run()
}

fn owned(folder: &Folder, name: &str, text: &[u8]) {
    let path = folder.join(name);
    File::create(&path).and_then(|mut file| file.write_all(text)).unwrap();
    if is_root() {
        std::os::unix::fs::chown(&path, Some(USER), Some(USER)).unwrap();
    }
}

#[test]
fn programs_of_every_language_are_compiled_and_read_ten_megabytes() {
    let test = "programs_of_every_language_are_compiled_and_read_ten_megabytes";
    let folder = Folder::new("languages", true);
    let line = format!("{NUMBER}\n");
    let count = INPUT / line.len();
    owned(&folder, "input", line.repeat(count).as_bytes());
    let expected = format!("hello {}\n", NUMBER * count as u64);
    let mut missing = vec![];
    for language in &LANGUAGES {
        if !fs::exists(format!("/usr/bin/{}", language.program)).unwrap() {
            missing.push(language.program);
            continue;
        }
        owned(&folder, language.file, language.source.as_bytes());
        if !language.compile.is_empty() {
            let compiled = inside(&folder, language.compile);
            assert_eq!((compiled.code, compiled.out.as_str()), (0, ""), "{}: {compiled:?}", language.compile);
        }
        let ran = inside(&folder, language.run);
        assert_eq!((ran.code, ran.out.as_str()), (0, expected.as_str()), "{}: {ran:?}", language.run);
    }
    if !missing.is_empty() {
        let tier = if missing.contains(&"gcc") { Tier::Machine } else { Tier::Languages };
        skip(tier, test, &format!("not in /usr/bin: {missing:?}"));
    }
}
