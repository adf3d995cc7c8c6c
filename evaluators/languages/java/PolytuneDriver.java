// Runs in the candidate's process: loads the program's classes and answers calls. The first line that it
// reads is [KEY, {CLASS: base64, ...}], the program; for the others see remote.py and running.py.
//
// Nothing that this process says is believed beyond being data. The line with which in-process tests end
// is another matter: it needs the key, which was read before the program was loaded and stays in a local
// variable of the thread that talks, which no reflection reaches, and the nonce, which comes with the tests.
// So a program that reads the connection in this thread's place has one of the two.

import java.io.*;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.nio.charset.StandardCharsets;
import java.util.*;
import java.util.concurrent.SynchronousQueue;

public final class PolytuneDriver {
    private static final int LONGEST_TEXT = 500;
    private static final long STACK_BYTES = 32L << 20;

    /** Defines classes from bytes, its own before anybody else's. */
    private static final class Loader extends ClassLoader {
        private final Map<String, byte[]> classes;

        Loader(Map<String, byte[]> classes) {
            super(PolytuneDriver.class.getClassLoader());
            this.classes = classes;
            setDefaultAssertionStatus(true);
        }

        @Override
        protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
            synchronized (getClassLoadingLock(name)) {
                byte[] content = classes.get(name);
                if (content == null) {
                    return super.loadClass(name, resolve);
                }
                Class<?> loaded = findLoadedClass(name);
                return loaded != null ? loaded : defineClass(name, content, 0, content.length);
            }
        }
    }

    private final OutputStream answers;
    private List<String> names = List.of();
    private Loader loader;
    private final Map<Class<?>, Object> instances = new HashMap<>();

    private PolytuneDriver(OutputStream answers) {
        this.answers = answers;
    }

    private static Map<String, byte[]> classes(Object encoded) {
        Map<String, byte[]> classes = new LinkedHashMap<>();
        for (Map.Entry<?, ?> entry : ((Map<?, ?>) encoded).entrySet()) {
            classes.put((String) entry.getKey(), Base64.getDecoder().decode((String) entry.getValue()));
        }
        return classes;
    }

    private void say(Object... message) throws IOException {
        answers.write((PolytuneCodec.line(Arrays.asList(message)) + "\n").getBytes(StandardCharsets.US_ASCII));
    }

    private static Throwable cause(Throwable error) {
        Throwable cause = error;
        while ((cause instanceof InvocationTargetException || cause instanceof ExceptionInInitializerError)
                && cause.getCause() != null) {
            cause = cause.getCause();
        }
        return cause;
    }

    private static String textOf(Throwable error) {
        try {
            String text = String.valueOf(error.getMessage());
            return text.substring(0, Math.min(LONGEST_TEXT, text.length()));
        } catch (Throwable unprintable) {
            return "";
        }
    }

    private void sayError(Throwable error) throws IOException {
        Throwable cause = cause(error);
        say(cause instanceof OutOfMemoryError ? "memory" : "raise", cause.getClass().getName(), textOf(cause));
    }

    private static Object[] fitted(Method method, List<?> arguments) {
        Class<?>[] parameters = method.getParameterTypes();
        if (parameters.length != arguments.size()) {
            return null;
        }
        for (int i = 0; i < parameters.length; i++) {
            if (!takes(parameters[i], arguments.get(i))) {
                return null;
            }
        }
        return arguments.toArray();
    }

    private static boolean takes(Class<?> parameter, Object value) {
        if (!parameter.isPrimitive()) {
            return value == null || parameter.isInstance(value);
        }
        if (value == null) {
            return false;
        }
        String wanted = parameter.getName();
        switch (value.getClass().getSimpleName()) {
            case "Byte":
                return !wanted.equals("char") && !wanted.equals("boolean");
            case "Short":
                return List.of("short", "int", "long", "float", "double").contains(wanted);
            case "Character":
                return List.of("char", "int", "long", "float", "double").contains(wanted);
            case "Integer":
                return List.of("int", "long", "float", "double").contains(wanted);
            case "Long":
                return List.of("long", "float", "double").contains(wanted);
            case "Float":
                return wanted.equals("float") || wanted.equals("double");
            case "Double":
                return wanted.equals("double");
            default:
                return wanted.equals("boolean") && value instanceof Boolean;
        }
    }

    private static int likeness(Method method, List<?> types) {
        int same = 0;
        for (int i = 0; i < types.size(); i++) {
            String type = (String) types.get(i);
            same += method.getParameterTypes()[i].getSimpleName().equals(type) ? 1 : 0;
        }
        return same;
    }

    /** The method that a call means: of all whose parameters take the arguments, the one declared most alike. */
    private Method find(String className, String name, List<?> arguments, List<?> types) throws ClassNotFoundException {
        Method found = null;
        for (Method method : loader.loadClass(className).getDeclaredMethods()) {
            boolean fits = method.getName().equals(name) && !method.isBridge() && fitted(method, arguments) != null;
            if (fits && (found == null || likeness(method, types) > likeness(found, types))) {
                found = method;
            }
        }
        return found;
    }

    private Object owner(Method method) throws Exception {
        if (Modifier.isStatic(method.getModifiers())) {
            return null;
        }
        Object instance = instances.get(method.getDeclaringClass());
        if (instance == null) {
            instance = PolytuneSignatures.instance(method.getDeclaringClass());
            instances.put(method.getDeclaringClass(), instance);
        }
        return instance;
    }

    /** A call of cases said as data: what the method declares decides in which form it is given them. */
    private void callAsDeclared(String name, List<?> encoded, List<?> types) throws Exception {
        List<Object> values = new ArrayList<>();
        for (Object argument : encoded) {
            values.add(PolytuneCodec.decode(argument));
        }
        List<Class<?>> classes = new ArrayList<>();
        for (String className : names) {
            classes.add(loader.loadClass(className));
        }
        PolytuneSignatures.Match match = PolytuneSignatures.match(classes, name, values, types);
        if (match.method == null) {
            say("missing", match.reason);
            return;
        }
        boolean isStatic = Modifier.isStatic(match.method.getModifiers());
        Object owner = isStatic ? null : PolytuneSignatures.instance(match.method.getDeclaringClass());
        match.method.setAccessible(true);
        say("ok", PolytuneCodec.encode(match.method.invoke(owner, match.arguments), false), List.of());
    }

    private void call(List<?> request) throws Exception {
        String className = (String) request.get(1), name = (String) request.get(2);
        List<?> types = (List<?>) request.get(4);
        if (className == null) {
            callAsDeclared(name, (List<?>) request.get(3), types);
            return;
        }
        List<Object> encoded = new ArrayList<>((List<?>) request.get(3));
        List<Object> arguments = new ArrayList<>();
        for (Object argument : encoded) {
            arguments.add(PolytuneCodec.decode(argument));
        }
        Method method;
        try {
            method = find(className, name, arguments, types);
        } catch (ClassNotFoundException none) {
            method = null;
        }
        if (method == null) {
            String signature = name + "(" + String.join(", ", types.toArray(new String[0])) + ")";
            say("missing", "no method " + signature + " in a class " + className);
            return;
        }
        method.setAccessible(true);
        Object result = PolytuneCodec.encode(method.invoke(owner(method), arguments.toArray()), true);
        List<Object> changed = new ArrayList<>();
        for (int i = 0; i < arguments.size(); i++) {
            if (PolytuneCodec.isMutable(arguments.get(i))) {
                Object after = PolytuneCodec.encode(arguments.get(i), true);
                if (!after.equals(encoded.get(i))) {
                    changed.add(List.of(i, after));
                }
            }
        }
        say("ok", result, changed);
    }

    private static Method mainOf(Map<String, byte[]> classes) throws Exception {
        Loader together = new Loader(classes);
        Method found = null;
        for (String name : classes.keySet()) {
            for (Method method : together.loadClass(name).getDeclaredMethods()) {
                boolean main = method.getName().equals("main") && method.getParameterCount() == 1;
                found = main ? method : found; // the last, as tests follow the program
            }
        }
        if (found == null) {
            throw new NoSuchMethodException("main of the tests");
        }
        found.setAccessible(true);
        return found;
    }

    /** Run tests that were compiled together with the program; tell whether they came to their very end. */
    private boolean test(List<?> request) throws Exception {
        Method main = mainOf(classes(request.get(2)));
        try {
            main.invoke(null, (Object) new String[0]);
        } catch (InvocationTargetException error) {
            Throwable cause = cause(error);
            StackTraceElement[] trace = cause.getStackTrace();
            boolean own = trace.length > 0 && trace[0].getClassName().equals(main.getDeclaringClass().getName())
                    && trace[0].getMethodName().equals("main");
            if (own && (cause instanceof AssertionError || cause.getClass() == Exception.class)) {
                say("failed", cause.getClass().getName() + ": " + textOf(cause));
            } else {
                sayError(cause);
            }
            return false;
        }
        return true;
    }

    /** Answer a request, but for tests that came to their end: those are left to the thread that has the key. */
    private boolean answer(Object request) throws IOException {
        try {
            List<?> words = (List<?>) request;
            if (words.get(0).equals("test")) {
                return test(words);
            }
            call(words);
        } catch (Throwable error) {
            sayError(error);
        }
        return false;
    }

    private boolean load(Object program) throws IOException {
        try {
            Map<String, byte[]> classes = classes(program);
            names = List.copyOf(classes.keySet());
            loader = new Loader(classes);
            for (String name : names) {
                Class.forName(name, !name.contains("$"), loader);
            }
        } catch (Throwable error) {
            sayError(error);
            return false;
        }
        say("loaded");
        return true;
    }

    private void run(SynchronousQueue<Object> requests, SynchronousQueue<Boolean> ends) {
        try {
            if (load(requests.take())) {
                while (true) {
                    ends.put(answer(requests.take()));
                }
            }
        } catch (Throwable end) {
            Runtime.getRuntime().halt(1);
        }
    }

    public static void main(String[] arguments) throws Exception {
        BufferedReader lines =
                new BufferedReader(new InputStreamReader(new FileInputStream(FileDescriptor.in), StandardCharsets.US_ASCII));
        OutputStream answers = new FileOutputStream(FileDescriptor.in); // the connection goes both ways
        System.setIn(InputStream.nullInputStream());
        PolytuneDriver driver = new PolytuneDriver(answers);
        SynchronousQueue<Object> requests = new SynchronousQueue<>();
        SynchronousQueue<Boolean> ends = new SynchronousQueue<>();
        driver.say("ready");
        Thread candidate = new Thread(null, () -> driver.run(requests, ends), "main", STACK_BYTES);
        candidate.setDaemon(true);
        candidate.start();
        List<?> first = (List<?>) PolytuneCodec.parse(lines.readLine());
        String key = (String) first.get(0);
        requests.put(first.get(1));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            List<?> request = (List<?>) PolytuneCodec.parse(line);
            requests.put(request);
            if (ends.take()) {
                driver.say("token", request.get(1) + key);
            }
        }
        Runtime.getRuntime().halt(0);
    }
}
