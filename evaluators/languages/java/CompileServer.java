// A warm Java compiler that also judges: one request a line on standard input, JSON as in PolytuneCodec.
//
//   ["compile", SOURCE]     ->  ok {CLASS: base64, ...}  |  error LINE: MESSAGE  |  fault MESSAGE
//   ["judge", ID, SOURCE]   ->  ok   (tests beside stubs, kept under ID until ["drop", ID])
//   ["run", ID]             ->  call LINE, as often as needed, each answered by the candidate's line, then
//                               done, or TEXT after failed, raised, memory, missing, endless or unsayable
//
// Every compilation is a task of its own; what is shared is the compiler's loaded code and its view of the
// JDK. Annotation processors are off: no code of a candidate runs here. Tests do, against stubs: they meet
// values that a candidate chose, in classes of the JDK alone. Ends when standard input closes.

import java.io.*;
import java.lang.management.ManagementFactory;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.*;
import javax.tools.*;

public final class CompileServer {
    private static final List<String> OPTIONS = List.of("-proc:none", "-nowarn", "-Xlint:none", "-g:lines");
    private static final long TESTS_CPU_S = 20, STACK_BYTES = 32L << 20, LOOK_MS = 1000;
    private static final int LONGEST_TEXT = 500;

    /** A source that may declare a public class of any name. */
    private static final class Source extends SimpleJavaFileObject {
        private final String text;

        Source(String text) {
            super(URI.create("string:///Candidate.java"), Kind.SOURCE);
            this.text = text;
        }

        @Override
        public CharSequence getCharContent(boolean ignoreEncodingErrors) {
            return text;
        }

        @Override
        public boolean isNameCompatible(String simpleName, Kind kind) {
            return true;
        }
    }

    /** Keeps the classes of one compilation in memory. */
    private static final class Outputs extends ForwardingJavaFileManager<StandardJavaFileManager> {
        final Map<String, ByteArrayOutputStream> classes = new LinkedHashMap<>();

        Outputs(StandardJavaFileManager manager) {
            super(manager);
        }

        @Override
        public JavaFileObject getJavaFileForOutput(
                Location location, String className, JavaFileObject.Kind kind, FileObject sibling) {
            ByteArrayOutputStream content = new ByteArrayOutputStream();
            classes.put(className, content);
            return new SimpleJavaFileObject(URI.create("mem:///" + className.hashCode()), kind) {
                @Override
                public OutputStream openOutputStream() {
                    return content;
                }
            };
        }
    }

    /** Classes of tests, defined afresh for every run. */
    private static final class Loader extends ClassLoader {
        private final Map<String, ByteArrayOutputStream> classes;

        Loader(Map<String, ByteArrayOutputStream> classes) {
            super(CompileServer.class.getClassLoader());
            this.classes = classes;
            setDefaultAssertionStatus(true);
        }

        @Override
        protected Class<?> findClass(String name) throws ClassNotFoundException {
            if (!classes.containsKey(name)) {
                throw new ClassNotFoundException(name);
            }
            byte[] content = classes.get(name).toByteArray();
            return defineClass(name, content, 0, content.length);
        }
    }

    private static final class Refused extends Exception {
        final boolean tooOld;

        Refused(String message, boolean tooOld) {
            super(message);
            this.tooOld = tooOld;
        }
    }

    /** Whether the compiler knows what it refuses from versions after its own, or as a preview. */
    private static boolean isNewer(String code) {
        return code.contains(".feature.not.supported.in.source") || code.contains(".preview.feature.disabled");
    }

    private final JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
    private final StandardJavaFileManager manager =
            compiler.getStandardFileManager(null, Locale.ENGLISH, StandardCharsets.UTF_8);
    private final List<File> library, bridge;
    private final Map<String, Map<String, ByteArrayOutputStream>> judges = new HashMap<>();
    private final BufferedReader requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    private final PrintStream answers;

    private CompileServer(File library, File bridge, PrintStream answers) {
        this.library = List.of(library);
        this.bridge = List.of(library, bridge);
        this.answers = answers;
    }

    private static String oneLine(String text) {
        String line = String.valueOf(text).replaceAll("\\s+", " ").strip();
        return line.substring(0, Math.min(LONGEST_TEXT, line.length()));
    }

    private void say(String line) {
        byte[] bytes = (line + "\n").getBytes(StandardCharsets.UTF_8);
        answers.write(bytes, 0, bytes.length);
        answers.flush();
    }

    private Map<String, ByteArrayOutputStream> compile(String text, List<File> classPath) throws Exception {
        manager.setLocation(StandardLocation.CLASS_PATH, classPath);
        DiagnosticCollector<JavaFileObject> diagnostics = new DiagnosticCollector<>();
        Outputs outputs = new Outputs(manager);
        Source source = new Source(text);
        if (compiler.getTask(null, outputs, diagnostics, OPTIONS, null, List.of(source)).call()) {
            return outputs.classes;
        }
        for (Diagnostic<? extends JavaFileObject> diagnostic : diagnostics.getDiagnostics()) {
            if (diagnostic.getKind() == Diagnostic.Kind.ERROR) {
                throw new Refused("line " + diagnostic.getLineNumber() + ": "
                        + oneLine(diagnostic.getMessage(Locale.ENGLISH)), isNewer(diagnostic.getCode()));
            }
        }
        throw new Refused("the compiler gave no reason", false);
    }

    /** The class whose `main` runs the tests: the last, as tests follow the program. */
    private static String mainClass(Map<String, ByteArrayOutputStream> classes) throws Exception {
        Loader loader = new Loader(classes);
        String found = null;
        for (String name : classes.keySet()) {
            for (Method method : loader.loadClass(name).getDeclaredMethods()) {
                boolean main = method.getName().equals("main") && method.getParameterCount() == 1
                        && method.getParameterTypes()[0] == String[].class;
                found = main ? name : found;
            }
        }
        if (found == null) {
            throw new Refused("no class of the tests has a main method", false);
        }
        return found;
    }

    private String encoded(String text) throws Exception {
        Map<String, Object> classes = new LinkedHashMap<>();
        for (var entry : compile(text, library).entrySet()) {
            classes.put(entry.getKey(), Base64.getEncoder().encodeToString(entry.getValue().toByteArray()));
        }
        return "ok " + PolytuneCodec.line(classes);
    }

    private String ask(String line) throws IOException {
        say("call " + line);
        String answer = requests.readLine();
        if (answer == null) {
            System.exit(0);
        }
        return answer;
    }

    private String run(String id) throws Exception {
        Map<String, ByteArrayOutputStream> classes = judges.get(id);
        Method main = new Loader(classes).loadClass(mainClass(classes)).getDeclaredMethod("main", String[].class);
        main.setAccessible(true);
        PolytuneBridge.raised.clear();
        PolytuneBridge.stopped.set(null);
        PolytuneBridge.ask = this::ask;
        String[] end = new String[1];
        Thread tests = new Thread(null, () -> end[0] = ending(main), "tests", STACK_BYTES);
        tests.setDaemon(true);
        tests.start();
        while (end[0] == null && tests.isAlive()) {
            tests.join(LOOK_MS);
            if (tests.isAlive()
                    && ManagementFactory.getThreadMXBean().getThreadCpuTime(tests.getId()) > TESTS_CPU_S * 1_000_000_000L) {
                say("endless the tests took more than " + TESTS_CPU_S + " s with what was returned");
                Runtime.getRuntime().halt(0); // a thread cannot be ended
            }
        }
        return end[0] == null ? "fault the thread of the tests died" : end[0];
    }

    private static String ending(Method main) {
        try {
            main.invoke(null, (Object) new String[0]);
            PolytuneBridge.Stop stop = PolytuneBridge.stopped.get();
            return stop == null ? "done" : stop.kind + " " + oneLine(stop.getMessage());
        } catch (Throwable thrown) {
            Throwable error = thrown instanceof InvocationTargetException ? thrown.getCause() : thrown;
            if (error instanceof ExceptionInInitializerError && error.getCause() != null) {
                error = error.getCause();
            }
            PolytuneBridge.Stop stop = PolytuneBridge.stopped.get();
            if (stop != null) {
                return stop.kind + " " + oneLine(stop.getMessage());
            }
            String said = error.getClass().getName() + ": " + error.getMessage();
            for (Throwable raised : PolytuneBridge.raised) {
                if (raised == error) {
                    return "raised " + oneLine(error instanceof PolytuneBridge.CandidateException ? error.getMessage() : said);
                }
            }
            return "failed " + oneLine(said);
        }
    }

    private String answer(List<?> request) throws Exception {
        String text = String.valueOf(request.get(1));
        switch ((String) request.get(0)) {
            case "compile":
                return encoded(text);
            case "judge":
                Map<String, ByteArrayOutputStream> classes = compile((String) request.get(2), bridge);
                mainClass(classes);
                judges.put(text, classes);
                return "ok";
            case "run":
                return run(text);
            case "drop":
                judges.remove(text);
                return "ok";
            default:
                return "fault no such request";
        }
    }

    private void serve() throws IOException {
        for (String request = requests.readLine(); request != null; request = requests.readLine()) {
            String said;
            try {
                said = answer((List<?>) PolytuneCodec.parse(request));
            } catch (Refused refused) {
                said = (refused.tooOld ? "old " : "error ") + refused.getMessage();
            } catch (Throwable fault) {
                said = "fault " + oneLine(String.valueOf(fault));
            }
            say(said);
        }
    }

    public static void main(String[] arguments) throws Exception {
        PrintStream answers = System.out;
        System.setOut(new PrintStream(OutputStream.nullOutputStream()));
        new CompileServer(new File(arguments[0]), new File(arguments[1]), answers).serve();
    }
}
