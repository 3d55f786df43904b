import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.security.Security;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

import org.bouncycastle.jce.provider.BouncyCastleProvider;

/**
 * Bouncy Castle as a stranger who knows the standards and nothing of Oncegate. Each line that comes in is a command and its
 * arguments in base64, "." for an empty one; each line that goes out is "ok" and values in the same form, or "no" and why not.
 */
final class Main {
    interface Command {
        byte[][] run(Args a) throws Exception;
    }

    /** What does not hold. */
    static final class Refused extends Exception {
        Refused(String why) {
            super(why);
        }
    }

    public static void main(String[] args) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        Map<String, Command> commands = new HashMap<>();
        commands.put("version", a -> out(text(new BouncyCastleProvider().getInfo())));
        Raw.register(commands);
        Certificates.register(commands);
        Revocation.register(commands);
        Messages.register(commands);
        Stamps.register(commands);
        Containers.register(commands);
        Licenses.register(commands);
        Seals.register(commands);
        Packages.register(commands);

        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        PrintStream answers = new PrintStream(System.out, true, "UTF-8");
        for (String line; (line = in.readLine()) != null;) {
            String[] words = line.split(" ");
            try {
                Command c = commands.get(words[0]);
                if (c == null) throw new Refused("there is no command " + words[0]);
                StringBuilder answer = new StringBuilder("ok");
                for (byte[] value : c.run(new Args(words))) {
                    answer.append(' ').append(value.length == 0 ? "." : Base64.getEncoder().encodeToString(value));
                }
                answers.println(answer);
            } catch (Throwable e) {
                answers.println(("no " + e).replaceAll("\\s+", " "));
            }
        }
    }

    static byte[][] out(byte[]... values) {
        return values;
    }

    static byte[] text(Object o) {
        return String.valueOf(o).getBytes(StandardCharsets.UTF_8);
    }

    static byte[][] demand(boolean holds, String otherwise) throws Refused {
        if (!holds) throw new Refused(otherwise);
        return out();
    }

    /** The arguments of a command, taken one after the other. */
    static final class Args {
        private final String[] words;
        private int next = 1;

        Args(String[] words) {
            this.words = words;
        }

        boolean more() {
            return next < words.length;
        }

        byte[] bytes() {
            String word = words[next++];
            return word.equals(".") ? new byte[0] : Base64.getDecoder().decode(word);
        }

        String text() {
            return new String(bytes(), StandardCharsets.UTF_8);
        }

        boolean flag(String name) {
            return text().equals(name);
        }

        /** Seconds since 1970. */
        java.util.Date time() {
            return new java.util.Date(Long.parseLong(text()) * 1000);
        }

        List<byte[]> rest() {
            List<byte[]> all = new ArrayList<>();
            while (more()) all.add(bytes());
            return all;
        }
    }
}
