// The tuples that MultiPL-E's Java problems are written with: the part of the library javatuples that they
// use, because it is seldom installed.

package org.javatuples;

import java.util.Arrays;
import java.util.Iterator;
import java.util.List;

public abstract class Tuple implements Iterable<Object>, Comparable<Tuple> {
    private final List<Object> items;

    protected Tuple(Object... items) {
        this.items = Arrays.asList(items);
    }

    /** The tuple of a class's simple name. */
    public static Tuple of(String name, Object... v) {
        switch (name) {
            case "Unit":
                return new Unit<>(v[0]);
            case "Pair":
                return new Pair<>(v[0], v[1]);
            case "Triplet":
                return new Triplet<>(v[0], v[1], v[2]);
            case "Quartet":
                return new Quartet<>(v[0], v[1], v[2], v[3]);
            case "Quintet":
                return new Quintet<>(v[0], v[1], v[2], v[3], v[4]);
            default:
                throw new IllegalArgumentException("no tuple is called so");
        }
    }

    public final int getSize() {
        return items.size();
    }

    public final Object getValue(int index) {
        return items.get(index);
    }

    public final boolean contains(Object value) {
        return items.contains(value);
    }

    public final List<Object> toList() {
        return List.copyOf(items);
    }

    @Override
    public final Iterator<Object> iterator() {
        return items.iterator();
    }

    @Override
    @SuppressWarnings("unchecked")
    public final int compareTo(Tuple other) {
        for (int i = 0; i < Math.min(getSize(), other.getSize()); i++) {
            int order = ((Comparable<Object>) getValue(i)).compareTo(other.getValue(i));
            if (order != 0) {
                return order;
            }
        }
        return Integer.compare(getSize(), other.getSize());
    }

    @Override
    public final boolean equals(Object other) {
        return other instanceof Tuple && other.getClass() == getClass() && items.equals(((Tuple) other).items);
    }

    @Override
    public final int hashCode() {
        return items.hashCode();
    }

    @Override
    public final String toString() {
        return items.toString();
    }
}
