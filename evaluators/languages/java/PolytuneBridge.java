// What the typed stubs call in the trusted process: takes a call to the candidate, and brings back what it
// returned, what it did to the arguments, or the exception that it raised.

import java.io.IOException;
import java.util.*;
import java.util.concurrent.atomic.AtomicReference;

public final class PolytuneBridge {
    /** The candidate raised an exception of a type of its own, or one that no test may meet. */
    static final class CandidateException extends RuntimeException {
        CandidateException(String text) {
            super(text);
        }
    }

    /** The run is over; `kind` and text are what remote.py reads. */
    static final class Stop extends Error {
        final String kind;

        Stop(String kind, String text) {
            super(text);
            this.kind = kind;
        }
    }

    /** Takes a line to the candidate and returns its answer. */
    interface Ask {
        String ask(String line) throws IOException;
    }

    static Ask ask;
    static final List<Throwable> raised = new ArrayList<>();
    static final AtomicReference<Stop> stopped = new AtomicReference<>();

    private PolytuneBridge() {}

    /** Call a method of the candidate's. `types` are the declared types of the parameters, by simple name. */
    public static Object call(String owner, String name, String[] types, Object... arguments) {
        if (stopped.get() != null) {
            throw stopped.get(); // tests that catch everything
        }
        List<Object> encoded = new ArrayList<>();
        for (Object argument : arguments) {
            Object sayable = PolytuneCodec.encode(argument, true);
            if (PolytuneCodec.isAlien(sayable)) {
                throw stop("unsayable", "the tests pass a value to " + name + " that cannot cross");
            }
            encoded.add(sayable);
        }
        List<?> answer;
        try {
            answer = (List<?>) PolytuneCodec.parse(ask.ask(
                    PolytuneCodec.line(Arrays.asList("call", owner, name, encoded, Arrays.asList(types)))));
            return result(answer, arguments);
        } catch (IOException | IllegalArgumentException | ClassCastException | IndexOutOfBoundsException
                | NullPointerException | UnsupportedOperationException | ArrayStoreException fault) {
            if (raised.contains(fault)) {
                throw PolytuneBridge.<RuntimeException>sneak(fault);
            }
            throw stop("raised", "unreadable outcome: " + fault.getMessage());
        }
    }

    private static Object result(List<?> answer, Object[] arguments) {
        String kind = (String) answer.get(0);
        switch (kind) {
            case "ok":
                for (Object change : (List<?>) answer.get(2)) {
                    Object argument = arguments[(Integer) ((List<?>) change).get(0)];
                    if (argument != null && PolytuneCodec.isMutable(argument)) {
                        PolytuneCodec.change(argument, PolytuneCodec.decode(((List<?>) change).get(1)));
                    }
                }
                return PolytuneCodec.decode(answer.get(1));
            case "raise":
                throw PolytuneBridge.<RuntimeException>sneak(exception((String) answer.get(1), (String) answer.get(2)));
            case "memory":
            case "missing":
                throw stop(kind, answer.get(1) + (answer.size() > 2 ? ": " + answer.get(2) : ""));
            case "stop":
                throw stop("stopped", "");
            default:
                throw new IllegalArgumentException("no answer is of this kind");
        }
    }

    private static Stop stop(String kind, String text) {
        stopped.compareAndSet(null, new Stop(kind, text));
        return stopped.get();
    }

    /** Widen a number as a method's return does; any other value comes as it is. */
    public static Object widened(Object value, String type) {
        if (!(value instanceof Number) && !(value instanceof Character)) {
            return value;
        }
        boolean whole = value instanceof Integer || value instanceof Short || value instanceof Byte;
        Number number = value instanceof Character ? Integer.valueOf((Character) value) : (Number) value;
        switch (type) {
            case "int":
                return value instanceof Character || whole ? (Object) number.intValue() : value;
            case "long":
                return value instanceof Character || whole ? (Object) number.longValue() : value;
            case "float":
                return value instanceof Double ? value : (Object) number.floatValue();
            case "double":
                return (Object) number.doubleValue();
            default:
                return value;
        }
    }

    private static Throwable exception(String type, String text) {
        Throwable made = new CandidateException(type + ": " + text);
        if (type.startsWith("java.")) {
            try {
                Class<?> known = Class.forName(type, false, null);
                if (Exception.class.isAssignableFrom(known) || known == AssertionError.class
                        || known == StackOverflowError.class) {
                    Throwable same = known == AssertionError.class ? new AssertionError(text)
                            : (Throwable) known.getConstructor(String.class).newInstance(text);
                    made = same;
                }
            } catch (ReflectiveOperationException | LinkageError unknown) {
                made = new CandidateException(type + ": " + text);
            }
        }
        raised.add(made);
        return made;
    }

    @SuppressWarnings("unchecked")
    private static <T extends Throwable> RuntimeException sneak(Throwable error) throws T {
        throw (T) error;
    }
}
