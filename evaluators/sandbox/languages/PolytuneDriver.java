// Runs inside the candidate's process: finds the entry point, calls it once a case, and writes what it
// returned to the file `outcomes`, in the encoding that wire.py describes. Arguments: the candidate's classes.

import java.io.FileOutputStream;
import java.io.OutputStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

public class PolytuneDriver {
    private static final int LONGEST_TEXT = 500;
    private static OutputStream outcomes;

    private static void say(String line) throws java.io.IOException {
        outcomes.write((line + "\n").getBytes(StandardCharsets.US_ASCII));
    }

    private static String escape(String text) {
        StringBuilder out = new StringBuilder(text.length() + 16);
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c >= ' ' && c <= '~' && c != '\\' && c != ',') {
                out.append(c);
            } else {
                String hex = Integer.toHexString(c);
                out.append("\\u").append("0000", 0, 4 - hex.length()).append(hex);
            }
        }
        return out.toString();
    }

    private static String unescape(String payload) {
        StringBuilder out = new StringBuilder(payload.length());
        for (int i = 0; i < payload.length(); i++) {
            if (payload.charAt(i) == '\\') {
                out.append((char) Integer.parseInt(payload.substring(i + 2, i + 6), 16));
                i += 5;
            } else {
                out.append(payload.charAt(i));
            }
        }
        return out.toString();
    }

    private static Object decode(String token) {
        if (token.charAt(0) != '[') {
            return decodeScalar(token);
        }
        List<Object> items = new ArrayList<>();
        if (token.length() > 2) {
            for (String part : token.substring(1, token.length() - 1).split(",", -1)) {
                items.add(decodeScalar(part));
            }
        }
        return items;
    }

    private static Object decodeScalar(String token) {
        String payload = token.substring(1);
        switch (token.charAt(0)) {
            case 'i':
                return Integer.valueOf(payload);
            case 'd':
                return Double.longBitsToDouble(Long.parseUnsignedLong(payload, 16));
            case 'b':
                return payload.equals("1");
            default:
                return unescape(payload);
        }
    }

    private static String encode(Object value) {
        if (!(value instanceof List)) {
            return encodeScalar(value);
        }
        StringBuilder out = new StringBuilder("[");
        for (Object item : (List<?>) value) {
            out.append(out.length() > 1 ? "," : "").append(encodeScalar(item));
        }
        return out.append("]").toString();
    }

    private static String encodeScalar(Object value) {
        if (value == null) {
            return "n";
        }
        if (value instanceof Boolean) {
            return (Boolean) value ? "b1" : "b0";
        }
        if (value instanceof Integer || value instanceof Long || value instanceof Short || value instanceof Byte
                || value instanceof BigInteger) {
            return "i" + value;
        }
        if (value instanceof Double || value instanceof Float) {
            String hex = Long.toHexString(Double.doubleToRawLongBits(((Number) value).doubleValue()));
            return "d" + "0".repeat(16 - hex.length()) + hex;
        }
        if (value instanceof String) {
            return "s" + escape((String) value);
        }
        return "o" + escape(value.getClass().getSimpleName());
    }

    private static void sayError(Throwable error) throws java.io.IOException {
        Throwable cause = error;
        while ((cause instanceof InvocationTargetException || cause instanceof ExceptionInInitializerError)
                && cause.getCause() != null) {
            cause = cause.getCause();
        }
        String message;
        try {
            message = cause.getClass().getName() + ": " + cause.getMessage();
        } catch (Throwable unprintable) {
            message = cause.getClass().getName();
        }
        message = message.substring(0, Math.min(LONGEST_TEXT, message.length()));
        say((cause instanceof OutOfMemoryError ? "m " : "x ") + escape(message));
    }

    private static boolean takes(Class<?> parameter, String type) {
        switch (type) {
            case "int":
                return parameter == int.class || parameter == long.class || parameter == double.class
                        || parameter == float.class || parameter.isAssignableFrom(Integer.class);
            case "float":
                return parameter == double.class || parameter.isAssignableFrom(Double.class);
            case "bool":
                return parameter == boolean.class || parameter.isAssignableFrom(Boolean.class);
            case "str":
                return parameter.isAssignableFrom(String.class);
            default:
                return parameter.isAssignableFrom(ArrayList.class);
        }
    }

    private static boolean fits(Method method, String[] types) {
        Class<?>[] parameters = method.getParameterTypes();
        if (!Modifier.isStatic(method.getModifiers()) || parameters.length != types.length) {
            return false;
        }
        for (int i = 0; i < types.length; i++) {
            if (!takes(parameters[i], types[i])) {
                return false;
            }
        }
        return true;
    }

    private static Method find(String[] classes, String entryPoint, String[] types) throws Exception {
        Method found = null;
        for (String name : classes) {
            Class<?> candidate = Class.forName(name, false, PolytuneDriver.class.getClassLoader());
            for (Method method : candidate.getDeclaredMethods()) {
                boolean better = found == null || List.of(method.getParameterTypes()).contains(int.class);
                if (method.getName().equals(entryPoint) && fits(method, types) && better) {
                    found = method;
                }
            }
        }
        return found;
    }

    private static void run(String[] classes, List<String> request) throws Exception {
        String[] types = request.get(1).isEmpty() ? new String[0] : request.get(1).split(" ");
        Method method;
        try {
            method = find(classes, request.get(0), types);
            if (method == null) {
                say("c " + escape("no static method " + request.get(0) + "(" + String.join(" ", types) + ")"));
                return;
            }
            method.setAccessible(true);
            Class.forName(method.getDeclaringClass().getName(), true, PolytuneDriver.class.getClassLoader());
        } catch (Throwable error) {
            sayError(error);
            return;
        }
        say("l");
        int line = 3;
        for (int i = Integer.parseInt(request.get(2)); i > 0; i--) {
            Object[] arguments = new Object[types.length];
            for (int j = 0; j < types.length; j++) {
                arguments[j] = decode(request.get(line++));
            }
            String outcome;
            try {
                outcome = encode(method.invoke(null, arguments));
            } catch (Throwable error) {
                sayError(error);
                return;
            }
            say("v " + outcome);
        }
    }

    public static void main(String[] classes) throws Exception {
        outcomes = new FileOutputStream("outcomes", true);
        say("h");
        try {
            run(classes, Files.readAllLines(Path.of("request"), StandardCharsets.US_ASCII));
        } finally {
            Runtime.getRuntime().halt(0); // whatever threads or shutdown hooks the candidate left
        }
    }
}
