// The closed encoding of values.py in Java, for the candidate's driver and for the judge alike: JSON for
// what JSON can say, objects of one short key for the rest. Between two Java processes it is exact, so
// that a long stays a long where the declared type is Object; for cases said as data it is the encoding
// that Python reads. Only types of the JDK and tuples are ever made of what is read.
//
//    {"n": [TYPE, TEXT]}   other numbers, char    {"c": [CLASS, [V, ...]]}   collection    {"op": [V]}   Optional
//    {"a": [CLASS, [...]]} array                  {"m": [CLASS, [[K, V]..]]} map           {"en": [K, V]} Map.Entry
//    {"t": [CLASS, [...]]} tuple                  {"o": NAME}                 a value outside the contract

import java.lang.reflect.Array;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.*;
import java.util.function.Function;
import java.util.stream.BaseStream;

public final class PolytuneCodec {
    private static final int DEEPEST = 200;

    /** A value outside the contract: equal to nothing. */
    public static final class Alien {
        private final String name;

        Alien(String name) {
            this.name = name;
        }

        @Override
        public boolean equals(Object other) {
            return false;
        }

        @Override
        public int hashCode() {
            return 0;
        }

        @Override
        public String toString() {
            return "a value of type " + name;
        }
    }

    // Lists that refuse to change must refuse on the other side, too.
    private static final Map<String, Function<List<Object>, Object>> COLLECTIONS = Map.ofEntries(
            Map.entry("fixed", items -> Arrays.asList(items.toArray())),
            Map.entry("frozen", Collections::unmodifiableList),
            Map.entry("LinkedList", LinkedList::new),
            Map.entry("Vector", Vector::new),
            Map.entry("Stack", items -> {
                Stack<Object> stack = new Stack<>();
                stack.addAll(items);
                return stack;
            }),
            Map.entry("HashSet", HashSet::new),
            Map.entry("LinkedHashSet", LinkedHashSet::new),
            Map.entry("TreeSet", TreeSet::new),
            Map.entry("ArrayDeque", ArrayDeque::new),
            Map.entry("PriorityQueue", PriorityQueue::new));
    private static final Map<String, Function<Map<Object, Object>, Object>> MAPS = Map.of(
            "HashMap", HashMap::new, "LinkedHashMap", map -> map, "TreeMap", TreeMap::new);
    private static final Map<String, Function<String, Object>> NUMBERS = Map.of(
            "long", Long::valueOf, "short", Short::valueOf, "byte", Byte::valueOf, "float", Float::valueOf,
            "char", text -> text.charAt(0), "BigInteger", BigInteger::new, "BigDecimal", BigDecimal::new);

    private PolytuneCodec() {}

    // ---- writing

    /** One message as a line without its end. */
    public static String line(Object json) {
        StringBuilder out = new StringBuilder();
        write(json, out);
        return out.toString();
    }

    private static void write(Object json, StringBuilder out) {
        if (json instanceof String) {
            writeText((String) json, out);
        } else if (json instanceof List) {
            String separator = "[";
            for (Object item : (List<?>) json) {
                out.append(separator);
                write(item, out);
                separator = ",";
            }
            out.append(separator.equals("[") ? "[]" : "]");
        } else if (json instanceof Map) {
            String separator = "{";
            for (Map.Entry<?, ?> entry : ((Map<?, ?>) json).entrySet()) {
                out.append(separator);
                writeText((String) entry.getKey(), out);
                out.append(':');
                write(entry.getValue(), out);
                separator = ",";
            }
            out.append(separator.equals("{") ? "{}" : "}");
        } else {
            out.append(json); // null, booleans, integers; doubles are NaN and Infinity as Python has them
        }
    }

    private static void writeText(String text, StringBuilder out) {
        out.append('"');
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c >= ' ' && c <= '~' && c != '\\' && c != '"') {
                out.append(c);
            } else {
                out.append("\\u").append(Character.forDigit(c >> 12, 16)).append(Character.forDigit(c >> 8 & 15, 16))
                        .append(Character.forDigit(c >> 4 & 15, 16)).append(Character.forDigit(c & 15, 16));
            }
        }
        out.append('"');
    }

    /** Plain JSON data of a value; `exact` for a Java process on the other side. */
    public static Object encode(Object value, boolean exact) {
        return encode(value, exact, 0);
    }

    private static Object encode(Object value, boolean exact, int depth) {
        if (value == null || value instanceof Boolean || value instanceof String || value instanceof Integer
                || value instanceof Double) {
            return value;
        }
        if (depth >= DEEPEST) {
            return Map.of("o", "nesting deeper than " + DEEPEST);
        }
        if (value instanceof Number || value instanceof Character) {
            return encodeNumber(value, exact);
        }
        if (!exact) {
            List<?> items = inOrder(value);
            return items == null ? Map.of("o", value.getClass().getSimpleName()) : encodeAll(items, false, depth);
        }
        Object encoded = encodeContainer(value, depth + 1);
        return encoded == null ? Map.of("o", value.getClass().getSimpleName()) : encoded;
    }

    /** The items of what stands for a list; null for what has no order, or is no sequence. */
    private static List<?> inOrder(Object value) {
        if (value instanceof List) {
            return (List<?>) value;
        }
        List<Object> items = new ArrayList<>();
        if (value.getClass().isArray()) {
            for (int i = 0; i < Array.getLength(value); i++) {
                items.add(Array.get(value, i));
            }
            return items;
        }
        boolean unordered = value instanceof Set || value instanceof PriorityQueue;
        Iterator<?> all = unordered ? null : value instanceof Iterable ? ((Iterable<?>) value).iterator()
                : value instanceof BaseStream ? ((BaseStream<?, ?>) value).iterator()
                : value instanceof Iterator ? (Iterator<?>) value : null;
        while (all != null && all.hasNext()) {
            items.add(all.next());
        }
        return all == null ? null : items;
    }

    private static Object encodeNumber(Object value, boolean exact) {
        String name = value.getClass().getSimpleName();
        if (!exact) {
            if (value instanceof Float || value instanceof BigDecimal) {
                return ((Number) value).doubleValue();
            }
            if (value instanceof Character) {
                return value.toString();
            }
            if (value instanceof BigInteger && ((BigInteger) value).bitLength() > 63) {
                BigInteger number = (BigInteger) value;
                return Map.of("i", (number.signum() < 0 ? "-0x" : "0x") + number.abs().toString(16));
            }
            boolean whole = value instanceof Long || value instanceof Short || value instanceof Byte
                    || value instanceof BigInteger;
            return whole ? value : Map.of("o", name);
        }
        String type = value instanceof Character ? "char" : value.getClass().getPackageName().equals("java.lang")
                ? name.toLowerCase(Locale.ROOT) : name;
        return NUMBERS.containsKey(type) ? Map.of("n", List.of(type, value.toString())) : Map.of("o", name);
    }

    private static List<Object> encodeAll(Iterable<?> items, boolean exact, int depth) {
        List<Object> all = new ArrayList<>();
        for (Object item : items) {
            all.add(encode(item, exact, depth + 1));
        }
        return all;
    }

    private static Object encodeContainer(Object value, int depth) {
        if (value instanceof Collection) {
            List<Object> items = encodeAll((Collection<?>) value, true, depth);
            String name = collectionName(value);
            return name.isEmpty() ? items : Map.of("c", List.of(name, items));
        }
        if (value instanceof Map) {
            List<Object> pairs = new ArrayList<>();
            for (Map.Entry<?, ?> entry : ((Map<?, ?>) value).entrySet()) {
                pairs.add(encodeAll(Arrays.asList(entry.getKey(), entry.getValue()), true, depth));
            }
            String name = value instanceof SortedMap ? "TreeMap" : value instanceof LinkedHashMap
                    || !(value instanceof HashMap) ? "LinkedHashMap" : "HashMap";
            return Map.of("m", List.of(name, pairs));
        }
        if (value instanceof Optional) {
            Optional<?> optional = (Optional<?>) value;
            return Map.of("op", encodeAll(optional.isPresent() ? List.of(optional.get()) : List.of(), true, depth));
        }
        if (value instanceof Map.Entry) {
            Map.Entry<?, ?> entry = (Map.Entry<?, ?>) value;
            return Map.of("en", encodeAll(Arrays.asList(entry.getKey(), entry.getValue()), true, depth));
        }
        if (value instanceof org.javatuples.Tuple) {
            List<Object> items = encodeAll(((org.javatuples.Tuple) value).toList(), true, depth);
            return Map.of("t", List.of(value.getClass().getSimpleName(), items));
        }
        if (value.getClass().isArray() && isKnownArray(value.getClass().getName())) {
            List<Object> items = new ArrayList<>();
            for (int i = 0; i < Array.getLength(value); i++) {
                items.add(encode(Array.get(value, i), true, depth + 1));
            }
            return Map.of("a", List.of(value.getClass().getName(), items));
        }
        return null;
    }

    private static String collectionName(Object value) {
        if (value instanceof List) {
            String name = value.getClass().getName();
            if (name.equals("java.util.Arrays$ArrayList")) {
                return "fixed";
            }
            if (name.startsWith("java.util.ImmutableCollections") || name.startsWith("java.util.Collections$Unmod")) {
                return "frozen";
            }
            return value instanceof Stack ? "Stack" : value instanceof Vector ? "Vector"
                    : value instanceof LinkedList ? "LinkedList" : "";
        }
        if (value instanceof Set) {
            return value instanceof SortedSet ? "TreeSet" : value instanceof LinkedHashSet
                    || !(value instanceof HashSet) ? "LinkedHashSet" : "HashSet";
        }
        return value instanceof PriorityQueue ? "PriorityQueue" : value instanceof Queue ? "ArrayDeque" : "";
    }

    private static boolean isKnownArray(String name) {
        return name.matches("\\[+([ZBCSIJFD]|Ljava\\.(lang|util|math)\\.[A-Za-z]+;)");
    }

    // ---- reading

    /** The value of plain JSON data; IllegalArgumentException if it is none of the encoding. */
    public static Object decode(Object json) {
        if (json instanceof List) {
            return decodeAll((List<?>) json);
        }
        if (!(json instanceof Map)) {
            return json instanceof String ? ((String) json).intern() : json; // some tests compare constants with ==
        }
        Map<?, ?> tagged = (Map<?, ?>) json;
        if (tagged.size() != 1) {
            throw new IllegalArgumentException("an object of the encoding has one key");
        }
        Map.Entry<?, ?> only = tagged.entrySet().iterator().next();
        try {
            return decodeTagged((String) only.getKey(), only.getValue());
        } catch (ClassCastException | IndexOutOfBoundsException | NullPointerException fault) {
            throw new IllegalArgumentException("malformed content of tag " + only.getKey());
        }
    }

    private static List<Object> decodeAll(List<?> items) {
        List<Object> all = new ArrayList<>(items.size());
        for (Object item : items) {
            all.add(decode(item));
        }
        return all;
    }

    private static Object decodeTagged(String tag, Object content) {
        if (tag.equals("o")) {
            return new Alien((String) content);
        }
        List<?> parts = (List<?>) content;
        switch (tag) {
            case "n":
                return NUMBERS.get(parts.get(0)).apply((String) parts.get(1));
            case "c":
                return COLLECTIONS.get(parts.get(0)).apply(decodeAll((List<?>) parts.get(1)));
            case "m":
                Map<Object, Object> map = new LinkedHashMap<>();
                for (Object pair : (List<?>) parts.get(1)) {
                    map.put(decode(((List<?>) pair).get(0)), decode(((List<?>) pair).get(1)));
                }
                return MAPS.get(parts.get(0)).apply(map);
            case "op":
                return parts.isEmpty() ? Optional.empty() : Optional.of(decode(parts.get(0)));
            case "en":
                return new AbstractMap.SimpleEntry<>(decode(parts.get(0)), decode(parts.get(1)));
            case "t":
                return org.javatuples.Tuple.of((String) parts.get(0), decodeAll((List<?>) parts.get(1)).toArray());
            case "a":
                return decodeArray((String) parts.get(0), (List<?>) parts.get(1));
            default:
                throw new IllegalArgumentException("no value has this tag");
        }
    }

    private static Object decodeArray(String name, List<?> items) {
        if (!isKnownArray(name)) {
            throw new IllegalArgumentException("no array of the encoding");
        }
        try {
            Class<?> type = Class.forName(name, false, null).getComponentType();
            Object array = Array.newInstance(type, items.size());
            for (int i = 0; i < items.size(); i++) {
                Array.set(array, i, decode(items.get(i)));
            }
            return array;
        } catch (ClassNotFoundException unknown) {
            throw new IllegalArgumentException("no array of the encoding");
        }
    }

    /** Give a mutable argument the content that a call left it with. */
    @SuppressWarnings("unchecked")
    public static void change(Object argument, Object changed) {
        if (argument instanceof List && ((List<?>) argument).size() == ((List<?>) changed).size()) {
            List<Object> list = (List<Object>) argument;
            for (int i = 0; i < list.size(); i++) {
                list.set(i, ((List<?>) changed).get(i));
            }
        } else if (argument instanceof Collection) {
            ((Collection<Object>) argument).clear();
            ((Collection<Object>) argument).addAll((Collection<?>) changed);
        } else if (argument instanceof Map) {
            ((Map<Object, Object>) argument).clear();
            ((Map<Object, Object>) argument).putAll((Map<?, ?>) changed);
        } else {
            System.arraycopy(changed, 0, argument, 0, Array.getLength(argument));
        }
    }

    /** Whether encoded data holds a value outside the contract. */
    public static boolean isAlien(Object encoded) {
        if (encoded instanceof Map) {
            Map.Entry<?, ?> only = ((Map<?, ?>) encoded).entrySet().iterator().next();
            return only.getKey().equals("o") || isAlien(only.getValue());
        }
        return encoded instanceof List && ((List<?>) encoded).stream().anyMatch(PolytuneCodec::isAlien);
    }

    /** Whether a call can leave this argument with other content. */
    public static boolean isMutable(Object argument) {
        return argument instanceof Collection || argument instanceof Map
                || argument != null && argument.getClass().isArray();
    }

    /** Parse one line of JSON; IllegalArgumentException if it is none. */
    public static Object parse(String text) {
        Parser parser = new Parser(text);
        Object value = parser.value(0);
        if (parser.at != text.length()) {
            throw new IllegalArgumentException("more than one value");
        }
        return value;
    }

    private static final class Parser {
        private final String text;
        private int at;

        Parser(String text) {
            this.text = text;
        }

        private char peek() {
            while (at < text.length() && text.charAt(at) == ' ') {
                at++;
            }
            if (at >= text.length()) {
                throw new IllegalArgumentException("cut off");
            }
            return text.charAt(at);
        }

        Object value(int depth) {
            if (depth > 6 * DEEPEST) {
                throw new IllegalArgumentException("nested too deeply");
            }
            char c = peek();
            if (c == '"') {
                return string();
            }
            if (c != '[' && c != '{') {
                return word();
            }
            at++;
            List<Object> items = new ArrayList<>();
            Map<String, Object> entries = new LinkedHashMap<>();
            char end = c == '[' ? ']' : '}';
            for (char next = peek(); next != end; next = peek()) {
                if (c == '[') {
                    items.add(value(depth + 1));
                } else {
                    String key = string();
                    expect(':');
                    entries.put(key, value(depth + 1));
                }
                if (peek() != end) {
                    expect(',');
                }
            }
            at++;
            return c == '[' ? items : entries;
        }

        private void expect(char wanted) {
            if (peek() != wanted) {
                throw new IllegalArgumentException("expected " + wanted);
            }
            at++;
        }

        private String string() {
            expect('"');
            StringBuilder out = new StringBuilder();
            while (at < text.length()) {
                char c = text.charAt(at++);
                if (c == '"') {
                    return out.toString();
                }
                out.append(c == '\\' ? escaped() : c);
            }
            throw new IllegalArgumentException("cut off");
        }

        private char escaped() {
            char c = at < text.length() ? text.charAt(at++) : 'x';
            if (c == 'u' && at + 4 <= text.length()) {
                at += 4;
                return (char) Integer.parseInt(text.substring(at - 4, at), 16);
            }
            int index = "\"\\/bfnrt".indexOf(c);
            if (index < 0) {
                throw new IllegalArgumentException("no such escape");
            }
            return "\"\\/\b\f\n\r\t".charAt(index);
        }

        private Object word() {
            int start = at;
            while (at < text.length() && ",]}: ".indexOf(text.charAt(at)) < 0) {
                at++;
            }
            String word = text.substring(start, at);
            switch (word) {
                case "null":
                    return null;
                case "true":
                    return true;
                case "false":
                    return false;
                case "NaN":
                    return Double.NaN;
                default:
                    boolean whole = word.indexOf('.') < 0 && word.indexOf('e') < 0 && word.indexOf('E') < 0
                            && word.indexOf('y') < 0;
                    return whole ? (Object) Integer.valueOf(word) : (Object) Double.valueOf(word);
            }
        }
    }
}
