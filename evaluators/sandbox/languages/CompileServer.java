// A warm Java compiler: one request a line on standard input, one answer a line on standard output.
//
//   SOURCE <tab> FOLDER          ->  ok Class1,Class2   |  error LINE: MESSAGE  |  fault MESSAGE
//
// Every request is a compilation task of its own, with nothing on its class path; what is shared is
// the compiler's loaded code and its view of the JDK. Annotation processors are off: no code of a
// candidate runs here. Ends when standard input closes.

import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import javax.tools.Diagnostic;
import javax.tools.DiagnosticCollector;
import javax.tools.ForwardingJavaFileManager;
import javax.tools.FileObject;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileObject;
import javax.tools.SimpleJavaFileObject;
import javax.tools.StandardJavaFileManager;
import javax.tools.StandardLocation;
import javax.tools.ToolProvider;

public class CompileServer {
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

    /** Notes the classes of one compilation. */
    private static final class Outputs extends ForwardingJavaFileManager<StandardJavaFileManager> {
        final List<String> classes = new ArrayList<>();

        Outputs(StandardJavaFileManager manager) {
            super(manager);
        }

        @Override
        public JavaFileObject getJavaFileForOutput(
                Location location, String className, JavaFileObject.Kind kind, FileObject sibling)
                throws java.io.IOException {
            classes.add(className);
            return super.getJavaFileForOutput(location, className, kind, sibling);
        }
    }

    private static final List<String> OPTIONS = List.of("-proc:none", "-nowarn", "-Xlint:none", "-g:none");

    private static String compile(JavaCompiler compiler, StandardJavaFileManager manager, String request)
            throws Exception {
        String[] paths = request.split("\t");
        manager.setLocation(StandardLocation.CLASS_OUTPUT, List.of(new File(paths[1])));
        manager.setLocation(StandardLocation.CLASS_PATH, List.of());
        DiagnosticCollector<JavaFileObject> diagnostics = new DiagnosticCollector<>();
        Outputs outputs = new Outputs(manager);
        Source source = new Source(Files.readString(Path.of(paths[0]), StandardCharsets.UTF_8));
        boolean compiled = compiler.getTask(null, outputs, diagnostics, OPTIONS, null, List.of(source)).call();
        if (compiled) {
            return "ok " + String.join(",", outputs.classes);
        }
        for (Diagnostic<? extends JavaFileObject> diagnostic : diagnostics.getDiagnostics()) {
            if (diagnostic.getKind() == Diagnostic.Kind.ERROR) {
                String message = diagnostic.getMessage(Locale.ENGLISH).replaceAll("\\s+", " ");
                return "error line " + diagnostic.getLineNumber() + ": " + message;
            }
        }
        return "error the compiler gave no reason";
    }

    public static void main(String[] arguments) throws Exception {
        PrintStream answers = System.out;
        System.setOut(new PrintStream(OutputStream.nullOutputStream()));
        JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
        StandardJavaFileManager manager = compiler.getStandardFileManager(null, Locale.ENGLISH, StandardCharsets.UTF_8);
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String request = requests.readLine(); request != null; request = requests.readLine()) {
            String answer;
            try {
                answer = compile(compiler, manager, request);
            } catch (Throwable fault) {
                answer = "fault " + String.valueOf(fault).replaceAll("\\s+", " ");
            }
            answers.write((answer + "\n").getBytes(StandardCharsets.UTF_8));
            answers.flush();
        }
    }
}
