// What a contestant may hand in, in Java: the first argument says what it does.
import java.io.FileOutputStream;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Scanner;

public class Submission {
	static boolean reaches(String address) {
		try (Socket socket = new Socket()) {
			socket.connect(new InetSocketAddress(address, 22), 200);
			return true;
		} catch (Exception e) {
			return false;
		}
	}

	static boolean reads(String path) {
		try (var file = Files.newInputStream(Path.of(path))) {
			return file.read() >= 0;
		} catch (Exception e) {
			return false;
		}
	}

	static void rest() {
		try {
			Thread.sleep(60_000);
		} catch (InterruptedException e) {
			rest();
		}
	}

	static void run(String... words) throws Exception {
		new ProcessBuilder(words).inheritIO().start().waitFor();
	}

	public static void main(String[] words) throws Exception {
		String what = words[0];
		long wrong = what.equals("wrong") ? 1 : 0;
		for (long n = 0; what.equals("slow"); n++)
			wrong = n;
		List<byte[]> kept = new ArrayList<>();
		while (what.equals("memory"))
			kept.add(new byte[1 << 20]);
		if (what.equals("fork"))
			for (int n = 0; n < 200; n++)
				new ProcessBuilder("/bin/sleep", "60").start();
		if (what.equals("disk"))
			try (var file = new FileOutputStream("filler")) {
				for (int n = 0; n < 1024; n++)
					file.write(new byte[1 << 20]);
			}
		if (what.equals("signals")) {
			Runtime.getRuntime().addShutdownHook(new Thread(Submission::rest));
			rest();
		}
		if (what.equals("network") && (reaches("127.0.0.1") || reaches("10.0.0.1")))
			wrong = 1;
		if (what.equals("snoop"))
			for (String path : new String[] {"/etc/shadow", "/proc/1/environ", "../answer", "/box/../answer"})
				wrong += reads(path) ? 1 : 0;
		if (what.equals("plant")) {
			Files.createSymbolicLink(Path.of("link"), Path.of("/etc/passwd"));
			run("/usr/bin/mkfifo", "pipe");
		}
		for (long end = System.nanoTime() + 60_000_000_000L; what.equals("clock") && System.nanoTime() < end;)
			Thread.sleep(10);
		if (what.equals("threads"))
			for (int n = 0; n < 5000; n++) {
				Thread thread = new Thread(Submission::rest);
				thread.setDaemon(true);
				thread.start();
			}
		while (what.equals("flood")) {
			System.out.println("flood\n".repeat(10000));
			if (System.out.checkError())
				System.exit(1);
		}
		String self = Long.toString(ProcessHandle.current().pid());
		if (what.equals("stop"))
			run("/bin/kill", "-STOP", self);
		if (what.equals("group"))
			run("/bin/kill", "-KILL", "0");
		long total = 0;
		for (Scanner input = new Scanner(System.in); input.hasNextLong();)
			total += input.nextLong();
		System.out.println(total + wrong);
	}
}
