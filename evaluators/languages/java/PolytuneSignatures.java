// Finds the method that a call of cases said as data means, and puts the arguments in the form it declares:
// a list as an array, a list of any boxed type, a collection or a stream; an int as a long, a string of one
// character as a char. Static methods come before instance methods, and what is declared most alike first.

import java.lang.reflect.Array;
import java.lang.reflect.Constructor;
import java.lang.reflect.GenericArrayType;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.lang.reflect.TypeVariable;
import java.lang.reflect.WildcardType;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.*;
import java.util.function.Function;
import java.util.stream.BaseStream;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import java.util.stream.Stream;

final class PolytuneSignatures {
    /** A method with its arguments or, without one, the reason. */
    static final class Match {
        Method method;
        Object[] arguments;
        String reason;
        private int cost = Integer.MAX_VALUE;
    }

    private static final Object NONE = new Object();
    private static final int INSTANCE = 1000, VARIABLE = 500, FAR = 20, NEAR = 1;
    private static final int MOST_NAMED = 5;
    private static final Map<Class<?>, Function<List<Object>, Object>> SEQUENCES = sequences();

    private PolytuneSignatures() {}

    private static Map<Class<?>, Function<List<Object>, Object>> sequences() {
        Map<Class<?>, Function<List<Object>, Object>> made = new LinkedHashMap<>();
        made.put(ArrayList.class, items -> items); // and every interface that it has: the first that fits is taken
        made.put(LinkedList.class, LinkedList::new);
        made.put(ArrayDeque.class, ArrayDeque::new);
        made.put(Vector.class, Vector::new);
        made.put(Stack.class, items -> {
            Stack<Object> stack = new Stack<>();
            stack.addAll(items);
            return stack;
        });
        made.put(Iterator.class, List::iterator);
        made.put(Stream.class, List::stream);
        made.put(IntStream.class, items -> items.stream().mapToInt(item -> ((Number) item).intValue()));
        made.put(LongStream.class, items -> items.stream().mapToLong(item -> ((Number) item).longValue()));
        made.put(DoubleStream.class, items -> items.stream().mapToDouble(item -> ((Number) item).doubleValue()));
        return made;
    }

    static Match match(List<Class<?>> classes, String name, List<Object> values, List<?> types) {
        Match best = new Match();
        Set<String> others = new LinkedHashSet<>();
        for (Class<?> owner : classes) {
            for (Method method : owner.getDeclaredMethods()) {
                if (!method.getName().equals(name) || method.isBridge() || method.isSynthetic()) {
                    continue;
                }
                others.add(signature(method));
                Match found = fitted(method, values);
                if (found != null && found.cost < best.cost) {
                    best = found;
                }
            }
        }
        if (best.method == null) {
            String wanted = name + "(" + String.join(", ", types.toArray(new String[0])) + ")";
            best.reason = "no method takes " + wanted + "; the program has "
                    + (others.isEmpty() ? "none of that name" : String.join(", ", first(others)));
        }
        return best;
    }

    private static List<String> first(Set<String> all) {
        List<String> shown = new ArrayList<>(all);
        return shown.size() > MOST_NAMED ? shown.subList(0, MOST_NAMED) : shown;
    }

    private static String signature(Method method) {
        List<String> parameters = new ArrayList<>();
        for (Type parameter : method.getGenericParameterTypes()) {
            parameters.add(parameter.getTypeName().replaceAll("\\b(?:\\w+\\.)+", ""));
        }
        return method.getName() + "(" + String.join(", ", parameters) + ")";
    }

    private static Match fitted(Method method, List<Object> values) {
        boolean isStatic = Modifier.isStatic(method.getModifiers());
        Class<?> owner = method.getDeclaringClass();
        if (!isStatic && (Modifier.isAbstract(owner.getModifiers()) || constructor(owner) == null)) {
            return null;
        }
        Type[] parameters = method.getGenericParameterTypes();
        Match match = fitted(parameters, values);
        if (match == null && method.isVarArgs() && values.size() >= parameters.length - 1) {
            int fixed = parameters.length - 1;
            List<Object> spread = new ArrayList<>(values.subList(0, fixed));
            spread.add(new ArrayList<>(values.subList(fixed, values.size())));
            match = fitted(parameters, spread);
            if (match != null) {
                match.cost += VARIABLE;
            }
        }
        if (match != null) {
            match.method = method;
            match.cost += isStatic ? 0 : INSTANCE;
        }
        return match;
    }

    private static Match fitted(Type[] parameters, List<Object> values) {
        if (parameters.length != values.size()) {
            return null;
        }
        Match match = new Match();
        match.arguments = new Object[parameters.length];
        match.cost = 0;
        for (int i = 0; i < parameters.length; i++) {
            int[] cost = {0};
            match.arguments[i] = converted(values.get(i), parameters[i], cost);
            if (match.arguments[i] == NONE) {
                return null;
            }
            match.cost += cost[0];
        }
        return match;
    }

    // ---- values

    private static Class<?> raw(Type type) {
        if (type instanceof Class) {
            return (Class<?>) type;
        }
        if (type instanceof ParameterizedType) {
            return raw(((ParameterizedType) type).getRawType());
        }
        if (type instanceof GenericArrayType) {
            return Array.newInstance(raw(((GenericArrayType) type).getGenericComponentType()), 0).getClass();
        }
        if (type instanceof TypeVariable) {
            return raw(((TypeVariable<?>) type).getBounds()[0]);
        }
        WildcardType wildcard = (WildcardType) type;
        Type[] lower = wildcard.getLowerBounds();
        return raw(lower.length > 0 ? lower[0] : wildcard.getUpperBounds()[0]);
    }

    private static Type element(Type type) {
        if (type instanceof GenericArrayType) {
            return ((GenericArrayType) type).getGenericComponentType();
        }
        if (type instanceof Class) {
            Class<?> plain = (Class<?>) type;
            return plain.isArray() ? plain.getComponentType() : Object.class;
        }
        Type[] arguments = type instanceof ParameterizedType ? ((ParameterizedType) type).getActualTypeArguments() : new Type[0];
        return arguments.length == 1 ? arguments[0] : Object.class;
    }

    /** The value in the form of a type, or NONE; what is further from the value costs more. */
    private static Object converted(Object value, Type type, int[] cost) {
        Class<?> wanted = raw(type);
        if (value instanceof List) {
            return sequence((List<?>) value, type, wanted, cost);
        }
        if (value instanceof Integer) {
            return whole((Integer) value, wanted, cost);
        }
        if (value instanceof Double) {
            return real((Double) value, wanted, cost);
        }
        if (value instanceof String) {
            return text((String) value, wanted, cost);
        }
        if (value == null ? !wanted.isPrimitive() : wanted == boolean.class || wanted.isInstance(value)) {
            return value;
        }
        return NONE;
    }

    private static Object sequence(List<?> values, Type type, Class<?> wanted, int[] cost) {
        Type element = wanted == IntStream.class ? int.class : wanted == LongStream.class ? long.class
                : wanted == DoubleStream.class ? double.class : element(type);
        List<Object> items = new ArrayList<>(values.size());
        int furthest = 0;
        for (Object value : values) {
            int[] one = {0};
            Object item = converted(value, element, one);
            if (item == NONE) {
                return NONE;
            }
            items.add(item);
            furthest = Math.max(furthest, one[0]);
        }
        cost[0] += furthest + (wanted == List.class ? 0 : NEAR);
        if (wanted.isArray()) {
            Object array = Array.newInstance(wanted.getComponentType(), items.size());
            for (int i = 0; i < items.size(); i++) {
                Array.set(array, i, items.get(i));
            }
            return array;
        }
        if (wanted == BaseStream.class) {
            return NONE;
        }
        for (Map.Entry<Class<?>, Function<List<Object>, Object>> known : SEQUENCES.entrySet()) {
            if (wanted.isAssignableFrom(known.getKey())) {
                cost[0] += wanted == Object.class ? FAR : 0;
                return known.getValue().apply(items);
            }
        }
        return NONE;
    }

    private static Object whole(Integer value, Class<?> wanted, int[] cost) {
        cost[0] += wanted == int.class || wanted == Integer.class ? 0 : wanted.isPrimitive() ? NEAR : 2 * NEAR;
        if (wanted == int.class || wanted.isInstance(value)) {
            cost[0] += wanted == Object.class ? FAR : 0;
            return value;
        }
        if (wanted == long.class || wanted == Long.class) {
            return value.longValue();
        }
        if (wanted == BigInteger.class) {
            return BigInteger.valueOf(value);
        }
        cost[0] += FAR;
        if (wanted == short.class || wanted == Short.class) {
            return value == value.shortValue() ? (Object) value.shortValue() : NONE;
        }
        if (wanted == byte.class || wanted == Byte.class) {
            return value == value.byteValue() ? (Object) value.byteValue() : NONE;
        }
        return real(value.doubleValue(), wanted, cost);
    }

    private static Object real(Double value, Class<?> wanted, int[] cost) {
        cost[0] += wanted == double.class || wanted == Double.class ? 0 : NEAR;
        if (wanted == double.class || wanted.isInstance(value)) {
            cost[0] += wanted == Object.class ? FAR : 0;
            return value;
        }
        cost[0] += FAR;
        if (wanted == float.class || wanted == Float.class) {
            return value.floatValue();
        }
        boolean finite = !value.isNaN() && !value.isInfinite();
        return wanted == BigDecimal.class && finite ? BigDecimal.valueOf(value) : NONE;
    }

    private static Object text(String value, Class<?> wanted, int[] cost) {
        cost[0] += wanted == String.class ? 0 : NEAR;
        if (wanted.isInstance(value)) {
            cost[0] += wanted == Object.class ? FAR : 0;
            return value;
        }
        cost[0] += FAR;
        if (wanted == char.class || wanted == Character.class) {
            return value.length() == 1 ? (Object) value.charAt(0) : NONE;
        }
        if (wanted == char[].class) {
            return value.toCharArray();
        }
        return wanted == StringBuilder.class ? new StringBuilder(value) : NONE;
    }

    // ---- instances

    private static Constructor<?> constructor(Class<?> owner) {
        Constructor<?> found = null;
        for (Constructor<?> one : owner.isInterface() ? new Constructor<?>[0] : owner.getDeclaredConstructors()) {
            Class<?>[] wanted = one.getParameterTypes();
            boolean inner = wanted.length == 1 && wanted[0] == owner.getEnclosingClass();
            if (wanted.length == 0 || found == null && inner && constructor(wanted[0]) != null) {
                found = one;
            }
        }
        return found;
    }

    /** A new instance; that of an inner class gets a new one of the class around it. */
    static Object instance(Class<?> owner) throws Exception {
        Constructor<?> made = constructor(owner);
        if (made == null) {
            throw new NoSuchMethodException("a constructor of " + owner.getName() + " without parameters");
        }
        made.setAccessible(true);
        return made.getParameterCount() == 0 ? made.newInstance() : made.newInstance(instance(owner.getEnclosingClass()));
    }
}
